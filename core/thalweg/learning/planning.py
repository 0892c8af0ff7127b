"""What can be said of a training before it begins: whether its network fits, and what memory it takes."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

import torch
from torch import nn

from ..components import OperatorEnforcer
from ..components.held import Held
from ..components.returned import returned
from ..components.signature import Signature
from ..errors import ContractError, HandshakeError, OptionError, RecipeError
from ..losses.mean_squared import MeanSquared
from ..recipes.handshakes import at
from .contract import NetworkLearner
from .coupling import compares_samples
from .initial import begin_with, weights_at
from .layout import Layout
from .memory import peak
from .network import built
from .outline import Outline, outlined
from .pieces import is_mean_over_samples, refuse_pieces, refuse_statistics
from .supervised import NETWORK, Supervised, usual_turn
from .turn import Turn

if TYPE_CHECKING:
    from .options import TrainOptions

log = logging.getLogger("thalweg")


def demanded(learner: NetworkLearner, given: Signature, wanted: Signature, options: TrainOptions) -> int:
    """Bytes of host memory of one rank.

    Raises what `checked` raises, and `OptionError` for a batch whose samples are compared, and that would be cut.
    """
    outline = checked(learner, given, wanted, options)
    if outline is not None:
        _check_coupling(learner, outline, given=given, wanted=wanted, options=options)
    return peak(outline, given, wanted, options)


def checked(learner: NetworkLearner, given: Signature, wanted: Signature, options: TrainOptions) -> Outline | None:
    """The outline of the network, if it has one.

    Raises `HandshakeError` for a network whose output has another shape than the estimate, `OptionError` for a batch
    that may not be cut as the options say.
    """
    Layout.of_output(wanted)
    gives = learner.gives(given, wanted)
    layout = Layout.of_output(gives)
    _check_loss(learner, gives, wanted, options)
    _check_pieces(learner, layout.shape, options, truth=Layout.of(wanted).shape)
    outline = outlined(learner, given, wanted)
    if outline is None:
        return None
    _check_output(learner, outline, layout)
    _check_assembled(learner, outline)
    refuse_statistics(outline.network, options)
    if options.initial is not None:
        weights = at("train.initial", weights_at, options.initial)
        at("train.initial", begin_with, outline.network, weights, source=options.initial)
    return replace(outline, helpers=_helpers(learner, outline, given, wanted, options))


def _helpers(
    learner: NetworkLearner, outline: Outline, given: Signature, wanted: Signature, options: TrainOptions, /
) -> nn.ModuleDict:
    """What is learned beside the network, without values.

    Raises `OptionError` for turns of the learner's own whose batch may not be cut as the options say.
    """
    try:
        with torch.device("meta"):
            made = learner.helpers(given, wanted)
            returned(made, Mapping, by=f"`helpers` of {learner.name}", allowed="a mapping of modules", items=nn.Module)
            helpers = nn.ModuleDict(dict(made))
            modules = nn.ModuleDict({NETWORK: outline.network, **helpers})
            turns = learner.turns(modules, usual_turn(Unread(outline.network, learner, options), options, steps=1))
    except RecipeError:
        raise
    except (NotImplementedError, RuntimeError, ValueError) as error:
        log.info("the turns of %s are not known before: %s", learner.name, error)
        return nn.ModuleDict()
    returned(turns, (tuple, list), by=f"`turns` of {learner.name}", allowed="a tuple of `Turn`", items=Turn)
    if not turns:
        raise ContractError(
            f"`turns` of {learner.name} gives none", allowed="one turn or more", advice="return `usual`"
        )
    refuse_statistics(helpers, options)
    refuse_pieces(turns, accumulate=options.accumulate)
    return helpers


class Unread(Supervised):
    """The usual objective before there are samples: it is made, and not yet asked."""

    def __init__(self, network: nn.Module, learner: NetworkLearner, options: TrainOptions) -> None:
        super(Supervised, self).__init__()
        self.declare(network, learner, options)


def wrapped(
    learner: NetworkLearner, enforcer: OperatorEnforcer, held: Held, *, given: Signature, wanted: Signature
) -> None:
    """Wrap the network's outline. Raises what the enforcer refuses."""
    scales = dict.fromkeys((*given.names, *wanted.names), (0.0, 1.0))
    with torch.device("meta"):
        built(learner, given=given, wanted=wanted, scales=scales, wrappers={"operator-0": (enforcer, held)})


