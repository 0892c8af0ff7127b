"""SEVIR's `CATALOG.csv`: its columns, its spellings of a date, and the published choice of events."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from thalweg import SourceError

from ._source import Options, filesystem, require, unreachable

if TYPE_CHECKING:
    import pandas as pd

NEEDED = ("id", "file_name", "file_index", "img_type", "time_utc", "pct_missing")
PLACE = ("llcrnrlat", "llcrnrlon", "urcrnrlat", "urcrnrlon")
OPTIONAL = ("minute_offsets", "event_type", *PLACE)
TEXT = ("id", "file_name", "img_type", "time_utc", "minute_offsets", "event_type")
DATES = ("ISO8601", "%m/%d/%y %H:%M", "%m/%d/%Y %H:%M")
"""The archive's own spelling, and those of copies that went through a spreadsheet."""


def catalog_url(root: str) -> str:
    return f"{root.rstrip('/')}/CATALOG.csv"


def read_catalog(url: str, storage_options: Options = None) -> pd.DataFrame:
    """One row per event and image type, `time_utc` as dates; columns that nothing reads (`proj`) are not parsed.

    Raises `SourceError` without the `NEEDED` columns, or for a date in none of `DATES`.
    """
    import pandas as pd

    require(url, storage_options)
    system, path = filesystem(url, storage_options)
    try:
        with system.open(path, "rb") as file:
            # utf-8-sig: copies saved by a spreadsheet begin with a byte order mark, which would rename `id`.
            catalog = pd.read_csv(
                file,
                encoding="utf-8-sig",
                usecols=lambda name: name in NEEDED + OPTIONAL,
                dtype=dict.fromkeys(TEXT, "object"),
            )
    except pd.errors.ParserError as error:
        raise SourceError(
            f"{url!r} is not a table: {error}",
            allowed="comma-separated values with a header",
            advice="fetch CATALOG.csv again; the download may be cut short",
        ) from error
    except OSError as error:
        raise unreachable(url, error) from error
    missing = [name for name in NEEDED if name not in catalog]
    if missing:
        raise SourceError(
            f"{url!r} has no column {', '.join(map(repr, missing))}",
            allowed=f"a catalogue with {', '.join(NEEDED)}",
            advice="fetch CATALOG.csv as SEVIR publishes it",
        )
    return catalog.assign(time_utc=_dates(catalog["time_utc"], url))


def choose_events(catalog: pd.DataFrame, image_types: Sequence[str], *, files: str = "*") -> pd.DataFrame:
    """The published choice: rows without missing pixels, ids with exactly one row of every type, sorted by id.

    Indexed by `(id, img_type)`, ids in order and types in the order asked for. `files` is a pattern of `file_name`.
    Raises `SourceError` if nothing is left.
    """
    import pandas as pd

    found = sorted(set(catalog["img_type"].dropna()))
    wanted = catalog[catalog["img_type"].isin(image_types)]
    unknown = [each for each in image_types if each not in found]
    if unknown:
        raise SourceError(
            f"the catalogue has no image type {', '.join(map(repr, unknown))}",
            allowed=", ".join(map(repr, found)) or "a catalogue with rows",
            advice="leave it out of `image_types`, or fetch the whole catalogue",
        )
    if files != "*":
        from fnmatch import fnmatchcase

        wanted = wanted[[fnmatchcase(str(name), files) for name in wanted["file_name"]]]
    # The order is the published one: a repeated row with missing pixels does not cost its event.
    whole = wanted[wanted["pct_missing"] == 0]
    repeated = whole.duplicated(["id", "img_type"], keep=False)
    types = whole.groupby("id")["img_type"].nunique()
    ids = types.index[types == len(image_types)].difference(pd.Index(whole.loc[repeated, "id"].unique()))
    if not len(ids):
        raise SourceError(
            f"no event has {' and '.join(map(repr, image_types))} without missing pixels in files like {files!r}",
            allowed=f"{len(wanted)} rows of these types, {len(whole)} of them whole",
            advice="ask for fewer image types, or for more files",
        )
    index = pd.MultiIndex.from_product([ids.sort_values(), list(image_types)], names=["id", "img_type"])
    return whole[whole["id"].isin(ids)].set_index(["id", "img_type"]).loc[index]


def _dates(text: pd.Series, url: str) -> pd.Series:
    import pandas as pd

    dates = pd.Series(pd.NaT, index=text.index, dtype="datetime64[ns]")
    for spelling in DATES:
        left = dates.isna()
        if not left.any():
            break
        dates[left] = pd.to_datetime(text[left], format=spelling, errors="coerce")
    if dates.isna().any():
        row = int(dates.isna().to_numpy().argmax())
        raise SourceError(
            f"{url!r}: {text.iloc[row]!r} in row {row} is not a date",
            allowed="'2018-05-12 18:30:00' or '5/12/18 18:30'",
            advice="mend the row, or fetch CATALOG.csv as SEVIR publishes it",
        )
    return dates
