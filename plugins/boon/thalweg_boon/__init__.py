"""Boundary laws, and two ways to build them into a network."""

from __future__ import annotations

from thalweg import Enforcer, Law, Register, hookimpl


@hookimpl
def register_laws(register: Register[Law]) -> None:
    from .laws.dirichlet import Dirichlet
    from .laws.neumann import Neumann
    from .laws.periodic import Periodic

    register("dirichlet", Dirichlet)
    register("neumann", Neumann)
    register("periodic-boundary", Periodic)


@hookimpl
def register_enforcers(register: Register[Enforcer]) -> None:
    from .enforcers.boon import Boon
    from .enforcers.boundary_channel import BoundaryChannel

    register("boon", Boon)
    register("boundary-channel", BoundaryChannel)
