"""The correction of a layer: against its matrix, in one to three dims, for each side."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from thalweg import Line
from thalweg_boon.closures import Closure
from thalweg_boon.layer import Boundary, Corrected
from thalweg_boon.published import corrected as as_published
from thalweg_boon.published import eliminated
from torch import Tensor, nn

SIDES: list[Any] = [("left",), ("right",), ("left", "right")]
SIZES = [(12,), (11,), (8, 9), (9, 8), (6, 7, 6)]
CASES = [(size, axis, sides) for size in SIZES for axis in range(len(size)) for sides in SIDES]


class Convolution(nn.Module):
    """A spectral convolution, of its own: the correction asks for four methods, and no class."""

    def __init__(self, inputs: int, outputs: int, modes: tuple[int, ...]) -> None:
        super().__init__()
        self.modes = modes
        shape = (*(2 * m - 1 for m in modes[:-1]), modes[-1], inputs, outputs, 2)
        self.weight = nn.Parameter(torch.randn(shape, dtype=torch.float64))

    def frequencies(self, sizes: tuple[int, ...]) -> tuple[Tensor, ...]:
        assert all(2 * m <= size for m, size in zip(self.modes, sizes, strict=True))
        *first, last = self.modes
        return (*(torch.cat([torch.arange(m), torch.arange(1 - m, 0)]) for m in first), torch.arange(last))

    def multipliers(self, sizes: tuple[int, ...]) -> Tensor:  # noqa: ARG002
        return torch.view_as_complex(self.weight)

    def analyse(self, x: Tensor) -> Tensor:
        found = torch.fft.rfftn(x, dim=tuple(range(1, x.ndim - 1)))
        for dim, frequency in enumerate(self.frequencies(tuple(x.shape[1:-1])), start=1):
            found = found.index_select(dim, frequency % x.shape[dim])
        return found

    def synthesise(self, spectrum: Tensor, *, sizes: tuple[int, ...]) -> Tensor:
        frequencies = self.frequencies(sizes)
        shape = (len(spectrum), *sizes[:-1], sizes[-1] // 2 + 1, spectrum.shape[-1])
        full = torch.zeros(shape, dtype=spectrum.dtype)
        at = torch.meshgrid(*(f % size for f, size in zip(frequencies, sizes, strict=True)), indexing="ij")
        full = full.index_put(
            (torch.arange(len(spectrum)).reshape(-1, *[1] * len(sizes)), *(a[None] for a in at)), spectrum
        )
        return torch.fft.irfftn(full, s=sizes, dim=tuple(range(1, len(sizes) + 1)))

    def forward(self, x: Tensor) -> Tensor:
        product = torch.einsum("n...i,...io->n...o", self.analyse(x), self.multipliers(tuple(x.shape[1:-1])))
        return self.synthesise(product, sizes=tuple(x.shape[1:-1]))


class Opaque(nn.Module):
    """The same with a bias, and nothing said of its kernel."""

    def __init__(self, layer: nn.Module, bias: Tensor) -> None:
        super().__init__()
        self.inner, self.bias = layer, nn.Parameter(bias)

    def forward(self, x: Tensor) -> Tensor:
        product: Tensor = self.inner(x)
        return product + self.bias


def convolution(size: tuple[int, ...], *, channels: int = 2) -> Convolution:
    torch.manual_seed(1)
    return Convolution(channels, channels, tuple(n // 2 for n in size))


def values_at(axis: int, sides: Any) -> Closure:
    return Closure(axis, tuple(Line(side, (1.0,)) for side in sides))


def held(layer: nn.Module, axis: int, sides: Any, *, values: Any = None, damping: float = 0.0) -> Corrected:
    boundary = Boundary()
    chosen = values or {side: torch.tensor(0.7 if side == "left" else -1.3) for side in sides}
    boundary.values = [chosen[side] for side in sides]
    made = Corrected(layer, damping=damping)
    made.add(values_at(axis, sides), boundary)
    return made


@pytest.mark.parametrize(("size", "axis", "sides"), CASES)
def test_fast_path_is_the_general_one(size: tuple[int, ...], axis: int, sides: Any) -> None:
    """The transforms give what unit inputs and the matrix of the kernel give."""
    layer = convolution(size)
    x = torch.randn(3, *size, 2, dtype=torch.float64)
    with torch.no_grad():
        fast = held(layer, axis, sides)(x)
        bias = torch.randn(2, dtype=torch.float64)
        general = held(Opaque(layer, bias), axis, sides)(x)
        general = general - bias
        for side in sides:
            general.select(axis + 1, 0 if side == "left" else -1).add_(bias)
    torch.testing.assert_close(fast, general, rtol=0, atol=1e-8 * float(general.abs().max()))


@pytest.mark.parametrize("sides", SIDES)
def test_output_at_a_boundary_is_of_the_input_there(sides: Any) -> None:
    """Before it is written: $x_N K_{NN}$, and $x_0$ times the Schur complement, as in the theory."""
    layer = convolution((12,), channels=3)
    x, other = torch.randn(2, 4, 12, 3, dtype=torch.float64)
    for side in sides:
        at = 0 if side == "left" else -1
        other[:, at] = x[:, at]
    with torch.no_grad():
        before = [held(layer, 0, sides)._eliminated(each) for each in (x, other)]
    for side in sides:
        at = 0 if side == "left" else -1
        torch.testing.assert_close(before[0][:, at], before[1][:, at], rtol=0, atol=1e-9)
    assert float((before[0] - before[1]).abs().max()) > 0.1


def test_blocks_are_matrices_over_channels() -> None:
    """$(K x')_N = x_N K_{NN}$ and $(K x')_0 = x_0 (K_{00} - K_{0N} K_{NN}^{-1} K_{N0})$, of all channels together."""
    layer, x = convolution((10,), channels=3), torch.randn(4, 10, 3, dtype=torch.float64)
    with torch.no_grad():
        found = held(layer, 0, ("left", "right"))._eliminated(x)
        units = torch.eye(3, dtype=torch.float64)
        columns = {end: layer(units[:, None] * _at(10, at)) for end, at in (("0", 0), ("N", -1))}
    (k00, k0n), (kn0, knn) = ((columns[end][:, 0], columns[end][:, -1]) for end in "0N")
    assert float((knn - knn.diagonal().diag()).abs().max()) > 0.1
    torch.testing.assert_close(found[:, -1], x[:, -1] @ knn)
    torch.testing.assert_close(found[:, 0], x[:, 0] @ (k00 - k0n @ torch.linalg.inv(knn) @ kn0))


@pytest.mark.parametrize(
    ("size", "axis", "sides"), [((11,), 0, SIDES[2]), ((8, 7), 1, SIDES[0]), ((6, 6, 5), 1, SIDES[2])]
)
def test_boundary_is_held_and_the_rest_is_linear(size: tuple[int, ...], axis: int, sides: Any) -> None:
    made = held(convolution(size), axis, sides, values={side: torch.tensor(0.0) for side in sides}, damping=1e-3)
    x, y = torch.randn(2, 3, *size, 2, dtype=torch.float64)
    with torch.no_grad():
        together, apart = made(2 * x - 3 * y), 2 * made(x) - 3 * made(y)
    for side in sides:
        assert (together.select(axis + 1, 0 if side == "left" else -1) == 0).all()
    torch.testing.assert_close(together, apart, rtol=1e-9, atol=1e-9)


def test_nothing_is_added_where_the_output_is_already_of_the_input_there() -> None:
    layer = convolution((12,))
    x = torch.randn(2, 12, 2, dtype=torch.float64)
    with torch.no_grad():
        k00 = torch.stack(
            [layer(torch.eye(2, dtype=torch.float64)[c, None, None] * _at(12, 0))[0, 0] for c in range(2)]
        )
        # The input at the boundary is moved until (K x)_0 = x_0 K_00 holds: its own share drops out, so elsewhere.
        lack = x[:, 0] @ k00 - layer(x)[:, 0]
        column = torch.stack(
            [layer(torch.eye(2, dtype=torch.float64)[c, None, None] * _at(12, 5))[0, 0] for c in range(2)]
        )
        x[:, 5] += lack @ torch.linalg.inv(column)
        made = held(layer, 0, ("left",))(x)
    torch.testing.assert_close(made[:, 1:], layer(x)[:, 1:].detach(), rtol=1e-8, atol=1e-8)


def _at(size: int, cell: int) -> Tensor:
    line = torch.zeros(1, size, 1, dtype=torch.float64)
    line[:, cell] = 1.0
    return line


def test_a_layer_on_single_cells_is_only_written_over() -> None:
    layer = nn.Linear(2, 3).double()
    x = torch.randn(2, 9, 2, dtype=torch.float64)
    torch.testing.assert_close(held(layer, 0, ("left", "right"))(x)[:, 1:-1], layer(x)[:, 1:-1], rtol=0, atol=0)


def test_gradients_are_finite_differences() -> None:
    for size, sides in (((8,), SIDES[2]), ((6, 5), SIDES[0])):
        layer = convolution(size, channels=1)
        x = torch.randn(1, *size, 1, dtype=torch.float64, requires_grad=True)

        def through(x: Tensor, weight: Tensor, layer: nn.Module = layer, sides: Any = sides) -> Tensor:
            made = held(layer, 0, sides, damping=1e-2)
            output: Tensor = torch.func.functional_call(made, {"layer.weight": weight}, (x,))
            return output

        assert torch.autograd.gradcheck(through, (x, layer.weight.detach().requires_grad_()))


def test_columns_are_kept_until_the_weights_change() -> None:
    layer = Opaque(convolution((8,)), torch.zeros(2, dtype=torch.float64))
    made, x = held(layer, 0, ("left",)), torch.randn(2, 8, 2, dtype=torch.float64)
    with torch.no_grad():
        first = made(x)
        torch.testing.assert_close(made(x), first, rtol=0, atol=0)
        layer.inner.get_parameter("weight").mul_(torch.linspace(1, 2, 4)[:, None, None, None])
        changed = made(x)
        torch.testing.assert_close(changed, held(layer, 0, ("left",))(x))
    assert float((changed - first).abs().max()) > 0.1


def test_inference_before_training() -> None:
    made, x = held(convolution((8, 6)), 0, ("left", "right")), torch.randn(2, 8, 6, 2, dtype=torch.float64)
    with torch.inference_mode():
        first = made(x)
    made(x).square().sum().backward()
    torch.testing.assert_close(made(x).detach(), first)


def test_all_dims_at_once() -> None:
    """The sides of several dims are one batch, and each is eliminated for itself."""
    x = torch.randn(2, 6, 7, 6, 2, dtype=torch.float64)
    layer = convolution((6, 7, 6))
    found = []
    for each in (layer, Opaque(layer, torch.zeros(2, dtype=torch.float64))):
        made = held(each, 0, ("left", "right"))
        for axis in (1, 2):
            made.add(values_at(axis, ("left", "right")), Boundary())
        with torch.no_grad():
            found.append(made._eliminated(x))
    torch.testing.assert_close(*found, rtol=1e-7, atol=1e-7)


def test_two_dims_at_once() -> None:
    made = held(convolution((8, 9)), 0, ("left", "right"), values={s: torch.tensor(0.0) for s in SIDES[2]})
    other = Boundary()
    other.values = [torch.tensor(0.0)]
    made.add(values_at(1, ("right",)), other)
    x = torch.randn(2, 8, 9, 2, dtype=torch.float64)
    out = made(x)
    general = held(Opaque(made.layer, torch.zeros(2, dtype=torch.float64)), 0, ("left", "right"))
    general.add(values_at(1, ("right",)), other)
    torch.testing.assert_close(made._eliminated(x), general._eliminated(x), rtol=1e-8, atol=1e-8)
    assert (out[:, 0] == 0).all() and (out[:, -1] == 0).all() and (out[:, :, -1] == 0).all()


@pytest.fixture(scope="module")
def reference() -> dict[str, Tensor]:
    root = os.environ.get("THALWEG_SHARED") or str(Path(__file__).resolve().parents[3] / ".." / "shared")
    path = Path(root) / "reference" / "boon" / "boon_1d_layers.npz"
    if not path.exists():
        pytest.skip(f"no reference arrays at {path}")
    return {name: torch.from_numpy(array) for name, array in np.load(path).items()}


class Matrix(nn.Module):
    """A kernel given as a matrix over cells."""

    def __init__(self, kernel: Tensor) -> None:
        super().__init__()
        self.kernel = kernel

    def forward(self, x: Tensor) -> Tensor:
        return torch.einsum("ij,njc->nic", self.kernel, x)


def test_matrix_kernel_is_the_published_one(reference: dict[str, Tensor]) -> None:
    """One channel: the published theory, the general path and `compat` are one."""
    layer, x = Matrix(reference["A_K_f64"]), reference["A_x_f64"].transpose(1, 2)
    values = {"left": reference["A_alpha_l_f64"], "right": reference["A_alpha_r_f64"]}
    for name, sides in (("right", SIDES[1]), ("both", SIDES[2])):
        wanted = reference[f"A_T_{name}_f64"].transpose(1, 2)
        torch.testing.assert_close(held(layer, 0, sides)._eliminated(x), wanted, rtol=1e-9, atol=1e-9)
        torch.testing.assert_close(eliminated(layer, x, sides), wanted, rtol=1e-9, atol=1e-9)
    # The reference's "left" is the first half of "both": its input differs at the left cell only.
    halfway = torch.linalg.solve(layer.kernel, reference["A_T_left_f64"][:, 0].T).T
    whole = torch.linalg.solve(layer.kernel, held(layer, 0, SIDES[2])._eliminated(x)[..., 0].T).T
    torch.testing.assert_close(halfway[:, 0], whole[:, 0], rtol=1e-9, atol=1e-9)
    found = held(layer, 0, SIDES[2], values=values)(x).transpose(1, 2)
    torch.testing.assert_close(found, reference["A_dirichlet_f64"], rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("kind", ["spec", "conv"])
def test_compat_is_the_published_code(reference: dict[str, Tensor], kind: str) -> None:
    x = reference["B_x"].transpose(1, 2)
    layer = _published_layer(reference, kind)
    torch.testing.assert_close(layer(x).transpose(1, 2), reference[f"B_{kind}_base"], rtol=0, atol=2e-6)
    values = [reference["B_val_l"], reference["B_val_r"]]
    fluxes = [torch.tensor(0.0), torch.tensor(5.0)]
    # The published notebook's: of first order on the left, of third on the right.
    slopes = Line("left", (-63.0, 63.0)), Line("right", tuple(63 / 6 * each for each in (11.0, -18.0, 9.0, -2.0)))
    for law, closure, held_values in (
        ("dirichlet", values_at(1, ("left", "right")), values),
        ("neumann", Closure(1, slopes), fluxes),
        ("periodic", Closure(1, (Line("both", (1.0, -1.0)),)), [torch.tensor(0.0)]),
    ):
        found, wanted = as_published(layer, x, closure, held_values).transpose(1, 2), reference[f"B_{kind}_{law}"]
        torch.testing.assert_close(found, wanted, rtol=0, atol=2e-6 * float(wanted.abs().max()))


def _published_layer(reference: dict[str, Tensor], kind: str) -> nn.Module:
    if kind == "conv":
        layer = nn.Linear(5, 5)
        layer.load_state_dict({"weight": reference["B_conv_weight"][..., 0], "bias": reference["B_conv_bias"]})
        return layer
    weights = reference["B_spec_weights1"].permute(2, 0, 1, 3)
    made = Convolution(5, 5, (8,))
    made.weight = nn.Parameter(weights.clone(), requires_grad=False)
    return made.requires_grad_(False)
