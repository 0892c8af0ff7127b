"""The plugin host: what it refuses, in which words, and what it survives."""

from __future__ import annotations

import logging
import pickle
import sys
from importlib import metadata
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import xarray as xr
from pydantic import Field
from thalweg import Enforcer, Law, Method, Metric, Named, Registry, Signature, Solver, WholeMetric, hookimpl
from thalweg.errors import NameTakenError, OptionError, PluginError, UnknownNameError


class Still(Solver):
    """Gives its inputs back."""

    factor: float = Field(1.0, gt=0)
    variable: str = "sst"

    def solve(self, inputs: xr.Dataset, wanted: Signature) -> xr.Dataset:
        return inputs


class Around(Solver):
    """Solves by others."""

    of: Named[Solver]
    others: tuple[Named[Solver], ...] = ()
    scored: Named[Metric | WholeMetric] | None = None

    def solve(self, inputs: xr.Dataset, wanted: Signature) -> xr.Dataset:
        return self.of.solve(inputs, wanted)


class Half(Solver):
    """Defines nothing."""


def provides(**parts: type[Solver]) -> Any:
    class Plugin:
        @hookimpl
        def register_methods(self, register: Any) -> None:
            for name, part in parts.items():
                register(name.replace("_", "-"), part)

    return Plugin()


@pytest.fixture
def registry() -> Registry:
    return Registry({"one": provides(still=Still, around=Around)})


def line_of(text: str) -> int:
    """The first line of this file that has it."""
    return next(i for i, line in enumerate(Path(__file__).read_text().splitlines(), 1) if text in line)


def refused(expected: type[Exception], call: Any) -> str:
    with pytest.raises(expected) as caught:
        call()
    return str(caught.value)


def test_a_part_is_found_and_made(registry: Registry) -> None:
    made = registry.make("methods", {"still": {"factor": 2}})
    assert isinstance(made, Still)
    assert (made.name, made.factor) == ("still", 2.0)
    assert registry.make("methods", "still").model_dump() == Still().model_dump()
    assert registry.parts("methods") == {"around": Around, "still": Still}
    assert registry.plugin_of("methods", "still") == "one"
    assert registry.plugins == {"one": ("register_methods",)}


GOLDEN = [
    (
        "stil",
        UnknownNameError,
        "train.method: no method is called 'stil'\n  allowed: around, still\n  do: did you mean 'still'?",
    ),
    (
        "zebra",
        UnknownNameError,
        "train.method: no method is called 'zebra'\n  allowed: around, still\n  do: see `thalweg methods`",
    ),
    (
        {"still": {"facter": 2}},
        OptionError,
        "train.method.still: there is no option 'facter'\n  allowed: factor, variable\n  do: did you mean 'factor'?",
    ),
    (
        {"still": {"factor": "big"}},
        OptionError,
        "train.method.still.factor: 'big' is no number\n  allowed: number above 0\n  do: change 'factor'",
    ),
    (
        {"still": {"factor": -1}},
        OptionError,
        "train.method.still.factor: -1 is too small\n  allowed: number above 0\n  do: change 'factor'",
    ),
    (
        "around",
        OptionError,
        "train.method.around: the option 'of' is missing\n"
        "  allowed: NAME of a method, or {NAME: {option: value}}\n  do: give 'of'",
    ),
    (
        {"around": {"of": "stil"}},
        UnknownNameError,
        "train.method.around.of: no method is called 'stil'\n  allowed: around, still\n  do: did you mean 'still'?",
    ),
    (
        {"around": {"of": {"still": {"factr": 2}}}},
        OptionError,
        "train.method.around.of.still: there is no option 'factr'\n"
        "  allowed: factor, variable\n  do: did you mean 'factor'?",
    ),
    (
        {"around": {"of": "still", "scored": "rmse"}},
        UnknownNameError,
        "train.method.around.scored: no metric is called 'rmse'\n"
        "  allowed: none: no plugin provides metrics\n  do: see `thalweg metrics`",
    ),
    (
        ["still"],
        OptionError,
        "train.method: ['still'] does not name one method\n"
        "  allowed: NAME, or {NAME: {option: value}}, with a name of `thalweg methods`\n  do: name one method",
    ),
    (
        {"still": {}, "around": {}},
        OptionError,
        "train.method: {'still': {}, 'around': {}} does not name one method\n"
        "  allowed: NAME, or {NAME: {option: value}}, with a name of `thalweg methods`\n  do: name one method",
    ),
]


@pytest.mark.parametrize(("given", "expected", "text"), GOLDEN, ids=[str(given) for given, *_ in GOLDEN])
def test_a_wrong_name_or_option_is_refused(registry: Registry, given: Any, expected: type, text: str) -> None:
    assert refused(expected, lambda: registry.make("methods", given, where="train.method")) == text


