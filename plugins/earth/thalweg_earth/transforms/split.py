"""Which samples are learned from, chosen by, and scored on."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Any, ClassVar, Literal, Self

import numpy as np
import xarray as xr
from pydantic import Field, model_validator
from thalweg import (
    SPLITS,
    HandshakeError,
    IndexTransform,
    OptionError,
    SampleIndex,
    Windows,
    has_index,
    index_of,
    quantities,
)

from .._dates import Period, Periods, interval, is_time, refuse_reversed, stamps

Labels = np.ndarray[Any, np.dtype[np.int64]]

with warnings.catch_warnings():
    # The recipe's word is `validate`; pydantic warns that its own deprecated method of that name is hidden.
    warnings.filterwarnings("ignore", message='Field name "validate"', category=UserWarning)

    class Split(IndexTransform):
        """Labels each sample as one to train on, to validate or to test.

        A window belongs to a period if all of its times lie inside, so no two splits share a field; windows across an
        end belong to none, and those of `windows: {between: ...}` to training or none. Bounds are dates, partial ones
        meaning the whole year, month or day, or values of the coordinate `by`. With `bounds: "(]"` a date is the moment
        at which it begins, and the first is left out. Steps of several sources (see `joined`) may have a period for
        each: `test: {observed: [1980, 2014]}`. `fractions` draws pairs or whole series at random instead. Raises
        `OptionError` for periods that overlap, and for a split without samples.
        """

        example: ClassVar[Mapping[str, Any]] = {"train": [2000, 2002], "test": [2003, 2003]}

        by: str | None = Field(
            None,
            description="coordinate of the steps, series or windows by which samples are labelled; that of the "
            "steps if null",
        )
        train: Periods = Field(
            None,
            description="first and last date, or value of `by`, of the training samples; or one such pair for "
            "each source by name",
        )
        validate: Periods = Field(
            None,
            description="first and last date, or value of `by`, of the validation samples; or one such pair for "
            "each source by name",
        )  # type: ignore[assignment]
        test: Periods = Field(
            None,
            description="first and last date, or value of `by`, of the test samples; or one such pair for each "
            "source by name",
        )
        bounds: Literal["[]", "(]"] = Field(
            "[]",
            description="whether a period holds its first date ([]) or begins after it ((]); it always holds its last",
        )
        of: str = Field("source", description="coordinate of the steps that says which source a step is of")
        fractions: tuple[float, float, float] | None = Field(
            None,
            description="shares of train, validate and test, drawn at random instead of periods; together at most 1",
        )
        seed: int = Field(0, description="seed of the draw of `fractions`")

        @model_validator(mode="after")
        def _disjoint(self) -> Self:
            periods = self._periods()
            if bool(periods) == (self.fractions is not None):
                raise OptionError(
                    f"`split` is given {'both periods and' if periods else 'neither periods nor'} fractions",
                    allowed="periods train, validate, test; or fractions of pairs or series",
                    advice="give one of them",
                )
            if self.fractions and (min(self.fractions) < 0 or sum(self.fractions) > 1 + 1e-9):
                raise OptionError(
                    f"the fractions {list(self.fractions)!r} are not shares of one whole",
                    allowed="three numbers of 0..1 that add up to at most 1",
                    advice="give shares such as [0.8, 0.1, 0.1]",
                )
            parts = [(name, *part) for name, given in periods.items() for part in given]
            dates = any(isinstance(bound, str) for _, _, period in parts for bound in period)
            for i, (name, source, period) in enumerate(parts):
                low, high = self._ends(period, dates=dates)
                refuse_reversed(period, low, high)
                for other, another, later in parts[i + 1 :]:
                    start, stop = self._ends(later, dates=dates)
                    disjoint = high < start or stop < low or (None not in (source, another) and source != another)
                    touching = self.bounds == "(]" and (high == start or stop == low)
                    if not (disjoint or touching):
                        raise OptionError(
                            f"{name} {list(period)!r} and {other} {list(later)!r} overlap",
                            allowed="periods that share no time" if dates or not self.by else f"no {self.by} in two",
                            advice="end one before the other begins",
                        )
            return self

        def statistics(self, data: xr.Dataset) -> xr.Dataset:
            _index(data)
            return xr.Dataset()

        def apply(self, data: xr.Dataset, statistics: xr.Dataset) -> xr.Dataset:  # noqa: ARG002
            index = _index(data)
            labels = self._drawn(data, index) if self.fractions else self._by_period(data, index)
            if isinstance(index, Windows) and index.further is not None:
                labels[(index.further == 1) & (labels != SPLITS.index("train"))] = -1
            counts = {name: int((labels == i).sum()) for i, name in enumerate(SPLITS)}
            shares = dict(zip(SPLITS, self.fractions or (0, 0, 0), strict=True))
            empty = [name for name in SPLITS if not counts[name] and (name in self._periods() or shares[name])]
            if empty:
                raise OptionError(
                    f"{' and '.join(empty)} would hold no samples: {', '.join(f'{k} {v}' for k, v in counts.items())}",
                    allowed=f"at least one of the {labels.size} samples in each split",
                    advice="widen the period, or shorten the windows",
                )
            return index.labelled(labels).on(data)

        def _periods(self) -> dict[str, list[tuple[str | None, Period]]]:
            """Of each split that is given, its periods by source; None: of all."""
            given = {name: self.__dict__.get(name) for name in SPLITS}
            return {
                name: list(period.items()) if isinstance(period, Mapping) else [(None, period)]
                for name, period in given.items()
                if period is not None
            }

        def _ends(self, period: Period, *, dates: bool) -> tuple[float, float]:
            return interval(period, dates=dates, instants=self.bounds == "(]")

        def _by_period(self, data: xr.Dataset, index: SampleIndex) -> Labels:
            coordinate = self._coordinate(data, index)
            values = stamps(coordinate) if is_time(coordinate) else coordinate.values
            steps = _steps(index, coordinate)
            labels = np.full(len(steps), -1, dtype=np.int64)
            for name, periods in self._periods().items():
                for source, period in periods:
                    low, high = self._ends(period, dates=is_time(coordinate))
                    inside = (values > low if self.bounds == "(]" else values >= low) & (values <= high)
                    if source is not None:
                        inside &= self._of_source(data, coordinate, source)
                    labels[inside[steps].all(axis=1)] = SPLITS.index(name)
            return labels

        def _of_source(self, data: xr.Dataset, coordinate: xr.DataArray, source: str) -> np.ndarray[Any, Any]:
            """Which steps are of a source. Raises `OptionError` if none is."""
            known = data[self.of] if self.of in data.coords and data[self.of].dims == coordinate.dims else None
            names = [] if known is None else [str(each) for each in dict.fromkeys(known.values.tolist())]
            if known is None or source not in names:
                raise OptionError(
                    f"a period of {source!r} is given, and no {self.of} is called so",
                    allowed=", ".join(names) or f"one period for all: the steps have no {self.of!r}",
                    advice="name a source of `joined`, or the coordinate that names them in `of`",
                )
            return np.asarray(quantities.texts(known.values) == source)

        def _coordinate(self, data: xr.Dataset, index: SampleIndex) -> xr.DataArray:
            name = self.by or index.dim
            allowed = {index.dim, index.series, index.along} - {None}
            if name in data.variables and len(data[name].dims) == 1 and data[name].dims[0] in allowed:
                return data[name]
            fit = [str(key) for key, each in data.coords.items() if len(each.dims) == 1 and each.dims[0] in allowed]
            raise OptionError(
                f"samples cannot be split by {name!r}",
                allowed=", ".join(fit) or "nothing here",
                advice="name a coordinate along the steps, the series or the windows in `by`",
            )

        def _drawn(self, data: xr.Dataset, index: SampleIndex) -> Labels:
            if index.unit is None:
                raise OptionError(
                    "windows of one series cannot be drawn at random: they overlap, and the test would be learned",
                    allowed="fractions of pairs, or of whole series",
                    advice="give the periods train, validate and test",
                )
            size = data.sizes[index.unit]
            edges = np.rint(np.cumsum(self.fractions or ()) * size).astype(int)
            of_unit = np.full(size, -1, dtype=np.int64)
            order = np.random.default_rng(self.seed).permutation(size)
            for i, (start, stop) in enumerate(zip([0, *edges[:-1]], edges, strict=True)):
                of_unit[order[start:stop]] = i
            return of_unit[index.begin if index.unit == index.along else index.row]


def _index(data: xr.Dataset) -> SampleIndex:
    if has_index(data):
        return index_of(data)
    raise HandshakeError(
        "there are no samples to split",
        allowed="data that have been through `windows`, or that come as pairs",
        advice="put `windows` before `split`",
    )


def _steps(index: SampleIndex, coordinate: xr.DataArray) -> np.ndarray[Any, np.dtype[np.int64]]:
    """Positions along the coordinate that each sample touches, `(sample, step)`."""
    along = coordinate.dims[0]
    if along == index.along:
        return np.arange(coordinate.size)[:, None]
    return index.row[:, None] if along == index.series else index.steps(index.numbers())
