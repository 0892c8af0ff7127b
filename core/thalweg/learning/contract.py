"""What a learner of a network declares, the learned network, and its solver: what all of `learning` is written in."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self, final

from pydantic import BaseModel, Field, PrivateAttr

from ..components import Component, Enforcer, Fitted, Hold, Law, Learner, Parts, Site
from ..components.signature import Signature
from ..errors import HandshakeError
from ..results.solver import read_fitted, write_fitted
from .noise import Noise
from .options import TrainOptions
from .scaling import Scale, Scales

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor, nn

    from ..samples import Samples
    from .turn import Turn


class NetworkLearner(Learner):
    """A learner whose estimate is the output of a network.

    An author defines `build`; `defaults` for `train:` options that suit the method, its `loss` among them; and
    `objective` if a loss between estimate and truth is not all that is minimised. The network's fields are
    `(sample, lead, *space, channel)`, float32, scaled, missing inputs 0. Where `gives` has a variance the network has
    twice as many channels, means then variances (scaled); where it has members, `(sample, member, lead, *space,
    channel)`; where it has another field (`truth.replaced_by("codes", code=32)`), that one's dims, `(sample, code, 1)`.
    """

    sites: ClassVar[frozenset[Site]] = frozenset({"loss", "operator"})
    trains_on: ClassVar[frozenset[str]] = frozenset(TrainOptions.model_fields)
    train_options: ClassVar[type[BaseModel] | None] = TrainOptions
    nested: ClassVar[Mapping[str, str]] = {"judge": "metrics", "loss": "losses"}
    defaults: ClassVar[Mapping[str, Any]] = {}
    """Options of `train:` that a recipe need not give for this method."""

    steered: ClassVar[bool] = False
    """Whether its network draws an estimate step by step, so that laws can be held while sampling. It is then called
    with `forward(inputs, noise, guide=None)`, and hands each denoised estimate to the guide, if there is one."""

    own_loss: ClassVar[bool] = False
    """Whether its `objective` does not read the chosen loss; `train.loss` is then refused."""

    assembled: ClassVar[bool] = False
    """Whether its network is put together from those of its phases, with nothing of its own to learn: it is then built
    and not trained, so that its options change without a training. Needs `own_loss`."""

    separate_inputs: ClassVar[bool] = False
    """Whether the network takes each input by itself: a dict of tensors with their own dims, `(sample, point)`, and the
    coordinates of what is wanted, by dim. For inputs on no grid, or on another than the truth."""

    over: ClassVar[Literal["sample", "batch"]] = "sample"
    """`sample`: its loss or objective is a mean over samples, so that a batch may be cut into micro-batches. `batch`:
    it compares samples with each other; the plan then refuses to cut its batch."""

    scale: Scale | dict[str, Scale] = Field(
        "auto",
        description="scaling of all variables, or of each by name. standard: mean 0 and variance 1 on the "
        "training split; "
        "unit: 0 to 1 over the valid range; auto: unit where a valid range is known, else standard; none: as they are",
    )

    _networks: dict[str, Network] = PrivateAttr(default_factory=dict)

    @property
    def parts(self) -> Mapping[str, Network]:
        """The networks of its `phases`, by name, wherever core calls it; `frozen` makes a module of one.

        At plan time they have no weights yet, and shapes only.
        """
        return self._networks

    @final
    def with_parts(self, parts: Mapping[str, Network]) -> Self:
        """This learner, given the networks of its phases."""
        made = self.model_copy()
        made._networks = dict(parts)
        return made

    def on_phases(self, phases: Mapping[str, Learner], given: Signature, wanted: Signature) -> Self:
        """This learner, given their networks, yet without weights. Raises `HandshakeError` for one that has none."""
        made = {}
        for name, each in phases.items():
            if not isinstance(each, NetworkLearner):
                raise HandshakeError(
                    f"the phase {name!r} of {self.name} is learned by {each.name}, which has no network",
                    allowed="phases of a TorchLearner that are TorchLearners",
                    advice="use a learner of a network for this phase",
                )
            scales = dict.fromkeys(given.names, (0.0, 1.0))
            made[name] = Network(each, given, wanted, each.gives(given, wanted), scales)
        return self.with_parts({**self.parts, **made})

    @property
    def own_objective(self) -> str:
        """What its `objective` minimises beside the loss of the network's output, in words; empty if nothing.

        A network around its own (a wrapper, an operator enforcer) takes inputs only, and would leave it out.
        """
        if type(self).noises is not NetworkLearner.noises:
            return "the noise that it takes"
        if type(self).prepare is not NetworkLearner.prepare:
            return "what it keeps of the training samples"
        return "" if type(self).objective is NetworkLearner.objective else "what its `objective` adds to the loss"

    @abstractmethod
    def build(self, given: Signature, wanted: Signature) -> nn.Module:
        """A network from the given fields to the wanted ones; `Layout.of` gives the shapes of both."""

    def noises(self, given: Signature, wanted: Signature) -> Mapping[str, Noise]:  # noqa: ARG002
        """Inputs that are drawn, by name; none by default. The network then takes them beside its inputs:
        `network(inputs, noise)`.

        What is drawn belongs to a seed, a sample and an epoch or a member: not to the order or the size of batches,
        to micro-batches or ranks.
        """
        return {}

    def prepare(self, network: nn.Module, examples: Iterable[tuple[Any, Tensor]], scales: Scales) -> None:
        """Fill the buffers of a new network with what it knows of the training samples: statistics; nothing by default.

        `examples` are samples of the training split that do not overlap, scaled, batch by batch: inputs and truth, as
        `objective` has them. It may be gone through several times; nothing is read before. `scales` are offset and
        divisor of each variable.
        """

    def loss(self, estimate: Tensor, truth: Tensor) -> Tensor | None:  # noqa: ARG002
        """A loss of its own, in place of `train.loss`; None, the default, for that one.

        As `Loss.value`: `(sample,)`, NaN in the truth is missing; a scalar of all samples with `over = "batch"`.
        """
        return None

    def objective(
        self,
        network: nn.Module,  # noqa: ARG002
        inputs: Any,  # noqa: ARG002
        truth: Tensor,  # noqa: ARG002
        *,
        step: int,  # noqa: ARG002
        loss: Callable[[Tensor, Tensor], Tensor],  # noqa: ARG002
        noise: Mapping[str, Tensor],  # noqa: ARG002
    ) -> tuple[Tensor | Mapping[str, Tensor], Tensor] | None:
        """Estimate and loss of a batch, where they are not `network(inputs)` and its loss: for a network that sees
        the truth while it learns (scheduled sampling), a loss of its weights, or a noise to be removed.

        `loss(estimate, truth)` is the chosen loss of any such fields, the mean over samples. An estimate at scattered
        points is a mapping, for laws in the loss: fields by name, in their units, and the coordinates by dim that they
        can be differentiated by. `noise` is what `noises` asks for while learning.

        `network.training` is False when it is validated. NaN in the truth is missing. None, the default, for the usual.
        """
        return None

    def helpers(self, given: Signature, wanted: Signature) -> Mapping[str, nn.Module]:  # noqa: ARG002
        """Modules that are learned beside the network and not kept, by name: a critic, a temperature. None by default.

        They are in checkpoints, and `turns` says who learns them.
        """
        return {}

    def turns(self, modules: nn.ModuleDict, usual: Turn) -> Sequence[Turn]:  # noqa: ARG002
        """Which optimizers step, what each minimises and which modules it learns; `usual` alone by default.

        `usual` learns `network` by the chosen loss, with the optimizer and the rate of `train:`. Its objective scales a
        batch: `usual.objective.scaled(batch)` gives what the network is fed, and what it is compared with.
        """
        return (usual,)

    def check_samples(self, train: Samples) -> None:
        """A network takes rectangles: samples of unlike size are refused."""
        if train.index.ragged:
            raise HandshakeError(
                f"samples have elements of their own number along {', '.join(map(repr, train.index.ragged))}",
                allowed=f"samples of one size, which {self.name} lays side by side",
                advice="take a method that reads elements in a row, or cut the samples to one size",
            )

    @final
    def check_options(self, options: Mapping[str, Any]) -> TrainOptions:
        """The recipe's `train:` options over this method's `defaults`. Raises `OptionError`."""
        return TrainOptions.of(options, defaults=self.defaults)

    def resolved(self, options: Mapping[str, Any]) -> Mapping[str, Any]:
        """All options with their values, written or not; of initial weights, what they are and not where."""
        from .initial import sha256_of

        chosen = self.check_options(options)
        initial = None if chosen.initial is None else {"sha256": sha256_of(chosen.initial)}
        return {**{name: getattr(chosen, name) for name in type(chosen).model_fields}, "initial": initial}


@dataclass(frozen=True, eq=False)
class Network:
    """A learned network that stands alone: how it is built, what it is given and gives, in which scales, its weights.

    It knows no loss, no optimizer and no samples.
    """

    learner: NetworkLearner
    """Builds it, on the networks of earlier phases."""
    given: Signature
    wanted: Signature
    """The truth that it learned from."""
    gives: Signature
    """What its output holds."""
    scales: Scales
    weights: Mapping[str, np.ndarray[Any, Any]] | None = None
    """By name; None before it has learned."""
    holds: tuple[Hold, ...] = ()
    """Laws built into it."""
    batch: int = 8
    """Samples that go through it at once."""
    device: str = "auto"
    seed: int = 0
    """Of the noise that it takes."""
    built: dict[str, Any] = field(default_factory=dict, repr=False)
    """Of this process: the module, and the grid that it was built for."""

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "built": {}}

    def estimates(self, truth: Signature) -> Signature:
        """What its output holds for a truth of other sizes: `gives`, along the truth's own dims as long as these."""
        return resized(self.gives, learned=self.wanted, truth=truth)

    @property
    def parts(self) -> Mapping[str, Network]:
        """The networks that it was learned on: frozen, and not among its weights."""
        return self.learner.parts

    @property
    def title(self) -> str:
        """Whose it is, for messages."""
        return type(self.learner).__name__

    def solver(self) -> LearnedNetwork:
        """What solves with it."""
        kind = self.learner.fitted
        assert issubclass(kind, LearnedNetwork)
        holds = tuple({"hold": [_named(law) for law in each.laws], "by": _named(each.enforcer)} for each in self.holds)
        made = kind(
            learner=self.learner.model_dump(mode="json"),
            given=self.given,
            wanted=self.wanted,
            output=self.gives,
            scales=self.scales,
            holds=holds,
            batch=self.batch,
            device=self.device,
            seed=self.seed,
        )
        made._network = self
        made.with_parts({name: each.solver() for name, each in self.parts.items()})
        made.with_state(self.weights or {})
        return made

    def write(self, url: str, registry: Parts | None = None) -> None:
        """Write its folder: `options.json`, `state.safetensors`, `parts/`. `registry` knows the methods of these."""
        write_fitted(url, self.solver(), card="", registry=registry)

    @classmethod
    def read(cls, url: str, registry: Parts) -> Network:
        """The network of a folder. Raises `CorruptError`, `HandshakeError` for a solver that is no network."""
        return network_of(read_fitted(None, url, registry=registry), name=url)


