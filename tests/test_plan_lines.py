"""A plan is read on one screen: long lists of fields are cut between fields."""

from __future__ import annotations

from thalweg.recipes.lines import WIDTH, beside, cut

FIELDS = "; ".join(f"field_{i} (sample, lead, latitude, longitude) float32 [degC]" for i in range(12))


def test_a_short_list_stays_beside_its_stage() -> None:
    assert beside("  ingest  ", "t (time) float32 [K]", indent=4) == ["  ingest  t (time) float32 [K]"]
    assert beside("  ingest  ", "", indent=4) == ["  ingest"]


def test_a_long_list_is_cut_between_fields_and_loses_none() -> None:
    first, *below = beside("  ingest  ", FIELDS, indent=4)
    assert first == "  ingest"
    assert all(len(line) <= WIDTH and line.startswith("    field_") for line in below)
    assert " ".join(line.strip() for line in below) == FIELDS


def test_an_item_that_is_too_long_is_not_cut() -> None:
    assert cut("a" * 200 + "; b", indent=1) == [" " + "a" * 200 + ";", " b"]
