"""The windows of Rainformer."""

from __future__ import annotations

from itertools import product

import pytest
import torch
from thalweg_spatiotemporal.networks.rainformer import _image, _unbroken, _WindowAttention, _windows


@pytest.mark.parametrize(("rows", "columns", "side"), [(4, 6, 2), (9, 9, 3), (4, 4, 4)])
def test_windows_come_back(rows: int, columns: int, side: int) -> None:
    image = torch.randn(2, rows, columns, 3)
    cut = _windows(image, side)
    assert cut.shape == (2, rows * columns // side**2, side**2, 3)
    assert torch.equal(cut[0, -1].reshape(side, side, 3), image[0, -side:, -side:])
    assert torch.equal(_image(cut, side, rows=rows, columns=columns), image)


@pytest.mark.parametrize(("rows", "columns", "side"), [(8, 12, 4), (9, 9, 3), (4, 4, 4), (6, 4, 2)])
def test_a_shifted_window_pairs_neighbours_only(rows: int, columns: int, side: int) -> None:
    shift = side // 2
    allowed = _unbroken((rows, columns), side, shift)
    place = torch.cartesian_prod(torch.arange(rows), torch.arange(columns)).reshape(1, rows, columns, 2)
    before = _windows(place.roll((-shift, -shift), (1, 2)), side)[0].tolist()
    after = _windows(place, side)[0].tolist()
    for window, (one, other) in product(range(len(allowed)), product(range(side**2), repeat=2)):
        lay, lies = (
            [a - b for a, b in zip(each[window][one], each[window][other], strict=True)] for each in (before, after)
        )
        assert bool(allowed[window, one, other]) == (lay == lies)


@pytest.mark.parametrize("shift", [0, 2])
def test_attention_is_the_formula(shift: int) -> None:
    torch.manual_seed(0)
    attend = _WindowAttention(6, size=(8, 8), heads=2, head=3, window=4, shift=shift)
    torch.nn.init.normal_(attend.positions)
    image = torch.randn(1, 8, 8, 6)
    rolled = image.roll((-shift, -shift), (1, 2))
    allowed = _unbroken((8, 8), 4, shift) if shift else torch.ones(4, 16, 16, dtype=torch.bool)
    made = torch.zeros(8, 8, 6)
    for number, (top, left) in enumerate(product((0, 4), repeat=2)):
        cells = [(top + y, left + x) for y, x in product(range(4), repeat=2)]
        query, key, value = (
            attend.project(torch.stack([rolled[0, y, x] for y, x in cells])).reshape(16, 3, 2, 3).unbind(1)
        )
        for i, head in product(range(16), range(2)):
            scores = [
                (query[i, head] @ key[j, head]) / 3**0.5
                + attend.positions[cells[j][0] - cells[i][0] + 3, cells[j][1] - cells[i][1] + 3]
                for j in range(16)
            ]
            weights = torch.stack(scores).masked_fill(~allowed[number, i], -torch.inf).softmax(0)
            made[cells[i]][3 * head : 3 * head + 3] = weights @ value[:, head]
    made = attend.join(made).roll((shift, shift), (0, 1))
    weight = attend.average(made.mean((0, 1))) + attend.maximum(made.amax((0, 1)))
    torch.testing.assert_close(attend(image)[0], made * weight.sigmoid(), rtol=1e-4, atol=1e-5)
