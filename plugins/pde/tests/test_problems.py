"""Each solution solves its equation, keeps its budget and has the boundaries that it says."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import xarray as xr
from thalweg.samples import Samples
from thalweg.testing import check_dataset
from thalweg_pde.datasets.advection import Advection
from thalweg_pde.datasets.burgers_periodic import BurgersPeriodic, cole_hopf
from thalweg_pde.datasets.burgers_ramp import BurgersRamp
from thalweg_pde.datasets.burgers_riemann import BurgersRiemann
from thalweg_pde.datasets.diffusion import Diffusion
from thalweg_pde.datasets.heat_neumann import HeatNeumann
from thalweg_pde.datasets.porous_medium import PorousMedium
from thalweg_pde.datasets.stefan import Stefan, constants
from thalweg_pde.datasets.stokes_second_problem import StokesSecondProblem
from thalweg_pde.datasets.wave import Wave

FEW: dict[str, Any] = {"sizes": (5, 2, 3), "chunk": 4}
CONSERVED = [Diffusion, PorousMedium, Stefan, Advection, BurgersRamp]
MARCHING = [StokesSecondProblem, BurgersRiemann, BurgersPeriodic, HeatNeumann]


@pytest.mark.parametrize("kind", [*CONSERVED, *MARCHING, Wave])
def test_datasets_keep_the_contract(kind: Any) -> None:
    problem = kind(cells=21, **FEW) if kind not in CONSERVED else kind(cells=21, times=5, context=3, **FEW)
    check_dataset(problem)
    data = problem.open()
    whole = data.compute()
    assert all(
        len(Samples.of(data, split)) == n for split, n in zip(("train", "validate", "test"), (5, 2, 3), strict=True)
    )
    # A sample is of the seed and its number: chunks do not matter.
    xr.testing.assert_identical(whole, type(problem)(**{**problem.model_dump(), "chunk": 3}).open().compute())
    assert not whole["u"].equals(type(problem)(**{**problem.model_dump(), "seed": 1}).open()["u"].compute())


def integral(values: np.ndarray[Any, Any], x: np.ndarray[Any, Any]) -> Any:
    return np.trapezoid(values, x, axis=-1)


@pytest.mark.parametrize("kind", CONSERVED)
def test_mass_is_the_integral(kind: Any) -> None:
    """The trapezoid's error falls at least as the square root of the cells, the worst of these fronts."""
    gaps = []
    for cells in (2001, 8001):
        data = kind(cells=cells, times=9, sizes=(2, 0, 1)).open().compute()
        gaps.append(float(abs(integral(data["u"].values, data["x"].values) - data["mass"].values).max()))
    assert gaps[1] < 2e-3 and (gaps[1] < 0.75 * gaps[0] or gaps[1] < 1e-12)


@pytest.mark.parametrize("kind", [StokesSecondProblem, BurgersRiemann, HeatNeumann])
def test_mass_of_smooth_problems(kind: Any) -> None:
    data = kind(cells=4001, sizes=(3, 0, 1)).open().compute()
    np.testing.assert_allclose(integral(data["u"].values, data["x"].values), data["mass"].values, atol=2e-6)


@pytest.mark.parametrize("kind", [StokesSecondProblem, BurgersRiemann, BurgersPeriodic])
def test_values_at_the_ends(kind: Any) -> None:
    data = kind(**FEW).open().compute()
    np.testing.assert_array_equal(data["u"].isel(x=0), data["left"])
    np.testing.assert_array_equal(data["u"].isel(x=-1), data["right"])


@pytest.mark.parametrize(
    ("threshold", "alpha", "amplitude"),
    [
        (0.5, 1.24012527, 0.80715517),
        (0.55, 1.14429648, 0.77377386),
        (0.6, 1.05133960, 0.73696567),
        (0.7, 0.86871089, 0.65081007),
    ],
)
def test_stefan_constants(threshold: float, alpha: float, amplitude: float) -> None:
    np.testing.assert_allclose(constants(threshold), (alpha, amplitude), rtol=1e-7)


