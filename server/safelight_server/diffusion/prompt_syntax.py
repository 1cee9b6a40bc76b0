"""A prompt's text to weighted pieces, read as A1111 reads it: (more), [less], (just:1.3), a backslash, BREAK."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import NamedTuple

import numpy as np

LARGEST = 10.0  # weight, either way; A1111 has no bound, and with 20 the picture is noise long since
FACTORS = {"(": 1.1, "[": 1 / 1.1}
OPENING = {")": "(", "]": "["}
MARKS = re.compile(
    r"""
    \\(?P<escaped>[()\[\]\\]?)  # a backslash before anything else is left out
  | (?P<opening>[(\[])
  | :\s*(?P<weight>[+-]?(?:\d+\.?\d*|\.\d+))\s*\)
  | (?P<closing>[)\]])
  | (?P<text>[^\\()\[\]:]+|:)
    """,
    re.VERBOSE,
)
BREAK = re.compile(r"\bBREAK\b")


class Piece(NamedTuple):
    """Text that has one weight."""

    text: str
    weight: float


class BadWeight(ValueError):
    """A weight that nothing can be drawn with; the message says the rule, the weight, and what it is of."""


def pieces_of(prompt: str) -> list[Piece | None]:
    """The pieces in their order; None stands for a BREAK, and begins a new chunk. Raises BadWeight, and nothing else.

    Brackets may be nested, may cross each other, and are closed at the end where nothing closes them. What opens or
    closes nothing is text.
    """
    texts: list[str | None] = []
    weights = np.ones(len(prompt) + 1)  # of the texts: of one array, a bracket scales thousands at once
    opened: dict[str, list[int]] = {bracket: [] for bracket in FACTORS}

    def close(bracket: str, factor: float) -> None:
        weights[opened[bracket].pop() : len(texts)] *= factor

    with np.errstate(all="ignore"):  # of infinity and of no number, BadWeight tells
        for mark in MARKS.finditer(prompt):
            kind, value = mark.lastgroup, mark[mark.lastgroup or 0]
            if kind == "escaped":
                texts.append(value)
            elif kind == "opening":
                opened[value].append(len(texts))
            elif kind == "weight" and opened["("]:
                close("(", float(value))
            elif kind == "closing" and opened[OPENING[value]]:
                close(OPENING[value], FACTORS[OPENING[value]])
            else:
                texts += _split(mark[0])
        for bracket, factor in FACTORS.items():
            while opened[bracket]:
                close(bracket, factor)
    return list(_merged(zip(texts, weights.tolist(), strict=False)))


def _split(text: str) -> Iterator[str | None]:
    """At each BREAK, which takes the blanks around it along."""
    first, *rest = BREAK.split(text)
    yield first.rstrip() if rest else first
    for place, part in enumerate(rest, 1):
        yield None
        yield part.strip() if place < len(rest) else part.lstrip()


def _merged(weighted: Iterable[tuple[str | None, float]]) -> Iterator[Piece | None]:
    """Neighbours of one weight as one piece: `(un)(broken)` is one word."""
    run: list[str] = []
    common = 1.0
    for text, weight in weighted:
        if run and (text is None or weight != common):
            yield _piece(run, common)
            run = []
        if text is None:
            yield None
        else:
            run.append(text)
            common = weight
    if run:
        yield _piece(run, common)


def _piece(run: list[str], weight: float) -> Piece:
    text = "".join(run)
    if text and not abs(weight) <= LARGEST:
        raise BadWeight(f"must have weights from {-LARGEST:g} to {LARGEST:g}, not {weight:g} of {text.strip()[:40]!r}")
    return Piece(text, weight)
