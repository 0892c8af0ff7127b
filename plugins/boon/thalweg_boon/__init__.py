"""Two ways to build laws at faces into a network."""

from __future__ import annotations

from thalweg import Enforcer, Register, hookimpl


@hookimpl
def register_enforcers(register: Register[Enforcer]) -> None:
    from .enforcers.boon import Boon
    from .enforcers.boundary_channel import BoundaryChannel

    register("boon", Boon)
    register("boundary-channel", BoundaryChannel)
