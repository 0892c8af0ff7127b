"""Inference by tiles."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from thalweg.errors import OptionError
from thalweg_earthformer.tiling import tiled


@given(st.integers(1, 40), st.integers(1, 40), st.integers(0, 39), st.integers(1, 40))
def test_weights_sum_to_one_and_a_pointwise_module_is_exact(cells, tile, overlap, width):
    tile = min(tile, cells)
    overlap = min(overlap, tile - 1)
    x = torch.randn(1, 2, cells, width, 3, dtype=torch.float64)
    found = tiled(lambda field: field[:, :1] ** 3 + 1, x, tile=(tile, width), overlap=(overlap, 0))
    torch.testing.assert_close(found, x[:, :1] ** 3 + 1, rtol=1e-12, atol=1e-12)


def test_tiles_are_of_the_asked_size_and_overlap():
    seen: list[tuple[int, ...]] = []
    tiled(
        lambda x: (seen.append(tuple(x.shape[2:4])), x)[1], torch.zeros(1, 1, 100, 64, 1), tile=(32, 64), overlap=(8, 0)
    )
    assert seen == [(32, 64)] * 4  # 3 tiles reach 80 cells only


def test_seams_are_smooth():
    """Two tiles that say 0 and 1: the blend rises by equal steps over what they share."""
    number = iter((0.0, 1.0))
    found = tiled(lambda x: torch.full_like(x, next(number)), torch.zeros(1, 1, 10, 1, 1), tile=(6, 1), overlap=(2, 0))
    assert found.flatten().tolist() == pytest.approx([0, 0, 0, 0, 1 / 3, 2 / 3, 1, 1, 1, 1])


@pytest.mark.parametrize(("tile", "overlap"), [((12, 4), 0), ((4, 4), 4), ((0, 4), 0), ((4, 4), -1)])
def test_tiles_that_do_not_fit_are_refused(tile, overlap):
    with pytest.raises(OptionError, match=r"tiles of .* on a field of height 10"):
        tiled(lambda x: x, torch.zeros(1, 1, 10, 10, 1), tile=tile, overlap=overlap)
