"""Every error says what was given, what is allowed, and what to do: its advice begins with a verb."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]
SOURCES = [
    path
    for folder in ("core", "flows", "plugins")
    for path in sorted((ROOT / folder).rglob("*.py"))
    if "tests" not in path.parts and ".venv" not in path.parts
]
VERBS = frozenset(
    [
        "add",
        "ask",
        "begin",
        "bring",
        "build",
        "change",
        "check",
        "choose",
        "compare",
        "compute",
        "convert",
        "count",
        "copy",
        "correct",
        "cut",
        "declare",
        "decode",
        "define",
        "delete",
        "draw",
        "end",
        "extend",
        "fetch",
        "fill",
        "free",
        "give",
        "hold",
        "ingest",
        "install",
        "join",
        "judge",
        "keep",
        "lay",
        "learn",
        "leave",
        "lengthen",
        "let",
        "load",
        "look",
        "lower",
        "make",
        "mend",
        "move",
        "name",
        "normalise",
        "pair",
        "put",
        "quote",
        "raise",
        "read",
        "register",
        "regrid",
        "rename",
        "repair",
        "return",
        "run",
        "save",
        "say",
        "score",
        "see",
        "select",
        "separate",
        "set",
        "shorten",
        "smooth",
        "solve",
        "sort",
        "start",
        "swap",
        "take",
        "try",
        "unpack",
        "unset",
        "use",
        "wait",
        "widen",
        "wrap",
        "write",
    ]
)
QUESTION = "did you mean "
"""What an author meant is asked; the answer is the advice."""


def advices() -> Iterator[tuple[str, str]]:
    """Where an error is raised with advice, and the advice, where its beginning is written in the source."""
    for path in SOURCES:
        tree = ast.parse(path.read_text(encoding="utf-8"))
        constants = {
            each.targets[0].id: each.value
            for each in tree.body
            if isinstance(each, ast.Assign) and isinstance(each.targets[0], ast.Name)
        }
        for node in ast.walk(tree):
            if isinstance(node, ast.Call):
                for keyword in node.keywords:
                    if keyword.arg == "advice":
                        for text in _beginnings(keyword.value, constants):
                            yield f"{path.relative_to(ROOT)}:{node.lineno}", text


def _beginnings(node: ast.expr, constants: dict[str, ast.expr]) -> Iterator[str]:
    match node:
        case ast.Constant(value=str(text)):
            yield text
        case ast.JoinedStr(values=[first, *_]):
            yield from _beginnings(first, constants)
        case ast.FormattedValue(value=ast.IfExp() as inner):
            yield from _beginnings(inner, constants)
        case ast.IfExp(body=one, orelse=other):
            yield from _beginnings(one, constants)
            yield from _beginnings(other, constants)
        case ast.BinOp(left=first):
            yield from _beginnings(first, constants)
        case ast.Name(id=name) if name in constants:
            yield from _beginnings(constants[name], {})
        case _:
            return


def test_advice_begins_with_a_verb() -> None:
    found = list(advices())
    assert len(found) > 450
    wrong = [
        f"{place}: {text}"
        for place, text in found
        if text and text.split()[0].rstrip(",:;") not in VERBS and not text.startswith(QUESTION)
    ]
    assert not wrong


def test_golden_errors_have_three_parts() -> None:
    golden = sorted((ROOT / "tests" / "golden").glob("*.txt"))
    assert len(golden) > 15
    for path in golden:
        given, *rest = path.read_text().splitlines()
        assert given.split(": ")[0].endswith("Error"), path.name
        assert any(line.startswith("  allowed: ") for line in rest), path.name
        advice = [line.removeprefix("  do: ") for line in rest if line.startswith("  do: ")]
        assert advice, path.name
        assert advice[0].split()[0] in VERBS or advice[0].startswith(QUESTION), path.name
