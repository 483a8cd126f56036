"""Figures of a run, what must hold in it, and a run against another."""

from dataclasses import replace

import pytest

from gan_kd_ssd.analysis.analysed_run import analyse
from gan_kd_ssd.analysis.compare_arguments import compare_arguments
from gan_kd_ssd.analysis.comparison import Verdict, compare
from gan_kd_ssd.analysis.report import markdown_text, table_text
from gan_kd_ssd.logs.parse import parse
from gan_kd_ssd.logs.published import reference
from gan_kd_ssd.util.errors import UserError

WITHIN, OUTSIDE, NOT_COMPARABLE, NO_REFERENCE = Verdict


def published(name, number=None):
    return analyse(reference(name), number, published=True)


def changed(name, old, new, count=-1):
    """The published log with another text in it, as a run of ours."""
    text = reference(name).text()
    assert old in text
    return analyse(parse(text.replace(old, new, count), "mine.log"))


def verdicts(comparison, group):
    return {row.label: row.verdict for row in comparison.rows if row.group == group}


@pytest.mark.parametrize("name", ["ssd", "faster_rcnn"])
def test_a_published_run_is_within_itself(name):
    found = compare(published(name), published(name))
    assert (found.exit_code, found.verdict) == (0, WITHIN)
    assert all(row.gap in (None, 0) for row in found.rows)
    assert verdicts(found, "classes")["AP person"] == WITHIN
    assert all(argument.verdict == "same" for argument in found.arguments)


def test_a_lower_mean_ap_is_outside():
    mine = changed("ssd", "mAP=0.7827056887461108", "mAP=0.7627056887461108")
    found = compare(mine, published("ssd"))
    rows = verdicts(found, "mAP")
    assert rows["mAP last"] == WITHIN
    # the mean of the classes no longer holds either, and is found
    assert verdicts(found, "invariants")["mAP = mean of its classes"] == OUTSIDE
    assert found.exit_code == 1


def test_a_loss_that_leaves_the_published_curve_is_outside_from_there():
    text = reference("ssd").text().splitlines(keepends=True)
    for i, line in enumerate(text):
        if line.startswith("[Epoch 2") and "CrossEntropy" in line and 300 < i < 470:
            text[i] = line.replace("CrossEntropy=1.", "CrossEntropy=2.")
    found = compare(analyse(parse("".join(text), "mine.log")), published("ssd"))
    row = next(row for row in found.rows if row.label == "CrossEntropy in phase gan")
    assert row.verdict == OUTSIDE
    assert "outside since epoch 200" in row.why
    assert found.exit_code == 1


def test_other_data_is_not_comparable():
    mine = changed("ssd", "[Batch 199]", "[Batch 77]")  # half the batches of VOC 07+12
    mine = replace(mine, size=replace(mine.size, low=5000, high=5100, name="VOC 07 trainval"))
    found = compare(mine, published("ssd"))
    assert found.exit_code == 3
    reasons = {
        row.why for row in found.rows if row.verdict == NOT_COMPARABLE and row.group == "mAP"
    }
    assert any("images_per_epoch" in why for why in reasons)


def test_another_clamp_makes_adversarial_figures_not_comparable_but_not_the_others():
    mine = changed("faster_rcnn", "clamp_upper=0.03", "clamp_upper=0.01")
    rows = verdicts(compare(mine, published("faster_rcnn")), "losses")
    assert rows["Loss_D in phase gan"] == NOT_COMPARABLE
    assert rows["RPN_Conf in phase gan"] == WITHIN


def test_another_detector_is_not_comparable():
    assert compare(published("ssd"), published("faster_rcnn")).exit_code == 3


def test_a_run_at_its_start_is_compared_at_as_many_images():
    early = published("faster_rcnn", 44)  # two epochs, then stopped
    found = compare(early, published("faster_rcnn"))
    rows = verdicts(found, "mAP")
    assert rows["mAP best"] == NOT_COMPARABLE
    assert rows["mAP after 5,011 images"] == WITHIN
    assert verdicts(found, "losses")["RPN_Conf in phase discriminator"] == WITHIN
    assert verdicts(found, "losses")["losses in phase gan"] == NOT_COMPARABLE


def test_a_figure_that_only_one_side_logs_has_no_reference():
    mine = published("ssd")
    other = replace(mine, figures=[f for f in mine.figures if f.name != "cosine"])
    rows = verdicts(compare(mine, other), "losses")
    assert rows["cosine in phase gan"] == NO_REFERENCE


def test_speed_is_never_compared():
    fast = changed("ssd", "Speed: 3", "Speed: 93")
    found = compare(fast, published("ssd"))
    assert not [row for row in found.rows if "speed" in row.name.lower()]
    assert verdicts(found, "losses")["CrossEntropy in phase gan"] == WITHIN


def test_arguments_say_what_differs_and_what_is_on_one_side_only():
    text = reference("ssd").text().replace("lr=0.001", "lr=0.004").replace("gpus='4,5,6,7', ", "")
    mine = analyse(parse(text.replace("num_workers=32", "num_workers=1"), "mine.log"))
    told = {a.label: a.verdict for a in compare_arguments(mine, published("ssd"))}
    assert told["lr"] == "different"
    assert told["gpus"] == "only in the reference"
    assert told["num_workers"] == "different, without effect on figures"
    assert told["(images per epoch)"] == told["(first epoch)"] == told["batch_size"] == "same"
    assert told["student"] == "same"


def test_reports_name_every_row():
    found = compare(published("ssd"), published("ssd"))
    for report in (table_text(found), markdown_text(found)):
        for row in found.rows:
            assert row.name.replace("_", "")[:12] in report.replace("_", "").replace("\\", "")
        assert "noise floor" in report


def test_a_diverged_loss_is_outside_whatever_the_reference():
    mine = changed("ssd", "CrossEntropy=1.399", "CrossEntropy=nan")
    found = compare(mine, published("ssd"))
    lost = [row for row in found.rows if row.why.startswith("diverged")]
    assert [row.verdict for row in lost] == [OUTSIDE] * len(lost) and lost
    assert found.exit_code == 1


def test_a_run_that_is_not_there_or_has_no_figures_is_an_error():
    with pytest.raises(UserError, match="runs 1 to 2"):
        analyse(reference("ssd"), 3)
    with pytest.raises(UserError, match="no figures"):
        analyse(reference("faster_rcnn"), 1)
    with pytest.raises(UserError, match="the log has no figures yet"):
        analyse(parse("Namespace(a=1)\n", "x.log"))
