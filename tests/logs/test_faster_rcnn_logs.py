"""A Faster R-CNN run of ours: more figures in its JSON lines, the published lines in its text."""

import json
import math
from dataclasses import replace

import pytest

from gan_kd_ssd.analysis.analysed_run import analyse
from gan_kd_ssd.analysis.comparison import Verdict, compare
from gan_kd_ssd.analysis.invariants import check_invariants
from gan_kd_ssd.analysis.logged_figures import ACTIVE, DIVERGED, INACTIVE, run_figures
from gan_kd_ssd.analysis.plot import draw
from gan_kd_ssd.analysis.show import show_text, summarise
from gan_kd_ssd.logs.jsonl import parse_json_lines
from gan_kd_ssd.logs.parse import parse
from gan_kd_ssd.logs.published import reference
from gan_kd_ssd.logs.records import EpochEnd, LearningRate, RunStart, Step, Validation
from gan_kd_ssd.logs.write import format_record, json_record

SINCE_RUN = ("RPNAcc", "RPNL1Loss", "RCNNAcc", "RCNNL1Loss")


def phase_of(epoch):
    return "discriminator" if epoch < 2 else "gan" if epoch <= 26 else "detection"


def as_ours(record, before):
    """A record of the published run with all that our script knows beside it.

    ``before``: the figures of the step before it.
    """
    if isinstance(record, RunStart):
        return replace(record, info={"data": {"train": {"images": 5011}}})
    if isinstance(record, Validation):
        return replace(record, phase=phase_of(record.epoch))
    if not isinstance(record, (Step, EpochEnd)):
        return record
    phase, figures = phase_of(record.epoch), dict(record.figures)
    batch = getattr(record, "batch", 1251)
    if phase == "detection":
        figures |= {"Loss_D": None, "Loss_G": None, "Loss_D_real": None, "Loss_D_fake": None}
    else:
        fake = figures["Loss_G"]
        figures |= {"Loss_D_real": figures["Loss_D"] + fake, "Loss_D_fake": fake}
    if isinstance(record, EpochEnd):
        figures |= {name: before[name] for name in SINCE_RUN}
    figures["cosine"] = 0.4 if phase == "gan" else None
    images = record.epoch * 5008 + 4 * (batch + 1)
    return replace(record, figures=figures, phase=phase, images=images)


@pytest.fixture(scope="module")
def records():
    run, found, before = reference("faster_rcnn").runs[-1], [], {}
    for entry in (run.start, *(e for segment in run.segments for e in segment.entries)):
        found.append(as_ours(entry.record, before))
        before = entry.record.figures if isinstance(entry.record, Step) else before
    return found


@pytest.fixture(scope="module")
def json_log(records):
    return parse_json_lines("".join(map(json_record, records)), "mine_metrics.jsonl")


def test_the_text_has_the_published_figures_alone(records):
    published = reference("faster_rcnn").text().splitlines(keepends=True)[158:]
    assert "".join(map(format_record, records)) == "".join(published)


def test_the_json_lines_have_all_figures(records):
    step = next(json.loads(json_record(r)) for r in records if isinstance(r, Step))
    assert step["Loss_D_fake"] == step["Loss_G"] == 0.057
    assert step["Loss_D_real"] == pytest.approx(step["Loss_D"] + step["Loss_D_fake"])
    assert step["cosine"] is None
    epoch = next(json.loads(json_record(r)) for r in records if isinstance(r, EpochEnd))
    assert (epoch["RPNAcc"], epoch["seconds"]) == (0.955, 647.914)


def test_the_json_lines_become_the_text_log(records, json_log):
    assert not json_log.unknown
    assert json_log.text() == "".join(map(format_record, records))


def test_figures_that_only_json_lines_have_are_printed_by_the_other_styles():
    text = format_record(Step(0, 9, 1.0, {"CrossEntropy": 5.0, "cosine": 0.5}, style="ssd"))
    assert text.endswith("CrossEntropy=5.000, cosine=0.500\n")


