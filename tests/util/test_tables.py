"""Tables have aligned columns, and text is printed whatever the terminal's encoding is."""

import os
import subprocess
import sys
from pathlib import Path

from gan_kd_ssd.util.tables import aligned


def test_tables_are_aligned():
    rows = [["row", "figure"], ["a", "1"], ["long name", "10.5"]]
    assert aligned(rows, right=[1]) == "row        figure\na               1\nlong name    10.5"
    lines = aligned(rows, markdown=True).splitlines()
    assert lines[1] == "| --------- | ------ |" and len({len(line) for line in lines}) == 1


def test_text_is_printed_whatever_the_encoding_is():
    code = "from gan_kd_ssd.util.tables import put; print('a'); put('µ \\udcff\\n'); print('b')"
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=Path(__file__).resolve().parents[2],
        env={**os.environ, "PYTHONIOENCODING": "ascii"},
        capture_output=True,
        check=True,
    )
    assert done.stdout.decode() == "a\nµ \\udcff\nb\n"
