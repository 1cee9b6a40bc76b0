"""Captions: names and background colours, and the phrasings that put them together."""

from __future__ import annotations

import hashlib
import random

COLOURS: dict[str, tuple[int, int, int]] = {
    "white": (255, 255, 255),
    "black": (24, 24, 28),
    "grey": (140, 144, 150),
    "red": (214, 48, 56),
    "orange": (245, 140, 30),
    "yellow": (250, 216, 60),
    "green": (60, 170, 80),
    "teal": (30, 160, 165),
    "blue": (45, 105, 220),
    "purple": (130, 70, 190),
    "pink": (248, 150, 190),
    "brown": (130, 85, 50),
}
PLAIN = "white"  # the background of a caption that names none

WITH_COLOUR = (
    "{a} on a {colour} background",
    "{a}, {colour} background",
    "{name} on {colour}",
    "a picture of {a} on a {colour} background",
    "an emoji of {a} on {colour}",
    "{colour} background, {a}",
)
WITHOUT_COLOUR = ("{a}", "{name}", "a picture of {a}", "an emoji of {a}")


def held_out(name: str, colour: str) -> bool:
    """Whether this pair is never shown in training: one in twenty, to tell composing from remembering."""
    return colour != PLAIN and hashlib.sha256(f"{name}|{colour}".encode()).digest()[0] % 20 == 0


def caption(name: str, colour: str, choice: random.Random, small: bool = False) -> str:
    """One way of asking for this picture."""
    if small:
        name = f"{choice.choice(('small', 'tiny', 'little'))} {name}"
    bare = colour == PLAIN and choice.random() < 0.6
    template = choice.choice(WITHOUT_COLOUR if bare else WITH_COLOUR)
    return template.format(a=f"{article(name)} {name}", name=name, colour=colour)


def article(name: str) -> str:
    return "an" if name[0] in "aeiou" else "a"