def test_a_text_log_of_another_script_keeps_such_figures():
    line = "[Epoch 0][Batch 9], Speed: 1.000 samples/sec, RPN_Conf=0.100,cosine=0.500\n"
    log = parse(line)
    assert log.entries[0].record.figures["cosine"] == 0.5
    assert log.text() == line


def test_phases_are_the_published_ones(json_log):
    run = summarise(json_log)["runs"][0]
    assert run["segments"][0]["phases"] == {
        "discriminator": "0..1",
        "gan": "2..26",
        "detection": "27..37",
    }
    assert run["detector"] == "faster_rcnn"
    assert {name: round(cost, 2) for name, cost in run["phase_costs"].items()} == {
        "discriminator": 1.38,
        "gan": 1.80,
    }
    assert run["segments"][0]["inactive"]["Loss_D_real"] == "27..37"


def test_what_must_hold_is_checked_on_figures_of_the_json_lines(json_log):
    run = json_log.runs[0]
    checks = {check.name: check for check in check_invariants(run, run_figures(run))}
    assert checks["Loss_D = Loss_D_real - Loss_D_fake"].holds is True
    assert checks["best mAP never falls"].holds is True
    assert checks["cost of phase discriminator"].holds is True


def test_such_a_run_is_compared_with_the_published_one(json_log):
    mine, published = analyse(json_log), analyse(reference("faster_rcnn"), published=True)
    found = compare(mine, published)
    rows = {row.label: row.verdict for row in found.rows}
    assert rows["RPN_Conf in phase gan"] == rows["Loss_D in phase discriminator"] == Verdict.WITHIN
    assert rows["Loss_D_real in phase gan"] == rows["cosine in phase gan"] == Verdict.NO_REFERENCE
    assert found.exit_code == 0
    assert draw([mine], [published])


def states(phase, **figures):
    head = RunStart({"batch_size": 1})
    step = Step(0, 9, 1.0, {"RPN_Conf": 0.1, **figures}, 10, phase, style="faster_rcnn")
    log = parse_json_lines(json_record(head) + json_record(step))
    return {f.name: f.state for f in run_figures(log.runs[0])}


def test_discriminators_that_are_lost_while_they_learn_alone_diverged():
    lost = {"Loss_D": math.nan, "Loss_D_real": math.nan, "Loss_D_fake": math.nan}
    found = states("discriminator", **lost, Loss_G=None)
    assert [found[name] for name in lost] == [DIVERGED] * 3
    assert found["Loss_G"] == INACTIVE
    assert set(states("detection", **lost).values()) == {ACTIVE, INACTIVE}


def test_show_tells_each_rate_that_was_set():
    step = Step(0, 9, 1.0, {"RPN_Conf": 0.1}, style="faster_rcnn")
    rates = [LearningRate(0, 1 / 30000, iteration=100), LearningRate(5, 0.00025, gan=True)]
    shown = show_text(summarise(parse("".join(map(format_record, [step, *rates])))))
    assert "line 2: student's learning rate 3.333e-05 at epoch 0, iteration 100\n" in shown
    assert "line 3: adversarial learning rate 0.00025 at epoch 5\n" in shown


def test_rates_of_both_sides_and_of_the_warm_up_come_back_from_json():
    rates = [
        LearningRate(0, 0.00005, iteration=100),
        LearningRate(5, 0.00025, gan=True),
        LearningRate(32, 0.00001),
    ]
    log = parse_json_lines("".join(map(json_record, rates)))
    assert [entry.record for entry in log.entries] == rates
    assert log.text() == (
        "[Epoch 0 Iteration 100] Set learning rate to 5e-05\n"
        "[Epoch 5] Set GAN learning rate to 0.00025\n"
        "[Epoch 32] Set learning rate to 1e-05\n"
    )
