"""Damaged logs give records or one clear error: never a traceback, never a hang."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gan_kd_ssd.analysis.analysed_run import analyse
from gan_kd_ssd.analysis.comparison import compare
from gan_kd_ssd.analysis.page import page
from gan_kd_ssd.analysis.report import table_text
from gan_kd_ssd.analysis.show import show_text, summarise
from gan_kd_ssd.cli.main import main
from gan_kd_ssd.logs.parse import parse
from gan_kd_ssd.logs.published import reference
from gan_kd_ssd.logs.records import EpochEnd, NewBest, RunStart, Start, Step, Validation
from gan_kd_ssd.logs.write import format_record, json_record
from gan_kd_ssd.util.errors import UserError


def sample(name, *spans):
    lines = reference(name).text().splitlines(keepends=True)
    return "".join("".join(lines[a:b]) for a, b in spans)


def resumed(form):
    """A run of ours that went on from a state, and again from one, as text or JSON lines."""
    records = []
    for number, first in enumerate((1, 2, 2)):
        resume = "x_state.zip" if number else ""
        options = {"batch_size": 2, "log_interval": 1, "start_epoch": 1, "save_prefix": "x"}
        records += [RunStart({**options, "resume": resume, "lrD": 0.1}), Start(first)]
        for epoch in range(first, 4):
            figures = {"RPN_Conf": 1 / epoch, "RCNN_CrossEntropy": 2.0, "Loss_D": -0.1}
            figures |= {"Loss_G": 0.1, "Loss_D_real": 0.0, "Loss_D_fake": 0.1}
            for batch in range(number, 3):
                seen = {"images": 6 * (epoch - 1) + 2 * (batch + 1), "phase": "gan"}
                records.append(Step(epoch, batch, 9.0, figures, **seen, style="faster_rcnn"))
            records.append(EpochEnd(epoch, figures, seconds=9.0, style="faster_rcnn"))
            records.append(Validation(epoch, {"a": 0.5}, 0.5, style="faster_rcnn"))
            records.append(NewBest(epoch, 0.5, 0.25, "x_best.params"))
    return "".join(map(form, records))


SAMPLES = [
    sample("ssd", (3, 12), (440, 500)),
    sample("faster_rcnn", (78, 86), (106, 126), (145, 175), (1530, 1545)),
    resumed(format_record),
    '{"kind": "run", "namespace": {"batch_size": 2}}\n'
    '{"kind": "step", "epoch": 1, "batch": 0, "images": 2, "phase": "gan", "Loss_D": -1.0,'
    ' "Loss_G": 1, "Loss_D_real": 0, "Loss_D_fake": 1, "CrossEntropy": 5, "SmoothL1": 2,'
    ' "cosine": null, "speed": 9}\n'
    '{"kind": "validation", "epoch": 1, "phase": "gan", "mAP": 0.5, "classes": {"a": 0.5}}\n',
    resumed(json_record),
]
TOKENS = [
    *("nan", "inf", "-inf", "-", "1e999", "-0.0", "0", "9" * 400, "", "=", "\n", "\r", "\r\n"),
    *("[Epoch ", "][Batch ", "Namespace(", "mAP=", "best_map is ", "\x00", "\x1b[2J", "\ufeff"),
    *("\udcff", "<b>&", "'", "((((((((", "[" * 2000, "INFO:root:", "null", "[]", '{"kind": "run"}'),
    *("resume='y.params'", "start_epoch=-9", "start_epoch='1'", "save_prefix=None", "resume=7"),
    *("batch_size=0", "batch_size=-1", "batch_size='x'", "log_interval=None", "gan_epochs=0"),
]
damages = st.lists(
    st.tuples(
        st.sampled_from(["cut", "drop", "repeat", "insert", "replace", "swap"]),
        st.floats(0, 1),
        st.floats(0, 0.2),
        st.sampled_from(TOKENS),
    ),
    min_size=1,
    max_size=6,
)


def damaged(text, how):
    for kind, where, length, token in how:
        a = int(where * len(text))
        b = min(len(text), a + int(length * len(text)))
        if kind == "cut":
            text = text[: max(a, 40)]
        elif kind == "drop":
            text = text[:a] + text[b:]
        elif kind == "repeat":
            text = text[:b] + text[a:b] + text[b:]
        elif kind == "insert":
            text = text[:a] + token + text[a:]
        elif kind == "replace":  # a whole figure, so that lines stay otherwise whole
            end = text.find(".", a)
            text = text[:a] + token + text[max(end, a) :]
        else:
            lines = text.splitlines(keepends=True)
            i, j = int(where * (len(lines) - 1)), int(length * 5 * (len(lines) - 1))
            lines[i], lines[j] = lines[j], lines[i]
            text = "".join(lines)
    return text


def look_at(log, text):
    assert show_text(summarise(log))
    mine = analyse(log)
    other = analyse(reference(mine.detector or "ssd"), published=True)
    found = compare(mine, other)
    assert found.exit_code in (0, 1, 3)
    assert table_text(found)
    content = page(found, mine, other, b"<svg/>", None, log.unknown)
    assert content.encode("utf-8", "backslashreplace")


@settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.sampled_from(SAMPLES[:3]), damages)
def test_a_damaged_text_log_is_kept_and_looked_at(text, how):
    text = damaged(text, how)
    log = parse(text, "mine.log")
    assert log.text() == text
    assert sum(entry.count for entry in log.entries) == text.count("\n") + (text[-1:] != "\n")
    try:
        look_at(log, text)
    except UserError as error:
        assert "mine.log" in str(error)


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    st.sampled_from(SAMPLES), damages, st.sampled_from(["show", "compare", "args", "plot", "write"])
)
def test_a_command_on_a_damaged_file_ends_with_a_known_exit_code(
    tmp_path, capfdbinary, text, how, verb
):
    path = tmp_path / "mine.log"
    path.write_bytes(damaged(text, how).encode("utf-8", "surrogateescape"))
    more = ["--html", "--out", str(tmp_path / "x.html")] if verb == "plot" else []
    capfdbinary.readouterr()  # of the example before
    code = main(["logs", verb, str(path), *more])
    assert code in (0, 1, 2, 3)
    if code == 2:
        assert capfdbinary.readouterr().err.count(b"\n") == 1


@pytest.mark.parametrize(
    "text",
    [
        "[Epoch 1] Validation: \n" * 5000,
        "Namespace(" + "a=[" * 20000 + "\n",
        "INFO:" * 50000 + "\n",
        "a=" * 100000 + "\n",
        "[Epoch 1] Validation: \n" + "x=" * 100000,
        "[Epoch 1][Batch 1], Speed: 1.0 samples/sec, " + "a=1," * 50000 + "\n",
        "Namespace(" + ", ".join(f"a{i}='{i}'" for i in range(5000)) + ")\n",
        "Namespace(a='" + "\\\\" * 50000 + "\n",
        "1" * 200000 + "\n",
    ],
    ids=range(9),
)
def test_long_and_repetitive_lines_do_not_hang(text):
    assert parse(text).text() == text
