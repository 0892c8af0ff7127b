"""What makes a stage another stage: code and options, not comments and neighbours."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

import pytest
from thalweg import Registry
from thalweg.provenance import code_digest, digest, record


def test_a_digest_does_not_depend_on_the_order_of_keys() -> None:
    assert digest({"a": 1, "b": [2]}) == digest({"b": [2], "a": 1}) != digest({"a": 1, "b": [3]})


@pytest.mark.parametrize(
    ("file", "old", "new", "changes"),
    [
        ("part.py", '"""Doubles."""', '"""Twice as much."""', False),
        ("part.py", "return DOUBLE", "return DOUBLE  # twice", False),
        ("part.py", "return DOUBLE", "return -DOUBLE", True),
        ("helper.py", "DOUBLE = 2", "DOUBLE = 3", True),
        ("neighbour.py", "OTHER = 1", "OTHER = 2", False),
    ],
)
def test_edited_code_is_seen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, file: str, old: str, new: str, changes: bool
) -> None:
    package = tmp_path / "edited_plugin"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "helper.py").write_text("DOUBLE = 2\n")
    (package / "neighbour.py").write_text("OTHER = 1\n")
    (package / "part.py").write_text(
        "from thalweg import WholeMetric\nfrom .helper import DOUBLE\n\n\nclass Part(WholeMetric):\n"
        '    """Doubles."""\n\n    def value(self, estimate, truth):\n        return DOUBLE\n'
    )
    monkeypatch.syspath_prepend(tmp_path)
    importlib.invalidate_caches()
    part = importlib.import_module("edited_plugin.part").Part
    code_digest.cache_clear()
    before = code_digest(part)
    target = package / file
    target.write_text(target.read_text().replace(old, new))
    code_digest.cache_clear()
    assert (code_digest(part) != before) == changes
    for name in [name for name in sys.modules if name.startswith("edited_plugin")]:
        del sys.modules[name]


def test_a_record_holds_options_versions_and_inner_parts() -> None:
    made = Registry.installed().make("metrics", {"csi": {"thresholds": [74]}})
    found = record(made)
    assert found["name"] == "csi"
    assert found["options"]["thresholds"] == [74]
    assert found["version"].startswith("thalweg==")
