"""Turning, grouping, dry cells and the covariance of coloured noise."""

from __future__ import annotations

import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from thalweg_prediff.coloured import Colour
from thalweg_prediff.grouped import grouped
from thalweg_prediff.nowcast_network import NowcastNetwork, Shape
from thalweg_prediff.turned import all_ways, turned, turned_back


@settings(deadline=None, max_examples=20)
@given(st.sampled_from([(4, 4), (4, 6)]), st.integers(0, 100))
def test_what_is_turned_comes_back(shape: tuple[int, int], seed: int) -> None:
    draw = torch.Generator().manual_seed(seed)
    fields, ways = torch.randn(5, 2, *shape, generator=draw), torch.rand(5, 3, generator=draw)
    assert torch.equal(turned_back(turned(fields, ways), ways), fields)


def test_all_ways_are_different() -> None:
    for shape, count in (((4, 4), 8), ((4, 6), 4)):
        ways = all_ways(torch.zeros(shape))
        found = turned(torch.randn(1, *shape).expand(len(ways), -1, -1), ways)
        assert len({tuple(each.flatten().tolist()) for each in found}) == len(ways) == count


def test_groups_are_filled_up() -> None:
    sizes: list[int] = []

    def doubled(one: torch.Tensor, other: torch.Tensor) -> torch.Tensor:
        sizes.append(len(one))
        return one + other

    items = torch.arange(7.0)
    assert torch.equal(grouped(doubled, items, items, together=3), 2 * items)
    assert sizes == [3, 3, 3]


def test_dry_cells_lie_apart_and_come_back() -> None:
    network = NowcastNetwork(Shape(1, 1, 2, 2, 0.0), dry=True)
    network.told(0.2, 0.1)
    fields = torch.tensor([0.0, 0.2, 0.3, torch.nan])
    into = network.into(fields)
    torch.testing.assert_close(into, torch.tensor([0.1, 0.1, 0.3, torch.nan]), equal_nan=True)
    torch.testing.assert_close(network.out(into)[:3], torch.tensor([0.2, 0.2, 0.3]))


def test_a_forecast_goes_with_the_motion_and_its_own() -> None:
    row, column = torch.meshgrid(torch.arange(24.0), torch.arange(24.0), indexing="ij")
    past = torch.stack([torch.exp(-((row - 12) ** 2 + (column - 6 - t) ** 2) / 12) for t in range(4)])[None]
    network = NowcastNetwork(Shape(4, 2, 24, 24, 0.5), dry=True)
    own = torch.tensor([[0.0, 0.0], [2.0, 0.0]])
    found = network.advected(past, own)
    place = [(each * found[:, 1]).sum((1, 2)) / found[:, 1].sum((1, 2)) for each in (row, column)]
    torch.testing.assert_close(place[0], torch.tensor([12.0, 14.0]), atol=0.2, rtol=0)
    torch.testing.assert_close(place[1], torch.tensor([11.0, 11.0]), atol=0.3, rtol=0)
    torch.testing.assert_close(network.advected_alone(past, own), found)


def test_the_covariance_is_that_of_the_noise() -> None:
    colour = Colour(2, 4, 5)
    colour.learn([torch.randn(50, 2, 4, 5, generator=torch.Generator().manual_seed(0)).cumsum(1).numpy()])
    size = colour.normalise()
    assert size > 0
    basis = torch.eye(40).reshape(40, 2, 4, 5)
    root = colour(basis).reshape(40, 40).T
    torch.testing.assert_close(colour.covariance(basis).reshape(40, 40), root @ root.T, atol=1e-5, rtol=1e-4)
    torch.testing.assert_close((root @ root.T).diagonal().mean(), torch.tensor(1.0), atol=1e-5, rtol=0)
    torch.testing.assert_close(colour.covariance(basis[None]), colour.covariance(basis)[None])
