"""What can be said of a training before it begins: whether its network fits, and what memory it takes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import torch

from ..components import Demand, OperatorEnforcer
from ..components.held import Held
from ..components.signature import Signature
from ..errors import HandshakeError, OptionError
from ..losses.mean_squared import MeanSquared
from ..recipes.handshakes import at
from .contract import Network, NetworkLearner
from .initial import begin_with, weights_at
from .layout import Layout
from .memory import peak
from .network import built
from .outline import Outline, outlined
from .pieces import is_mean_over_samples, refuse_statistics

if TYPE_CHECKING:
    from .options import TrainOptions


def planned(
    learner: NetworkLearner, given: Signature, wanted: Signature, options: Mapping[str, Any]
) -> tuple[NetworkLearner, Demand]:
    """A learner that is given the networks of its phases, yet without weights, and what the phases take.

    Raises `HandshakeError` for a phase that gives no network.
    """
    made: dict[str, Network] = {}
    demand = Demand()
    for phase in learner.phases(options):
        if not isinstance(phase.learner, NetworkLearner):
            raise HandshakeError(
                f"the phase {phase.name!r} of {learner.name} is learned by {phase.learner.name}, which has no network",
                allowed="phases of a TorchLearner that are TorchLearners",
                advice="use a learner of a network for this phase",
            )
        own = phase.learner.with_parts({name: made[name] for name in phase.after})
        taken = at(f"phase {phase.name}", own.demand, given, wanted, phase.options)
        demand = Demand(max(demand.workers, taken.workers), max(demand.memory, taken.memory))
        inner, _ = planned(own, given, wanted, phase.options)
        gives = inner.gives(given, wanted)
        made[phase.name] = Network(inner, given, wanted, gives, scales=dict.fromkeys(given.names, (0.0, 1.0)))
    return learner.with_parts({**learner.parts, **made}), demand


def demanded(learner: NetworkLearner, given: Signature, wanted: Signature, options: TrainOptions) -> int:
    """Bytes of host memory of one rank; raises what `checked` raises."""
    return peak(checked(learner, given, wanted, options), given, wanted, options)


def checked(learner: NetworkLearner, given: Signature, wanted: Signature, options: TrainOptions) -> Outline | None:
    """The outline of the network, if it has one.

    Raises `HandshakeError` for a network whose output has another shape than the estimate, `OptionError` for a batch
    that may not be cut as the options say.
    """
    _check_loss(learner, given, wanted, options)
    outline = outlined(learner, given, wanted)
    if outline is not None:
        _check_output(learner, outline, given, wanted)
        refuse_statistics(outline.network, options)
        if options.initial is not None:
            at("train.initial", begin_with, outline.network, weights_at(options.initial), source=options.initial)
    _check_pieces(learner, Layout.of(wanted).shape if outline is None else outline.output[1:], options)
    return outline


def wrapped(
    learner: NetworkLearner, enforcer: OperatorEnforcer, held: Held, *, given: Signature, wanted: Signature
) -> None:
    """Wrap the network's outline. Raises what the enforcer refuses."""
    scales = dict.fromkeys((*given.names, *wanted.names), (0.0, 1.0))
    with torch.device("meta"):
        built(learner, given=given, wanted=wanted, scales=scales, wrappers={"operator-0": (enforcer, held)})


def _check_output(learner: NetworkLearner, outline: Outline, given: Signature, wanted: Signature) -> None:
    layout, gives = Layout.of(wanted), learner.gives(given, wanted)
    channels = len(layout.names) * (2 if "variance" in gives.uncertainty else 1)
    member = {"member": gives.sizes["member"]} if "member" in gives.uncertainty else {}
    expected = {"sample": 1, **member, **dict(zip(layout.dims, layout.sizes, strict=True)), "channel": channels}
    if outline.output != tuple(expected.values()):
        raise HandshakeError(
            f"the network of {learner.name} makes {outline.output!r} of one sample",
            allowed=", ".join(f"{dim} {size}" for dim, size in expected.items()),
            advice="make `build` return a network with this output, or say in `gives` what it makes",
        )


def _check_loss(learner: NetworkLearner, given: Signature, wanted: Signature, options: TrainOptions) -> None:
    """Refuse a loss that the learner would not read, or that does not fit what it gives."""
    own = type(learner).loss is not NetworkLearner.loss or learner.own_loss
    if own and options.loss is not None:
        raise OptionError(
            f"{learner.name} minimises a loss of its own, and would not read `loss: {options.loss.name}`",
            allowed="no `loss`",
            advice="leave `loss` out",
            where="train.loss",
        )
    if not own:
        at("train.loss", (options.loss or MeanSquared()).fits, learner.gives(given, wanted), wanted)


def _check_pieces(learner: NetworkLearner, shape: tuple[int, ...], options: TrainOptions) -> None:
    """Refuse to cut a batch whose samples the learner compares, whether it says so or its own loss shows it."""
    pieces = options.accumulate * options.ranks
    own = type(learner).loss is not NetworkLearner.loss or learner.own_loss
    if (learner if own or options.loss is None else options.loss).over == "batch":
        # What an objective with a loss of its own computes is not known, and cannot be gathered over ranks.
        own = learner.own_loss
        cut = options.accumulate > 1 or (own and options.ranks > 1)
        allowed = "accumulate: 1 and ranks: 1" if own else "accumulate: 1"
    else:
        own = type(learner).loss is not NetworkLearner.loss
        cut = pieces > 1 and own and not is_mean_over_samples(learner.loss, shape)
        allowed = 'accumulate: 1 and ranks: 1, or ranks for a method that says `over = "batch"`'
    if cut:
        option = "accumulate" if options.accumulate > 1 else "ranks"
        raise OptionError(
            f"`{option}: {getattr(options, option)}` cuts a batch whose samples the loss of {learner.name} compares: "
            "another loss would be learned from",
            allowed=allowed,
            advice=f"leave `{option}` out",
            where=f"train.{option}",
        )
