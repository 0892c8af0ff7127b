"""CSI at six thresholds with MSE over a store the size of all wet TAASRAD19 events, and reading its bytes."""

from __future__ import annotations

import shutil
import tempfile
import warnings
from pathlib import Path

import numpy as np
import xarray as xr
from _timing import in_turn, report
from thalweg import Registry
from thalweg.results import scoring
from thalweg.stores.arrays import lay_out, put, read

THRESHOLDS = [16, 74, 133, 160, 181, 219]
SHAPE = (440, 12, 64, 64)


def main() -> None:
    folder = Path(tempfile.mkdtemp(prefix="thalweg-bench-"))
    rng = np.random.default_rng(0)
    coarse = rng.gamma(0.6, 60.0, (SHAPE[0], SHAPE[1], 8, 8)).clip(0, 255)
    truth = np.kron(coarse, np.ones((8, 8))).astype("uint8")
    estimate = np.roll(truth, 2, axis=-1)
    dims = ("sample", "lead", "y", "x")
    for name, values in (("truth", truth), ("estimate", estimate)):
        data = xr.Dataset({"reflectivity": (dims, values)}, {"lead": np.arange(1, 13)})
        lay_out(str(folder / name), data, large={"reflectivity": (88, *SHAPE[1:])})
        put(str(folder / name), "reflectivity", (slice(None),) * 4, values)
    registry = Registry.installed()
    csi = registry.make("metrics", {"csi": {"thresholds": THRESHOLDS}})
    mse = registry.make("metrics", {"mse": {"unit": 255}})

    def reading() -> None:
        for start in range(0, SHAPE[0], 88):
            for name in ("truth", "estimate"):
                read(str(folder / name)).isel(sample=slice(start, start + 88)).load()

    def ours() -> list[float]:
        parts = []
        for start in range(0, SHAPE[0], 88):
            at = slice(start, start + 88)
            pair = [read(str(folder / name)).isel(sample=at).load() for name in ("estimate", "truth")]
            parts.append([scoring.tally(metric, *pair) for metric in (csi, mse)])
        found = [
            scoring.finish(metric, scoring.concatenate([part[i] for part in parts]))
            for i, metric in enumerate((csi, mse))
        ]
        return [*found[0].overall.values.tolist(), float(found[1].overall)]

    def theirs_scores() -> list[float]:
        import scores as library

        pair = [read(str(folder / name))["reflectivity"].load() for name in ("estimate", "truth")]
        out = []
        for threshold in THRESHOLDS:
            operator = library.categorical.ThresholdEventOperator(default_event_threshold=threshold)
            table = operator.make_contingency_manager(*pair)
            out.append(float(table.transform().critical_success_index()))
        floats = [each.astype("float64") / 255 for each in pair]
        return [*out, float(library.continuous.mse(*floats))]

    def theirs_xskillscore() -> list[float]:
        import xskillscore

        estimate, truth = (read(str(folder / name))["reflectivity"].load() for name in ("estimate", "truth"))
        out = []
        for threshold in THRESHOLDS:
            edges = np.array([0, threshold, 256])
            table = xskillscore.Contingency(
                truth.astype("float32"), estimate.astype("float32"), edges, edges, dim=list(dims[:1] + dims[2:])
            )
            # Its histogram fails over all dims at once, so the leads are added up here.
            hits, misses, alarms = (float(f().sum()) for f in (table.hits, table.misses, table.false_alarms))
            out.append(hits / (hits + misses + alarms))
        return [*out, float(xskillscore.mse(estimate.astype("f8") / 255, truth.astype("f8") / 255, dim=list(dims)))]

    try:
        warnings.simplefilter("ignore")
        expected = ours()
        for peer in (theirs_scores, theirs_xskillscore):
            np.testing.assert_allclose(peer(), expected, rtol=1e-9, err_msg=peer.__name__)
        ways = {
            "reading both stores": reading,
            "thalweg: 6 thresholds + MSE, with reading": ours,
            "scores": theirs_scores,
            "xskillscore": theirs_xskillscore,
        }
        print(f"{2 * truth.nbytes / 1e6:.0f} MB; all three agree to 1e-9")
        report(in_turn(ways, repeats=3), against="reading both stores")
    finally:
        shutil.rmtree(folder)


main()
