"""The figures of a run: scores by lead, and maps of truth and estimates, with one colour scale for what is compared."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ..recipes.plan import Plan
from ..samples.prepared import Prepared
from ..stores.arrays import read, reading
from ..stores.attempt import Attempt
from ..stores.files import write_bytes
from .records import Record

if TYPE_CHECKING:
    import xarray as xr
    from matplotlib.figure import Figure

STYLE = {"free": {"color": "#777777", "linestyle": "--"}, "held": {"color": "#0b5fa5", "linestyle": "-"}}
"""Of variants; others have the colours of the figures' cycle."""


def draw(
    attempt: Attempt,
    plan: Plan,
    prepared: Prepared,
    urls: Mapping[str, str],
    records: Sequence[Record],
) -> None:
    """Draw what this run's data allow, as `figures/*.png`."""
    figure = by_lead(records)
    if figure is not None:
        _save(figure, attempt, "scores", plan)
    figure = maps(prepared, urls)
    if figure is not None:
        _save(figure, attempt, "maps", plan)


def by_lead(records: Sequence[Record]) -> Figure | None:
    """Scores against lead, free and held; one panel per metric (its mean over thresholds where it has some)."""
    from matplotlib.figure import Figure

    metrics: dict[str, dict[str, dict[int, float]]] = {}
    for each in records:
        if each.lead is not None:
            metrics.setdefault(each.row, {}).setdefault(each.variant, {})[each.lead] = each.value
    metrics = {row: lines for row, lines in metrics.items() if any(len(line) > 1 for line in lines.values())}
    means = {metric.removesuffix("/mean") for metric in metrics if metric.endswith("/mean")}
    shown = {m: c for m, c in metrics.items() if m.endswith("/mean") or m.rpartition("/")[0] not in means}
    if not shown:
        return None
    rows, columns = -(-len(shown) // 3), min(3, len(shown))
    figure = Figure(figsize=(3.6 * columns, 2.8 * rows))
    axes = _panels(figure, rows, columns, left=0.7, right=0.15, bottom=0.6, top=0.35, gap=(0.7, 0.85)).ravel()
    for axis, (metric, versions) in zip(axes, shown.items(), strict=False):
        for version, curve in versions.items():
            axis.plot(list(curve), list(curve.values()), label=version, marker=".", **STYLE.get(version, {}))
        axis.set(title=metric, xlabel="lead (steps)")
        axis.grid(alpha=0.3)
    axes[0].legend(frameon=False)
    for axis in axes[len(shown) :]:
        axis.set_axis_off()
    return figure


def maps(prepared: Prepared, urls: Mapping[str, str]) -> Figure | None:
    """One test sample: truth, free, held, at three leads; None for estimates that are not maps."""
    from matplotlib.figure import Figure

    samples = prepared.samples("test")
    number = len(samples) // 2
    with reading(prepared.preprocess, prepared.ingest, *urls.values()):
        mapped = samples.index.dim is not None and not samples.index.ragged
        rows = {"truth": samples.truth([number]).isel(sample=0)} if mapped else {}
        if not rows:
            return None
        rows |= {version: read(url).isel(sample=number).load() for version, url in urls.items()}
    name = next(iter(rows["truth"].data_vars))
    fields = {row: _map(data[name]) for row, data in rows.items()}
    truth = fields["truth"]
    if truth is None or "lead" not in truth.dims or any(each is None for each in fields.values()):
        return None
    leads = sorted({0, truth.sizes["lead"] // 2, truth.sizes["lead"] - 1})
    low, high = float(truth.min()), float(truth.max())
    signed = low < 0 < high
    limit = max(-low, high)
    scale: dict[str, Any] = (
        {"cmap": "RdBu_r", "vmin": -limit, "vmax": limit} if signed else {"cmap": "viridis", "vmin": low, "vmax": high}
    )
    y, x = truth.dims[-2:]
    aspect = truth.sizes[y] / truth.sizes[x]
    width = 3.0 if aspect > 0.5 else 4.2
    figure = Figure(figsize=(width * len(leads) + 1.3, max(0.9, width * aspect + 0.3) * len(fields) + 0.8))
    panels = [
        [_upwards(field.isel(lead=lead), str(y)) for lead in leads] for field in fields.values() if field is not None
    ]
    image = _mosaic(figure, panels, [f"lead {int(truth['lead'][lead])}" for lead in leads], list(fields), **scale)
    _colours(figure, image, f"{name} [{truth.attrs.get('units', '1')}]")
    if "reference_time" in truth.coords:
        figure.suptitle(f"from {str(truth['reference_time'].values)[:16]}", fontsize=9)
    return figure


def forecast_maps(forecast: xr.Dataset) -> bytes | None:
    """The newest origin of a forecast at up to four leads, as PNG; None for one that is no map."""
    from matplotlib.figure import Figure

    name = next(iter(forecast.data_vars))
    field = _map(forecast[name].isel(sample=-1)) if "sample" in forecast.dims else None
    if field is None or not bool(field.notnull().any()):
        return None
    count = field.sizes["lead"]
    leads = sorted({round(i * (count - 1) / 3) for i in range(4)})
    y, x = field.dims[-2:]
    aspect = field.sizes[y] / field.sizes[x]
    figure = Figure(figsize=(3.2 * len(leads) + 1.3, max(1.6, 3.2 * aspect + 0.8)))
    known = "valid_time" in field.coords
    titles = [str(field["valid_time"].values[lead])[:16] if known else f"lead {lead + 1}" for lead in leads]
    scale: dict[str, Any] = {"vmin": float(field.min()), "vmax": float(field.max())}
    image = _mosaic(figure, [[_upwards(field.isel(lead=lead), str(y)) for lead in leads]], titles, [""], **scale)
    _colours(figure, image, f"{name} [{field.attrs.get('units', '1')}]")
    if "reference_time" in field.coords:
        figure.suptitle(f"from {str(field['reference_time'].values)[:16]}", fontsize=9)
    return _png(figure)


def _map(array: xr.DataArray) -> xr.DataArray | None:
    array = array.mean("member", keep_attrs=True) if "member" in array.dims else array
    return (
        array.transpose("lead", ...) if array.ndim == 3 and "lead" in array.dims and min(array.shape[1:]) > 1 else None
    )


def _upwards(array: xr.DataArray, y: str) -> Any:
    """The values, first row at the top: rows that go north are drawn upwards, image rows downwards."""
    rising = y in array.coords and array.sizes[y] > 1 and float(array[y][-1]) > float(array[y][0])
    north = array[y].attrs.get("units", "") in ("degrees_north", "degree_north", "m", "km") if rising else False
    return array.values[::-1] if north else array.values


def _mosaic(
    figure: Figure, panels: Sequence[Sequence[Any]], titles: Sequence[str], labels: Sequence[str], **scale: Any
) -> Any:
    """Maps in rows, in axes that they share: matplotlib takes longer for axes than for images. Gives one image.

    Margins are .35, 1.05 (for the colours), .25 and .6 inches; between maps lie .1.
    """
    from matplotlib.collections import LineCollection

    width, height = (float(each) for each in figure.get_size_inches())
    axes = figure.add_axes((0.0, 0.0, 1.0, 1.0))
    across = (width - 1.4 + 0.1) / len(titles) - 0.1
    upward = (height - 0.85 + 0.1) / len(labels) - 0.1
    image, frames = None, []
    for i, (label, row) in enumerate(zip(labels, panels, strict=True)):
        bottom = height - 0.6 - upward - i * (upward + 0.1)
        axes.text(0.3, bottom + upward / 2, label, rotation=90, ha="right", va="center")
        for j, (title, values) in enumerate(zip(titles, row, strict=True)):
            left = 0.35 + j * (across + 0.1)
            corners = (left, left + across, bottom, bottom + upward)
            image = axes.imshow(values, extent=corners, aspect="auto", **scale)
            west, east, south, north = corners
            frames.append([(west, south), (east, south), (east, north), (west, north), (west, south)])
            if i == 0:
                axes.text(left + across / 2, height - 0.54, title, ha="center", va="bottom", fontsize="large")
    axes.add_collection(LineCollection(frames, colors="black", linewidths=0.8))
    axes.set(xlim=(0, width), ylim=(0, height))
    axes.set_axis_off()
    assert image is not None
    return image


def _panels(
    figure: Figure,
    rows: int,
    columns: int,
    *,
    left: float,
    right: float,
    bottom: float,
    top: float,
    gap: tuple[float, float],
) -> Any:
    """Axes in a frame of given margins and gaps (inches). matplotlib's own layout takes as long as the drawing."""
    width, height = figure.get_size_inches()
    across = (width - left - right + gap[0]) / columns - gap[0]
    upward = (height - bottom - top + gap[1]) / rows - gap[1]
    frame = {
        "left": left / width,
        "right": 1 - right / width,
        "bottom": bottom / height,
        "top": 1 - top / height,
        "wspace": gap[0] / across,
        "hspace": gap[1] / upward,
    }
    return figure.subplots(rows, columns, squeeze=False, gridspec_kw=frame)


def _colours(figure: Figure, image: Any, label: str) -> None:
    """The scale, in the margin that `_panels` left on the right."""
    width, _ = figure.get_size_inches()
    figure.colorbar(image, cax=figure.add_axes((1 - 0.9 / width, 0.2, 0.15 / width, 0.6)), label=label)


def _save(figure: Figure, attempt: Attempt, name: str, plan: Plan) -> None:
    figure.text(
        0.995, 0.005, f"{plan.recipe.name}/{plan.digest[:10]}", ha="right", va="bottom", fontsize=6, color="#999999"
    )
    write_bytes(attempt.url(f"data/figures/{name}.png"), _png(figure))


def _png(figure: Figure) -> bytes:
    buffer = io.BytesIO()
    # The usual compression takes as long as the drawing, for a file that is a quarter smaller.
    figure.savefig(buffer, dpi=110, pil_kwargs={"compress_level": 1})
    return buffer.getvalue()
