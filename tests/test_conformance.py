"""The conformance kit passes parts that keep the contract, and names what each of these breaks."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, ClassVar, Self

import mutants
import pytest
import xarray as xr
from mutants.datasets import Twice, Waves
from mutants.enforcers import Blanks, Clip, ClipIdle, Flattens, Holes, Idle, Meddles, Moves, Nearest, OneByOne, Sharpens
from mutants.laws import Above, ByChunk, Silent, Smooth, SmoothAbove, Sums, SumsNonlinear, ZeroSum
from mutants.losses import Negative, Rounded, Scalar, Shrinks, Squared, Undefined, Unmasked
from mutants.methods import Crowd, Draws, DrawsAside, Empty, Learns, Still, Straight
from mutants.metrics import Always, First, MissingIsNear, Near, NearOrMissing, Touches
from mutants.operators import EndsAbove, EndsAnywhere, EndsNaN
from mutants.penalties import PullDown, PullEach, PullNaN
from mutants.pieces import ContrastsOverBatches, Noisy
from mutants.samplers import Guided
from mutants.transforms import Centred, Jitters, Strips
from pydantic import Field
from thalweg import (
    Component,
    Dataset,
    Law,
    Loss,
    LossEnforcer,
    OperatorEnforcer,
    OutputEnforcer,
    Registry,
    SamplingEnforcer,
    Signature,
    Transform,
)
from thalweg.learning import Noise
from thalweg.testing import (
    check,
    check_enforcer,
    components,
    datasets,
    enforcers,
    laws,
    losses,
    methods,
    metrics,
    operators,
    penalties,
    pieces,
    samplers,
    series,
    transforms,
    windowed,
)
from thalweg.testing.enforcers import Share
from thalweg.testing.report import Check, attempt
from thalweg.testing.toy_learner import ToyLearner


def failed(checks: Iterable[Check], *arguments: Any) -> set[str]:
    return {each.check for each in attempt("", "", checks, *arguments) if each.ok is not True}


def breaks(parts: Any, kind: Any) -> pytest.MarkDecorator:
    """Parametrized: a part that keeps all of a kind's checks, and for every one of them parts that break it."""
    cases = parts.MUTANTS
    assert set(cases) == {each.__name__ for each in kind.CHECKS}, "a check without a part that breaks it"
    broken = [
        pytest.param(
            each,
            {name},
            id=f"{name}-{each.__name__}",
            marks=pytest.mark.bad_input(
                "authors",
                f"a part ({kind.__name__.rsplit('.', 1)[-1]}) of which it is not true: {name.replace('_', ' ')}",
            ),
        )
        for name, those in cases.items()
        for each in (those if isinstance(those, tuple) else (those,))
    ]
    return pytest.mark.parametrize(("part", "broken"), [pytest.param(parts.KEPT, set(), id="kept"), *broken])


def named(broken: set[str]) -> set[str]:
    return {each.replace("_", " ") for each in broken}


@breaks(mutants.components, components)
def test_components(part: type[Component], broken: set[str]) -> None:
    assert failed(components.CHECKS, part(), Registry()) == named(broken)


@breaks(mutants.datasets, datasets)
def test_datasets(part: type[Dataset], broken: set[str]) -> None:
    found = failed(datasets.CHECKS, part())
    # A time that is there twice is a place that is there twice.
    assert found == named(broken) | ({"places are unique"} if part is Twice else set())


@breaks(mutants.transforms, transforms)
def test_transforms(part: type[Transform], broken: set[str]) -> None:
    found = failed(transforms.CHECKS, part(), series())
    # Without units, or with others each time, nothing follows.
    assert found >= named(broken) if part in (Strips, Jitters) else found == named(broken)


@breaks(mutants.methods, methods)
def test_methods(part: type[Any], broken: set[str]) -> None:
    found = failed(methods.CHECKS, methods.Case(part(), windowed(series())))
    # Without a wanted field there is nothing to compare either; what is drawn aside is not its last step.
    assert found >= named(broken) if part in (Empty, DrawsAside) else found == named(broken)


@pytest.mark.parametrize("method", [Learns(), Straight(), Draws()], ids=str)
def test_methods_of_other_kinds(method: Any) -> None:
    assert not failed(methods.CHECKS, methods.Case(method, windowed(series())))