def test_published_masses() -> None:
    half = np.array([0.5])
    for exponent, mass in ((1, 0.125), (3, 0.42926784), (6, 0.51468727)):
        np.testing.assert_allclose(PorousMedium().mass(half, parameter=exponent), mass, rtol=1e-7)
    for threshold, mass in ((0.5, 0.20365595), (0.6, 0.18594621)):
        np.testing.assert_allclose(Stefan().mass(half / 10, parameter=threshold), mass, rtol=1e-7)


def test_stefan_front_is_at_the_threshold() -> None:
    """The temperature falls to u* at the front, where k changes; then the flux into it is what it takes to move on."""
    for threshold in (0.5, 0.6, 0.7):
        front = constants(threshold)[0] * np.sqrt(0.05)
        u = Stefan().solution(np.full(2, 0.05), np.array([front - 1e-9, front + 1e-9]), parameter=threshold)
        np.testing.assert_allclose(u, [threshold, 0.0], atol=1e-8)
        slope = np.diff(
            Stefan().solution(np.full(2, 0.05), np.array([front - 1e-4, front - 1e-6]), parameter=threshold)
        )
        speed = constants(threshold)[0] / (2 * np.sqrt(0.05))
        np.testing.assert_allclose(-slope / 9.9e-5, threshold * speed, rtol=1e-3)


def test_diffusion_solves_its_equation() -> None:
    def u(x: Any, t: float) -> Any:
        return Diffusion().solution(np.asarray(t), x, parameter=2.5)

    rate, _, curvature = _slopes(u, time=0.3, x=X)
    np.testing.assert_allclose(rate, 2.5 * curvature, atol=1e-5)
    np.testing.assert_array_equal(u(X, 0.0), np.sin(X))


def test_a_step_is_carried_along() -> None:
    problem, x, t = Advection(), np.linspace(0.0, 1.0, 101), np.float64(0.13)
    start = problem.solution(np.zeros(()), x - 1.5 * t, parameter=1.5)
    np.testing.assert_array_equal(problem.solution(t, x, parameter=1.5), start)
    np.testing.assert_array_equal(problem.solution(t, np.array([0.694, 0.696]), parameter=1.5), [1.0, 0.0])


def test_porous_medium_solves_its_equation() -> None:
    t, x, d = 0.7, np.linspace(0.1, 0.5, 9), 1e-4
    for m in (1.0, 2.0, 3.0):

        def u(t: float, x: Any, m: float = m) -> Any:
            return PorousMedium().solution(np.asarray(t), x, parameter=m)

        flux = [u(t, x + s) ** m * (u(t, x + s + d) - u(t, x + s - d)) / (2 * d) for s in (d, -d)]
        np.testing.assert_allclose((u(t + d, x) - u(t - d, x)) / (2 * d), (flux[0] - flux[1]) / (2 * d), rtol=1e-4)


def _slopes(u: Any, *, time: float, x: Any) -> tuple[Any, Any, Any]:
    d, e = 1e-4, 1e-3
    rate = (u(x, time + d) - u(x, time - d)) / (2 * d)
    return rate, (u(x + e, time) - u(x - e, time)) / (2 * e), (u(x + e, time) - 2 * u(x, time) + u(x - e, time)) / e**2


X = np.linspace(0.05, 0.95, 19)


def test_stokes_solves_its_equation() -> None:
    problem = StokesSecondProblem()
    rate, _, curvature = _slopes(lambda x, t: problem.solution(x, time=t, omega=3.0), time=0.8, x=X)
    np.testing.assert_allclose(rate, problem.viscosity * curvature, atol=1e-3)