def test_a_part_that_could_not_work_is_no_part() -> None:
    class Neither(Method):
        """Neither solves nor learns."""

    class Nowhere(Enforcer):
        """Holds at no site."""

    class Plugin:
        @hookimpl
        def register_methods(self, register: Any) -> None:
            register("neither", Neither)

        @hookimpl
        def register_enforcers(self, register: Any) -> None:
            register("nowhere", Nowhere)

    registry = Registry({"half": Plugin()})
    said = refused(UnknownNameError, lambda: registry.make("methods", "neither"))
    assert "half could not be loaded: PluginError: half registers 'neither' as" in said
    assert "allowed: a subclass of Solver or Learner" in said
    assert "a subclass of LossEnforcer or OperatorEnforcer or SamplingEnforcer or OutputEnforcer" in refused(
        UnknownNameError, lambda: registry.make("enforcers", "nowhere")
    )


def test_a_nested_part_is_written_with_its_name_and_options(registry: Registry) -> None:
    given = {"of": {"still": {"factor": 3.0}}, "others": ["still", {"around": {"of": "still"}}]}
    made = registry.make("methods", {"around": given})
    dumped = made.model_dump(mode="json")
    assert dumped["of"] == {"still": {"factor": 3.0, "variable": "sst"}}
    assert [list(each) for each in dumped["others"]] == [["still"], ["around"]]
    again = registry.make("methods", {"around": dumped})
    assert (again, again.model_dump(mode="json")) == (made, dumped)


def test_a_part_pickles_with_its_name(registry: Registry) -> None:
    made = registry.make("methods", {"around": {"of": "still"}})
    again = pickle.loads(pickle.dumps(made))
    assert (again, again.name, again.of.name) == (made, "around", "still")


@pytest.mark.bad_input("authors", "a plugin registers a name that another plugin has taken")
def test_a_taken_name_stops_that_plugin_and_no_other(registry: Registry, caplog: pytest.LogCaptureFixture) -> None:
    class Other(Still):
        """Another method of the name."""

    registry.add("two", provides(early=Still, still=Other))
    registry.add("three", provides(late=Still))
    assert registry.parts("methods") == {"around": Around, "late": Still, "still": Still}
    assert [registry.plugin_of("methods", name) for name in ("still", "late")] == ["one", "three"]
    assert list(registry.failures) == ["two"]
    assert registry.failures["two"].splitlines() == [
        "NameTakenError: method 'still' is registered twice: by one and by two"
        f" ({__file__}:{line_of('register(name.replace')})",
        "  do: rename one, or name the plugins to load in THALWEG_PLUGINS",
    ]
    assert "method 'still' is registered twice: by one and by two" in caplog.text
    missed = refused(UnknownNameError, lambda: registry.get("methods", "early"))
    assert "two could not be loaded: NameTakenError" in missed


def test_a_taken_plugin_name_leaves_the_first(registry: Registry) -> None:
    assert refused(NameTakenError, lambda: registry.add("one", provides(other=Still))) == (
        "two plugins are called 'one': Plugin and Plugin\n  do: rename one's entry point, or uninstall it"
    )
    assert list(registry.parts("methods")) == ["around", "still"]


class Misspelled:
    @hookimpl
    def register_method(self, register: Any) -> None: ...


class Misnamed:
    @hookimpl
    def register_methods(self, registry: Any) -> None: ...


@pytest.mark.parametrize(
    ("plugin", "finding"),
    [
        (Misspelled(), "plugin 'bad' does not fit: unknown hook 'register_method' in plugin"),
        (Misnamed(), "Argument(s) {'registry'} are declared in the hookimpl but can not be found in the hookspec"),
    ],
    ids=["hook", "argument"],
)
def test_a_misspelled_hook_is_refused(registry: Registry, plugin: object, finding: str) -> None:
    text = refused(PluginError, lambda: registry.add("bad", plugin))
    assert finding in text
    assert text.endswith(
        "\n  allowed: register_datasets, register_transforms, register_methods, register_laws, register_enforcers, "
        "register_losses, register_metrics, run_started, progressed, stage_finished, run_finished"
        "\n  do: compare the hook's name and arguments with thalweg.components.hookspecs"
    )
    assert list(registry.parts("methods")) == ["around", "still"]


@pytest.mark.parametrize(
    ("name", "part", "finding"),
    [
        ("half", Half, "two registers 'half', which does not define solve"),
        ("Still", Still, "two registers 'Still'"),
        ("law", Law, "two registers 'law' as <class 'thalweg.components.law.Law'>"),
    ],
)
def test_a_part_that_does_not_fit_is_named_when_a_lookup_misses(
    registry: Registry, caplog: pytest.LogCaptureFixture, name: str, part: Any, finding: str
) -> None:
    registry.add("two", provides(**{name: part}))
    with caplog.at_level(logging.WARNING, "thalweg"):
        text = refused(UnknownNameError, lambda: registry.get("methods", "halves"))
    assert f"two could not be loaded: PluginError: {finding}" in text
    assert finding in caplog.text
    assert registry.get("methods", "still") is Still


