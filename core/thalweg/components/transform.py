"""A part that turns a dataset into another, lazily."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import TYPE_CHECKING

from ..errors import HandshakeError
from .component import Component

if TYPE_CHECKING:
    import xarray as xr


class Transform(Component):
    """A step of preprocessing: from one `xarray.Dataset` to another, lazily."""

    def statistics(self, data: xr.Dataset) -> xr.Dataset:  # noqa: ARG002
        """What `apply` must know of the whole of `data` (a climatology, a mean), lazy and small; nothing by default.

        They are kept beside what is made, for `newest` and `invert`.
        """
        import xarray as xr

        return xr.Dataset()

    def learned_steps(self, data: xr.Dataset) -> xr.DataArray | None:  # noqa: ARG002
        """Of each step of a dim, whether its values enter the statistics; None by default: no statistics.

        The plan says where those are steps of the test.
        """
        return None

    @abstractmethod
    def apply(self, data: xr.Dataset, statistics: xr.Dataset) -> xr.Dataset:
        """The transformed dataset, lazy where `data` is."""

    def newest(self, data: xr.Dataset, statistics: xr.Dataset) -> xr.Dataset:
        """New data, transformed for a forecast; `apply`, unless that would cut the newest steps away.

        The statistics are those of the training: they are never computed anew.
        """
        return self.apply(data, statistics)

    def invert(self, estimate: xr.Dataset, statistics: xr.Dataset) -> xr.Dataset:  # noqa: ARG002
        """The values that an estimate, `(sample, lead, ...)`, had before this transform.

        Beside `NAME` there may be `NAME_variance` (in units squared), `NAME_factor`, and a dim `member`; `valid_time`
        is a coordinate. Raises `HandshakeError` if it cannot be undone, as by default: then nothing is forecast.
        """
        raise HandshakeError(
            f"{self.name} has no inverse, so that a forecast would not be in the units of its source",
            allowed="transforms that define `invert`",
            advice=f"leave {self.name} out of preprocess, or define its `invert`",
        )

    @property
    def invertible(self) -> bool:
        """Whether it says how it is undone."""
        return type(self).invert is not Transform.invert


class IndexTransform(Transform):
    """Says where samples lie (windows, a split), and changes no field.

    What it gives is kept apart from the fields, so that other samples of the same fields train nothing again. It may
    add or change small variables and coordinates.
    """

    def invert(self, estimate: xr.Dataset, statistics: xr.Dataset) -> xr.Dataset:  # noqa: ARG002
        """The estimate: no value was changed."""
        return estimate


def divided(transforms: Sequence[Transform]) -> tuple[tuple[Transform, ...], tuple[Transform, ...]]:
    """The transforms that make the fields, and the index transforms after the last of those."""
    count = len(transforms)
    while count and isinstance(transforms[count - 1], IndexTransform):
        count -= 1
    return tuple(transforms[:count]), tuple(transforms[count:])
