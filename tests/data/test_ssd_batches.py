"""SSD's batches: the same bits for any number of workers, each sample once per epoch."""

import os
import select
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from gan_kd_ssd.data.batches import ssd_batches
from gan_kd_ssd.data.batches.loaders import sample_rng
from gan_kd_ssd.data.batches.ssd_transform import val_transform
from gan_kd_ssd.data.batches.workers import Workers
from gan_kd_ssd.data.formats.catalog import open_dataset
from gan_kd_ssd.util.errors import UserError
from helpers.voc_folders import make_folder, make_random_folder, random_anchors

SIZE, ANCHORS, BATCH = 32, 60, 4


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    folder = make_random_folder(tmp_path_factory.mktemp("data") / "pets", 11)
    return open_dataset(str(folder), "train")


def train_batches(dataset, num_workers=0, seed=3):
    anchors = random_anchors(ANCHORS, SIZE)
    return ssd_batches.train_batches(dataset, SIZE, anchors, BATCH, seed, num_workers)


def as_numpy(batch):
    return [batch.images.asnumpy(), batch.class_targets.asnumpy(), batch.box_targets.asnumpy()]


def assert_same(one, two):
    assert len(one) == len(two)
    for a, b in zip(one, two):
        assert a.positives == b.positives
        for x, y in zip(as_numpy(a), as_numpy(b)):
            np.testing.assert_array_equal(x, y)


def test_a_batch_holds_images_targets_and_the_number_of_positive_anchors(dataset):
    for batch in train_batches(dataset).epoch(0):
        images, classes, boxes = as_numpy(batch)
        assert images.shape == (BATCH, 3, SIZE, SIZE) and images.dtype == np.float32
        assert classes.shape == (BATCH, ANCHORS) and set(np.unique(classes)) <= {0, 1, 2}
        assert boxes.shape == (BATCH, ANCHORS, 4)
        assert batch.positives == np.count_nonzero(classes) > 0
        assert not boxes[classes == 0].any()
        assert str(batch.images.context) == "cpu(0)"


def test_batches_are_bit_identical_for_0_1_and_2_workers(dataset):
    expected = [list(train_batches(dataset).epoch(e)) for e in range(2)]
    for num_workers in (1, 2):
        batches = train_batches(dataset, num_workers)
        for e in range(2):
            assert_same(list(batches.epoch(e)), expected[e])
        batches.close()


def test_an_epoch_can_be_asked_for_at_any_time_and_from_any_batch(dataset):
    batches = train_batches(dataset)
    whole = list(batches.epoch(2))
    for first in range(len(whole) + 1):
        assert_same(list(batches.epoch(2, first_batch=first)), whole[first:])


def test_left_over_samples_open_the_next_epoch_with_their_own_key(dataset):
    batches = train_batches(dataset)
    keys = []
    for epoch in range(8):
        of_epoch = batches.keys(epoch)
        assert len(of_epoch) == batches.batches(epoch)
        assert {len(batch) for batch in of_epoch} == {BATCH}
        keys += [key for batch in of_epoch for key in batch]
    # 8 epochs of 11 samples are 22 whole batches: every key once, in the order of the epochs.
    assert keys == sorted(keys, key=lambda key: key[0])
    assert Counter(keys) == Counter((e, i) for e in range(8) for i in range(11))
    assert [batches.batches(e) for e in range(4)] == [2, 3, 3, 3]


def test_order_and_draws_are_those_that_earlier_states_resume_in(dataset):
    keys = train_batches(dataset).keys(0)
    assert [index for batch in keys for _, index in batch] == [4, 1, 7, 3, 6, 10, 8, 2]
    assert sample_rng(3, 1, 2).random() == 0.43696838798137627


def test_epochs_and_seeds_differ_in_order_and_augmentation(dataset):
    first = next(train_batches(dataset).epoch(0)).images.asnumpy()
    for other in (train_batches(dataset).epoch(4), train_batches(dataset, seed=4).epoch(0)):
        assert not np.array_equal(first, next(other).images.asnumpy())


