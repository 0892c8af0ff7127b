"""A network gives what its learner says: codes, a vector, a variance, members; the plan knows the shape of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import xarray as xr
from coding import Autoencoder, Coder
from pydantic import Field
from thalweg import HandshakeError, Phase, Registry, Samples, Signature, hookimpl
from thalweg.learning import Layout, Noise, TorchLearner, frozen
from thalweg.recipes.planning import plans
from thalweg.testing import check_method, series, windowed
from thalweg.testing.toy_learner import learn
from torch import Tensor, nn

DATA = windowed(series()).load()
TEST, TRAIN = Samples.of(DATA, "test"), Samples.of(DATA, "train")
OPTIONS: dict[str, Any] = {"epochs": 1, "batch": 8}


class Coded(Coder):
    """Frames `(sample, lead, y, x, 1)` to codes `(sample, lead, code, 1)`."""

    def forward(self, frames: Tensor) -> Tensor:
        return self.encode(frames).unsqueeze(-1)


class Codes(Autoencoder):
    """Codes of the inputs' frames."""

    def gives(self, given: Signature, truth: Signature) -> Signature:
        return truth.replaced_by("codes", lead=given.sizes["lead"], code=self.width)

    def build(self, given: Signature, wanted: Signature) -> nn.Module:
        _, y, x = Layout.of(wanted).sizes
        return Coded((y, x), self.width)


class Denoises(nn.Module):
    """Noise of codes, and its level, to codes."""

    def __init__(self, coder: Any, width: int) -> None:
        super().__init__()
        self.coder, self.step = coder, nn.Linear(width + 1, width)

    def forward(self, inputs: Tensor, noise: Mapping[str, Tensor]) -> Tensor:
        seen = self.coder(inputs).mean(1) + noise["codes"]
        made: Tensor = self.step(torch.cat([seen, noise["level"][:, None, None]], -2)[..., 0])
        return made.unsqueeze(-1)


class Latent(TorchLearner):
    """A denoiser in the space of codes."""

    width: int = Field(5, description="how long a code is")

    def phases(self, options: Mapping[str, Any]) -> tuple[Phase, ...]:
        return (Phase("codes", Codes(width=self.width), options),)

    def gives(self, given: Signature, truth: Signature) -> Signature:
        return truth.replaced_by("codes", code=self.width)

    def noises(self, given: Signature, wanted: Signature) -> Mapping[str, Noise]:
        return {"codes": Noise((self.width, 1)), "level": Noise(kind="uniform")}

    def build(self, given: Signature, wanted: Signature) -> nn.Module:
        assert self.parts["codes"].gives.sizes["code"] == self.width
        return Denoises(frozen(self.parts["codes"]), self.width)

    def objective(
        self,
        network: Any,
        inputs: Any,
        truth: Tensor,
        *,
        step: int,
        loss: Callable[[Tensor, Tensor], Tensor],
        noise: Mapping[str, Tensor],
    ) -> tuple[Tensor, Tensor]:
        made = network(inputs, noise)
        return made, loss(made, network.coder(truth).mean(1))


class Plain(Codes):
    """Codes, compared with the truth."""

    objective = TorchLearner.objective


class Matched(Plain):
    """Codes, compared with the truth's mean by a loss of its own."""

    def loss(self, estimate: Tensor, truth: Tensor) -> Tensor:
        return (estimate.flatten(1).mean(1) - truth.flatten(1).mean(1)).square()


class Wide(Codes):
    """Codes of another length than it says."""

    def build(self, given: Signature, wanted: Signature) -> nn.Module:
        return Coded((6, 8), self.width + 1)


class Two(Codes):
    """Fields of two shapes."""

    def gives(self, given: Signature, truth: Signature) -> Signature:
        other = truth.replaced_by("codes", code=self.width)
        return Signature((*truth.fields, *other.fields), other.sizes)


class Plugin:
    @hookimpl
    def register_methods(self, register: Any) -> None:
        for part in (Codes, Latent):
            register(part.__name__.lower(), part)


