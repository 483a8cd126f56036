"""Comparing the outputs of a written file with those of its network."""

import numpy as np

from gan_kd_ssd.export import differences


def detections(rows):
    """Outputs ids, scores, boxes from rows of id, score, x0, y0, x1, y1."""
    rows = np.array(rows, np.float32)[None]
    return {"ids": rows[..., :1], "scores": rows[..., 1:2], "boxes": rows[..., 2:]}


ROWS = [[i % 3, 1 - i / 250, i, i, i + 20, i + 30] for i in range(200)]


def test_difference_is_the_largest_and_infinite_where_nothing_compares():
    one = np.array([1.0, np.nan, np.inf, -2.0], np.float32)
    assert differences.difference(one, one.copy()) == 0
    other = one.copy()
    other[3] = -2.5
    assert differences.difference(one, other) == 0.5
    for place, value in ((0, np.nan), (1, 0), (2, -np.inf), (2, 7)):
        other = one.copy()
        other[place] = value
        assert differences.difference(one, other) == np.inf
    assert differences.difference(one, one[:3]) == np.inf
    assert differences.difference(one[:0], one[:0]) == 0


def test_one_by_one_allows_what_it_is_told_and_nothing_else():
    want, got = detections(ROWS), detections(ROWS)
    assert not differences.one_by_one("", want, got).excess
    got["boxes"][0, 3, 2] += 0.05
    assert differences.one_by_one("", want, got).excess
    assert not differences.one_by_one("", want, got, differences.ALLOWED).excess
    got["scores"][0, 3] += 2e-3
    assert differences.one_by_one("", want, got, differences.ALLOWED).excess


def test_sets_are_equal_in_any_order_and_differ_by_any_value():
    want, got = detections(ROWS), detections(ROWS[::-1])
    assert not differences.as_sets("", want, got).excess
    got["scores"][0, 0] += 1e-6
    assert differences.as_sets("", want, got).excess


def test_rows_are_found_again_at_other_places_and_lost_ones_are_counted():
    want, moved = detections(ROWS), detections([*ROWS[1:], ROWS[0]])
    same = differences.row_by_row("", want, moved)
    assert not same.excess and same.found == same.rows == 200
    moved["boxes"][0, :2] += 5  # 1 in 100 may be lost
    assert not differences.row_by_row("", want, moved).excess
    moved["ids"][0, 7] += 1
    lost = differences.row_by_row("", want, moved)
    assert lost.found == 197 and lost.excess
    assert differences.row_by_row("", want, detections(ROWS[:-1])).excess


def test_the_table_is_aligned_and_says_what_is_allowed():
    want = detections(ROWS)
    other = detections(ROWS)
    other["boxes"] = want["boxes"] + np.float32(0.0625)
    rows = [differences.one_by_one("a long name.jpg", want, other, differences.ALLOWED)]
    rows.append(differences.row_by_row("noise", want, want))
    lines = differences.table(rows).splitlines()
    assert lines[0].split() == ["largest", "difference", "ids", "scores", "boxes", "[px]"]
    assert lines[1].split()[-1] == "6.2e-02" and "200 of 200 rows were reproduced" in lines[2]
    assert lines[3].split() == ["allowed", "0", "1.0e-03", "1.0e-01"]
    assert {line.rfind("0", 0, len(lines[0])) for line in lines[2:3]} == {len(lines[0]) - 1}
