"""`thalweg new --plugin NAME`: a plugin that works, with its test and a recipe that uses it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from importlib import resources, util
from importlib.resources.abc import Traversable
from pathlib import Path

from ..errors import OptionError

_NAME = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")


def new_plugin(name: str, folder: Path) -> list[Path]:
    """Write the plugin into `folder/thalweg-NAME`; gives its files. Raises `OptionError` for a name that is taken."""
    module = f"thalweg_{name.replace('-', '_')}"
    target = folder / f"thalweg-{name}"
    if not _NAME.fullmatch(name) or len(name) > 80:
        raise OptionError(
            f"{name[:80]!r} is no name for a plugin",
            allowed="lower-case letters and digits, in words joined by '-'" + (", up to 80" if len(name) > 80 else ""),
            advice=f"try {suggested(name)[:80]!r}" if suggested(name) else "give another",
        )
    if util.find_spec(module) is not None:
        raise OptionError(f"a module {module!r} is installed already", advice="choose another name, or uninstall it")
    if target.exists():
        raise OptionError(f"{str(target)!r} is there already", advice="choose another name or folder, or remove it")
    written = []
    for source, parts in _templates(resources.files("thalweg") / "templates" / "plugin", ()):
        path = target.joinpath(*(module if part == "package" else part.removesuffix(".template") for part in parts))
        path.parent.mkdir(parents=True, exist_ok=True)
        text = source.read_text(encoding="utf-8").replace("{{name}}", name).replace("{{module}}", module)
        path.write_text(text, encoding="utf-8")
        written.append(path)
    return sorted(written)


def suggested(name: str) -> str:
    """The nearest name that is allowed; empty if there is none."""
    return "-".join(re.findall(r"[a-z0-9]+", name.lower()))


def _templates(folder: Traversable, above: tuple[str, ...]) -> Iterator[tuple[Traversable, tuple[str, ...]]]:
    for each in folder.iterdir():
        if each.is_dir():
            yield from _templates(each, (*above, each.name))
        elif each.name.endswith(".template"):
            yield each, (*above, each.name)
