"""What a learner of a network declares, and what is kept of one: the words that all of `learning` is written in."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Literal, final

from pydantic import BaseModel, Field, PrivateAttr

from ..components import Fitted, Hold, Learner, Site
from ..components.signature import Signature
from ..errors import HandshakeError
from .options import TrainOptions
from .scaling import Scale, Scales

if TYPE_CHECKING:
    from torch import Tensor, nn

    from ..samples import Samples
    from .turn import Turn


class NetworkLearner(Learner):
    """A learner whose estimate is the output of a network.

    An author defines `build`; `defaults` for `train:` options that suit the method, its `loss` among them; and
    `objective` if a loss between estimate and truth is not all that is minimised. The network's fields are
    `(sample, lead, *space, channel)`, float32, scaled, missing inputs 0. Where `gives` has a variance the network has
    twice as many channels, means then variances (scaled); where it has members, `(sample, member, lead, *space,
    channel)`.
    """

    sites: ClassVar[frozenset[Site]] = frozenset({"loss", "operator"})
    trains_on: ClassVar[frozenset[str]] = frozenset(TrainOptions.model_fields)
    train_options: ClassVar[type[BaseModel] | None] = TrainOptions
    nested: ClassVar[Mapping[str, str]] = {"judge": "metrics", "loss": "losses"}
    defaults: ClassVar[Mapping[str, Any]] = {}
    """Options of `train:` that a recipe need not give for this method."""

    own_loss: ClassVar[bool] = False
    """Whether its `objective` does not read the chosen loss; `train.loss` is then refused."""

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

    @property
    def own_objective(self) -> str:
        """What its `objective` minimises beside the loss of the network's output, in words; empty if nothing.

        A network around its own (a wrapper, an operator enforcer) takes inputs only, and would leave it out.
        """
        return "" if type(self).objective is NetworkLearner.objective else "what its `objective` adds to the loss"

    @abstractmethod
    def build(self, given: Signature, wanted: Signature) -> nn.Module:
        """A network from the given fields to the wanted ones; `Layout.of` gives the shapes of both."""

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
    ) -> tuple[Tensor | Mapping[str, Tensor], Tensor] | None:
        """Estimate and loss of a batch, where they are not `network(inputs)` and its loss: for a network that sees
        the truth while it learns (scheduled sampling), a loss of its weights, or a noise to be removed.

        `loss(estimate, truth)` is the chosen loss of any such fields, the mean over samples. An estimate at scattered
        points is a mapping, for laws in the loss: fields by name, in their units, and the coordinates by dim that they
        can be differentiated by.

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


class LearnedNetwork(Fitted):
    """A learned network; rebuilt, in any process, from its learner's options and the weights in `state`."""

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

    def gives(self, given: Signature, truth: Signature) -> Signature:  # noqa: ARG002
        """What its learner said."""
        return Signature(self.output.fields, {**self.output.sizes, **truth.sizes})

    _network: nn.Module | None = PrivateAttr(None)
    _grid: Any = PrivateAttr(None)
    _parts: tuple[NetworkLearner, tuple[Hold, ...]] | None = PrivateAttr(None)
