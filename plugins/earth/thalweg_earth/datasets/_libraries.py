"""Loading compiled libraries beside others that bring the same ones in other versions."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def own_symbols() -> Iterator[None]:
    """Inside, modules that are imported use the libraries of their own wheel.

    eccodes loads its PROJ, SQLite and curl for the whole process, and xarray imports it as soon as cfgrib is
    installed. Then pyproj calls that PROJ with structures of its own, and crashes. Only Linux has one scope for all.
    """
    if not hasattr(os, "RTLD_DEEPBIND") or not hasattr(sys, "setdlopenflags"):
        yield
        return
    flags = sys.getdlopenflags()
    sys.setdlopenflags(flags | os.RTLD_DEEPBIND | os.RTLD_NOW)
    try:
        yield
    finally:
        sys.setdlopenflags(flags)
