"""What decays exponentially: a tracer, a smoother, a law, a metric."""

from __future__ import annotations

from thalweg import Dataset, Law, Method, Metric, Register, WholeMetric, hookimpl


@hookimpl
def register_datasets(register: Register[Dataset]) -> None:
    from .decaying_tracer import DecayingTracer

    register("decaying-tracer", DecayingTracer)


@hookimpl
def register_methods(register: Register[Method]) -> None:
    from .exponential_smoothing import ExponentialSmoothing

    register("exponential-smoothing", ExponentialSmoothing)


@hookimpl
def register_laws(register: Register[Law]) -> None:
    from .exponential_decay import ExponentialDecay

    register("exponential-decay", ExponentialDecay)


@hookimpl
def register_metrics(register: Register[Metric | WholeMetric]) -> None:
    from .geometric_bias import GeometricBias

    register("geometric-bias", GeometricBias)
