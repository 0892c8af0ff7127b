"""The operator as a learner of recipes."""

from __future__ import annotations

import pytest
from thalweg import HandshakeError, Signature
from thalweg.components.signature import Field
from thalweg.testing import check_method
from thalweg_pde.methods.fno import FNO


def test_it_keeps_the_contract() -> None:
    check_method(FNO(modes=3, width=4, layers=2))


def fields(**dims: tuple[str, ...]) -> Signature:
    sizes = {"sample": 4, "lead": 3, "z": 5, "y": 6, "x": 7, "w": 4}
    return Signature(tuple(Field(name, ("sample", *each), "float64") for name, each in dims.items()), sizes)


@pytest.mark.parametrize("space", [("x",), ("y", "x"), ("z", "y", "x")])
def test_shapes(space: tuple[str, ...]) -> None:
    import torch

    given, wanted = fields(a=("lead", *space), b=()), fields(u=("lead", *space), v=("lead", *space))
    network = FNO(modes=2, width=4, layers=1).build(given, wanted)
    sizes = [given.sizes[dim] for dim in space]
    assert network(torch.randn(2, 3, *sizes, 2)).shape == (2, 3, *sizes, 2)
    network = FNO(modes=2, width=4, layers=1).build(fields(a=space), fields(u=space))
    assert network(torch.randn(2, *sizes, 1)).shape == (2, *sizes, 1)


def test_other_grids_are_refused() -> None:
    for given, wanted in (
        (fields(a=("x",)), fields(u=("y",))),
        (fields(a=("w", "z", "y", "x")),) * 2,
        (fields(a=()),) * 2,
    ):
        with pytest.raises(HandshakeError, match="lie along"):
            FNO().build(given, wanted)
