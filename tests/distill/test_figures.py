"""The figures of a step, from the device to the log."""

from types import SimpleNamespace

import numpy as np
import pytest

from gan_kd_ssd.distill.figures import Figures
from gan_kd_ssd.util.mxnet import mx

LOSSES = ("CrossEntropy", "SmoothL1")


def term(*names, total="mean", logged=dict):
    return SimpleNamespace(figures=names, level_total=total, logged=logged)


def figures(total="mean", counts=(), strides=(8, 16)):
    gap = term(
        "a", "b", total=total, logged=lambda found: {**found, "gap": found["a"] - found["b"]}
    )
    return Figures(LOSSES, counts, [gap, term("cosine")], strides)


def test_a_term_s_figures_are_means_over_batches_and_means_or_sums_over_levels():
    vector = np.array([4.0, 2.0, *[1, 3], *[0, 1], *[0.2, 0.4]])
    found = figures().of_epoch(2 * vector, batches=2)
    expected = {"CrossEntropy": 4, "SmoothL1": 2, "a": 2, "b": 0.5, "gap": 1.5, "cosine": 0.3}
    assert {found.pop("Loss_G"), found.pop("Loss_D")} == {None}
    assert found == pytest.approx(expected)
    total = figures("sum").of_epoch(vector, 1)
    assert total["gap"] == pytest.approx(3) and total["cosine"] == pytest.approx(0.3)


def test_figures_without_levels_say_that_no_discriminator_was_trained():
    expected = {"CrossEntropy": 4.0, "SmoothL1": 2.0, "Loss_G": None, "Loss_D": None}
    assert figures().of_epoch(np.array([4.0, 2.0]), 1) == expected
    assert Figures(LOSSES).of_epoch(np.array([4.0, 2.0]), 1) == expected


def test_counted_figures_are_sums_by_numbers_and_every_entry_of_a_vector_has_a_name():
    reader = Figures(["a"], ["Acc", "L1"], [term("score", "cosine")], [16])
    vector = np.array([8.0, *[30, 40], *[5, 2], *[1, 2]])
    assert reader.counted(vector) == {"Acc": 0.75, "L1": 2.5}
    assert reader.counted(np.zeros(7)) == {"Acc": 0, "L1": 0}
    assert reader.of_epoch(vector, 4)["a"] == 2
    assert len(reader.entries) == len(vector) and reader.entries[1] == "sum of Acc"
    assert reader.entries[-1] == "cosine of level 0 (stride 16)"


def test_what_is_packed_is_read_back_whatever_the_order_of_the_names():
    reader = figures(counts=["Acc"])
    losses = {"SmoothL1": mx.nd.array([0.5, 0]), "CrossEntropy": mx.nd.array([1, 3])}
    counts = {"Acc": (mx.nd.array([3]), mx.nd.array([4]))}
    levels = {"cosine": [0.5, 0.25], "b": [1, 2], "a": [3, 5]}
    arrays = {name: mx.nd.array(value) for name, value in levels.items()}
    vector = reader.pack(losses, counts, arrays)
    assert len(reader.entries) == vector.size
    found = reader.of_epoch(vector.asnumpy(), 1)
    assert (found["CrossEntropy"], found["SmoothL1"], found["gap"]) == (4, 0.5, 2.5)
    assert found["cosine"] == 0.375 and reader.counted(vector.asnumpy()) == {"Acc": 0.75}
