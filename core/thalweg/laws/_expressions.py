"""Targets that are computed: numbers, names of the context, and arithmetic of them."""

from __future__ import annotations

import ast
import operator
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import xarray as xr

from ..errors import HandshakeError, OptionError

_OPERATORS: dict[type[ast.AST], Callable[..., Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.Pow: operator.pow,
    ast.USub: operator.neg,
    ast.UAdd: operator.pos,
}

_FUNCTIONS: dict[str, Callable[..., Any]] = {
    "last": lambda field: field.isel(lead=-1, drop=True),
    "mean": lambda field: field.mean("lead"),
    "sqrt": np.sqrt,
    "exp": np.exp,
    "log": np.log,
    "abs": abs,
    "sin": np.sin,
    "cos": np.cos,
    "minimum": np.minimum,
    "maximum": np.maximum,
    "pi": np.pi,  # type: ignore[dict-item]
}

FUNCTIONS = ", ".join(("row", *sorted(set(_FUNCTIONS) - {"pi"})))


def parsed(expression: str) -> ast.expr:
    """The syntax of an expression. Raises `OptionError` for anything but arithmetic."""
    try:
        tree = ast.parse(expression, mode="eval").body
    except SyntaxError as error:
        raise OptionError(
            f"{expression!r} is no expression: {error.msg}",
            allowed=f"numbers, names, + - * / **, and {FUNCTIONS}",
            advice="write arithmetic of names in the context, such as `0.9 * row(last(rain))`",
        ) from None
    for node in ast.walk(tree):
        number = isinstance(node, ast.Constant) and isinstance(node.value, int | float)
        call = isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and not node.keywords
        plain = isinstance(node, ast.BinOp | ast.UnaryOp | ast.Name | ast.Load) or type(node) in _OPERATORS
        if not (number or call or plain):
            raise OptionError(
                f"{expression!r} has a {type(node).__name__} in it",
                allowed=f"numbers, names, + - * / **, and {FUNCTIONS}",
                advice="compute it in preprocess, and name it here",
            )
    return tree


def fields_of(expression: str) -> tuple[str, ...]:
    """The inputs in it: what `last` and `mean` are of. Another name may be a coordinate as well."""
    calls = [node for node in ast.walk(parsed(expression)) if isinstance(node, ast.Call)]
    series = [node for node in calls if isinstance(node.func, ast.Name) and node.func.id in ("last", "mean")]
    names = [each.id for node in series for each in node.args if isinstance(each, ast.Name)]
    return tuple(dict.fromkeys(names))


def evaluated(
    expression: str, context: xr.Dataset, *, functions: Mapping[str, Callable[..., Any]]
) -> xr.DataArray | float:
    """An expression of what is in the context. Raises `HandshakeError` for a name that is not."""
    known = {**_FUNCTIONS, **functions}

    def of(node: ast.expr) -> Any:
        match node:
            case ast.Constant(value=value):
                return value
            case ast.Name(id="pi"):
                return np.pi
            case ast.Name(id=name) if name in context.variables:
                return context[name]
            case ast.BinOp(left=left, op=op, right=right):
                return _OPERATORS[type(op)](of(left), of(right))
            case ast.UnaryOp(op=op, operand=operand):
                return _OPERATORS[type(op)](of(operand))
            case ast.Call(func=ast.Name(id=name), args=arguments) if name in known and name != "pi":
                return known[name](*map(of, arguments))
        what = node.id if isinstance(node, ast.Name) else ast.unparse(node)
        raise HandshakeError(
            f"the target {expression!r} needs {what!r}, which is not known before the estimate",
            allowed=f"{', '.join(sorted(map(str, context.variables)))}; functions {FUNCTIONS}",
            advice="name an input, a coordinate or a parameter of the dataset",
        )

    found = of(parsed(expression))
    return found if isinstance(found, xr.DataArray) else float(found)
