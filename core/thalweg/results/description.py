"""`solver.json`: what a solver's folder says of itself, with a checksum of each of its files."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from ..components.signature import Field, Signature
from ..errors import CorruptError
from ..samples.calendar import Step
from ..stores.files import filesystem
from ..stores.inventory import listing
from ..stores.sealed import read_sealed, write_sealed

FILE = "solver.json"
FORMAT = 1
ADVICE = "run the recipe again with `--from train`, or copy the folder again"


@dataclass(frozen=True)
class Description:
    """What a solver is, what it is given, and what it gives."""

    method: Mapping[str, Mapping[str, Any]]
    """Name and options of the method that learned or solves."""
    learned: bool
    """Whether the folder holds `options.json` and `state.safetensors`."""
    train: Mapping[str, Any]
    """The resolved `train:` options."""
    source: Signature
    """The fields of the source, before any transform."""
    given: Signature
    wanted: Signature
    samples: Mapping[str, Any]
    """How the samples were cut: the form of their index."""
    step: Step | None = None
    """From one position of their dim to the next."""
    versions: Mapping[str, str] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """The method's name."""
        return next(iter(self.method))

    def write(self, url: str) -> None:
        """Write it last, with the checksums of what lies in the folder."""
        files, path = filesystem(url)
        sums = {name: hashlib.sha256(files.cat_file(f"{path}/{name}")).hexdigest() for name in listing(url)}
        sums.pop(FILE, None)
        write_sealed(f"{url}/{FILE}", {"format": FORMAT, **asdict(self), "files": sums})

    @classmethod
    def read(cls, url: str) -> Description:
        """What a folder says, if all of its files are what was written. Raises `CorruptError`."""
        said = read_sealed(f"{url}/{FILE}", advice=ADVICE)
        if said is None or said.get("format") != FORMAT:
            raise CorruptError(
                f"{url} has no {FILE}" if said is None else f"{url} has a {FILE} of format {said.get('format')!r}",
                allowed=f"the folder of a fitted solver, written by this version (format {FORMAT})",
                advice=ADVICE,
            )
        files, path = filesystem(url)
        for name, sum_ in said["files"].items():
            try:
                found = hashlib.sha256(files.cat_file(f"{path}/{name}")).hexdigest()
            except FileNotFoundError:
                raise CorruptError(f"{url}/{name} is missing", advice=ADVICE) from None
            if found != sum_:
                raise CorruptError(f"{url}/{name} is not what was written: its SHA-256 is another", advice=ADVICE)
        return cls(
            method=said["method"],
            learned=said["learned"],
            train=said["train"],
            source=signature(said["source"]),
            given=signature(said["given"]),
            wanted=signature(said["wanted"]),
            samples=said["samples"],
            step=None if said["step"] is None else Step(**said["step"]),
            versions=said["versions"],
        )


def signature(plain: Mapping[str, Any]) -> Signature:
    """A signature from plain data."""
    fields = [
        Field(
            **{**each, "dims": tuple(each["dims"]), "bounds": None if each["bounds"] is None else tuple(each["bounds"])}
        )
        for each in plain["fields"]
    ]
    return Signature(tuple(fields), dict(plain["sizes"]))
