"""Several enforcers in a row: an exact one leaves true what an earlier exact one holds, or the plan refuses."""

from __future__ import annotations

from dataclasses import replace
from itertools import permutations
from typing import Any

import numpy as np
import pytest
from thalweg import HandshakeError, Hold, Registry, Signature
from thalweg.components.holding import handed_on
from thalweg.recipes.handshakes import shake_hands
from thalweg.testing.gaps import GAPS, Scene, rounding

REGISTRY = Registry.installed()
MEAN = {"area-mean": {"variable": "field", "weights": "equal"}}
LEFT = {"boundary-value": {"variable": "field", "dim": "longitude", "side": "left", "target": "last-input"}}
FLUX = {"boundary-flux": {"variable": "field", "dim": "latitude", "target": "last-input"}}


def hold(law: Any, by: Any) -> Hold:
    made: Any = REGISTRY.make("laws", law), REGISTRY.make("enforcers", by)
    return Hold((made[0],), made[1])


@pytest.mark.parametrize(
    "order", list(permutations((MEAN, LEFT, FLUX))), ids=lambda each: "-".join(next(iter(e)) for e in each)
)
def test_output_enforcers_leave_earlier_laws_true(order: tuple[Any, ...]) -> None:
    scene = Scene.of(GAPS[3])
    holds = [hold(law, by) for law, by in zip(order, ("additive", "multiplicative", "additive"), strict=True)]
    estimate = scene.estimate
    for each, held in handed_on(holds, scene.grid):
        enforcer: Any = each.enforcer
        estimate = enforcer.hold(estimate, held, scene.context)
    for each in holds:
        law: Any = each.laws[0]
        left = abs(law.residual(estimate, scene.context, scene.grid)["field"]).transpose(..., "row")
        assert (np.nan_to_num(left.values) <= 2 * rounding(law, estimate, scene.grid)).all(), law.name


def test_sites_come_in_the_order_in_which_they_change_an_estimate() -> None:
    holds = [hold(MEAN, "additive"), hold(FLUX, "boundary-channel"), hold(LEFT, {"penalty": {}}), hold(LEFT, "boon")]
    found = [(each.site, [law.name for law in held.kept]) for each, held in handed_on(holds, Scene.of(GAPS[1]).grid)]
    assert found == [
        ("loss", []),
        ("operator", []),
        ("operator", ["boundary-flux"]),
        ("output", ["boundary-flux", "boundary-value"]),
    ]


def test_what_would_break_an_earlier_law_is_refused() -> None:
    given = Signature.of(Scene.of(GAPS[1]).context)
    gives = Signature.of(Scene.of(GAPS[1]).estimate)
    fno: Any = REGISTRY.make("methods", {"fno": {"width": 4, "modes": 2}})

    def asked(*holds: Hold) -> None:
        shake_hands(fno, {"held": holds}, {}, given=given, gives=gives, truth=gives)

    asked(hold(LEFT, "boon"), hold(MEAN, "additive"))
    asked(hold(MEAN, {"penalty": {}}), hold(LEFT, "boon"))
    with pytest.raises(HandshakeError) as caught:
        asked(hold(MEAN, "last-layer"), replace(hold(LEFT, "boon"), entries=(1,)))
    assert caught.value.where == "constrain[1].by.boon"
    assert caught.value.given == (
        "area-mean, held by last-layer, would no longer hold after boon, which cannot hold it too"
    )


def test_a_noisy_law_is_conditioned_on_once_and_an_oracle_stays_one() -> None:
    noisy = {"area-mean": {**MEAN["area-mean"], "noise": 2.0}}
    within = {"bounds": {"variable": "field", "lower": -1e6}}
    grid = Scene.of(GAPS[1]).grid
    kept = [held.kept for _, held in handed_on([hold(noisy, "additive"), hold(within, "multiplicative")], grid)]
    assert kept == [(), ()]
    told = replace(hold(MEAN, "additive"), oracle=True)
    found = list(handed_on([told, hold(within, "multiplicative")], grid))
    assert [(each.oracle, held.oracle, len(held.kept)) for each, held in found] == [(True, True, 0), (True, True, 1)]


@pytest.mark.parametrize("by", ["additive", "multiplicative"])
def test_bounds_that_exclude_each_other_are_refused(by: str) -> None:
    scene = Scene.of(GAPS[1])
    low, high = ({"bounds": {"variable": "field", **each}} for each in ({"lower": 4.8}, {"upper": 4.0}))
    (_, (each, held)) = handed_on([hold(low, "additive"), hold(high, by)], scene.grid)
    enforcer: Any = each.enforcer
    with pytest.raises(HandshakeError, match=r"the lower bound 4\.8 is above the upper one, 4"):
        enforcer.hold(scene.estimate, held, scene.context)
