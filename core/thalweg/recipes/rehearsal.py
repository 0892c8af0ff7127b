"""Parts are tried on the coordinates of one sample: what these alone decide is refused before a value is read.

A sample's fields are stand-ins: ones. A refusal (`HandshakeError`, `OptionError`) is the plan's if other stand-ins are
refused too, so that it is not of their values; whatever else a part says of ones is left to the run.
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from ..components import (
    DifferentiableLaw,
    Hold,
    Law,
    Learner,
    LinearLaw,
    LossEnforcer,
    Metric,
    OperatorEnforcer,
    OutputEnforcer,
    SamplingEnforcer,
)
from ..components.held import Held
from ..components.holding import handed_on
from ..components.signature import Signature
from ..components.system import System
from ..errors import ContractError, HandshakeError, OptionError
from ..samples import Samples
from .contradictions import CELLS, refuse_contradictions
from .handshakes import refuse_broken
from .plan import Plan
from .stand_ins import OTHERS, Scene, UnreadError

if TYPE_CHECKING:
    pass

log = logging.getLogger("thalweg")

ROOM = 64 * 2**20
"""Bytes of one sample above which no stand-in is computed with."""


def rehearse(plan: Plan, samples: Samples, *, gives: Signature, learned: Collection[str]) -> None:
    """Raise `HandshakeError` or `OptionError`, with the place in the recipe, for what coordinates alone decide.

    `learned` are the variants whose networks are there: they were wrapped. Not of samples of unlike size, nor of
    metrics that take all data at once: they compute at once, with values.
    """
    if not len(samples) or samples.index.ragged:
        return
    scene = Scene(samples, gives)
    for i, (label, metric) in enumerate(plan.metrics.items()):
        if isinstance(metric, Metric):
            _tried(f"evaluate[{i}].{label}", partial(_statistics, metric=metric), scene)
    for name, holds in plan.variants.items():
        place = "constrain" if list(plan.variants) == ["held"] else f"constrain.{name}"
        for hold, _ in handed_on(holds, scene.grid):
            for law in hold.laws:
                where = f"{place}[{hold.entry(law)}].hold.{law.name}"
                _tried(where, partial(_law, law=law, oracle=hold.oracle), scene)
        refuse_broken(holds, place, about=partial(_about, scene=scene))
        for number, (hold, held) in enumerate(handed_on(holds, scene.grid)):
            _tried_together(place, hold, held, scene)
            where = f"{place}[{hold.entry(hold.laws[0])}].by.{hold.enforcer.name}"
            _tried(where, partial(_hold, holds=holds, number=number), scene)
            if isinstance(plan.method, Learner) and name not in learned:
                _tried(where, partial(_wrap, hold=hold, held=held, plan=plan), scene)


def _statistics(scene: Scene, *, metric: Metric) -> None:
    given = metric.statistics(scene.chunked, scene.truth)
    if not isinstance(given, Mapping) or not given:
        raise ContractError(
            f"`statistics` of {metric.name} gives {type(given).__name__ if given else 'nothing'}",
            allowed="fields or `Totals` by name, one or more",
            advice="return what `value` makes a score from",
        )


def _law(scene: Scene, *, law: Law, oracle: bool) -> None:
    """Its rows, and what it knows of a batch."""
    context = scene.context(oracle=oracle)
    if isinstance(law, LinearLaw):
        system = System.of([law], scene.grid)
        _refuse_weights(law, system)
        system.check_targets(context, scene.grid)
        system.targets(context, scene.grid)
    elif isinstance(law, DifferentiableLaw):
        law.known(context, scene.grid)
    else:
        law.residual(scene.estimate, context, scene.grid)


def _refuse_weights(law: Law, system: System) -> None:
    import numpy as np

    (rows,) = system.rows
    if rows.count * system.cells <= CELLS and not np.isfinite(system.matrix.data).all():
        raise HandshakeError(
            f"the rows of {law.name} have weights that are not finite",
            allowed="finite numbers",
            advice="look for missing values in what they are made from",
        )


def _about(law: Law, scene: Scene) -> str | None:
    """The variable of a law: that of its rows, whatever its options are called."""
    with suppress(Exception):  # Of stand-ins, not of data.
        if isinstance(law, LinearLaw):
            return law.rows(scene.grid).variable
    return getattr(law, "variable", None)


def _hold(scene: Scene, *, holds: tuple[Hold, ...], number: int) -> None:
    """What the enforcer of a hold knows of a batch; of an output, the whole of it."""
    hold, held = list(handed_on(holds, scene.grid))[number]
    enforcer, context = hold.enforcer, scene.context(oracle=hold.oracle)
    if isinstance(enforcer, OutputEnforcer):
        found = enforcer.hold(scene.estimate, held, context)
        lost = [name for name in scene.estimate.data_vars if name not in getattr(found, "data_vars", ())]
        if lost:
            raise ContractError(
                f"`hold` of {enforcer.name} gives no {lost[0]!r}",
                allowed=f"a Dataset of {', '.join(map(str, scene.estimate.data_vars))}",
                advice="return the estimate with the fields that it came with",
            )
    elif isinstance(enforcer, LossEnforcer | OperatorEnforcer | SamplingEnforcer):
        enforcer.known(held, context)


def _wrap(scene: Scene, *, hold: Hold, held: Held, plan: Plan) -> None:
    """Around the network, if it can be."""
    if isinstance(hold.enforcer, OperatorEnforcer):
        assert isinstance(plan.method, Learner)
        given, wanted = scene.samples.given, scene.samples.wanted
        plan.method.check_wrap(hold.enforcer, held, given=given, wanted=wanted, options=plan.options)


def _tried_together(place: str, hold: Hold, held: Held, scene: Scene) -> None:
    """Refuse what all exact laws of an enforcer ask of the same cells, where their numbers alone exclude each other."""
    if hold.enforcer.exact:
        unread = replace(scene, fill="unread")
        context = unread.context(oracle=hold.oracle)

        def together(_: Scene) -> None:
            refuse_contradictions(held.together, context, unread.grid)

        _tried(f"{place}[{hold.entry(hold.laws[-1])}].hold.{hold.laws[-1].name}", together, scene)


def _tried(where: str, trial: Callable[[Scene], object], scene: Scene) -> None:
    """Raise what a trial refuses of every stand-in.

    Of a large sample, only what is refused before a value is looked at.
    """
    large = scene.nbytes > ROOM
    error = _refusal(trial, replace(scene, fill="unread") if large else scene, where)
    if error is None:
        return
    for fill in () if large else OTHERS:
        if _refusal(trial, replace(scene, fill=fill), where) is None:
            log.debug("%s refused ones, and not %s: %s", where, fill, error)
            return
    # A part may say which of its laws it is about.
    error.where = ": ".join(filter(None, (where, error.where)))
    raise error


def _refusal(trial: Callable[[Scene], object], scene: Scene, where: str) -> HandshakeError | OptionError | None:
    import numpy as np

    try:
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")
            trial(scene)
    except (HandshakeError, OptionError) as error:
        return error
    except UnreadError:
        return None
    except Exception as error:  # Of stand-ins, not of data.
        log.debug("%s was not tried on stand-ins: %r", where, error)
    return None