@breaks(mutants.pieces, pieces)
def test_pieces(part: type[Any], broken: set[str]) -> None:
    assert failed(pieces.CHECKS, methods.Case(part(), windowed(series()))) == named(broken)


@pytest.mark.parametrize("kind", [ContrastsOverBatches, Noisy])
def test_a_learner_may_say_that_it_compares_samples_and_draw_for_each(kind: type[Any]) -> None:
    assert not failed(pieces.CHECKS, methods.Case(kind(), windowed(series())))


@breaks(mutants.laws, laws)
def test_laws(part: type[Any], broken: set[str]) -> None:
    found = failed(laws.CHECKS, laws.Case(part(), windowed(series())))
    # Rows that read values have another least change too, and a chunk holds some of the samples.
    assert found >= named(broken) if part in (SumsNonlinear, ByChunk) else found == named(broken)


@pytest.mark.parametrize("law", [Sums(), Share(), Share(part=0.3), Smooth()], ids=str)
def test_laws_of_other_kinds(law: Law) -> None:
    assert not failed(laws.CHECKS, laws.Case(law, windowed(series())))


@breaks(mutants.enforcers, enforcers)
def test_enforcers(part: type[OutputEnforcer], broken: set[str]) -> None:
    made = part()
    found = failed(enforcers.CHECKS, enforcers.Case(made, enforcers.laws_for(made), windowed(series())))
    # What does nothing holds nothing together, and what breaks one law by another never comes to rest.
    several = (Idle, OneByOne, Meddles, Holes, Sharpens, Moves)
    assert found >= named(broken) if part in several else found == named(broken)


@pytest.mark.bad_input("authors", "an enforcer that {id}, for a law that the kit's fields obey already")
@pytest.mark.parametrize(
    ("part", "broken"),
    [
        pytest.param(Clip, set(), id="holds it"),
        pytest.param(ClipIdle, {"holds each law", "holds its laws together"}, id="does nothing"),
        pytest.param(
            Blanks,
            {"holds each law", "holds its laws together", "estimate stays finite", "what obeys is left alone"},
            id="writes NaN",
        ),
        pytest.param(Flattens, {"what obeys is left alone"}, id="replaces the field by a constant"),
    ],
)
def test_an_estimate_breaks_the_law_before_it_is_held(part: type[OutputEnforcer], broken: set[str]) -> None:
    data = windowed(series())
    assert failed(enforcers.CHECKS, enforcers.Case(part(), (Above(),), data)) == broken
    if broken:
        with pytest.raises(AssertionError):
            check_enforcer(part(), laws=(Above(),))
    else:
        check_enforcer(part(), laws=(Above(),))


def test_a_law_that_nothing_breaks_shows_nothing() -> None:
    found = [*attempt("", "", enforcers.CHECKS, enforcers.Case(Clip(), (Silent(),), windowed(series())))]
    (wrong,) = (each for each in found if each.check == "holds each law")
    assert wrong.message == "no estimate of the kit breaks Silent: holding it would show nothing"


@breaks(mutants.penalties, penalties)
def test_penalties(part: type[LossEnforcer], broken: set[str]) -> None:
    found = failed(penalties.CHECKS, penalties.Case(part(), SmoothAbove(), windowed(series())))
    assert found >= named(broken) if part in (PullEach, PullDown, PullNaN) else found == named(broken)


@breaks(mutants.operators, operators)
def test_operators(part: type[OperatorEnforcer], broken: set[str]) -> None:
    found = failed(operators.CHECKS, operators.Case(part(), ZeroSum(), windowed(series())))
    assert found >= named(broken) if part is EndsNaN else found == named(broken)


@pytest.mark.parametrize(
    ("part", "broken"), [(EndsAbove, set()), (EndsAnywhere, {"output obeys for any weights and inputs"})]
)
def test_a_network_breaks_the_law_before_it_is_wrapped(part: type[OperatorEnforcer], broken: set[str]) -> None:
    assert failed(operators.CHECKS, operators.Case(part(), Above(), windowed(series()))) == broken


def sampled(part: type[SamplingEnforcer]) -> samplers.Case:
    made = part()
    return samplers.Case(made, enforcers.laws_for(made), windowed(series(), **samplers.SIZES))


