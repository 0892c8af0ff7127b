"""A first use compiles for some seconds, and says so once."""

from __future__ import annotations

import logging

import pytest
from numba import njit
from numba.core import event
from thalweg_slam.compiling import Compiling


def test_compiling_is_told_once(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "thalweg")
    with event.install_listener("numba:compile", Compiling()):
        for number in range(2):
            kernel = njit(lambda x, n=number: x + n)
            caplog.clear()
            kernel(1)
            kernel(1)
            told = [each.getMessage() for each in caplog.records if each.name == "thalweg"]
            # The listener that an import registered may tell as well.
            assert (told != []) == (number == 0), told
            assert all(each.startswith("compiling kernels, once per machine") for each in told)


@pytest.mark.parametrize("home", ["posegraph.lanes", "bundle.projection"])
def test_whoever_loads_kernels_listens(home: str) -> None:
    import importlib

    importlib.import_module(f"thalweg_slam.{home}")
    listeners = event._registered[event._guard_kind("numba:compile")]
    assert any(isinstance(each, Compiling) for each in listeners)
