"""Rows 2 and 3: nearly the same picture for less work, beside the peers as they are, with the error of the pictures."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from typing import Any

from benchmark.cases import Case
from benchmark.checks import decibels
from benchmark.figures import Figure, Goal
from benchmark.request import Request
from benchmark.session import Session
from benchmark.summary import median

from .against import beside_peers

# How acceleration is asked for: here alone.
TINY = {"tiny_decoder": True}
CACHE = {"deep_cache_interval": 3}
CACHE_AND_CUT = {"deep_cache_interval": 3, "guidance_until": 0.5}

FEW = {"vegart-512": Goal(2.5, at_least=True)}
MANY = {"vegart-256": Goal(2.0, at_least=True)}
COMPARED = 3  # pictures

# The error of each way is measured on demo-xl at its own defaults.
DEFAULTS: dict[str, Any] = {"steps": 25, "guidance": 2.0}
WAYS: dict[str, dict[str, Any]] = {
    "DeepCache, every 2nd step": {"acceleration": {"deep_cache_interval": 2}},
    "DeepCache, every 3rd step": {"acceleration": CACHE},
    "DeepCache, every 5th step": {"acceleration": {"deep_cache_interval": 5}},
    "guidance for half of the steps": {"acceleration": {"guidance_until": 0.5}},
    "guidance for a quarter of the steps": {"acceleration": {"guidance_until": 0.25}},
    "tiny decoder": {"acceleration": TINY},
    "every 3rd step, guidance for half, tiny decoder": {"acceleration": {**CACHE_AND_CUT, **TINY}},
    "demo-vega (INT8) for the second half": {"refiner": ("demo-vega", 0.5)},
    "demo-vega (INT8) for the last fifth": {"refiner": ("demo-vega", 0.8)},
}
PICTURES = 6


def few_steps(session: Session, case: Case) -> Iterator[Figure]:
    """Safelight with INT8, the tiny decoder and a prompt that it has cached; the peers with the folder as exported."""
    checked = session.check(case.short)
    fast = replace(case.quick, acceleration=TINY)
    ours = {
        "safelight": lambda n: session.ours.draw(fast),
        "safelight, exact": lambda n: session.ours.draw(case.short.numbered(n)),
    }
    samples, peer = beside_peers(session, f"row 2, {case.name}", ours, case.short, case.rounds)
    yield Figure(
        2,
        f"faster than {peer}",
        case.name,
        value=samples[peer].median / samples["safelight"].median,
        goal=FEW.get(case.name),
        samples=samples,
        note=_error(session, case.short, fast)
        + ("" if case.name == "demo" else ", by a tiny decoder of random weights"),
        checked=checked,
    )


def many_steps(session: Session, case: Case) -> Iterator[Figure]:
    """All with the same folder, steps and guidance; ours with every third step whole, or also half of the guidance."""
    checked = session.check(case.long)
    ways = {
        "DeepCache": replace(case.long, acceleration=CACHE),
        "DeepCache, guidance cut": replace(case.long, acceleration=CACHE_AND_CUT),
    }
    ours = {f"safelight, {name}": partial(_draw, session, fast) for name, fast in ways.items()}
    samples, peer = beside_peers(session, f"row 3, {case.name}", ours, case.long, min(case.rounds, 7))
    for name, fast in ways.items():
        yield Figure(
            3,
            f"{name}: faster than {peer}",
            case.name,
            value=samples[peer].median / samples[f"safelight, {name}"].median,
            goal=MANY.get(case.name) if fast.acceleration == CACHE_AND_CUT else None,
            samples=samples,
            note=_error(session, case.long, fast),
            checked=checked,
        )
    if case.name == "demo":
        yield from errors(session, replace(case.long, **DEFAULTS))


def _draw(session: Session, request: Request, number: int) -> float:
    return session.ours.draw(request.numbered(number))


def errors(session: Session, exact: Request) -> Iterator[Figure]:
    """How far the pictures of each way are from the exact ones of the same prompts and seeds; nothing is timed."""
    prompts = [exact.numbered(number) for number in range(PICTURES)]
    pictures = session.ours.pictures(prompts)
    for name, way in WAYS.items():
        near = [
            decibels(picture, other)
            for picture, other in zip(
                pictures, session.ours.pictures([replace(one, **way) for one in prompts]), strict=True
            )
        ]
        note = f"the median of {PICTURES} pictures of {exact}; the worst {min(near):.1f} dB"
        yield Figure(3, f"nearness of {name}", "demo", unit="dB", value=median(near), note=note)


def _error(session: Session, exact: Request, fast: Request) -> str:
    """How far the pictures are from the exact ones of the same seed."""
    near = [
        decibels(*session.ours.pictures([exact.numbered(number), fast.numbered(number)])) for number in range(COMPARED)
    ]
    return f"PSNR to the exact pictures {median(near):.1f} dB"