@breaks(mutants.samplers, samplers)
def test_samplers(part: type[SamplingEnforcer], broken: set[str]) -> None:
    # Of a part that breaks one, the others would draw the same again.
    checks = [each for each in samplers.CHECKS if not broken or each.__name__ in broken]
    assert failed(checks, sampled(part)) == named(broken)


def test_a_sampler_may_be_guided_towards_its_laws() -> None:
    assert not failed(samplers.CHECKS, sampled(Guided))


@breaks(mutants.losses, losses)
def test_losses(part: type[Loss], broken: set[str]) -> None:
    found = failed(losses.CHECKS, part())
    # What is no number, or no function, cannot be best; what asks for zero is not least at the truth.
    several = (Scalar, Undefined, Rounded, Shrinks, Unmasked, Negative)
    assert found >= named(broken) if part in several else found == named(broken)


@breaks(mutants.metrics, metrics)
def test_metrics(part: type[Any], broken: set[str]) -> None:
    found = failed(metrics.CHECKS, part(), *metrics.example(Signature()))
    alone = (Near, Always, First, NearOrMissing, MissingIsNear, Touches)
    assert found == named(broken) if part in alone else found >= named(broken)


class Plugin:
    """A plugin of the parts that it is made with."""

    def __init__(self, **parts: dict[str, type[Component]]) -> None:
        self._parts = parts

    def registry(self) -> Registry:
        namespace = {f"register_{kind}": self._hook(parts) for kind, parts in self._parts.items()}
        return Registry({"mine": type("Mine", (), namespace)()})

    def _hook(self, parts: dict[str, type[Component]]) -> Callable[[Self, Any], None]:
        from thalweg import hookimpl

        @hookimpl
        def hook(self: Any, register: Any) -> None:  # noqa: ARG001
            for name, part in parts.items():
                register(name, part)

        return hook


def test_a_plugin_is_checked_part_by_part() -> None:
    parts: dict[str, dict[str, type[Component]]] = {
        "datasets": {"waves": Waves},
        "transforms": {"centred": Centred},
        "methods": {"still": Still, "learns": Learns},
        "laws": {"above": Above, "sums": Sums},
        "enforcers": {"nearest": Nearest},
        "losses": {"squared": Squared},
    }
    report = check(Plugin(**parts).registry(), "mine")
    assert report.ok, str(report)
    assert not report.unchecked
    checked = {(each.kind, each.part) for each in report}
    assert {("loss", "squared"), ("law", "sums"), ("enforcer", "nearest"), ("method", "learns")} <= checked
    assert str(report) == f"mine: {len(report.findings)} ok, 0 failed, 0 not checked"


def test_a_failure_is_named() -> None:
    report = check(Plugin(methods={"crowd": Crowd, "still": Still}).registry(), "mine")
    assert not report.ok
    (found,) = (each for each in report.failed if each.check != "has a docstring")
    assert (found.kind, found.part, found.check) == ("method", "crowd", "samples do not see one another")
    assert str(found).startswith("FAILED: method crowd: samples do not see one another: solved one by one, field ")


class Asks(Still):
    """Needs an option."""

    size: int = Field(description="a number that nothing depends on")


class Shown(Asks):
    """Needs an option, and shows one."""

    example: ClassVar[dict[str, Any]] = {"size": 3}


class Distant(Still):
    """Needs what the kit does not have."""

    def check(self, given: Signature) -> None:
        from thalweg import HandshakeError

        raise HandshakeError(f"{len(given.fields)} fields", advice="bring a pose graph")


def test_options_without_a_default_need_an_example() -> None:
    report = check(Plugin(methods={"asks": Asks, "shown": Shown}).registry(), "mine")
    (found,) = report.failed
    assert (found.part, found.check) == ("asks", "is made from its example")
    assert "the option 'size' is missing" in found.message


class Alone(ToyLearner):
    """Noise of members, and no members."""

    def noises(self, given: Signature, wanted: Signature) -> Mapping[str, Noise]:
        return {"level": Noise(members=True)}


