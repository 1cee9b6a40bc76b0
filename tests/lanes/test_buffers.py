"""What a network's buffers take, as its runs have shown."""

from __future__ import annotations

from safelight_server.lanes.buffers import Buffers


def test_a_larger_run_takes_more_in_proportion() -> None:
    buffers = Buffers()
    assert buffers.more((1, 4, 16, 16)) is None, "nothing was seen"
    buffers.note((1, 4, 8, 8), 10**9)
    assert buffers.more((1, 4, 16, 16)) is None, "the first run packs weights as well"
    buffers.note((1, 4, 16, 16), 10**8)
    assert buffers.more((1, 4, 32, 32)) is None, "and others pack anew"
    assert buffers.more((1, 4, 16, 16)) == 0
    buffers.note((1, 4, 32, 32), 3_072_000)
    assert buffers.more((1, 4, 32, 32)) == 0, "they are kept"
    assert buffers.more((1, 4, 8, 8)) == 0
    assert buffers.more((2, 4, 32, 32)) == 4_096_000
    buffers.give_back()
    assert buffers.more((1, 4, 32, 32)) == 4_096_000


def test_the_largest_growth_says_most() -> None:
    buffers = Buffers()
    buffers.note((100,), 0)
    buffers.note((4100,), 20_000)
    buffers.note((7200,), 10**6)
    assert buffers.more((7210,)) == 50
    buffers.note((17_200,), -4000)
    assert buffers.more((20_000,)) == 0, "it may have found room"


def test_what_was_given_back_is_kept_again_after_the_next_run() -> None:
    buffers = Buffers()
    buffers.note((1, 10), 0)
    buffers.note((1, 10_010), 10**6)
    buffers.give_back()
    assert buffers.more((1, 10_010)) == 1_001_000
    buffers.keep((1, 10_010))
    assert buffers.has_run((1, 10_010))
    buffers.keep((1, 10))
    assert buffers.kept == 1_001_000, "a smaller run gives nothing back, and nothing is learnt of it"
