"""Every metric of the plugin keeps the contract: no cut and no chunking changes a score."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st
from thalweg import EstimateError, HandshakeError, Metric, OptionError, Registry, Signature, score
from thalweg.results.scoring import add, finish, tally
from thalweg.testing import check_metric
from thalweg.testing.metrics import check_chunks, check_cuts

REGISTRY = Registry.installed()
THRESHOLDS = [16, 74, 133]
EXAMPLES: dict[str, list[dict[str, Any]]] = {
    "anomaly-correlation": [{}, {"centred": True, "weights": "area"}],
    "crps": [{"estimator": "ecdf"}, {"estimator": "fair"}],
    "csi": [{"thresholds": THRESHOLDS, "pool": 2}, {"thresholds": THRESHOLDS, "of": "members"}],
    "energy-score": [{"estimator": "ecdf"}, {"estimator": "fair"}],
    "frame-mae": [{}, {"dims": ("lat", "lon")}],
    "frame-mse": [{"unit": 255}],
    "fss": [{"thresholds": THRESHOLDS, "window": 3}, {"thresholds": THRESHOLDS, "window": 4, "boundary": "zeros"}],
    "frequency-bias": [{"thresholds": THRESHOLDS}],
    "mae": [{}, {"weights": "area"}],
    "mse": [{"unit": 255}, {"weights": "area"}],
    "nino34-skill": [{}, {"weights": "icar", "leads": 2}],
    "pod": [{"thresholds": THRESHOLDS}],
    "rank-histogram": [{}],
    "reliability": [{"thresholds": THRESHOLDS}, {"thresholds": THRESHOLDS, "bins": 4}],
    "rmse": [{}],
    "spectrum": [{"bands": [(1, 2), (2, 4)]}, {"bands": [(1, 3)], "taper": False}],
    "spread-skill": [{}],
    "ssim": [{"window": 3, "width": 0.8, "data_range": 255}, {"window": 5, "data_range": 255}],
    "success-ratio": [{"thresholds": THRESHOLDS, "pool": 3}],
}
ENSEMBLES = ("crps", "energy-score", "rank-histogram", "reliability", "spectrum", "spread-skill")
"""Metrics of members, not of their mean."""
NEEDED = ("rank-histogram", "spread-skill")
"""Those that refuse an estimate without members."""
MINE = [name for name in REGISTRY.parts("metrics") if REGISTRY.plugin_of("metrics", name) == "earth"]
CASES = [pytest.param(name, options, id=f"{name}-{i}") for name in MINE for i, options in enumerate(EXAMPLES[name])]


def make(name: str, options: dict[str, Any]) -> Metric:
    made = REGISTRY.make("metrics", {name: options})
    assert isinstance(made, Metric)
    return made


def fields(dtype: str = "float32", *, members: int = 0, seed: int = 0) -> tuple[xr.Dataset, xr.Dataset]:
    """An estimate and the truth, `(sample, lead, lat, lon)`, 0 to 255."""
    random = np.random.default_rng(seed)
    shape = (4, 5, 5, 7)
    truth = np.clip(random.gamma(0.9, 80, shape), 0, 255)
    spread = random.normal(scale=40, size=(*shape, members or 1))
    estimate = np.clip(0.8 * truth[..., None] + spread, 0, 255)
    coords = {
        "lead": np.arange(1, 6),
        "lat": ("lat", np.linspace(-10, 10, 5), {"units": "degrees_north"}),
        "lon": ("lon", np.linspace(170, 260, 7), {"units": "degrees_east"}),
    }
    dims = ("sample", "lead", "lat", "lon")
    made = xr.DataArray(estimate.astype(dtype), coords, (*dims, "member"))
    return (
        (made if members else made.isel(member=0)).to_dataset(name="refl"),
        xr.DataArray(truth.astype(dtype), coords, dims).to_dataset(name="refl"),
    )


def holed(data: xr.Dataset, seed: int) -> xr.Dataset:
    there = np.random.default_rng(seed).random(data.refl.shape) > 0.1
    return data.where(data.refl.copy(data=there))


@pytest.mark.parametrize(("name", "options"), CASES)
def test_conformance(name: str, options: dict[str, Any]) -> None:
    check_metric(make(name, options), *fields(members=3 if name in ENSEMBLES else 0))


@pytest.mark.parametrize(("name", "options"), CASES)
@given(drawn=st.data())
@settings(max_examples=3, deadline=None)
def test_no_cut_and_no_chunking_changes_a_score(name: str, options: dict[str, Any], drawn: st.DataObject) -> None:
    metric = make(name, options)
    dtype = drawn.draw(st.sampled_from(["uint8", "float32", "float64"]))
    estimate, truth = fields(
        dtype,
        members=drawn.draw(st.sampled_from([3] if name in NEEDED else [0, 3])),
        seed=drawn.draw(st.integers(0, 9)),
    )
    if dtype != "uint8" and drawn.draw(st.booleans()):
        estimate, truth = holed(estimate, 1), holed(truth, 2)
    cut = {str(dim): drawn.draw(st.sets(st.integers(1, size - 1), max_size=2)) for dim, size in estimate.sizes.items()}
    chunks = {dim: tuple(np.diff([0, *sorted(at), estimate.sizes[dim]]).tolist()) for dim, at in cut.items()}
    check_chunks(metric, estimate, truth, chunks)
    check_cuts(metric, estimate, truth, sorted(cut["sample"]))


@pytest.mark.parametrize(("name", "options"), CASES)
def test_one_of_the_two_may_be_in_memory(name: str, options: dict[str, Any]) -> None:
    metric, (estimate, truth) = make(name, options), fields(members=3 if name in NEEDED else 0)
    whole = score(metric, estimate, truth)
    for pair in ((estimate.chunk(lat=2, sample=3), truth), (estimate, truth.chunk(lon=3, lead=2))):
        xr.testing.assert_allclose(score(metric, *pair).overall.compute(), whole.overall, rtol=1e-12)


@pytest.mark.parametrize(("name", "options"), CASES)
def test_order_of_dims_does_not_matter(name: str, options: dict[str, Any]) -> None:
    metric, (estimate, truth) = make(name, options), fields(members=3 if name in NEEDED else 0)
    turned = score(metric, estimate.transpose("lon", "lat", ..., "lead", "sample"), truth)
    xr.testing.assert_allclose(turned.overall, score(metric, estimate, truth).overall, rtol=1e-12)


@pytest.mark.parametrize("name", [name for name in MINE if name not in ENSEMBLES])
def test_an_ensemble_counts_as_its_mean(name: str) -> None:
    metric, (estimate, truth) = make(name, EXAMPLES[name][0]), fields(members=3)
    mean = estimate.astype("float64").mean("member")
    xr.testing.assert_allclose(score(metric, estimate, truth).overall, score(metric, mean, truth).overall, rtol=1e-12)


@pytest.mark.parametrize("dtype", ["uint8", "float32"])
def test_counts_are_whole_numbers_of_64_bits(dtype: str) -> None:
    totals = tally(make("csi", {"thresholds": THRESHOLDS}), *fields(dtype))
    assert {each.dtype for part in totals.values() for each in (part.sum, part.count)} == {np.dtype("int64")}


def test_counts_stay_exact_beyond_float32() -> None:
    # One more than 2^24, where a float32 accumulator (and the published code) stops counting.
    ones = xr.Dataset({"refl": (("sample", "y", "x"), np.ones((1, 4097, 4096), "uint8"))})
    totals = tally(make("csi", {"thresholds": [1]}), ones, ones)
    assert int(totals["hits"].sum.sum()) == 4097 * 4096 > 2**24


@pytest.mark.parametrize("thresholds", [[16, 74.5, 255], [0.3, 0.7], [-1, 300]])
@pytest.mark.parametrize("dtype", ["uint8", "int16", "float32", "float64"])
def test_an_event_is_at_or_above_its_threshold(thresholds: list[float], dtype: str) -> None:
    values = np.array([[0, 1, 16, 74, 75, 255]]) if dtype in ("uint8", "int16") else np.array([[0.3, 0.7, 0.69, 74.5]])
    field = xr.Dataset({"refl": (("sample", "x"), values.astype(dtype))})
    hits = tally(make("csi", {"thresholds": thresholds}), field, field)["hits"].sum.values[0]
    level = np.asarray(thresholds, field.refl.dtype if dtype == "float32" else "float64")
    assert hits.tolist() == (field.refl.values[0] >= level[:, None]).sum(1).tolist()


def test_pooling_scores_maxima_and_drops_the_remainder() -> None:
    estimate, truth = fields()
    metric = make("csi", {"thresholds": [74], "pool": 2})
    pooled = [each.isel(lat=slice(4), lon=slice(6)).coarsen(lat=2, lon=2).max() for each in (estimate, truth)]
    assert score(metric, estimate, truth).overall == score(make("csi", {"thresholds": [74]}), *pooled).overall


def test_nothing_to_count_is_nan_or_zero() -> None:
    dry = xr.Dataset({"refl": (("sample", "y", "x"), np.zeros((2, 3, 3)))})
    for name in ("csi", "pod", "success-ratio", "frequency-bias", "fss"):
        options = {"thresholds": [16], **({"window": 2} if name == "fss" else {})}
        assert np.isnan(score(make(name, options), dry, dry).overall)
        assert score(make(name, {**options, "empty": "zero"}), dry, dry).overall == 0
        gone = score(make(name, {**options, "empty": "zero"}), dry, dry * np.nan).overall
        assert np.isnan(gone), "no point was there: not even 0/0"


@pytest.mark.parametrize("name", ["csi", "pod", "success-ratio", "frequency-bias"])
def test_ratios_without_events_are_those_of_the_libraries(name: str) -> None:
    from scores.categorical import BinaryContingencyManager

    theirs = {"csi": "critical_success_index", "pod": "probability_of_detection", "success-ratio": "success_ratio"}
    dry, wet = (xr.DataArray(np.full((2, 3), value), dims=("sample", "x"), name="refl") for value in (0.0, 20.0))
    for one, other in ((dry, dry), (wet, dry), (dry, wet), (wet, wet), (dry, dry * np.nan)):
        table = BinaryContingencyManager((one >= 16).where(other.notnull()), (other >= 16).where(other.notnull()))
        want = float(getattr(table, theirs.get(name, "frequency_bias"))())
        ours = score(make(name, {"thresholds": [16]}), one.to_dataset(), other.rename("refl").to_dataset()).overall
        np.testing.assert_equal(ours.values, [want])


def test_crps_of_a_variance_is_that_of_its_gaussian() -> None:
    import xskillscore

    estimate, truth = fields("float64")
    said = estimate.assign(refl_variance=estimate.refl * 0 + 25.0)
    want = xskillscore.crps_gaussian(truth.refl, estimate.refl, np.sqrt(said.refl_variance))
    assert float(score(make("crps", {"estimator": "ecdf"}), said, truth).overall) == pytest.approx(float(want))
    gone = said.assign(refl_variance=said.refl_variance.where(said.refl < 100))
    part = score(make("crps", {"estimator": "ecdf"}), gone, truth).overall
    assert float(part) == pytest.approx(
        float(score(make("crps", {"estimator": "ecdf"}), said, truth.where(said.refl < 100)).overall)
    )


@pytest.mark.parametrize("estimator", ["ecdf", "fair"])
def test_an_infinite_member_has_the_worst_crps(estimator: str) -> None:
    estimate, truth = fields("float64", members=4)
    for value in (np.inf, -np.inf):
        estimate.refl[0, 0, 0, 0, 3] = value
        assert score(make("crps", {"estimator": estimator}), estimate, truth).overall == np.inf
        assert score(make("rmse", {}), estimate, truth).overall == np.inf
    estimate.refl[0, 0, 0, 0, 2] = np.inf
    assert score(make("rmse", {}), estimate, truth).overall == np.inf, "inf - inf is no point without an answer"


def test_an_unknown_variable_is_refused() -> None:
    _, truth = fields()
    two = Signature.of(truth.assign(vil=truth.refl))
    for name, options in ((name, EXAMPLES[name][0]) for name in MINE):
        given = two.with_members(3) if name in NEEDED else two
        with pytest.raises(OptionError, match="does not say which field to score"):
            make(name, options).check(given)
        assert make(name, {**options, "variable": "vil"}).check(given) is None


@pytest.mark.parametrize("name", NEEDED)
def test_an_estimate_without_members_is_refused_by_what_needs_them(name: str) -> None:
    _, truth = fields()
    with pytest.raises(HandshakeError, match="is given 1 member of 'refl'"):
        make(name, {}).check(Signature.of(truth))


@pytest.mark.parametrize(
    ("name", "options", "text"),
    [
        ("csi", {"thresholds": [74, 16]}, "must increase, each once"),
        ("csi", {"thresholds": [16, 16]}, "must increase, each once"),
        ("csi", {"thresholds": []}, "too short"),
        ("csi", {}, "the option 'thresholds' is missing"),
        ("crps", {}, "the option 'estimator' is missing"),
        ("mse", {"unit": 0}, "is too small"),
    ],
)
def test_wrong_options_are_refused(name: str, options: dict[str, Any], text: str) -> None:
    with pytest.raises(OptionError, match=text):
        make(name, options)


def test_thresholds_that_nothing_reaches_are_refused() -> None:
    _, truth = fields("uint8")
    with pytest.raises(OptionError) as caught:
        make("csi", {"thresholds": [0, 74, 300]}).check(Signature.of(truth))
    assert str(caught.value) == (
        "thresholds [0.0, 300.0] do not tell values of 'refl' apart\n"
        "  allowed: above 0, up to 255 1\n"
        "  do: give thresholds in the units of the field as it is scored"
    )


@pytest.mark.parametrize(
    ("name", "options"), [("csi", {"thresholds": [74], "pool": 6}), ("fss", {"thresholds": [74], "window": 6})]
)
def test_squares_larger_than_the_field_are_refused(name: str, options: dict[str, Any]) -> None:
    _, truth = fields()
    with pytest.raises(HandshakeError, match="squares of 6 cells do not fit into dim 'lat'"):
        make(name, options).check(Signature.of(truth))


def test_an_estimate_that_does_not_fit_the_truth_is_refused() -> None:
    estimate, truth = fields()
    metric = make("mse", {})
    for wrong, text in (
        (estimate.rename(refl="vil"), "has no 'refl'"),
        (estimate.isel(lat=0, drop=True), "has dims"),
        (estimate.assign_coords(lat=estimate.lat + 0.5), "lies on other coordinates"),
        (estimate.isel(sample=slice(3)), "lies on other coordinates"),
    ):
        with pytest.raises(EstimateError, match=text):
            score(metric, wrong, truth)


def test_area_weights_need_a_latitude() -> None:
    estimate, truth = (each.drop_vars("lat") for each in fields())
    with pytest.raises(HandshakeError, match="has no latitude"):
        score(make("rmse", {"weights": "area"}), estimate, truth)


def test_a_fair_crps_needs_two_members() -> None:
    estimate, truth = fields(members=1)
    with pytest.raises(HandshakeError, match="one member has no fair CRPS"):
        score(make("crps", {"estimator": "fair"}), estimate, truth)


@pytest.mark.parametrize("estimator", ["ecdf", "fair"])
def test_crps_of_a_single_estimate_is_its_absolute_error(estimator: str) -> None:
    estimate, truth = fields()
    xr.testing.assert_allclose(
        score(make("crps", {"estimator": estimator}), estimate, truth).overall,
        score(make("mae", {}), estimate, truth).overall,
        rtol=1e-12,
    )


@pytest.mark.parametrize("name", ["csi", "pod", "frequency-bias", "success-ratio"])
def test_members_count_each_as_an_estimate(name: str) -> None:
    estimate, truth = fields(members=3)
    of_all = score(make(name, {"thresholds": THRESHOLDS, "of": "members", "pool": 2}), estimate, truth)
    single = make(name, {"thresholds": THRESHOLDS, "pool": 2})
    parts = [tally(single, estimate.isel(member=i, drop=True), truth) for i in range(3)]
    xr.testing.assert_identical(of_all.overall, finish(single, add(parts)).overall)
    with_gap = estimate.copy(deep=True)
    with_gap["refl"][0, 0, 0, 0, 1] = np.nan
    whole = estimate.where(~with_gap["refl"].isnull().any("member"))
    found = [score(make(name, {"thresholds": THRESHOLDS, "of": "members"}), each, truth) for each in (with_gap, whole)]
    xr.testing.assert_identical(found[0].overall, found[1].overall)
