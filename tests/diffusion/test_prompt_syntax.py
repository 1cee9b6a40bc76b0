"""Prompts to weighted pieces: A1111's own examples, a second reader, and brackets by lot."""

from __future__ import annotations

import random
import time
from contextlib import suppress

import pytest
from safelight_server.diffusion.prompt_syntax import BadWeight, Piece, pieces_of
from safelight_server.images.parameters import literal
from support import weighted_peer

EXAMPLES: dict[str, list[tuple[str, float] | None]] = {
    # Those that A1111's documentation of its own parser has.
    "normal text": [("normal text", 1.0)],
    "an (important) word": [("an ", 1.0), ("important", 1.1), (" word", 1.0)],
    "(unbalanced": [("unbalanced", 1.1)],
    r"\(literal\]": [("(literal]", 1.0)],
    "(unnecessary)(parens)": [("unnecessaryparens", 1.1)],
    "a (((house:1.3)) [on] a (hill:0.5), sun, (((sky))).": [
        ("a ", 1.0),
        ("house", 1.5730000000000004),
        (" ", 1.1),
        ("on", 1.0),
        (" a ", 1.1),
        ("hill", 0.55),
        (", sun, ", 1.1),
        ("sky", 1.4641000000000006),
        (".", 1.1),
    ],
    # What follows from them.
    "": [],
    "()": [],
    "[less]": [("less", 1 / 1.1)],
    "(a:-1)": [("a", -1.0)],
    "(a : .5 )": [("a ", 0.5)],
    "a:1.2)": [("a:1.2)", 1.0)],
    "a) b]": [("a) b]", 1.0)],
    "(a [b) c]": [("a ", 1.1), ("b", 1.0), (" c", 1 / 1.1)],
    "[a:1.5]": [("a:1.5", 1 / 1.1)],
    r"a\\b \c": [(r"a\b c", 1.0)],
    "one BREAK two": [("one", 1.0), None, ("two", 1.0)],
    "BREAK": [("", 1.0), None, ("", 1.0)],
    "BREAKER, NOBREAK": [("BREAKER, NOBREAK", 1.0)],
    # A1111 reads the word itself here, with a weight of -1.1.
    "(one BREAK two)": [("one", 1.1), None, ("two", 1.1)],
    # A1111 fails here.
    "(wait:...) (a:1.2.3)": [("wait:...", 1.1), (" ", 1.0), ("a:1.2.3", 1.1)],
}


@pytest.mark.parametrize("prompt", EXAMPLES)
def test_examples(prompt: str) -> None:
    assert pieces_of(prompt) == [piece and Piece(*piece) for piece in EXAMPLES[prompt]]


@pytest.mark.parametrize(
    ("prompt", "told"),
    [
        ("an (owl:10.5)", "must have weights from -10 to 10, not 10.5 of 'owl'"),
        ("(owl:-11)", "not -11 of 'owl'"),
        (f"(owl:{'9' * 400})", "not inf of 'owl'"),
        ("((owl:9):9)", "not 81 of 'owl'"),
        ("(" * 25 + "owl", "not 10.8"),
        ("(" * 8000 + "owl", "not inf"),
        (f"((owl:{'9' * 400}):0)", "not nan"),
    ],
)
def test_a_weight_that_nothing_can_be_drawn_with_is_refused(prompt: str, told: str) -> None:
    with pytest.raises(BadWeight, match=told):
        pieces_of(prompt)


@pytest.mark.parametrize("seed", range(400))
def test_brackets_by_lot_are_read_as_a_second_reader_reads_them(seed: int) -> None:
    """And nothing but BadWeight is raised, and no other character is lost."""
    lot = random.Random(seed)
    parts = [*"()[]()[]:\\ab,", "(a:1.2)", ":0.5)", ":-1)", ": 2 )", ":...)", "\\(", "\n", "é", "🍎", ":9)"]
    prompt = "".join(lot.choices(parts, k=lot.randrange(40)))
    expected = weighted_peer.characters(prompt)
    if any(abs(weight) > 10 for _, weight in expected):
        with pytest.raises(BadWeight):
            pieces_of(prompt)
        return
    found = [(sign, piece.weight) for piece in pieces_of(prompt) if piece for sign in piece.text]
    assert found == expected
    kept = [sign for sign in prompt if sign in "ab,é🍎\n"]
    assert [sign for sign, _ in found if sign in "ab,é🍎\n"] == kept


@pytest.mark.parametrize("seed", range(50))
def test_literal_text_can_be_written_in_the_syntax(seed: int) -> None:
    lot = random.Random(seed)
    text = "".join(lot.choices("()[]\\:1.2 ab", k=30))
    assert pieces_of(literal(text)) == [Piece(text, 1.0)]


@pytest.mark.parametrize("part", ["(", "(a", "[(", "(a)", "\\(", ":1)", "( BREAK ", " ", ":", "(:", "1", "[a (b"])
def test_no_prompt_takes_long(part: str) -> None:
    began = time.perf_counter()
    with suppress(BadWeight):
        pieces_of((part * 8192)[:8192])
    assert time.perf_counter() - began < 0.5, "it is read in the event loop"
