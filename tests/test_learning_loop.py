"""The loop by itself, on toys: several optimizers, resumed anywhere, in any number of micro-batches."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from thalweg import OptionError
from thalweg.errors import CorruptError
from thalweg.learning import Batch, BatchObjective, Objective, TrainOptions, Turn, checkpoint
from thalweg.learning.loop import Loop, LoopOptions
from thalweg.learning.order import pieces
from thalweg.learning.ranks import Alone, Ranks
from thalweg.learning.state import Position, Weights
from thalweg.learning.turn import decayed
from torch import Tensor, nn

COUNT = 29
CPU = torch.device("cpu")


class Drawn:
    """Pairs of vectors, in batches of `batch`; the memory of a batch is used again for the next."""

    def __init__(self, *, batch: int = 8, accumulate: int = 1, ranks: Ranks | None = None, kind: Any = torch.float64):
        self.batch, self.accumulate, self.ranks = batch, accumulate, ranks or Alone()
        draw = torch.Generator().manual_seed(3)
        self.x = torch.randn(COUNT, 4, generator=draw, dtype=torch.float64).to(kind)
        self.y = (self.x @ torch.randn(4, 3, generator=draw, dtype=torch.float64).to(kind)).tanh()
        self.memory = [torch.zeros(batch, 4, dtype=kind), torch.zeros(batch, 3, dtype=kind)]

    @property
    def steps(self) -> int:
        return -(-COUNT // self.batch)

    def epoch(self, number: int, start: int) -> Iterator[Any]:
        order = np.random.default_rng(number).permutation(COUNT)
        for step in range(start, self.steps):
            chosen = order[step * self.batch : (step + 1) * self.batch]
            cut = pieces(chosen, rank=self.ranks.rank, ranks=self.ranks.count, accumulate=self.accumulate)
            yield _Share(self, cut, number * self.steps + step)

    def speed(self) -> Mapping[str, float]:
        return {}


class _Share:
    def __init__(self, drawn: Drawn, cut: Any, step: int) -> None:
        self.drawn, self.cut, self.step = drawn, cut, step

    def __len__(self) -> int:
        return len(self.cut)

    def __iter__(self) -> Iterator[Batch]:
        for at, weight in self.cut:
            for memory in self.drawn.memory:
                memory.fill_(torch.nan)
            x, y = (memory[: len(at)] for memory in self.drawn.memory)
            x.copy_(self.drawn.x[at])
            y.copy_(self.drawn.y[at])
            yield Batch(at, {"x": x}, {"y": y}, weight, self.step, rows=self.drawn.ranks.rows)


class Square(Objective):
    """The mean squared error of a network."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def terms(self, batch: Batch) -> Mapping[str, Tensor]:
        error = self.network(batch.inputs["x"]) - batch.truth["y"]
        return {"loss": error.square().mean(), "absolute": error.abs().mean()}


class Generates(Objective):
    """Near the truth, and taken for it by the critic."""

    def __init__(self, modules: nn.ModuleDict) -> None:
        super().__init__()
        self.generator, self.critic = modules["generator"], modules["critic"]

    def terms(self, batch: Batch) -> Mapping[str, Tensor]:
        made = self.generator(batch.inputs["x"])
        return {"loss": (made - batch.truth["y"]).square().mean() - 0.1 * self.critic(made).mean()}


class Criticises(Objective):
    """Tells the truth from what is made."""

    def __init__(self, modules: nn.ModuleDict) -> None:
        super().__init__()
        self.generator, self.critic = modules["generator"], modules["critic"]

    def terms(self, batch: Batch) -> Mapping[str, Tensor]:
        with torch.no_grad():
            made = self.generator(batch.inputs["x"])
        truth = self.critic(batch.truth["y"])
        return {"loss": (1 - truth).relu().mean() + (1 + self.critic(made)).relu().mean()}


