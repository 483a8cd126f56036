"""Metadata of a run: written to a JSON line, read back from the files beside its parameters."""

import json

import pytest

from gan_kd_ssd.logs.jsonl import run_starts
from gan_kd_ssd.logs.records import RunStart
from gan_kd_ssd.logs.run_metadata import (
    DistillationMetadata,
    RunMetadata,
    TeacherMetadata,
    check_classes,
    classes_beside,
    metadata_beside,
    metadata_from_json,
    prefix_of,
)
from gan_kd_ssd.logs.write import json_record
from gan_kd_ssd.util.errors import UserError

PLAIN = RunMetadata(
    namespace={"lr": 0.1},
    detector="ssd",
    versions={"mxnet": "1.9.1"},
    devices=["cpu(0)"],
    parameters=7,
    classes=["disc", "ring"],
    data={"train": {"name": "shapes", "images": 3}},
)
TEACHER = TeacherMetadata("t.params", "0" * 64, 0.25)


def write(path, *metadata):
    lines = [json_record(RunStart(one.namespace, one.info())) for one in metadata]
    path.write_text('{"kind": "step"}\n'.join([*lines, ""]))


@pytest.mark.parametrize(
    "distillation", [None, *(DistillationMetadata([8, 16], h, TEACHER) for h in (None, [], ["a"]))]
)
def test_what_is_written_is_read_back(distillation, tmp_path):
    metadata = RunMetadata(**{**vars(PLAIN), "distillation": distillation})
    write(tmp_path / "x_metrics.jsonl", metadata)
    assert metadata_beside(tmp_path / "x_best.params") == metadata


def test_the_last_of_several_runs_counts_and_a_line_that_was_cut_does_not(tmp_path):
    metrics = tmp_path / "x_metrics.jsonl"
    second = RunMetadata(namespace={"lr": 0.2})
    write(metrics, PLAIN, second)
    assert [run.namespace for run in run_starts(metrics)] == [{"lr": 0.1}, {"lr": 0.2}]
    with open(metrics, "a") as file:
        file.write('{"kind": "run", "namespace": {"lr"')
    assert metadata_beside(tmp_path / "x_best.params").namespace == {"lr": 0.2}


def test_without_a_sidecar_file_nothing_is_known(tmp_path):
    assert metadata_beside(tmp_path / "x.params") is None
    (tmp_path / "x.json").write_text("[1]")
    assert metadata_beside(tmp_path / "x.params") is None
    check_classes(tmp_path / "x.params", ["anything"], "--params")


def test_the_zoo_s_sidecar_file_is_read_as_well(tmp_path):
    (tmp_path / "n-12345678.json").write_text(json.dumps({"classes": ["a"], "parameters": None}))
    assert classes_beside(tmp_path / "n-12345678.params") == ["a"]


def test_fields_of_an_unexpected_type_count_as_missing():
    metadata = metadata_from_json({"namespace": 1, "classes": "disc", "teacher": [], "strides": 8})
    assert metadata == RunMetadata()


def test_parameters_of_other_classes_are_refused(tmp_path):
    write(tmp_path / "x_metrics.jsonl", PLAIN)
    check_classes(tmp_path / "x_best.params", ["disc", "ring"], "--params")
    with pytest.raises(UserError, match=r"--params .*trained on the classes disc, ring"):
        check_classes(tmp_path / "x_best.params", ["ring", "disc"], "--params")


def test_the_prefix_of_a_parameter_file():
    for name in ("a/x_best.params", "a/x_0012_0.3850.params", "a/x_0012_nan.params"):
        assert prefix_of(name) == "a/x"
