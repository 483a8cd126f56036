"""The scripts do what they did in revision a182535. README.md says what its record has."""

import contextlib
import io
import runpy
import sys
from pathlib import Path

import pytest

from frozen import freeze

ROOT = Path(__file__).resolve().parents[2]
#: Runs that are repeated, in the order of the record: an SSD with GAN and cosine attention, an interrupted
#: and resumed one, a Faster R-CNN with C4 through its phases, and the teachers of these.
RUNS = (
    *("ssd_plain", "ssd_gan_joint", "ssd_gan_cut", "ssd_gan_resumed"),
    *("rcnn_plain", "rcnn_gan"),
)
#: What changed on purpose since that revision: --distill takes any terms, not only `gan` and `none`.
CHANGED = "options.distill."


@pytest.fixture(scope="module")
def before():
    return freeze.read(freeze.BASELINE)


@pytest.fixture(scope="module")
def checkout(tmp_path_factory):
    return freeze.Checkout(ROOT, Path(sys.executable), tmp_path_factory.mktemp("frozen"))


def counting(differences):
    return [one for one in differences if one.counts and not one.what.startswith(CHANGED)]


def test_options_defaults_and_help_name_the_same(before, checkout):
    after = {"options": freeze.record_options(checkout)}
    assert counting(freeze.exact(before, after)) == []


def test_bad_input_has_the_same_exit_code_and_names_the_same(before, checkout, monkeypatch):
    """The bad inputs that need no file of a run and are refused before a run starts, in this process."""
    monkeypatch.chdir(checkout.work)
    for name, value in freeze.SETTINGS.items():
        monkeypatch.setenv(name, value)
    known = {
        name: case
        for name, case in before["errors"].items()
        if not case["left"]
        and not any(word.startswith(("runs/", "bad/")) for word in case["words"])
    }
    assert len(known) >= 30
    after = {name: call(case, checkout) for name, case in known.items()}
    found = freeze.exact({"errors": known}, {"errors": after})
    assert counting(found) == []


def script(path, words):
    with pytest.MonkeyPatch.context() as patch, pytest.raises(SystemExit) as stopped:
        patch.setattr(sys, "argv", [path, *words])
        runpy.run_path(path, run_name="__main__")
    return stopped.value.code


def call(case, checkout):
    """Run a script with bad input in this process; return what it printed as the record has it."""
    path, out, err = str(ROOT / case["script"]), io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = script(path, case["words"])
    lines = [checkout.mask(line) for line in err.getvalue().splitlines() if line.strip()]
    record = freeze.error_record(case, case["words"], code, lines)
    return {
        **record,
        "stdout": len(out.getvalue().splitlines()),
        "left": [*map(str, Path("out").rglob("*"))],
    }


def test_short_runs_end_within_tolerances(before, checkout):
    cases = {name: before["runs"][name] for name in RUNS}
    after = {"runs": freeze.record_runs(checkout, cases, jobs=2)}
    assert {name: run["exit"] for name, run in after["runs"].items()} == {
        name: case["exit"] for name, case in cases.items()
    }
    # The resumed run ends as one that nothing interrupted.
    whole = before["runs"]["ssd_gan_separate"]
    cases["ssd_gan_resumed"] = {**cases["ssd_gan_resumed"], "state": whole["state"]}
    assert [*freeze.near({"runs": cases}, after)] == []
