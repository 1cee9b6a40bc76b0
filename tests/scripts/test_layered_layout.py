"""The layout of the picture of the packages: rows kept, no overlap, long links by way of shared waypoints."""

from __future__ import annotations

from itertools import pairwise

from layered_layout import Place, lay_out

ROWS = [["a"], ["b", "c"], ["d"]]
EDGES = [("a", "b"), ("a", "c"), ("a", "d"), ("b", "d"), ("c", "d")]
NODE, WAYPOINT = 100.0, 20.0


def test_a_long_link_passes_each_row_at_a_waypoint() -> None:
    layout = lay_out(ROWS, EDGES, (NODE, WAYPOINT))
    assert (Place("a", 0), Place("d", 1)) in layout.links
    assert (Place("d", 1), Place("d", 2)) in layout.links
    assert all(b.row == a.row + 1 for a, b in layout.links)


def test_nothing_in_a_row_overlaps() -> None:
    layout = lay_out(ROWS, EDGES, (NODE, WAYPOINT))
    for row, names in enumerate(ROWS):
        line = sorted((x, place.name in names) for place, x in layout.x.items() if place.row == row)
        sizes = [(x, NODE if real else WAYPOINT) for x, real in line]
        assert all(y - x >= (a + b) / 2 - 1e-6 for (x, a), (y, b) in pairwise(sizes))


def test_links_that_need_not_cross_do_not() -> None:
    layout = lay_out([["a", "b"], ["c", "d"]], [("a", "d"), ("b", "c")], (NODE, WAYPOINT))
    assert (layout.x[Place("a", 0)] < layout.x[Place("b", 0)]) == (layout.x[Place("d", 1)] < layout.x[Place("c", 1)])