class Contrasts(BatchObjective):
    """Two encoders whose vectors of one sample lie nearer than those of two samples, at a learned temperature."""

    def __init__(self, modules: nn.ModuleDict) -> None:
        super().__init__()
        self.one, self.other, self.temperature = modules["one"], modules["other"], modules["temperature"]

    def outputs(self, batch: Batch) -> Mapping[str, Tensor]:
        return {"one": self.one(batch.inputs["x"]), "other": self.other(batch.truth["y"])}

    def loss(self, outputs: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
        one, other = (nn.functional.normalize(outputs[name], dim=1) for name in ("one", "other"))
        scores = one @ other.T * self.temperature.weight.exp()
        return {"loss": nn.functional.cross_entropy(scores, torch.arange(len(one)))}


def network(*, out: int = 3, dropout: float = 0.0, norm: bool = False) -> nn.Module:
    inner = [nn.BatchNorm1d(6)] if norm else []
    return nn.Sequential(nn.LazyLinear(6), *inner, nn.Tanh(), nn.Dropout(dropout), nn.Linear(6, out))


def materialised(modules: nn.ModuleDict, kind: Any = torch.float64) -> nn.ModuleDict:
    for name, size in (("generator", 4), ("network", 4), ("one", 4), ("critic", 3), ("other", 3)):
        if name in modules:
            modules[name].eval()(torch.zeros(2, size))
    return modules.train().to(kind)


def rivals(*, dropout: float = 0.2, norm: bool = False) -> nn.ModuleDict:
    return materialised(nn.ModuleDict({"generator": network(dropout=dropout), "critic": network(out=1, norm=norm)}))


def encoders() -> nn.ModuleDict:
    temperature = nn.Linear(1, 1, bias=False)
    return materialised(nn.ModuleDict({"one": network(out=5), "other": network(out=5), "temperature": temperature}))


def turn(name: str, objective: Objective, *learns: str, **more: Any) -> Turn:
    optimizer = decayed("adamw", learning_rate=1e-2, weight_decay=1e-2)
    return Turn(name, objective, learns, optimizer, rate=lambda step: 1e-2 / (1 + step / 10), **more)


def two(modules: nn.ModuleDict) -> Sequence[Turn]:
    return (
        turn("generator", Generates(modules), "generator", clip=1.0),
        turn("critic", Criticises(modules), "critic", every=2, after=3),
    )


def pair(modules: nn.ModuleDict) -> Sequence[Turn]:
    return (turn("pair", Contrasts(modules), "one", "other", "temperature"),)


def loop(
    folder: Path,
    make: Callable[[], nn.ModuleDict] = rivals,
    turns: Callable[[nn.ModuleDict], Sequence[Turn]] = two,
    *,
    drawn: Drawn | None = None,
    ranks: Ranks | None = None,
    validate: Any = None,
    heard: list[dict[str, float]] | None = None,
    **options: Any,
) -> Loop:
    ranks = ranks or Alone()
    return Loop(
        make,
        turns,
        drawn or Drawn(ranks=ranks),
        options=LoopOptions(**{"epochs": 3, "choose": "last", **options}),
        ranks=ranks,
        device=CPU,
        folder=folder,
        report=lambda numbers, _: None if heard is None else heard.append(dict(numbers)),
        broken=lambda what, positions, at: ArithmeticError(f"{what} of {len(positions)} in step {at.step}"),
        validate=validate,
    )


def gap(one: Weights, other: Weights) -> float:
    assert {n: list(e) for n, e in one.items()} == {n: list(e) for n, e in other.items()}
    return max(float((one[n][k] - other[n][k]).abs().max()) for n in one for k in one[n])


def same(one: Weights, other: Weights) -> bool:
    return gap(one, other) == 0.0


def test_it_learns_what_plain_lines_learn_bit_for_bit(tmp_path: Path) -> None:
    """AdamW without decay of vectors, a schedule, a clipped gradient, micro-batches, a running mean."""

    def make() -> nn.ModuleDict:
        return materialised(nn.ModuleDict({"network": network(dropout=0.3)}), torch.float32)

    options = TrainOptions(epochs=3, learning_rate=3e-2, clip=0.5, weight_decay=0.1)

    def turns(modules: nn.ModuleDict) -> Sequence[Turn]:
        kind = decayed("adamw", learning_rate=3e-2, weight_decay=0.1)
        rate = lambda step: options.learning_rate_at(step, steps=12)  # noqa: E731
        return (Turn("network", Square(modules["network"]), ("network",), kind, rate, clip=0.5),)

    drawn = Drawn(accumulate=2, kind=torch.float32)
    found = loop(tmp_path, make, turns, drawn=drawn, ema={"network": 0.9}, seed=5).run()["network"]

    torch.manual_seed(5)
    plain = make()["network"]
    vectors = [each for each in plain.parameters() if each.ndim < 2]
    matrices = [each for each in plain.parameters() if each.ndim > 1]
    optimizer = torch.optim.AdamW([{"params": matrices}, {"params": vectors, "weight_decay": 0.0}], weight_decay=0.1)
    torch.manual_seed(6)
    mean = {name: each.clone() for name, each in plain.state_dict().items()}
    step = 0
    for epoch in range(3):
        for share in drawn.epoch(epoch, 0):
            for group in optimizer.param_groups:
                group["lr"] = options.learning_rate_at(step, steps=12)
            for batch in share:
                ((plain(batch.inputs["x"]) - batch.truth["y"]).square().mean() * batch.weight).backward()
            nn.utils.clip_grad_norm_(plain.parameters(), 0.5)
            optimizer.step()
            optimizer.zero_grad()
            step += 1
            for name, each in plain.state_dict().items():
                mean[name].lerp_(each, 1 - min(0.9, (1 + step) / (10 + step)))
    assert all(torch.equal(found[name], each) for name, each in mean.items())


class Killed(BaseException):
    """As a process ends: nothing after it runs but what unwinds."""


@pytest.mark.parametrize("accumulate", [1, 2])
def test_two_optimizers_go_on_bit_equal_from_any_instant(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, accumulate: int
) -> None:
    options: dict[str, Any] = {"checkpoint_steps": 2, "ema": {"generator": 0.9}, "seed": 2}

    def learned(folder: Path, heard: list[dict[str, float]]) -> Weights:
        return loop(folder, drawn=Drawn(accumulate=accumulate), heard=heard, **options).run()

    expected: list[dict[str, float]] = []
    whole = learned(tmp_path / "whole", expected)
    died = 0
    for at in range(1, 60, 3):
        instants = 0

        def deadly(function: Callable[..., Any], at: int = at) -> Callable[..., Any]:
            def called(*arguments: Any, **named: Any) -> Any:
                nonlocal instants
                instants += 1
                if instants == at:
                    raise Killed
                return function(*arguments, **named)

            return called

        folder, heard = tmp_path / str(at), list[dict[str, float]]()
        with monkeypatch.context() as patched:
            for owner, name in ((checkpoint, "save"), (checkpoint, "_flush"), (Loop, "_step")):
                patched.setattr(owner, name, deadly(getattr(owner, name)))
            try:
                learned(folder, [])
            except Killed:
                died += 1
        assert same(learned(folder, heard), whole)
        assert heard == expected
    assert died > 6


def test_a_turn_leaves_what_it_does_not_learn_as_it_is(tmp_path: Path) -> None:
    """Weights, statistics and optimizer: of the critic in the generator's turn, and the other way round."""
    seen: list[str] = []

    def turns(modules: nn.ModuleDict) -> Sequence[Turn]:
        return two(modules)

    made = loop(tmp_path, lambda: rivals(norm=True), turns, epochs=1)
    inner = made._learn

    def watched(turn: Turn, batches: Any, *, count: int) -> None:
        other = "critic" if turn.name == "generator" else "generator"
        modules, optimizer = made.state.modules, made.state.optimizers[other]
        before = {name: each.clone() for name, each in modules[other].state_dict().items()}
        kept = repr(optimizer.state_dict())
        inner(turn, batches, count=count)
        seen.append(turn.name)
        for name, each in modules[other].named_parameters():
            assert torch.equal(each, before[name])
            assert each.grad is None
        assert repr(optimizer.state_dict()) == kept

    made._learn = watched  # type: ignore[method-assign]
    statistics = []
    step = made._step

    def stepped(share: Any) -> None:
        step(share)
        statistics.append(made.state.modules["critic"][1].num_batches_tracked.item())  # type: ignore[union-attr]

    made._step = stepped  # type: ignore[method-assign]
    made.run()
    # Four steps; the critic is due in the fourth only, and sees truth and estimate in it.
    assert seen == ["generator"] * 4 + ["critic"]
    assert statistics == [0, 0, 0, 2]


def test_micro_batches_learn_the_same_with_two_optimizers(tmp_path: Path) -> None:
    make = lambda: rivals(dropout=0.0)  # noqa: E731
    whole, cut = (loop(tmp_path / str(each), make, drawn=Drawn(accumulate=each)).run() for each in (1, 3))
    assert gap(whole, cut) < 1e-12


def test_curves_are_means_over_the_samples_of_their_own_turn(tmp_path: Path) -> None:
    heard: list[dict[str, float]] = []
    loop(tmp_path, heard=heard).run()
    names = {"generator/loss/train", "generator/learning_rate", "critic/loss/train", "critic/learning_rate"}
    assert all(set(each) == names for each in heard)
    # A critic that knows nothing has 1 + 1 for each sample, whatever the number of its steps.
    assert heard[0]["critic/loss/train"] == pytest.approx(2, abs=0.5)
    single: list[dict[str, float]] = []
    make = lambda: materialised(nn.ModuleDict({"network": network()}))  # noqa: E731
    loop(tmp_path / "1", make, lambda m: (turn("t", Square(m["network"]), "network"),), heard=single).run()
    assert set(single[0]) == {"loss/train", "absolute/train", "learning_rate"}


def test_a_loss_over_the_batch_is_not_cut(tmp_path: Path) -> None:
    loop(tmp_path, encoders, pair).run()
    with pytest.raises(OptionError) as caught:
        loop(tmp_path, encoders, pair, drawn=Drawn(accumulate=2))
    assert caught.value.where == "train.accumulate"
    assert str(caught.value).startswith("train.accumulate: `accumulate: 2` cuts a batch whose samples the objective of")


def test_it_says_where_it_stopped_and_which_epoch_was_best(tmp_path: Path) -> None:
    costs = [3.0, 1.0, 2.0, 1.5, 0.5]

    def validate(turns: Sequence[Turn], step: int) -> Mapping[str, float]:
        assert not any(each.objective.training for each in turns)
        return {"skill": -costs[step // 4 - 1]}

    made = loop(
        tmp_path, validate=validate, monitor="skill", higher_is_better=True, patience=2, epochs=9, choose="best"
    )
    weights = made.run()
    assert (made.stopped.epochs, made.stopped.early, made.stopped.best_epoch, made.stopped.best) == (4, True, 1, -1.0)
    assert same(weights, made.state.best)
    assert not same(weights, made.state.current)


def test_a_loss_that_is_not_finite_ends_it(tmp_path: Path) -> None:
    drawn = Drawn()
    drawn.y[int(np.random.default_rng(0).permutation(COUNT)[9])] = torch.inf
    with pytest.raises(ArithmeticError, match=r"the loss turned (nan|inf) of 8 in step 1"):
        loop(tmp_path, drawn=drawn).run()


def test_checkpoints_of_other_options_and_versions(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    loop(tmp_path, epochs=1).run()
    with pytest.raises(CorruptError, match="with other options"):
        loop(tmp_path, ema={"critic": 0.9})
    tensors, record = checkpoint.load(tmp_path) or ({}, {})
    checkpoint.save(tmp_path, tensors, {**record, "format": 1})
    assert loop(tmp_path).state.at == Position()
    assert "the training begins again" in caplog.text