def test_heat_solves_its_equation() -> None:
    problem = HeatNeumann()
    rate, _, curvature = _slopes(lambda x, t: problem.solution(x, time=t, omega=3.3), time=0.4, x=X)
    source = problem.forcing * np.pi * X**2 / 2 * np.cos(np.pi * 0.4)
    np.testing.assert_allclose(rate, problem.diffusivity * curvature + source, atol=1e-3)
    ends = problem.solution(np.array([-1e-5, 1e-5, 1 - 1e-5, 1 + 1e-5]), time=0.4, omega=3.3)
    np.testing.assert_allclose(np.diff(ends)[[0, 2]] / 2e-5, [0.0, problem.forcing * np.sin(0.4 * np.pi)], atol=1e-6)
    near = problem.solution(X, time=1e-6, omega=3.3)
    np.testing.assert_allclose(near, np.cos(3.3 * np.pi * X), atol=1e-4)


def test_burgers_front_solves_its_equation() -> None:
    problem = BurgersRiemann(viscosity=0.1)
    rate, slope, curvature = _slopes(
        lambda x, t: problem.solution(x, centre=0.3 + 0.4 * t, mean=0.4, half=0.5), time=0.3, x=X
    )
    u = problem.solution(X, centre=0.3 + 0.4 * 0.3, mean=0.4, half=0.5)
    np.testing.assert_allclose(rate, 0.1 * curvature - u * slope, atol=1e-4)


def test_burgers_on_a_ring_is_converged_and_solves_its_equation() -> None:
    one, other = (BurgersPeriodic(cells=65, refine=n, **FEW).open()["u"].compute() for n in (16, 32))
    np.testing.assert_allclose(one, other, atol=1e-11)
    n, nu = 512, 0.02
    x = np.arange(n) / n
    whole = -0.3 * np.cos(2 * np.pi * x) / (2 * np.pi)

    def u(t: float) -> Any:
        return cole_hopf(whole, time=t, viscosity=nu)

    np.testing.assert_allclose(u(0.0), 0.3 * np.sin(2 * np.pi * x), atol=1e-12)
    k = 2j * np.pi * np.fft.rfftfreq(n, 1 / n)
    spectrum = np.fft.rfft(u(0.5))
    slope, curvature = (np.fft.irfft(k**p * spectrum, n=n) for p in (1, 2))
    rate = (u(0.5 + 1e-4) - u(0.5 - 1e-4)) / 2e-4
    np.testing.assert_allclose(rate, nu * curvature - u(0.5) * slope, atol=1e-6)
    assert abs(u(0.5).mean()) < 1e-14


def test_burgers_ramp_solves_its_equation_and_steps_at_half_the_height() -> None:
    problem, x = BurgersRamp(), np.linspace(-0.9, -0.05, 18)

    def u(t: float, x: Any) -> Any:
        return problem.solution(np.full(np.shape(x), t), np.asarray(x), parameter=2.0)

    inside = x > 2 * 0.2 - 1 + 0.01
    rate = (u(0.2 + 1e-5, x) - u(0.2 - 1e-5, x)) / 2e-5
    slope = (u(0.2, x + 1e-5) - u(0.2, x - 1e-5)) / 2e-5
    np.testing.assert_allclose(rate[inside], (-u(0.2, x) * slope)[inside], rtol=1e-6)
    np.testing.assert_array_equal(u(0.8, [0.29, 0.31]), [2.0, 0.0])
    assert np.isfinite(u(0.5, np.linspace(-1, 1, 201))).all()


def test_wave_solves_its_equation() -> None:
    problem, d = Wave(cells=41), 1e-3
    amplitude = np.random.default_rng(0).normal(size=(2, 2))

    def u(t: float) -> Any:
        return problem.solution(amplitude, time=t)

    n = np.arange(1, 3)
    squares = amplitude * np.add.outer(n**2, n**2) * -(np.pi**2)
    np.testing.assert_allclose(u(0.0)[0, 0], amplitude.sum())
    second = (u(0.3 + d) - 2 * u(0.3) + u(0.3 - d)) / d**2
    np.testing.assert_allclose(second, problem.solution(squares, time=0.3), atol=1e-3)
    edge = u(0.3)
    assert abs(integral(integral(edge, problem.axes()["x"]), problem.axes()["y"])) < 1e-14
    assert np.abs(edge[:, 1] - edge[:, 0]).max() < 0.03 * np.abs(edge).max()
