"""Scaling of fields for networks: `(field - offset) / by`, per variable, fitted on the training split."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, PositiveFloat

from ..errors import OptionError

if TYPE_CHECKING:
    from ..components.signature import Signature
    from ..samples import Samples

Scales = dict[str, tuple[float, float]]
"""Offset and divisor of each variable."""


class Affine(BaseModel):
    """An affine scaling, `(field - offset) / by`, in the field's units."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    by: PositiveFloat = Field(description="what the field is divided by, in its units")
    offset: float = Field(0.0, description="what is subtracted first, in the field's units")


Scale = Literal["auto", "none", "standard", "unit"] | Affine
"""`standard`: mean 0, variance 1. `unit`: 0 to 1 over `valid_range`. `auto`: `unit` where known, else `standard`."""

BATCH = 16


def scales_of(choice: Scale | Mapping[str, Scale], samples: Samples, given: Signature, wanted: Signature) -> Scales:
    """The scale of every variable. Raises `OptionError` for a variable that is not there, or has no range."""
    fields = {each.name: each for each in (*given.fields, *wanted.fields)}
    chosen: dict[str, Scale] = {}
    if isinstance(choice, Mapping):
        for name in choice:
            if name not in fields:
                raise OptionError(
                    f"`scale` names {name!r}, which is no variable",
                    allowed=", ".join(fields),
                    advice="name one of these in `scale`",
                    where="scale",
                )
        chosen.update(choice)
    scales: Scales = {}
    measured = []
    for name, field in fields.items():
        how: Scale = chosen.get(name, "auto") if isinstance(choice, Mapping) else choice
        if how == "unit" and field.bounds is None:
            raise OptionError(
                f"`scale: unit` needs the range of {name!r}, which it does not have",
                allowed="a variable with the attribute `valid_range`, or of type uint8",
                advice=f"give {name!r} a range, or say `standard`",
                where="scale",
            )
        if isinstance(how, Affine):
            scales[name] = (how.offset, how.by)
        elif how in ("unit", "auto") and field.bounds is not None:
            scales[name] = (field.bounds[0], field.bounds[1] - field.bounds[0])
        elif how == "none":
            scales[name] = (0.0, 1.0)
        else:
            measured.append(name)
    return scales | (_measured(measured, samples) if measured else {})


def scales_beside(scales: Scales, gives: Signature) -> Scales:
    """Those of what a network gives: of a variance the square, without an offset; what has none is not scaled."""
    found = {}
    for name in gives.names:
        own = name.removesuffix("_variance")
        if gives.is_uncertainty(name) and own in scales:
            by = np.float32(scales[own][1])
            found[name] = (0.0, float(by * by))
        else:
            found[name] = scales.get(name, (0.0, 1.0))
    return found


def _measured(names: list[str], samples: Samples) -> Scales:
    """Mean and standard deviation over samples that do not overlap, in two passes: a large mean costs no digits."""
    at = samples.index.apart(samples.numbers)
    means: dict[str, float] = {}
    for moment in (1, 2):
        sums, counts = dict.fromkeys(names, 0.0), dict.fromkeys(names, 0)
        for i in range(0, len(at), BATCH):
            chosen = at[i : i + BATCH].tolist()
            for data in (samples.inputs(chosen), samples.truth(chosen)):
                for name in data.data_vars.keys() & set(names):
                    values = data[name].values.astype(np.float64)
                    known = values[np.isfinite(values)]
                    sums[str(name)] += float((known if moment == 1 else (known - means[str(name)]) ** 2).sum())
                    counts[str(name)] += known.size
        if moment == 1:
            means = {name: sums[name] / max(1, counts[name]) for name in names}
    deviations = {name: (sums[name] / max(1, counts[name])) ** 0.5 for name in names}
    # A constant field stays one.
    return {name: (means[name], deviations[name] or 1.0) for name in names}
