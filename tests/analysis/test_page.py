"""The HTML page of one run against another: what a reader finds in it."""

import base64
import re
from html.parser import HTMLParser

import pytest

from gan_kd_ssd.analysis.analysed_run import analyse
from gan_kd_ssd.analysis.comparison import compare
from gan_kd_ssd.analysis.page import page
from gan_kd_ssd.logs.parse import parse
from helpers.log_runs import entries_text, run

VOID = {"meta", "img"}


class Tree(HTMLParser):
    """Checks that tags are closed; keeps the cells of each table's rows, and all text."""

    def __init__(self, html):
        super().__init__()
        self.open, self.rows, self.text, self.styles = [], [], "", []
        self.feed(html)
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        if tag not in VOID:
            self.open.append(tag)
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th"):
            self.rows[-1].append("")
        self.styles += [value for name, value in attrs if name == "style"]

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text += data
        if {"td", "th"} & set(self.open):
            self.rows[-1][-1] += data


def made(mine, other, unknown=(), command="python x"):
    return page(compare(mine, other), mine, other, b"<svg/>", command, unknown)


def tree(*args, **more):
    return Tree(made(*args, **more))


def row(found, name):
    return next(cells for cells in found.rows if cells and cells[0] == name)


def test_the_overview_has_both_runs():
    found = tree(run(maps={2: 0.6, 8: 0.5}), run(maps={}, gan=4, batch_size="left out"))
    assert row(found, "this run") == [
        *("this run", "0.6000", "0.5000", "80", "10 (10 batches)", "gan 8"),
    ]
    assert row(found, "reference") == [
        *("reference", "-", "-", "-", "unknown", "gan 4, detection 4"),
    ]


def test_the_picture_is_inside():
    html = made(run(), run())
    (data,) = re.findall(r'src="data:image/svg\+xml;base64,([^"]+)"', html)
    assert base64.b64decode(data) == b"<svg/>"


def test_a_verdict_is_a_row_with_both_figures():
    found = tree(run([10.0] * 8), run([20.0] * 8))
    cells = row(found, "CrossEntropy in phase gan")
    assert cells[1:6] == ["10.0000", "20.0000", "-10.0000", "±1.3860", "outside"]
    assert row(found, "mAP best")[5] == "within"
    assert row(found, "best mAP never falls")[5] == "not comparable"
    assert "AP a" not in [cells[0] for cells in found.rows]  # classes have a table of their own


def test_what_is_outside_stands_first():
    found = tree(run([10.0] * 8, maps={8: 0.9}), run([20.0] * 8, maps={8: 0.1}))
    before = found.text[: found.text.index("Curves")]
    assert "outside: " in before
    assert (
        "CrossEntropy in phase gan: 10.0000 against 20.0000, allowed ±1.3860 (epoch 4..8" in before
    )
    assert "more" not in before


def test_of_many_rows_outside_eight_stand_first():
    figures = {name: 100.0 for name in ("Loss_D", "Loss_G", "Loss_D_real", "Loss_D_fake")}
    figures |= {"CrossEntropy": 9.0, "SmoothL1": 9.0}
    found = tree(run(figures=figures, maps={8: 0.9}), run(maps={8: 0.1}))
    before = found.text[: found.text.index("Curves")]
    assert before.count(" against ") == 8
    assert "and 5 more" in before


def test_a_figure_that_diverged_stands_first_with_its_line():
    mine = run()
    lost = analyse(
        parse(entries_text(mine).replace("CrossEntropy=4.000", "CrossEntropy=nan", 1), "x.log")
    )
    before = tree(lost, mine).text
    assert "CrossEntropy in phase gan: diverged: nan in line 2" in before[: before.index("Curves")]


def test_why_a_run_is_not_comparable_stands_first():
    found = tree(run(student="a"), run(student="b"))
    before = found.text[: found.text.index("Curves")]
    assert "not comparable: " in before
    assert "student is a here, b in the reference" in before


def test_classes_have_bars_of_their_length():
    found = tree(run(maps={8: (0.25, 0.75)}), run(maps={8: (0.5, 1.5)}))
    assert row(found, "a")[2:] == ["0.2500", "0.5000", "-0.2500", "outside"]
    assert found.styles == ["width:25.0%", "width:50.0%", "width:75.0%", "width:100.0%"]
    assert "no validation yet" in tree(run(maps={}), run()).text


def test_arguments_that_differ_are_shown_and_the_same_ones_folded():
    found = tree(run(lr=0.1), run(lr=0.2))
    assert row(found, "lr") == ["lr", "0.1", "0.2", "different"]
    assert "9 the same" in found.text
    same = tree(run(), run())
    assert "All arguments are the same." in same.text
    assert "All arguments are the same." not in found.text
    unlike = run([4.0] * 8, gan=0), run([4.0] * 8, maps={}, namespace=False, gan=8)
    assert "1 the same" in tree(*unlike).text  # the first epoch


def test_the_command_or_its_absence_is_told():
    assert (
        "python train.py --a '<b>'" in tree(run(), run(), command="python train.py --a '<b>'").text
    )
    assert "no Namespace line" in tree(run(), run(), command=None).text


@pytest.mark.parametrize(
    "lines, title, more",
    [(1, "1 line of", None), (50, "50 lines of", None), (53, "53 lines of", "and 3 more")],
)
def test_lines_that_were_not_understood_are_counted_and_shown(lines, title, more):
    log = parse("".join(f"odd {i}\x1b <&\n" for i in range(lines)), "x.log")
    found = tree(run(), run(), unknown=log.unknown)
    assert f"not understood: {title} the log" in found.text
    assert "1: odd 0\\x1b <&" in found.text
    assert f"{min(lines, 50)}: odd {min(lines, 50) - 1}" in found.text
    assert (more is None) == ("51: odd" not in found.text and "more" not in found.text)
    assert "Every line of the log was understood" in tree(run(), run()).text


def test_remarks_stand_above_the_overview():
    text = tree(run(resume="y_state.zip", start_epoch=0), run()).text
    assert "resumed from y_state.zip" in text[: text.index("best mAP")]
