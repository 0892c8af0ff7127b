"""`thalweg forecast`: the file, the figure, and what is printed."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from ..recipes.registry import Registry
from ..results.cf import as_cf, refuse_format, write_forecast
from ..results.figures import forecast_maps
from ..results.folders import local_root
from ..results.forecasts import Forecasting
from ..stores.files import write_bytes
from ..stores.store import Store
from .console import console

if TYPE_CHECKING:
    import xarray as xr


def forecast_run(
    run: str, store: Store, *, file: str | None, out: Path | None, origins: int, variant: str | None
) -> None:
    """Forecast with what a run fitted, write it, draw it, and say where."""
    if out is not None:
        refuse_format(out)
    registry = Registry.installed()
    asked = Forecasting.of(run, store)
    chosen = asked.variant(variant)
    forecast = asked.forecast(registry, file=file, origins=origins, variant=chosen)
    now = datetime.now(UTC).isoformat(timespec="seconds")
    name = asked.folder.rpartition("/")[2]
    laws = "+".join(law.name for hold in asked.laws(registry, chosen) for law in hold.laws)
    title = f"{asked.name}, held to {laws}" if laws else asked.name
    file_name = f"{_stamp(forecast)}.nc" if variant is None else f"{_stamp(forecast)}-{chosen}.nc"
    path = out or local_root(store) / "runs" / name / "forecasts" / file_name
    option = "" if variant is None else f" --variant {chosen}"
    write_forecast(as_cf(forecast, title=title, history=f"{now} thalweg forecast {name}{option}"), path)
    console.print(f"forecast  {path}", soft_wrap=True)
    figure = forecast_maps(forecast)
    if figure is not None:
        drawn = path.with_suffix(".png")
        write_bytes(str(drawn), figure)
        console.print(f"figure    {drawn}", soft_wrap=True)
    for key, array in forecast.data_vars.items():
        units = array.attrs.get("units", "1")
        console.print(f"{key!s:<9} {float(array.min()):.4g} .. {float(array.max()):.4g} {units}", soft_wrap=True)
    if "valid_time" in forecast.coords:
        valid = forecast["valid_time"].values
        console.print(f"valid     {str(valid.min())[:16]} .. {str(valid.max())[:16]}", soft_wrap=True)


def _stamp(forecast: xr.Dataset) -> str:
    """The newest reference time as the name of a file."""
    if "reference_time" not in forecast.coords:
        return "newest"
    text = str(forecast["reference_time"].values.max())[:16]
    return "".join(each for each in text if each.isalnum() or each == "-")
