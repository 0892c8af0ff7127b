"""Readers of bundles, on the shipped files (counts and the initial cost are in their README) and on broken ones."""

from __future__ import annotations

import gzip
import os
import struct
from pathlib import Path

import numpy as np
import pytest
from thalweg.errors import SourceError
from thalweg_slam.bundle import Bundle, read_bal, read_gbp, read_libmv, read_stereo
from thalweg_slam.bundle.robust import Loss
from thalweg_slam.bundle.state import Sightings, State

SHARED = Path(os.environ.get("THALWEG_SHARED", Path(__file__).resolve().parents[3] / ".." / "shared"))
DATA = SHARED / "data" / "slam"


def shipped(*parts: str) -> Path:
    path = DATA.joinpath(*parts)
    if not path.exists():
        pytest.skip(f"no {path.name} in the shared data")
    return path


def cost(bundle: Bundle) -> float:
    residual = Sightings.of(bundle).residuals(State.of(bundle))
    return Loss().value((residual**2).sum(0))


def test_bal_begins_at_the_published_cost() -> None:
    bundle = read_bal(shipped("bal", "problem-21-11315-pre.txt.gz"))
    assert (len(bundle), len(bundle.points), len(bundle.observations)) == (21, 11315, 36455)
    assert cost(bundle) == pytest.approx(4413239.31, abs=0.01)
    assert (bundle.depth() > 0).all()


@pytest.mark.parametrize(
    ("name", "counts"),
    [
        ("fr1desk", (63, 2869, 13298)),
        ("fr1desk_small", (20, 1216, 3917)),
        ("fr1desk_vsmall", (10, 640, 1801)),
        ("fr1xyz_av", (42, 1914, 11489)),
        ("fr2robot2", (20, 862, 3551)),
    ],
)
def test_keyframe_windows(name: str, counts: tuple[int, int, int]) -> None:
    bundle = read_gbp(shipped("bal", f"tum_{name}.txt.gz"))
    assert (len(bundle), len(bundle.points), len(bundle.observations)) == counts
    assert bundle.calibration[0] == pytest.approx(520, abs=5)
    assert (bundle.depth() > 0).all()


@pytest.mark.parametrize("number", [1, 2, 3])
def test_libmv_problems_were_solved_by_blender(number: int) -> None:
    bundle = read_libmv(shipped("bal", f"libmv_problem_0{number}.bin"))
    assert bundle.attrs["orphans"] == 0
    # A transposed rotation or a misplaced field would be off by hundreds of pixels.
    assert np.sqrt(2 * cost(bundle) / len(bundle.observations)) < 2.0
    assert (bundle.depth() > 0).all()


@pytest.mark.parametrize(
    ("name", "calibration", "counts"), [("_large", "", (26, 2634, 8189)), ("00s", "00s", (77, 15638, 52544))]
)
def test_stereo_points_are_seen_where_they_were_measured(
    name: str, calibration: str, counts: tuple[int, int, int]
) -> None:
    bundle = read_stereo(
        shipped("vo_stereo", f"VO_stereo_factors{name}.txt.gz"),
        poses=shipped("vo_stereo", f"VO_camera_poses{name}.txt"),
        calibration=shipped("vo_stereo", f"VO_calibration{calibration}.txt"),
    )
    assert (len(bundle), len(bundle.points), len(bundle.observations)) == counts
    residual = Sightings.of(bundle).residuals(State.of(bundle))
    assert np.median(np.abs(residual)) < 1.0


def test_every_observation_of_bal_keeps_its_place(tmp_path: Path) -> None:
    text = "2 1 2\n0 0 1.5 2.5\n1 0 -3 4\n" + "\n".join(str(value) for value in range(18 + 3)) + "\n"
    for name, raw in (("a.txt", text.encode()), ("a.txt.gz", gzip.compress(text.encode()))):
        (tmp_path / name).write_bytes(raw)
        bundle = read_bal(tmp_path / name)
        assert bundle.cameras[1].tolist() == list(range(9, 18))
        assert bundle.points.tolist() == [[18, 19, 20]]
        assert bundle.observations.tolist() == [[0, 0], [1, 0]]
        assert bundle.measured.tolist() == [[1.5, 2.5], [-3, 4]]


def test_libmv_in_the_other_byte_order(tmp_path: Path) -> None:
    turn = [0, 1, 0, -1, 0, 0, 0, 0, 1]
    body = b"VP" + struct.pack(">8f", 100, 1, 2, 0, 0, 0, 0, 0) + struct.pack(">i", 1)
    body += struct.pack(">i9f3f", 7, *turn, 0, 0, 5) + struct.pack(">i", 1) + struct.pack(">i3f", 3, 1, 0, 0)
    body += struct.pack(">i", 2) + struct.pack(">ii2f", 7, 3, 1, 22) + struct.pack(">ii2f", 8, 3, 0, 0)
    (tmp_path / "a.bin").write_bytes(body)
    bundle = read_libmv(tmp_path / "a.bin")
    assert bundle.attrs["orphans"] == 1
    # Column-major: the first column of R is (0, 1, 0), so x is seen above the centre.
    assert cost(bundle) == pytest.approx(0, abs=1e-9)


@pytest.mark.parametrize(
    ("text", "finding"),
    [
        ("2 1 2\n0 0 1 2\n", "has 7 numbers"),
        ("1 1 1\n0 4 1 2\n" + "0\n" * 12, "camera, point [0.0, 4.0]"),
        ("1 1 1\none two\n", "a.txt, line 2: 'one', which is not a number"),
        ("-1 2 3\n", "begins with"),
    ],
)
def test_broken_text_is_refused(tmp_path: Path, text: str, finding: str) -> None:
    (tmp_path / "a.txt").write_text(text)
    with pytest.raises(SourceError) as caught:
        read_bal(tmp_path / "a.txt")
    assert finding in caught.value.given


def test_broken_binary_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.bin").write_bytes(b"vP" + struct.pack("<8f", *range(8)) + struct.pack("<i", 1000))
    with pytest.raises(SourceError, match="ends at byte"):
        read_libmv(tmp_path / "a.bin")
    (tmp_path / "a.bin").write_bytes(b"hello")
    with pytest.raises(SourceError, match="begins with"):
        read_libmv(tmp_path / "a.bin")
    with pytest.raises(SourceError, match="cannot be read"):
        read_libmv(tmp_path / "absent.bin")
