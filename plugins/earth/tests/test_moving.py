"""Moving coordinates, and differences from the last frame."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from thalweg import Field, Registry, Signature
from thalweg.errors import HandshakeError, OptionError
from thalweg.learning import TorchLearner
from thalweg.testing import check_method
from thalweg_earth.methods import _motion
from thalweg_earth.methods._moving_network import Moving
from thalweg_earth.motion import ITERATIONS, STIFFNESS, WIDTH, blurred, carried, displacements, optical_flow
from torch import nn

SIZE = 40


def echoes(times: int, *, velocity: tuple[float, float], seed: int = 0) -> torch.Tensor:
    """Smooth echoes that move steadily: (1, time, row, column, 1)."""
    generator = np.random.default_rng(seed)
    at, width = generator.uniform(12, SIZE - 12, (6, 2)), generator.uniform(2, 4, 6)
    rows, columns = np.indices((SIZE, SIZE))
    frames = [
        sum(
            np.exp(-((rows - y - velocity[0] * t) ** 2 + (columns - x - velocity[1] * t) ** 2) / 2 / w**2)
            for (y, x), w in zip(at, width, strict=True)
        )
        for t in range(times)
    ]
    return torch.from_numpy(np.stack(frames)).float()[None, ..., None]


class Last(nn.Module):
    def __init__(self, steps: int) -> None:
        super().__init__()
        self.steps = steps
        self.seen = torch.zeros(0)

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        self.seen = inputs
        return inputs[:, -1:].expand(-1, self.steps, -1, -1, -1)


@given(st.floats(-1.2, 1.2), st.floats(-1.2, 1.2), st.integers(0, 5))
@settings(max_examples=15, deadline=None)
def test_a_steady_motion_is_found_and_its_fields_stand_still(down: float, along: float, seed: int) -> None:
    frames = echoes(9, velocity=(down, along), seed=seed)
    motion = optical_flow(frames[:, 1:6, ..., 0])
    busy = frames[:, 5, ..., 0] > 0.3
    for found, true in zip(motion[0], (down, along), strict=True):
        assert abs(float(found[busy[0]].mean()) - true) < 0.05
    moving = Moving(Last(3))
    made = moving(frames[:, :6])
    inner = slice(6, -6)
    assert isinstance(moving.network, Last)
    seen = moving.network.seen[:, :, inner, inner]
    assert (seen - seen[:, -1:]).square().mean().sqrt() < 0.03
    error = (made - frames[:, 6:])[:, :, inner, inner]
    assert error.square().mean().sqrt() < 0.04


@pytest.mark.parametrize("motion", [(0.3, -0.8), (1.1, 0.4)])
def test_the_flow_of_tensors_is_that_of_arrays(motion: tuple[float, float], monkeypatch: pytest.MonkeyPatch) -> None:
    """One algorithm: in double precision, and after as many iterations, both say the same."""
    frames = echoes(5, velocity=motion)[..., 0].double()
    monkeypatch.setattr(_motion, "_ITERATIONS", ITERATIONS)
    expected = _motion.optical_flow(frames[0].numpy(), window=WIDTH, stiffness=STIFFNESS)
    np.testing.assert_allclose(optical_flow(frames)[0], expected, atol=2e-5)
    assert abs(expected[0] - motion[0]).mean() < 0.3


def test_a_field_that_nothing_moves_stays_as_it_is() -> None:
    for frames in (torch.zeros(2, 4, 8, 10, 2), torch.full((1, 4, 8, 10, 1), 0.3)):
        assert torch.equal(optical_flow(frames.mean(-1)), torch.zeros(len(frames), 2, 8, 10))
        assert torch.allclose(Moving(Last(2))(frames), frames[:, :2])
    assert torch.isfinite(optical_flow(torch.rand(1, 5, 6, 7))).all()


def test_whole_cells_are_carried_without_a_trace_and_gradients_pass() -> None:
    field = torch.rand(1, 1, 9, 11, 2, dtype=torch.float64, requires_grad=True)
    by = torch.zeros(1, 1, 2, 9, 11, dtype=torch.float64)
    by[:, :, 0], by[:, :, 1] = 2, -3
    moved = carried(field, by)
    assert torch.allclose(moved[:, :, 2:, :-3], field[:, :, :-2, 3:])
    assert not moved[:, :, :2].any()
    moved.sum().backward()
    assert field.grad is not None
    assert torch.allclose(field.grad[:, :, :-2, 3:], torch.ones(()).double())
    whole = displacements(by[:, 0].float(), 3)
    assert torch.equal(whole[:, 2], 3 * by[:, 0].float())
    assert torch.allclose(blurred(torch.ones(3, 9, 11), 2.0, edge=True), torch.ones(()))


def signature(count: int, names: tuple[str, ...] = ("r",)) -> Signature:
    fields = tuple(Field(name, ("sample", "lead", "y", "x"), "float32", "1") for name in names)
    return Signature(fields, {"sample": 2, "lead": count, "y": 16, "x": 16})


def learner(method: object) -> TorchLearner:
    made = Registry.installed().make("methods", method)
    assert isinstance(made, TorchLearner)
    return made


SMALL = {"hidden": 4, "layers": 2, "kernel": 3, "patch": 2, "from_last": True}
CASES: list[dict[str, Any]] = [
    {"from-last": {"of": {"unet": {"widths": [4], "centre": 8}}}},
    {"convlstm": SMALL},
    {"predrnn": SMALL},
    {"e3d-lstm": SMALL},
    {"phydnet": {"width": 16, "residual": [16], "kernel": 3, "from_last": True}},
    {"from-last": {"of": {"earthformer": {"preset": "small", "units": 16}}}},
]


def untaught(case: dict[str, Any]) -> dict[str, Any]:
    """Without what a network inside another would leave out."""
    (name, options), *_ = case.items()
    off = {"from-last": {}, "phydnet": {"teacher": 0, "moment": 0}}.get(name, {"teacher": 0})
    return {name: {**options, **off}}


@pytest.mark.parametrize("case", CASES, ids=lambda case: str(next(iter(case.values())).get("of", next(iter(case)))))
def test_what_learns_from_the_last_frame_begins_with_it(case: dict[str, Any]) -> None:
    inputs = torch.rand(2, 4, 16, 16, 1)
    fixed = learner(case).build(signature(4), signature(3))
    assert torch.allclose(fixed.eval()(inputs), inputs[:, -1:].expand(-1, 3, -1, -1, -1))
    moving = learner({"moving": {"of": untaught(case)}}).build(signature(4), signature(3))
    assert torch.allclose(moving.eval()(inputs), Moving(Last(3))(inputs), atol=1e-6)
    moving.train()(inputs).square().mean().backward()
    assert any(each.grad is not None and each.grad.abs().sum() > 0 for each in moving.parameters())
    if "from-last" in case:
        with pytest.raises(HandshakeError, match="from-last continues the last input, but from r, s it is to make r"):
            learner(case).build(signature(4, ("r", "s")), signature(3))


def test_conformance() -> None:
    """Of both, one in the other."""
    check_method(learner({"moving": {"of": {"from-last": {"of": {"unet": {"widths": [4], "centre": 8}}}}}}))


SMALL_FNO: dict[str, Any] = {"width": 4, "modes": 2, "layers": 1}


@pytest.mark.parametrize(
    ("of", "said"),
    [
        ("persistence", "is no mapping"),
        ("linear-inverse-model", "linear-inverse-model is no network"),
        ({"predrnn": {}}, r"predrnn would learn otherwise inside another network: scheduled sampling \(`teacher: 1`\)"),
        ({"phydnet": {"teacher": 0}}, r"inside another network: the moment loss \(`moment: "),
        ("attentive-neural-process", "what its `objective` adds to the loss would be lost"),
    ],
)
def test_a_learner_that_would_learn_otherwise_is_refused(of: Any, said: str) -> None:
    with pytest.raises(OptionError, match=said):
        learner({"moving": {"of": of}})


def test_what_does_not_fit_is_refused() -> None:
    with pytest.raises(OptionError, match="from_last"):
        learner({"phydnet": {"from_last": True, "output": "sigmoid"}})
    unet = {"unet": {"widths": [4], "centre": 8}}
    with pytest.raises(HandshakeError, match="at least two inputs"):
        learner({"moving": {"of": unet}}).build(signature(1), signature(3))
    with pytest.raises(HandshakeError, match="does not say which is its last layer"):
        learner({"from-last": {"of": {"fno": SMALL_FNO}}}).build(signature(4), signature(3))
    with pytest.raises(OptionError, match="set `scale` in unet"):
        learner({"moving": {"of": unet, "scale": "none"}})


def test_all_but_the_network_is_the_learners() -> None:
    inner = learner({"fno": {**SMALL_FNO, "scale": "none"}})
    outer = learner({"moving": {"of": {"fno": {**SMALL_FNO, "scale": "none"}}}})
    assert (outer.scale, outer.defaults, outer.sites) == (inner.scale, inner.defaults, inner.sites)
    assert outer.check_options({}) == inner.check_options({})


def test_the_plan_knows_the_network_inside() -> None:
    """Its memory, and that its batch may not be cut."""
    unet = {"unet": {"widths": [4], "centre": 8}}
    outer, inner = (learner(each) for each in ({"moving": {"of": {"from-last": {"of": unet}}}}, unet))
    sides = signature(4), signature(3)
    assert outer.demand(*sides, {}).memory > inner.demand(*sides, {}).memory
    with pytest.raises(
        OptionError, match=r"cuts the batch of which 'network\.network\.down\.0\.1' takes its statistics"
    ):
        outer.demand(*sides, {"accumulate": 2})