def test_a_part_that_is_not_what_it_says_has_failed() -> None:
    """It would be so with any data: that is no lack of examples."""
    report = check(Plugin(methods={"alone": Alone}).registry(), "mine")
    (found,) = report.failed
    assert found.check == "is what it says"
    assert found.message.startswith("the noise 'level' of alone is of members, and it gives 'field (sample, lead, ")


def test_what_cannot_be_tried_is_said() -> None:
    report = check(Plugin(methods={"distant": Distant}).registry(), "mine")
    assert report.ok
    (found,) = report.unchecked
    assert str(found) == (
        "not checked: method distant: takes an example: "
        "nothing of the kit's fits it; call thalweg.testing.check_method with data of your own"
    )


class Wrecked(Waves):
    """Cannot be opened."""

    def open(self) -> xr.Dataset:
        return {}["no such year"]


class Raising(Still):
    """Cannot be solved."""

    def solve(self, inputs: xr.Dataset, wanted: Signature) -> xr.Dataset:
        if inputs.sizes["lead"] > 1:
            raise AssertionError("one lead")
        return inputs


class Undecided(Above):
    """Does not know what it fits."""

    def check(self, given: Signature) -> None:
        given.sizes["no such dim"]


class Divides(Near):
    """Divides by nothing."""

    def value(self, mean: Mapping[str, xr.DataArray]) -> xr.DataArray:
        return mean["near"] / (1 // 0)


def line_of(text: str) -> str:
    """`FILE:LINE` of the first line of this file that has it."""
    lines = enumerate(Path(__file__).read_text().splitlines(), 1)
    return f"{__file__}:{next(number for number, line in lines if text in line)}"


@pytest.mark.bad_input("authors", "a plugin of which four parts raise while the kit tries them")
def test_a_part_that_raises_is_one_failure_and_the_others_are_checked() -> None:
    plugin = Plugin(
        datasets={"wrecked": Wrecked, "waves": Waves},
        methods={"raising": Raising, "still": Still},
        laws={"undecided": Undecided, "above": Above},
        metrics={"divides": Divides, "near": Near},
    )
    report = check(plugin.registry(), "mine")
    own = {each.part: each for each in report.failed if each.check == "takes an example"}
    assert {part: each.message for part, each in own.items()} == {
        "wrecked": f"KeyError: 'no such year' ({line_of('no such year')})",
        "raising": f"AssertionError: one lead ({line_of('raise AssertionError')})",
        "undecided": f"KeyError: 'no such dim' ({line_of('no such dim')})",
        "divides": f"ZeroDivisionError: integer division or modulo by zero ({line_of('1 // 0')})",
    }
    assert len(report.failed) == 4
    checked = {each.part for each in report if each.ok}
    assert {"waves", "still", "above", "near"} <= checked


@pytest.mark.bad_input("authors", "a plugin whose hook raises: its other parts are checked")
def test_a_hook_that_raises_is_one_failure() -> None:
    registry = Plugin(datasets={"waves": Waves}, methods={"still": Still, "Not A Name": Still}).registry()
    report = check(registry, "mine")
    (found,) = report.failed
    assert found.check == "hooks provide their parts"
    assert found.message.startswith("PluginError: mine registers 'Not A Name'")
    assert {"waves"} <= {each.part for each in report if each.ok}


@pytest.mark.bad_input("authors", "a plugin that cannot be imported is checked")
def test_a_plugin_that_is_not_loaded_has_its_failure_for_a_report() -> None:
    registry = Registry()
    registry.failures["lost"] = "ModuleNotFoundError: No module named 'rare' (lost.py:1)"
    assert str(check(registry, "lost")) == (
        "FAILED: plugin lost: is loaded: ModuleNotFoundError: No module named 'rare' (lost.py:1)\n"
        "lost: 0 ok, 1 failed, 0 not checked"
    )


@pytest.mark.bad_input("authors", "a plugin registers a name that another has taken, and is checked")
def test_a_taken_name_is_a_failure_of_the_plugin_that_takes_it() -> None:
    registry = Plugin(methods={"still": Still}).registry()
    other = Plugin(methods={"still": Straight}, datasets={"waves": Waves}).registry()
    registry.add("other", other.module("mine"))
    (found,) = check(registry, "other").failed
    assert found.message.startswith("NameTakenError: method 'still' is registered twice: by mine and by other")
    assert check(registry, "mine").ok
