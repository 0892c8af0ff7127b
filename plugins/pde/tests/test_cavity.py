"""The cavity against Ghia, Ghia and Shin (1982), table I: u on the vertical line through the centre, Re = 100.

The values are those that ten public codes print, each of the same.
"""

from __future__ import annotations

import numpy as np
import xarray as xr
from thalweg.testing import check_dataset
from thalweg_pde.datasets.lid_driven_cavity import LidDrivenCavity, Poisson, cavity

GHIA = {
    0.0547: -0.03717,
    0.0625: -0.04192,
    0.0703: -0.04775,
    0.1016: -0.06434,
    0.1719: -0.10150,
    0.2813: -0.15662,
    0.4531: -0.21090,
    0.5: -0.20581,
    0.6172: -0.13641,
    0.7344: 0.00332,
    0.8516: 0.23151,
    0.9531: 0.68717,
    0.9609: 0.73722,
    0.9688: 0.78871,
    0.9766: 0.84123,
}


def centre_line(cells: int, *, end: float) -> tuple[np.ndarray, np.ndarray]:
    _, stream = cavity(cells, reynolds=100.0, speed=1.0, end=end)
    column = stream[:, cells // 2]
    return np.linspace(0, 1, cells)[1:-1], (column[2:] - column[:-2]) * (cells - 1) / 2


def test_steady_flow_is_the_published_one() -> None:
    """Within 1 % of the lid's speed, and nearer on a finer grid."""
    gaps = []
    for cells in (33, 65):
        y, u = centre_line(cells, end=20.0)
        gaps.append(float(np.abs(np.interp(list(GHIA), y, u) - list(GHIA.values())).max()))
    assert gaps[1] < 0.01 and gaps[1] < 0.6 * gaps[0]


def test_the_stream_function_solves_its_equation() -> None:
    vorticity = np.random.default_rng(0).normal(size=(15, 15))
    stream = np.pad(Poisson(17).solve(vorticity), 1)
    around = stream[1:-1, 2:] + stream[1:-1, :-2] + stream[2:, 1:-1] + stream[:-2, 1:-1] - 4 * stream[1:-1, 1:-1]
    np.testing.assert_allclose(around * 16**2, -vorticity, atol=1e-11)


def test_it_keeps_the_contract() -> None:
    problem = LidDrivenCavity(cells=17, end=0.1, sizes=(2, 1, 1), chunk=2)
    check_dataset(problem)
    xr.testing.assert_identical(problem.open().compute(), problem.model_copy(update={"chunk": 3}).open().compute())


def test_vorticity_adds_up_to_the_circulation() -> None:
    """Minus the lid's speed times the cells that it moves: by Stokes' theorem, which the scheme keeps."""
    for cells in (17, 33):
        vorticity, _ = cavity(cells, reynolds=100.0, speed=1.3, end=0.3)
        step = 1 / (cells - 1)
        total = np.trapezoid(np.trapezoid(vorticity, dx=step, axis=1), dx=step)
        np.testing.assert_allclose(total, -1.3 * (1 - step), rtol=1e-10)
