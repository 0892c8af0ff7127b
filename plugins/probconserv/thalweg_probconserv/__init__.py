"""Laws held on a finished estimate by one linear-Gaussian solve."""

from __future__ import annotations

from thalweg import Enforcer, Law, Register, hookimpl


@hookimpl
def register_laws(register: Register[Law]) -> None:
    from .laws.area_mean import AreaMean

    register("area-mean", AreaMean)


@hookimpl
def register_enforcers(register: Register[Enforcer]) -> None:
    from .enforcers.additive import Additive
    from .enforcers.probconserv import ProbConserv

    register("additive", Additive)
    register("probconserv", ProbConserv)
