"""The demo's own logic: progress, reuse, the table. The demo itself is `make demo`."""

import json
from pathlib import Path

import pytest

from gan_kd_ssd import demo
from gan_kd_ssd.paper import trainings
from helpers.fake_scripts import write_scripts


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for network in demo.NETWORKS:
        network.prefix.parent.mkdir(parents=True)


def metrics(network, *records):
    network.metrics.write_text("".join(json.dumps(r) + "\n" for r in records))


def test_progress_is_the_share_of_images_seen():
    network = demo.NETWORKS[0]
    assert demo._fraction(network) == 0
    options = {"epochs": network.epochs, "start_epoch": 1}
    run = {"kind": "run", "namespace": options, "data": {"train": {"images": 2000}}}
    metrics(network, run, {"kind": "event", "event": "start", "epoch": 1})
    assert demo._fraction(network) == 0
    step = {"kind": "step", "epoch": 1, "images": 1000 * network.epochs}
    metrics(network, run, step, {"kind": "validation", "epoch": 1})
    assert demo._fraction(network) == pytest.approx(0.5)
    network.metrics.write_text(network.metrics.read_text() + '{"kind": "step", "ima')
    assert demo._fraction(network) == pytest.approx(0.5)  # half-written: passed over


class Bar:
    """A progress bar that nobody sees."""

    n = 0

    def update(self, value):
        self.n += value

    def set_description_str(self, text):
        pass


def test_networks_are_trained_and_tested_once_and_found_again(tmp_path, monkeypatch):
    scripts = tmp_path / "scripts"
    scripts.mkdir()
    monkeypatch.setattr(trainings, "ROOT", write_scripts(scripts))
    bar = Bar()
    for _ in range(2):
        for network in demo.NETWORKS:
            demo._train(network, bar)
            demo._evaluate(network, bar)
    called = [json.loads(line) for line in (scripts / "calls.txt").read_text().splitlines()]
    assert [Path(script).name for script, *_ in called] == ["train_ssd_gkd.py", "eval_voc.py"] * 3
    seconds = sum(network.seconds + demo._EVAL_SECONDS for network in demo.NETWORKS)
    assert bar.n == pytest.approx(2 * seconds)
    demo.NETWORKS[0].params.write_text("another teacher")
    demo._train(demo.NETWORKS[2], bar)
    assert not demo.NETWORKS[2].result.exists()  # it is another student, to be tested again


def test_another_teacher_is_another_recipe_for_its_student_alone():
    teacher, plain, distilled = demo.NETWORKS
    teacher.params.write_bytes(b"one")
    before = [network.recipe() for network in (plain, distilled)]
    teacher.params.write_bytes(b"other")
    after = [network.recipe() for network in (plain, distilled)]
    assert before[0] == after[0] and before[1] != after[1]


def test_students_differ_in_the_distillation_alone():
    _, plain, distilled = demo.NETWORKS
    assert (plain.backbone, plain.epochs) == (distilled.backbone, distilled.epochs)
    assert distilled.options[: len(demo._STUDENT)] == plain.options[: len(demo._STUDENT)]
    assert {"--lr", "--seed", "--augmentation"}.isdisjoint(distilled.options[len(demo._STUDENT) :])


def test_the_table_is_aligned_and_has_the_measured_figures():
    for number, network in enumerate(demo.NETWORKS):
        metrics(network, {"kind": "run", "parameters": 10 ** (3 + number)})
        network.result.write_text(
            json.dumps({"mAP": 0.5 + number / 100, "network_images_per_second": 99.6})
        )
    lines = demo.table().splitlines()
    assert len({len(line) for line in lines}) == 1
    assert "1,000" in lines[2] and "0.500" in lines[2] and "100" in lines[2]
    assert "100,000" in lines[4] and "0.520" in lines[4]