@pytest.mark.parametrize("batch_size", [0, 12])
def test_a_batch_larger_than_the_data_set_is_refused(dataset, batch_size):
    with pytest.raises(UserError, match=r"--batch-size .* 11 images"):
        ssd_batches.train_batches(dataset, SIZE, random_anchors(5, SIZE), batch_size, 0)


@pytest.mark.parametrize("num_workers", [0, 2])
def test_validation_keeps_order_and_the_last_small_batch(dataset, num_workers):
    batches = ssd_batches.val_batches(dataset, SIZE, BATCH, num_workers)
    got = list(batches)
    assert len(got) == len(batches) == 3
    assert [len(batch.images) for batch in got] == [4, 4, 3]
    index = 0
    for batch in got:
        for pixels, label in zip(batch.images.asnumpy(), batch.labels.asnumpy()):
            expected, boxes = val_transform(dataset.image(index), dataset.label(index), SIZE)
            np.testing.assert_array_equal(pixels, expected)
            np.testing.assert_array_equal(label[: len(boxes)], boxes)
            assert (label[len(boxes) :] == -1).all()
            index += 1
    assert index == len(dataset)
    batches.close()


def test_images_without_objects_train_as_background_and_validate(tmp_path):
    folder = make_folder(tmp_path / "pets", [[("cat", 5, 5, 30, 30)], [("dog", 5, 5, 30, 30)]])
    data = open_dataset(str(folder), "train", classes=["dog"])
    batch = next(ssd_batches.train_batches(data, SIZE, random_anchors(50, SIZE), 2, 0).epoch(0))
    positive = np.count_nonzero(batch.class_targets.asnumpy(), axis=1)
    assert sorted(positive > 0) == [False, True]
    first, *_ = ssd_batches.val_batches(data, SIZE, 1)
    assert (first.labels.asnumpy() == -1).all()


@pytest.mark.parametrize("num_workers", [0, 2])
def test_a_damaged_image_gives_the_same_one_line_error_for_any_workers(tmp_path, num_workers):
    folder = make_random_folder(tmp_path / "pets", 8)
    data = open_dataset(str(folder), "train")
    path = data.image_path(5)
    path.write_bytes(path.read_bytes()[:-20])
    for batches in (
        train_batches(data, num_workers).epoch(0),
        ssd_batches.val_batches(data, 32, 2, num_workers),
    ):
        with pytest.raises(UserError) as caught:
            list(batches)
        assert str(caught.value).startswith(f"{path} is truncated")


def _kill_own_process(item):
    os.kill(os.getpid(), signal.SIGKILL)


def test_a_worker_that_dies_is_an_error_and_not_a_hang():
    with pytest.raises(UserError, match="--num-workers"):
        list(Workers(_kill_own_process, 1).map(range(3)))


def test_workers_end_when_their_parent_is_killed(tmp_path):
    if not hasattr(os, "pidfd_open"):
        pytest.skip("this system has no pidfd_open to wait for another's process")
    script = tmp_path / "parent.py"
    script.write_text(
        "import os, sys\n"
        f"sys.path.insert(0, {str(Path(__file__).resolve().parents[2])!r})\n"
        "from gan_kd_ssd.data.batches.workers import Workers\n"
        "def pid(item):\n"
        "    return os.getpid()\n"
        "if __name__ == '__main__':\n"
        "    results = Workers(pid, 1).map(range(9))\n"
        "    print(next(results), flush=True)\n"
        "    sys.stdin.read()\n"
    )
    parent = subprocess.Popen(
        [sys.executable, str(script)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    worker = os.pidfd_open(int(parent.stdout.readline()))
    parent.kill()
    parent.communicate()
    ended, _, _ = select.select([worker], [], [], 20)
    os.close(worker)
    assert ended


def test_neither_the_data_set_nor_its_workers_import_mxnet():
    code = (
        "import sys, gan_kd_ssd.data.batches.ssd_batches, gan_kd_ssd.data.synthetic.shapes\n"
        "print(sorted({'mxnet', 'gluoncv', 'matplotlib'} & set(sys.modules)))"
    )
    root = Path(__file__).resolve().parents[2]
    done = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True)
    assert done.stdout.strip() == "[]", done.stderr