@pytest.mark.bad_input("authors", "a plugin's hook raises after it registered a part")
def test_a_hook_that_fails_takes_none_of_its_parts_with_it(registry: Registry) -> None:
    class Broken:
        @hookimpl
        def register_methods(self, register: Any) -> None:
            register("early", Still)
            raise ModuleNotFoundError("No module named 'rare'")

    registry.add("broken", Broken())
    assert list(registry.parts("methods")) == ["around", "still"]
    assert refused(UnknownNameError, lambda: registry.get("methods", "early")) == (
        "no method is called 'early'\n  broken could not be loaded: ModuleNotFoundError: No module named 'rare'"
        f" ({__file__}:{line_of('raise ModuleNotFoundError')})\n"
        "  allowed: around, still\n  do: see `thalweg methods`"
    )


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Makes modules importable, and their entry points the only ones that are installed."""

    def install(**sources: str) -> None:
        entries = []
        for name, source in sources.items():
            module = f"tried_{tmp_path.name.replace('-', '_')}_{name}"
            (tmp_path / f"{module}.py").write_text(source)
            entries.append(metadata.EntryPoint(name.split("_")[0], module, "thalweg"))
        monkeypatch.syspath_prepend(tmp_path)
        monkeypatch.setattr(metadata, "entry_points", lambda *, group: entries if group == "thalweg" else [])

    yield install
    for module in [each for each in sys.modules if each.startswith(f"tried_{tmp_path.name.replace('-', '_')}")]:
        del sys.modules[module]


GOOD = """
from thalweg import hookimpl
@hookimpl
def register_methods(register):
    from thalweg import Solver
    class Good(Solver):
        def solve(self, inputs, wanted):
            return inputs
    register("good", Good)
"""


@pytest.mark.bad_input("authors", "a plugin raises while it is imported")
def test_a_plugin_that_fails_to_import_never_breaks_the_others(
    installed: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("THALWEG_PLUGINS", raising=False)
    installed(
        good=GOOD, lost="import rare_library", rude="import sys; sys.stdout = None; raise ValueError('no licence')"
    )
    monkeypatch.setattr(sys, "stdout", sys.stdout)
    registry = Registry.installed()
    assert list(registry.parts("methods")) == ["good"]
    lost, rude = (f"{tmp_path}/tried_{tmp_path.name.replace('-', '_')}_{name}.py:1" for name in ("lost", "rude"))
    assert registry.failures == {
        "lost": f"ModuleNotFoundError: No module named 'rare_library' ({lost})",
        "rude": f"ValueError: no licence ({rude})",
    }
    assert refused(UnknownNameError, lambda: registry.get("methods", "goood")) == (
        "no method is called 'goood'\n"
        f"  lost could not be loaded: ModuleNotFoundError: No module named 'rare_library' ({lost})\n"
        f"  rude could not be loaded: ValueError: no licence ({rude})\n"
        "  allowed: good\n  do: did you mean 'good'?"
    )
    assert refused(UnknownNameError, lambda: registry.module("lost")) == (
        "no plugin is called 'lost': it could not be loaded\n"
        f"  ModuleNotFoundError: No module named 'rare_library' ({lost})\n"
        "  allowed: good\n  do: see `thalweg plugins`"
    )


def test_only_listed_plugins_are_loaded(installed: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    installed(good=GOOD, lost="import rare_library")
    monkeypatch.setenv("THALWEG_PLUGINS", "good, other")
    registry = Registry.installed()
    assert (list(registry.plugins), registry.failures) == (["good"], {})
    monkeypatch.setenv("THALWEG_PLUGINS", "")
    assert Registry.installed().plugins == {}


def test_two_distributions_with_one_plugin_name(installed: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("THALWEG_PLUGINS", raising=False)
    installed(good=GOOD, good_again=GOOD)
    registry = Registry.installed()
    assert list(registry.parts("methods")) == ["good"]
    assert "two plugins are called 'good'" in registry.failures["good"]


def test_an_unknown_plugin_offers_the_nearest(registry: Registry) -> None:
    assert refused(UnknownNameError, lambda: registry.module("ome")) == (
        "no plugin is called 'ome'\n  allowed: one\n  do: did you mean 'one'?"
    )


def test_observers_are_called_one_by_one(registry: Registry) -> None:
    heard: list[str] = []

    class Deaf:
        @hookimpl
        def run_finished(self, error: BaseException | None) -> None:
            raise RuntimeError("no server")

    class Listens:
        @hookimpl
        def run_finished(self, run: Any) -> None:
            heard.append(run.name)

    registry.add("listens", Listens())
    registry.add("deaf", Deaf())
    called = dict(registry.observers("run_finished", run=SimpleNamespace(name="demo"), error=None))
    assert heard == ["demo"]
    assert called["listens"] is None
    assert str(called["deaf"]) == "no server"


def test_errors_travel_between_processes() -> None:
    error = OptionError("2.5", allowed="an integer", advice="give 2", where="train.epochs", file="a.yaml")
    again = pickle.loads(pickle.dumps(error))
    assert (type(again), str(again)) == (OptionError, str(error))
    assert str(error) == "a.yaml: train.epochs: 2.5\n  allowed: an integer\n  do: give 2"