@pytest.fixture
def registry() -> Registry:
    made = Registry.installed()
    made.add("test", Plugin())
    return made


def solved(solver: Any, *, at: slice = slice(0, 3)) -> xr.Dataset:
    made: xr.Dataset = solver.solve(TEST.inputs(at), TEST.first(at.stop - at.start).wanted)
    return made


@pytest.mark.parametrize(("kind", "dims"), [(Codes, ("sample", "lead", "code")), (Latent, ("sample", "code"))])
def test_codes_are_given_with_their_own_dims(
    kind: Any, dims: tuple[str, ...], registry: Registry, tmp_path: Path
) -> None:
    solver: Any = learn(kind(), DATA, tmp_path, registry=registry, **OPTIONS)
    found = solved(solver)
    assert found["codes"].dims == dims
    assert dict(found["codes"].sizes) == {
        dim: size for dim, size in {"sample": 3, "lead": 6, "code": 5}.items() if dim in dims
    }
    assert solver.gives(TEST.given, TEST.wanted) == kind().gives(TEST.given, TEST.wanted)
    xr.testing.assert_allclose(solved(solver, at=slice(2, 3)), found.isel(sample=[2]))
    weights = {name: torch.from_numpy(each) for name, each in solver.state.items()}
    if kind is Codes:
        given = torch.from_numpy(TEST.inputs(slice(0, 3))["field"].values)
        by, offset = solver.scales["field"][1], solver.scales["field"][0]
        expected = torch.nn.functional.linear(
            ((given - offset) / by).flatten(2), weights["into.weight"], weights["into.bias"]
        )
        np.testing.assert_allclose(found["codes"], expected, rtol=1e-5, atol=1e-6)


def test_the_kit_takes_a_learner_of_codes() -> None:
    check_method(Codes(), DATA)


@pytest.mark.parametrize(
    ("learner", "says"),
    [
        (
            Wide(),
            "the network of {name} makes (1, 6, 6, 1) of one sample\n  allowed: sample 1, lead 6, code 5, channel 1\n",
        ),
        (Two(), "a network gives fields of one shape, and '{gives}' have 2\n"),
        (
            Plain(),
            "train.loss: MeanSquared compares what {name} gives, '{gives}', with a truth of '{truth}'\n"
            "  allowed: the fields of the truth, with or without variances or members\n"
            "  do: define `loss`, or an `objective` that makes the truth's fields of it",
        ),
    ],
    ids=lambda each: type(each).__name__ if isinstance(each, TorchLearner) else "",
)
def test_the_plan_refuses_what_is_not_declared(learner: Any, says: str) -> None:
    with pytest.raises(HandshakeError) as caught:
        learner.demand(TRAIN.given, TRAIN.wanted, OPTIONS)
    gives = learner.gives(TRAIN.given, TRAIN.wanted)
    assert str(caught.value).startswith(says.format(name=learner.name, gives=gives, truth=TRAIN.wanted))


def test_the_plan_takes_codes_and_what_learns_on_them() -> None:
    for learner in (Codes(), Latent(), Matched()):
        learner.demand(TRAIN.given, TRAIN.wanted, {**OPTIONS, "accumulate": 2})
    with pytest.raises(HandshakeError, match=r"train.judge: rmse needs 'field', which .* does not give"):
        Codes().demand(TRAIN.given, TRAIN.wanted, {**OPTIONS, "judge": Registry.installed().make("metrics", "rmse")})


def test_codes_are_not_scored_as_the_fields_of_the_truth(
    recipe: Callable[..., Path], registry: Registry, tmp_path: Path
) -> None:
    with pytest.raises(
        HandshakeError, match=r"evaluate\[0\].rmse: rmse needs 'temperature', which codes does not give"
    ):
        plans(recipe(train={"method": "codes"}, constrain=[]), registry=registry, store=str(tmp_path / "store"))