class LearnedNetwork(Fitted):
    """A solver of a learned network: its fields, `state` and `parts` are what the folder of a `Network` holds."""

    learns: ClassVar[type[NetworkLearner]]

    learner: dict[str, Any]
    """Its options."""
    given: Signature
    wanted: Signature
    output: Signature
    """What an estimate holds, as `gives` of its learner said."""
    scales: Scales
    holds: tuple[dict[str, Any], ...] = ()
    """Laws built into the network: `{hold, by}`, as in a recipe."""
    batch: int = 8
    """Samples that go through the network at once."""
    device: str = "auto"
    seed: int = 0
    """Of the noise that the network takes."""

    _network: Network | None = PrivateAttr(None)

    def gives(self, given: Signature, truth: Signature) -> Signature:  # noqa: ARG002
        """What its learner said."""
        return resized(self.output, learned=self.wanted, truth=truth)

    @property
    def network(self) -> Network:
        """The network, made from these records; parts that they name are those of the solver's registry."""
        if self._network is None:
            learner = self.learns.model_validate(self.learner, context=self.context)
            self._network = Network(
                learner.with_parts({name: network_of(each, name=name) for name, each in self.parts.items()}),
                self.given,
                self.wanted,
                self.output,
                self.scales,
                self.state,
                tuple(self._hold(each) for each in self.holds),
                self.batch,
                self.device,
                self.seed,
            )
        return self._network

    def _hold(self, said: Mapping[str, Any]) -> Hold:
        laws = [self.registry.make("laws", law) for law in said["hold"]]
        enforcer = self.registry.make("enforcers", said["by"])
        assert isinstance(enforcer, Enforcer)
        return Hold(tuple(law for law in laws if isinstance(law, Law)), enforcer)


def resized(gives: Signature, *, learned: Signature, truth: Signature) -> Signature:
    """What was given beside the truth `learned`, for a truth of other sizes; sizes that were not its own stay."""
    own = {dim: size for dim, size in gives.sizes.items() if learned.sizes.get(dim) != size}
    return Signature(gives.fields, {**truth.sizes, **own})


def network_of(solver: Fitted, *, name: str) -> Network:
    """The network of what was learned. Raises `HandshakeError` for a solver that has none."""
    if isinstance(solver, LearnedNetwork):
        return solver.network
    raise HandshakeError(
        f"{name!r} is a {type(solver).__name__}, which has no network",
        allowed="what a TorchLearner learned",
        advice="use a learner of a network for this phase",
    )


def _named(part: Component) -> dict[str, Any]:
    return {part.name: part.model_dump(mode="json")}
