"""Whether the parts of a plan fit each other: fields, units, laws, sites. Each refusal names both parties."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ..components import Component, Hold, Law, Learner, Method, OutputEnforcer, Steered
from ..components.calls import call
from ..components.holding import in_order
from ..components.signature import Field, Signature, shake
from ..errors import HandshakeError, ThalwegError


def shake_hands(
    method: Method,
    variants: Mapping[str, Sequence[Hold]],
    metrics: Mapping[str, Component],
    *,
    given: Signature,
    gives: Signature,
    truth: Signature,
) -> None:
    """Raise `HandshakeError` or `OptionError`, with the place in the recipe, unless all parts fit.

    `given` is what the method reads, `gives` what its estimate holds.
    """
    place = f"train.method.{method.name}"
    at(place, shake, given, method.needs(), giver="preprocess", taker=method.name)
    at(place, method.check, given)
    for name, holds in variants.items():
        _shake_laws(method, holds, "constrain" if list(variants) == ["held"] else f"constrain.{name}", given, gives)
    for i, (label, metric) in enumerate(metrics.items()):
        at(f"evaluate[{i}].{label}", shake, gives, scored(metric, truth), giver=method.name, taker=metric.name)
        at(f"evaluate[{i}].{label}", metric.check, gives)


def scored(metric: Component, truth: Signature) -> Signature:
    """What a metric needs: the variables that it names, or, where it names none, those of the truth."""
    needs = metric.needs()
    return needs if needs.fields else Signature(tuple(Field(each.name) for each in truth.fields))


def _shake_laws(method: Method, holds: Sequence[Hold], place: str, given: Signature, gives: Signature, /) -> None:
    for hold in holds:
        for law in hold.laws:
            _law(hold, law, method, given=given, gives=gives, where=f"{place}[{hold.entry(law)}]")
        where = f"{place}[{hold.entry(hold.laws[0])}]"
        at(f"{where}.by.{hold.enforcer.name}", hold.enforcer.check, gives)
        _site(hold, method, gives, where=where)
    refuse_broken(holds, place, about=lambda law: getattr(law, "variable", None))


def _law(hold: Hold, law: Law, method: Method, *, given: Signature, gives: Signature, where: str) -> None:
    enforcer = hold.enforcer
    if not isinstance(law, enforcer.takes):
        raise HandshakeError(
            f"{enforcer.name} cannot hold {law.name}",
            allowed=f"laws that are a {' or '.join(each.__name__ for each in enforcer.takes)}",
            advice="hold it by another enforcer: see `thalweg enforcers`",
            where=where,
        )
    if law.oracle and not hold.oracle:
        raise HandshakeError(
            f"{law.name} looks at the truth, which no forecast has",
            allowed="laws whose target is known beforehand",
            advice="choose another target, or say `oracle: true`, and the scores will carry the word",
            where=where,
        )
    at(f"{where}.hold.{law.name}", shake, gives, law.needs(), giver=method.name, taker=law.name)
    at(f"{where}.hold.{law.name}", law.check, gives)
    read = Signature(tuple(map(Field, at(f"{where}.hold.{law.name}", law.reads))))
    at(f"{where}.hold.{law.name}", shake, given, read, giver="preprocess", taker=law.name)


def refuse_broken(holds: Sequence[Hold], place: str, *, about: Callable[[Law], str | None]) -> None:
    """Raise `HandshakeError` for a hold that would break what an earlier exact one holds, for it cannot hold it too.

    `about` says which variable a law is about, as far as it is known.
    """
    earlier: list[tuple[Law, Hold]] = []
    for hold in in_order(holds):
        if not hold.enforcer.exact:
            continue
        changed = {about(law) for law in hold.laws} - {None}
        for law, before in earlier:
            if about(law) in changed and not isinstance(law, hold.enforcer.takes):
                raise HandshakeError(
                    f"{law.name}, held by {before.enforcer.name}, would no longer hold after {hold.enforcer.name}, "
                    "which cannot hold it too",
                    allowed="an enforcer that takes the laws of the one before it, about the same variable",
                    advice="hold both laws by one enforcer, or at other sites in the other order",
                    where=f"{place}[{hold.entry(hold.laws[0])}].by.{hold.enforcer.name}",
                )
        earlier += [(law, hold) for law in hold.laws]


def _site(hold: Hold, method: Method, gives: Signature, *, where: str) -> None:
    enforcer = hold.enforcer
    sites = {"output"}
    if isinstance(method, Learner):
        sites |= method.sites
    if issubclass(method.fitted if isinstance(method, Learner) else type(method), Steered):
        sites.add("sampling")
    if hold.site not in sites:
        raise HandshakeError(
            f"{enforcer.name} works at the {hold.site} site, where {method.name} cannot hold a law",
            allowed=", ".join(sorted(sites)),
            advice="hold the law at another site, or choose a method that can",
            where=where,
        )
    if isinstance(enforcer, OutputEnforcer) and enforcer.uses and not gives.uncertainty & set(enforcer.uses):
        needs = " or ".join(enforcer.uses)
        raise HandshakeError(
            f"{enforcer.name} needs an estimate with {needs}; that of {method.name} holds {str(gives)!r}",
            allowed=f"methods that give {needs}",
            advice="choose such a method, or an enforcer that needs no uncertainty",
            where=where,
        )


def at(where: str, function: Any, *arguments: Any, **named: Any) -> Any:
    """Call, and tell an error its place in the recipe."""
    part = getattr(function, "__self__", None)
    try:
        if isinstance(part, Component):
            return call(part, function, *arguments, **named)
        return function(*arguments, **named)
    except ThalwegError as error:
        raise error.at(where) from None
