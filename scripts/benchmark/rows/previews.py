"""Rows 5 and 6: how soon the first preview comes, and what a preview at every step costs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial

from safelight import Previews

from benchmark.cases import Case
from benchmark.figures import Figure, Goal
from benchmark.ours import Watched
from benchmark.peers import worker
from benchmark.request import Request
from benchmark.rounds import interleave
from benchmark.session import Session
from benchmark.summary import median, summary

from .against import beside_peers

LINEAR, TINY = Previews(every=1, decoder="linear"), Previews(every=1, decoder="tiny")  # 256 px at most, as by default
NONE = Previews(every=0)
SOON = {"vegart-512": Goal(0.25)}
CHEAP = {"linear": Goal(0.01), "tiny decoder": Goal(0.06)}


def first(session: Session, case: Case) -> Iterator[Figure]:
    """The peers decode the latents that their callback gets after the first step, with the VAE."""
    checked = session.check(case.short)
    ours = {
        "safelight, tiny decoder": lambda n: session.ours.first_preview(case.short.numbered(n), TINY),
        "safelight, linear": lambda n: session.ours.first_preview(case.short.numbered(n), LINEAR),
    }
    label = f"row 5, {case.name}"
    samples, peer = beside_peers(session, label, ours, case.short, case.rounds, worker.first_preview)
    for decoder in ("tiny decoder", "linear"):
        yield Figure(
            5,
            f"{decoder}, over {peer}'s",
            case.name,
            value=samples[f"safelight, {decoder}"].median / samples[peer].median,
            goal=SOON.get(case.name),
            samples=samples,
            checked=checked,
        )


def cost(session: Session, case: Case) -> Iterator[Figure]:
    """How much longer a stream with previews takes than one without, as a share of the time of its steps."""
    watch = partial(_watch, session, case.short)
    streams = interleave(
        {"none": partial(watch, NONE), "linear": partial(watch, LINEAR), "tiny decoder": partial(watch, TINY)},
        2 * case.rounds,  # a small difference of large times
        f"row 6, {case.name}",
    )
    steps = median([sum(stream.steps) for stream in streams["none"]])
    samples = {
        f"safelight, previews: {decoder}": summary([stream.seconds for stream in watched])
        for decoder, watched in streams.items()
    }
    for decoder, goal in CHEAP.items():
        both = zip(streams["none"], streams[decoder], strict=True)
        extra = [after.seconds - before.seconds for before, after in both]
        yield Figure(
            6,
            decoder,
            case.name,
            unit="%",
            value=median(extra) / steps,
            goal=goal if case.name != "demo" else None,
            samples=samples,
            note=f"{_count_previews(streams[decoder], case.short.steps)}; the steps take {steps:.3f} s",
        )


def _watch(session: Session, request: Request, previews: Previews, number: int) -> Watched:
    return session.ours.watch(request.numbered(number), previews)


def _count_previews(streams: Sequence[Watched], steps: int) -> str:
    """How many previews came. RuntimeError for too few: one that was left out for a slow reader has cost nothing."""
    came = sum(stream.previews for stream in streams)
    due = (steps - 1) * len(streams)  # the picture itself follows the last step
    if came < 0.9 * due:
        raise RuntimeError(f"{came} previews came of {due}: too few to tell what they cost")
    return f"{came} of {due} previews came"