def _check_output(learner: NetworkLearner, outline: Outline, layout: Layout) -> None:
    expected = {"sample": 1, **dict(zip(layout.dims, layout.sizes, strict=True)), "channel": len(layout.names)}
    if outline.output != tuple(expected.values()):
        raise ContractError(
            f"the network of {learner.name} makes {outline.output!r} of one sample",
            allowed=", ".join(f"{dim} {size}" for dim, size in expected.items()),
            advice="make `build` return a network with this output, or say in `gives` what it makes",
        )


def _check_assembled(learner: NetworkLearner, outline: Outline) -> None:
    learned = [name for name, each in outline.network.named_parameters() if each.requires_grad]
    if learner.assembled == bool(learned):
        what = f"{learned[0]!r} to learn" if learned else "nothing to learn"
        raise HandshakeError(
            f"the network of {learner.name} has {what}, and it says `assembled = {learner.assembled}`",
            allowed="True for a network of frozen ones alone, else False",
            advice="set `assembled` as the network is",
        )


def _check_loss(learner: NetworkLearner, gives: Signature, wanted: Signature, options: TrainOptions) -> None:
    """Refuse a loss that the learner would not read, or that does not fit what it gives."""
    own = type(learner).loss is not NetworkLearner.loss or learner.own_loss
    if own and options.loss is not None:
        raise OptionError(
            f"{learner.name} minimises a loss of its own, and would not read `loss: {options.loss.name}`",
            allowed="no `loss`",
            advice="leave `loss` out",
            where="train.loss",
        )
    loss = options.loss or MeanSquared()
    if own:
        return
    if gives.is_estimate_of(wanted):
        at("train.loss", loss.fits, gives, wanted)
    elif loss.takes != "embedding" and type(learner).objective is NetworkLearner.objective:
        raise HandshakeError(
            f"{loss.name} compares what {learner.name} gives, {str(gives)!r}, with a truth of {str(wanted)!r}",
            allowed="the fields of the truth, with or without variances or members",
            advice="define `loss`, or an `objective` that makes the truth's fields of it",
            where="train.loss",
        )


def _check_pieces(
    learner: NetworkLearner, shape: tuple[int, ...], options: TrainOptions, *, truth: tuple[int, ...]
) -> None:
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
        cut = pieces > 1 and own and not is_mean_over_samples(learner.loss, shape, truth=truth)
        allowed = 'accumulate: 1 and ranks: 1, or ranks for a method that says `over = "batch"`'
    if cut:
        _refuse_cut(f"the loss of {learner.name}", options, allowed=allowed)


def _check_coupling(
    learner: NetworkLearner, outline: Outline, *, given: Signature, wanted: Signature, options: TrainOptions
) -> None:
    """Refuse to cut a batch whose samples a network or an objective compares, although it says nothing of it."""
    own = type(learner).loss is not NetworkLearner.loss or learner.own_loss
    over = learner.over if own else (options.loss or MeanSquared()).over
    if over == "batch" or options.accumulate * options.ranks == 1:
        return
    if compares_samples(learner, outline, given=given, wanted=wanted, options=options):
        what = f"the network or the objective of {learner.name}"
        _refuse_cut(what, options, allowed="accumulate: 1 and ranks: 1")


def _refuse_cut(what: str, options: TrainOptions, *, allowed: str) -> None:
    option = "accumulate" if options.accumulate > 1 else "ranks"
    raise OptionError(
        f"`{option}: {getattr(options, option)}` cuts a batch whose samples {what} compares: "
        "another loss would be learned from",
        allowed=allowed,
        advice=f"leave `{option}` out",
        where=f"train.{option}",
    )
