"""What every part is: a frozen pydantic model whose fields are its options."""

from __future__ import annotations

from abc import ABC
from collections.abc import Iterable, Mapping
from typing import Any, ClassVar, Literal, Protocol, TypeVar, final

from pydantic import BaseModel, ConfigDict, PrivateAttr

from ..credentials import MASK, hidden
from .signature import Field as SignatureField
from .signature import Signature

Site = Literal["loss", "operator", "sampling", "output"]

Part = TypeVar("Part", bound="Component")


class Parts(Protocol):
    """Makes parts from their names and options: a registry, as parts see it."""

    def get(self, kind: str, name: str) -> type[Component]:
        """The class of a part."""
        ...

    def parts(self, kind: str) -> Mapping[str, type[Component]]:
        """All parts of a kind, by name."""
        ...

    def make(self, kind: str, given: Any, *, where: str = "") -> Component:
        """The part of a kind that a recipe names: `csi`, or `{csi: {thresholds: [74]}}`."""
        ...

    def build(self, part: type[Part], name: str, options: Mapping[str, Any], *, where: str) -> Part:
        """A part of a class from its options."""
        ...


class Component(BaseModel, ABC):
    """A named, configured part of a pipeline."""

    model_config = ConfigDict(frozen=True, extra="forbid", arbitrary_types_allowed=True, protected_namespaces=())

    cite: ClassVar[str] = ""
    """DOIs of what it computes, separated by spaces."""
    revision: ClassVar[int] = 1
    """Raised when the same options begin to give other results for a reason that its source code does not show."""
    example: ClassVar[Mapping[str, Any]] = {}
    """Options that work, for the conformance kit and `thalweg methods NAME`; needed where an option has no default."""

    _name: str = PrivateAttr("")

    def __repr_args__(self) -> Iterable[tuple[str | None, Any]]:
        # Dask's workers log the arguments of a task that failed.
        for name, value in super().__repr_args__():
            masked = hidden({str(name): value})[str(name)]
            yield name, masked if MASK in repr(masked) else value

    @property
    def name(self) -> str:
        """The name that it was asked for by; its class's, if it was made in Python."""
        return self._name or type(self).__name__

    @final
    def needs(self) -> Signature:
        """What it must be given: the `variable` or `variables` that it names, with its `units` and `dims`, if any."""
        own = self.__dict__
        names = [own["variable"]] if own.get("variable") else own.get("variables") or ()
        dims, units = own.get("dims") or (), own.get("units") or ""
        return Signature(tuple(SignatureField(each, tuple(dims), units=units) for each in names))

    def check(self, given: Signature) -> None:
        """Raise `HandshakeError` or `OptionError` if these options cannot be used on `given`."""
