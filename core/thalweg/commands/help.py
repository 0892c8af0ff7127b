"""How a command shows its arguments and options: by their names, without the types of the library that reads them."""

from __future__ import annotations

import re
from typing import Any

from typer.core import TyperCommand

_RANGE = re.compile(r"(?:(\d+)<=)?x(?:([<>])=(\d+))?")


class PlainCommand(TyperCommand):
    """A command whose help says `RECIPE`, `[FILE]` and `RUN...`."""

    def collect_usage_pieces(self, ctx: Any) -> list[str]:
        """What stands behind the command's name in its usage."""
        pieces = [self.options_metavar] if self.options_metavar else []
        return pieces + [_in_usage(each) for each in self.get_params(ctx) if each.param_type_name == "argument"]

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """Write the arguments, then the options, each with its help."""
        for title, kind in (("Arguments", "argument"), ("Options", "option")):
            rows = [_row(each, ctx) for each in self.get_params(ctx) if each.param_type_name == kind]
            shown = [row for row in rows if row is not None]
            if shown:
                with formatter.section(title):
                    formatter.write_dl(shown)


def _in_usage(argument: Any) -> str:
    name = argument.metavar or argument.name.upper()
    name = f"{name}..." if argument.nargs != 1 else name
    return name if argument.required else f"[{name}]"


def _row(parameter: Any, ctx: Any) -> tuple[str, str] | None:
    record = parameter.get_help_record(ctx)
    if record is None:
        return None
    name, text = record
    if parameter.param_type_name == "argument":
        return _in_usage(parameter), text.replace("  [required]", "")
    return name, _RANGE.sub(_range, text) if parameter.nargs == 1 and "x" in text else text


def _range(match: re.Match[str]) -> str:
    """`1<=x<=9` as `1 to 9`, `x>=1` as `1 or more`; anything else as it is."""
    low, sign, bound = match.groups()
    if low is not None and sign == "<":
        return f"{low} to {bound}"
    if low is None and sign is not None:
        return f"{bound} or {'more' if sign == '>' else 'less'}"
    return match.group()
