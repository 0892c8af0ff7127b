"""Partial differential equations with known solutions, operators that learn them, and their scores."""

from __future__ import annotations

from thalweg import Dataset, Law, Loss, Method, Metric, Register, WholeMetric, hookimpl


@hookimpl
def register_datasets(register: Register[Dataset]) -> None:
    from .datasets.advection import Advection
    from .datasets.burgers_periodic import BurgersPeriodic
    from .datasets.burgers_ramp import BurgersRamp
    from .datasets.burgers_riemann import BurgersRiemann
    from .datasets.diffusion import Diffusion
    from .datasets.heat_neumann import HeatNeumann
    from .datasets.lid_driven_cavity import LidDrivenCavity
    from .datasets.porous_medium import PorousMedium
    from .datasets.stefan import Stefan
    from .datasets.stokes_second_problem import StokesSecondProblem
    from .datasets.wave import Wave

    register("advecting-step", Advection)
    register("burgers-periodic", BurgersPeriodic)
    register("burgers-ramp", BurgersRamp)
    register("burgers-riemann", BurgersRiemann)
    register("diffusion", Diffusion)
    register("heat-neumann", HeatNeumann)
    register("lid-driven-cavity", LidDrivenCavity)
    register("porous-medium", PorousMedium)
    register("stefan", Stefan)
    register("stokes-second-problem", StokesSecondProblem)
    register("wave", Wave)


@hookimpl
def register_laws(register: Register[Law]) -> None:
    from .laws.nonlinear_diffusion import NonlinearDiffusion

    register("nonlinear-diffusion", NonlinearDiffusion)


@hookimpl
def register_losses(register: Register[Loss]) -> None:
    from .relative_loss import RelativeLoss

    register("relative", RelativeLoss)


@hookimpl
def register_metrics(register: Register[Metric | WholeMetric]) -> None:
    from .metrics.boundary_error import BoundaryError
    from .metrics.conservation_error import ConservationError
    from .metrics.gaussian_crps import GaussianCRPS
    from .metrics.log_likelihood import LogLikelihood
    from .metrics.relative_l2 import RelativeL2
    from .metrics.shock_location import ShockLocation

    register("boundary-error", BoundaryError)
    register("conservation-error", ConservationError)
    register("gaussian-crps", GaussianCRPS)
    register("log-likelihood", LogLikelihood)
    register("relative-l2", RelativeL2)
    register("shock-location", ShockLocation)


@hookimpl
def register_methods(register: Register[Method]) -> None:
    from .methods.attentive_neural_process import AttentiveNeuralProcess
    from .methods.fno import FNO

    register("attentive-neural-process", AttentiveNeuralProcess)
    register("fno", FNO)
