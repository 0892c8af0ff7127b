"""Targets that are computed: numbers, names of the context, and arithmetic of them."""

from __future__ import annotations

import ast
import operator
from collections.abc import Callable, Mapping
from math import isfinite
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
    "last": lambda field: field.isel(lead=-1, drop=True) if "lead" in field.dims else field,
    "mean": lambda field: field.mean("lead") if "lead" in field.dims else field,
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

_OF_FIELDS = ("row", "last", "mean")
_OF_TWO = ("minimum", "maximum")

FUNCTIONS = ", ".join(("row", *sorted(set(_FUNCTIONS) - {"pi"})))


def parsed(expression: str) -> ast.expr:
    """The syntax of an expression.

    Raises `OptionError` for anything but arithmetic, a function of too few or too many, numbers that are not finite.
    """
    try:
        tree = ast.parse(expression, mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise OptionError(
            f"{expression[:80]!r} is no expression: {getattr(error, 'msg', type(error).__name__)}",
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
        if isinstance(node, ast.Call):
            _check_arguments(node, expression)
    for node in ast.walk(tree):
        _check_number(node, expression)
    return tree


def _check_arguments(call: ast.Call, expression: str) -> None:
    name = getattr(call.func, "id", "")
    count = 2 if name in _OF_TWO else 1
    if (name in _FUNCTIONS or name in _OF_FIELDS) and len(call.args) != count:
        raise OptionError(
            f"{expression!r} calls `{name}` of {len(call.args)}",
            allowed=f"`{name}` of {count}" + (", two numbers or fields" if count == 2 else ""),
            advice=f"write `{name}({', '.join(['rain', '0'][:count])})`, with a name of the context",
        )


def _check_number(node: ast.AST, expression: str) -> None:
    """Raise `OptionError` where numbers alone give no finite one, or are what a function of fields is of."""
    if not isinstance(node, ast.BinOp | ast.UnaryOp | ast.Call | ast.Constant):
        return
    found = _number(node, expression)
    nothing = isinstance(node, ast.BinOp) and isinstance(node.op, ast.Div) and _number(node.right, expression) == 0.0
    if nothing or (found is not None and not isfinite(found)):
        raise OptionError(
            f"{ast.unparse(node)!r} is no finite number",
            allowed="finite numbers",
            advice=f"correct {expression!r}",
        )


def _number(node: ast.AST, expression: str) -> float | None:
    """What numbers alone give, NaN where that is none; None for what a name of the context is in."""
    called = {each.func for each in ast.walk(node) if isinstance(each, ast.Call)}
    names = [each for each in ast.walk(node) if isinstance(each, ast.Name) and each not in called and each.id != "pi"]
    functions = {each.id for each in called if isinstance(each, ast.Name)}
    if names or not functions <= {*_FUNCTIONS, *_OF_FIELDS}:
        return None
    if functions & set(_OF_FIELDS):
        raise OptionError(
            f"{expression!r} takes `{min(functions & set(_OF_FIELDS))}` of a number",
            allowed="an input there",
            advice="name an input in it, or leave the function out",
        )
    try:
        with np.errstate(all="ignore"):
            found = _of(node, lambda _: np.pi, _FUNCTIONS)
    except ArithmeticError:
        return float("nan")
    return float("nan") if isinstance(found, complex) else float(found)


def _of(node: ast.AST, named: Callable[[str], Any], functions: Mapping[str, Callable[..., Any]]) -> Any:
    """The value of a parsed expression."""

    def of(node: ast.AST) -> Any:
        match node:
            case ast.Constant(value=int() | float() as value):
                # A whole number to the power of another may have any number of digits.
                return float(value)
            case ast.Name(id=name):
                return named(name)
            case ast.BinOp(left=left, op=op, right=right):
                return _OPERATORS[type(op)](of(left), of(right))
            case ast.UnaryOp(op=op, operand=operand):
                return _OPERATORS[type(op)](of(operand))
            case ast.Call(func=ast.Name(id=name), args=arguments) if name in functions and name != "pi":
                return functions[name](*map(of, arguments))
        return named(ast.unparse(node))

    return of(node)


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

    def named(name: str) -> Any:
        if name == "pi":
            return np.pi
        if name in context.variables:
            return context[name]
        raise HandshakeError(
            f"the target {expression!r} needs {name!r}, which is not known before the estimate",
            allowed=f"{', '.join(sorted(map(str, context.variables)))}; functions {FUNCTIONS}",
            advice="name an input, a coordinate or a parameter of the dataset",
        )

    found = _of(parsed(expression), named, {**_FUNCTIONS, **functions})
    return found if isinstance(found, xr.DataArray) else float(found)
