"""Tables have aligned columns, and text is printed in UTF-8 on every terminal."""

import os
import subprocess
import sys
from pathlib import Path

from gan_kd_ssd.util.tables import aligned

ROWS = [["row", "figure"], ["a", "1"], ["long name", "1e5"]]


def test_columns_are_aligned_to_the_side_that_is_asked_for():
    assert aligned(ROWS, right=[1]) == "row        figure\na               1\nlong name     1e5"
    assert aligned(ROWS[:1]) == "row  figure"
    assert aligned([["  option", "value"], ["a", ""]]) == "  option  value\na"


def test_long_cells_are_wrapped_except_in_the_last_column():
    text = aligned([["a", "b"], ["one two three", "four five six"], ["True", "x"]], widest=7)
    assert text == "a        b\none two  four five six\nthree\nTrue     x"


def test_a_markdown_table_keeps_its_sides_and_bars_in_cells():
    lines = aligned([*ROWS, ["x|y", ""]], right=[1], markdown=True).splitlines()
    assert [cell.strip() for cell in lines[0].split("|")] == ["", "row", "figure", ""]
    assert lines[1].replace("-", "") == "|:|:|" and lines[1].endswith("-:|")
    assert lines[-1].startswith(r"| x\|y ") and len({len(line) for line in lines}) == 1
    assert len(aligned(ROWS[:1], markdown=True).splitlines()) == 2  # a head without rows


def test_text_is_printed_in_utf_8_whatever_the_encoding_of_the_terminal():
    code = "from gan_kd_ssd.util.tables import put; print('a'); put('µ \\udcff\\n'); print('b')"
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=Path(__file__).resolve().parents[2],
        env={**os.environ, "PYTHONIOENCODING": "ascii"},
        capture_output=True,
        check=True,
    )
    assert done.stdout.decode() == "a\nµ \\udcff\nb\n"
