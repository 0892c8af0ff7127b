"""YAML that a stranger may have written: read, or refused in one line with its place."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from thalweg.boundaries.documents import DEEPEST, LARGEST, parsed, read
from thalweg.commands.cli import app
from thalweg.errors import OptionError, RecipeError
from typer.testing import CliRunner

Recipes = Callable[..., Path]

BILLION = "a: &a [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{b}: &{b} [{', '.join([f'*{a}'] * 10)}]\n" for a, b in zip("abcdefgh", "bcdefghi", strict=True)
)

REFUSED = {
    "a key given twice": ("name: a\nname: b\n", "line 2, column 1: not YAML: the key 'name' is given twice"),
    "a list as a key": ("? [1, 2]\n: x\n", "line 1, column 3: not YAML: a list is no key; keys are plain values"),
    "a mapping as a key": ("{? {a: 1} : 2}\n", "not YAML: a dict is no key; keys are plain values"),
    "lists inside lists, deeper than any recipe": (
        f"a: {'[' * 200}{']' * 200}\n",
        f"nested deeper than {DEEPEST} levels",
    ),
    "mappings inside mappings by indentation": (
        "".join(f"{' ' * i}a:\n" for i in range(200)),
        f"nested deeper than {DEEPEST} levels",
    ),
    "so deep that Python's stack would end": ("[" * 100_000, f"nested deeper than {DEEPEST} levels"),
    "ten lines of aliases that stand for a billion values": (BILLION, "it stands for more than 100000 values"),
    "an alias to a node around it": ("a: &a [*a]\n", "not YAML: "),
    "a date that does not exist": (
        "a: 2020-02-30\n",
        "line 1, column 4: not YAML: '2020-02-30' is no value of its kind",
    ),
    "a number that is none": ("a: !!int x\n", "line 1, column 4: not YAML: 'x' is no value of its kind"),
    "a truth that is none": ("a: !!bool x\n", "'x' is no value of its kind"),
    "a tag of Python": (
        "a: !!python/name:os.system\n",
        "line 1, column 4: not YAML: could not determine a constructor",
    ),
    "a tab where spaces should be": ("a:\n\tb: 1\n", "line 2, column 1: not YAML: found character '\\t'"),
    "an alias to nothing": ("a: *b\n", "found undefined alias 'b'"),
    "two documents": ("a: 1\n---\nb: 2\n", "but found another document"),
    "a character that Unicode does not have": ('a: "\\U00110000"\n', "not YAML: chr() arg not in range"),
    "a control character": ("a: \x00\n", "special characters are not allowed"),
    "a bracket that is not closed": ("a: [1\n", "line 2, column 1: not YAML: "),
    "nothing": ("", "it is empty"),
    "only a comment": ("# x\n", "it is empty"),
    "a list": ("- a\n", "list where sections should be"),
    "a number as a section": ("1: x\n", "there is no section 1"),
}


@pytest.mark.bad_input("command line", "a recipe that is {id}")
@pytest.mark.parametrize("case", REFUSED)
def test_a_document_is_refused_with_its_place(tmp_path: Path, case: str) -> None:
    text, said = REFUSED[case]
    file = tmp_path / "recipe.yaml"
    file.write_text(text)
    with pytest.raises(RecipeError) as caught:
        read(file)
    assert said in str(caught.value)
    assert str(caught.value).startswith("recipe.yaml: ")
    assert "\n" not in caught.value.given


def test_aliases_and_merges_that_a_recipe_needs_are_read() -> None:
    text = "a: &a {x: 1}\nb: *a\nc: {<<: *a, y: 2}\nd: [2020-01-01, 1e3, ~, on]\n"
    assert parsed(text, what="")["c"] == {"x": 1, "y": 2}


def test_a_byte_order_mark_is_no_part_of_the_first_key(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_bytes(b"\xef\xbb\xbfname: a\n")
    assert read(tmp_path / "a.yaml") == {"name": "a"}


@pytest.mark.bad_input("command line", "as a recipe, {id}")
@pytest.mark.parametrize("case", ["a folder", "a FIFO", "a device", "a file of 1 MiB", "a file that is not UTF-8"])
def test_a_recipe_is_a_file(tmp_path: Path, case: str) -> None:
    path = tmp_path / "recipe.yaml"
    if case == "a folder":
        path.mkdir()
    elif case == "a FIFO":
        os.mkfifo(path)
    elif case == "a device":
        path = Path("/dev/zero")
    elif case == "a file of 1 MiB":
        path.write_bytes(b"# " + b"x" * LARGEST)
    else:
        path.write_bytes("name: Wärme\n".encode("latin-1"))
    done = CliRunner().invoke(app, ["plan", str(path)])
    assert done.exit_code == 2, done.output
    assert (
        case in done.output
        or {"a file of 1 MiB": "bytes", "a file that is not UTF-8": "byte 7 is not UTF-8"}[case] in done.output
    )


@pytest.mark.bad_input("command line", "`extends:` with {id}")
@pytest.mark.parametrize("value", ["[a, b]", "3", "''", ".", "missing.yaml"])
def test_extends_names_one_recipe(tmp_path: Path, value: str) -> None:
    (tmp_path / "a.yaml").write_text(f"extends: {value}\nname: a\n")
    done = CliRunner().invoke(app, ["plan", str(tmp_path / "a.yaml")])
    assert done.exit_code == 2, done.output
    assert "extends" in done.output


SETS = {
    "no value": "train.epochs",
    "no path": "=3",
    "an empty step": "train..epochs=3",
    "an item of a number": "evaluate[0].rmse.weights.x=3",
    "an item that is not there": "evaluate[7].rmse=3",
    "a digit that is none": "evaluate.\u00b2=3",
    "a name where a list is": "evaluate.first=3",
    "a path without end": ".".join(["a"] * 10_000) + "=1",
    "a list as a key": "train={? [1] : 2}",
    "values without end": "train=" + "[" * 500 + "]" * 500,
    "a key given twice": "train={a: 1, a: 2}",
}


@pytest.mark.bad_input("command line", "--set with {id}")
@pytest.mark.parametrize("case", SETS)
def test_set_is_refused_in_one_line(tmp_path: Path, case: str) -> None:
    file = tmp_path / "a.yaml"
    file.write_text("name: a\ningest: x\ntrain: {method: b}\nevaluate: [{rmse: {weights: 2}}]\n")
    done = CliRunner().invoke(app, ["plan", str(file), "--set", SETS[case]])
    assert done.exit_code == 2, done.output
    assert done.output.startswith("OptionError: --set ")
    assert len(done.output) < 1000


CLUSTERS = {
    "YAML that is cut": "{local",
    "a list as a key": "{? [1] : 2}",
    "a key given twice": "{local: {workers: 1}, local: {workers: 2}}",
    "null": "null",
    "nothing": "",
    "a number": "3",
    "a list": "[local]",
    "options that are no mapping": "{local: 4}",
    "an unknown kind": "{lokal: {}}",
    "two kinds": "{local: {}, threads: {}}",
    "an option that is a number": "{local: {1: 2}}",
    "workers without end": "{local: {workers: .inf}}",
    "memory without end": "{local: {workers: 1, memory: .inf}}",
    "an address without scheme": "{address: localhost}",
    "a scheduler at no address": "{address: {url: [1]}}",
}


@pytest.mark.bad_input("command line", "--cluster with {id}")
@pytest.mark.parametrize("case", CLUSTERS)
def test_cluster_is_refused_in_one_line(tmp_path: Path, case: str) -> None:
    file = tmp_path / "a.yaml"
    file.write_text("name: a\ningest: ostia-sample\ntrain: {method: persistence}\nevaluate: [rmse]\n")
    done = CliRunner().invoke(app, ["plan", str(file), "--cluster", CLUSTERS[case]])
    assert done.exit_code == 2, done.output
    assert "cluster" in done.output
    assert done.output.startswith("OptionError: ")


NONSENSE = ["", "..", "../../etc/passwd", "a\x00b", "[", "**", "x" * 5000, "\u202e", "-" * 3]


@pytest.mark.bad_input("command line", "every command with the name {id}")
@pytest.mark.parametrize("name", NONSENSE, ids=[ascii(name)[:20] for name in NONSENSE])
def test_a_name_that_means_nothing_is_refused(tmp_path: Path, name: str) -> None:
    store = str(tmp_path / "store")
    commands: list[list[str]] = [
        ["plan", "--store", store, "--", name],
        ["run", "--store", store, "--", name],
        ["compare", "--store", store, "--", name],
        ["cite", "--store", store, "--", name],
        ["metrics", "--", name],
        ["check", "--", name],
        ["new", "--in", str(tmp_path), f"--plugin={name}"],
    ]
    for command in commands:
        done = CliRunner().invoke(app, command)
        if command[0] == "metrics" and not name:
            continue  # no name: the list
        assert done.exit_code == 2, (command, done.output)
        assert "Traceback" not in done.output
    assert list(tmp_path.iterdir()) == []


@pytest.mark.bad_input("command line", "a folder named a device, a FIFO, a file or a URL with a query as the store")
@pytest.mark.parametrize(
    "case", ["a file", "a FIFO", "below a file", "a device", "foo://x", "s3://b/x?versionId=1", "a\x00b"]
)
def test_a_store_is_a_place_for_folders(tmp_path: Path, case: str) -> None:
    file = tmp_path / "place"
    if case == "a FIFO":
        os.mkfifo(file)
    else:
        file.write_text("")
    store = {"a file": file, "a FIFO": file, "below a file": file / "x", "a device": "/dev/null"}.get(case, case)
    recipe = tmp_path / "a.yaml"
    recipe.write_text("name: a\ningest: ostia-sample\ntrain: {method: persistence}\nevaluate: [rmse]\n")
    for command in (["plan", str(recipe)], ["run", str(recipe)], ["compare", "a"]):
        done = CliRunner().invoke(app, [*command, "--store", str(store)])
        assert done.exit_code == 2, done.output
        assert done.output.startswith("OptionError: ")
        assert "store" in done.output


@pytest.mark.bad_input("command line", "`method: []`: no method at all")
@pytest.mark.parametrize("command", ["plan", "run"])
def test_a_recipe_names_at_least_one_method(recipe: Recipes, command: str) -> None:
    done = CliRunner().invoke(app, [command, str(recipe(train={"method": []}))])
    assert done.exit_code == 2, done.output
    assert "the section 'train' names no method" in done.output


SWITCHES = {
    "an option of a method": "train.method.modes=on",
    "an item of a list": "preprocess[0].baseline=[yes, 2005]",
    "an option of a cluster": "cluster={local: {workers: on}}",
}


@pytest.mark.bad_input("command line", "`on`, which YAML reads as a switch, where a number belongs: {id}")
@pytest.mark.parametrize("case", SWITCHES)
def test_a_switch_is_no_number(recipe: Recipes, case: str) -> None:
    done = CliRunner().invoke(app, ["plan", str(recipe()), "--set", SWITCHES[case]])
    assert done.exit_code == 2, done.output
    assert SWITCHES[case].split("=")[0].split(".")[0] in done.output


def test_a_switch_is_no_number_of_epochs() -> None:
    from thalweg.learning.options import TrainOptions

    with pytest.raises(OptionError, match="True is no number") as caught:
        TrainOptions.of({"epochs": True}, defaults={})
    assert caught.value.where == "train.epochs"
