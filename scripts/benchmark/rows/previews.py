"""Rows 5 and 6: how soon the first preview comes, and what a preview at every step costs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial

from safelight import Previews

from benchmark.asked import Asked
from benchmark.cases import Case
from benchmark.figures import Figure, Goal, summaries
from benchmark.ours import Watched
from benchmark.peers import worker
from benchmark.rounds import interleave
from benchmark.session import Session
from benchmark.summary import median, summary

from .against import fastest, peers

LINEAR, TINY = Previews(every=1, decoder="linear"), Previews(every=1, decoder="tiny")  # 256 px at most, as by default
NONE = Previews(every=0)
SOON = {"vegart-512": Goal(0.25)}
CHEAP = {"linear": Goal(0.01), "tiny decoder": Goal(0.06)}


def first(session: Session, case: Case) -> Iterator[Figure]:
    """The peers decode what their callback is given after the first step, with the VAE."""
    checked = session.check(case.short)
    times = interleave(
        {
            "safelight, tiny decoder": lambda n: session.ours.first_preview(case.short.numbered(n), TINY),
            "safelight, linear": lambda n: session.ours.first_preview(case.short.numbered(n), LINEAR),
            **peers(session, worker.first_preview, case.short),
        },
        case.rounds,
        f"row 5, {case.name}",
    )
    samples = summaries(times)
    peer = fastest(samples)
    for kind in ("tiny decoder", "linear"):
        ours = f"safelight, {kind}"
        yield Figure(
            5,
            f"{kind}, over {peer}'s",
            case.name,
            value=samples[ours].median / samples[peer].median,
            goal=SOON.get(case.name),
            samples=samples,
            checked=checked,
        )


def cost(session: Session, case: Case) -> Iterator[Figure]:
    """What a stream with previews takes longer than one without, as a share of the time of its steps."""
    watch = partial(_watch, session, case.short)
    streams = interleave(
        {"none": partial(watch, NONE), "linear": partial(watch, LINEAR), "tiny decoder": partial(watch, TINY)},
        2 * case.rounds,  # a small difference of large times
        f"row 6, {case.name}",
    )
    steps = median([sum(stream.steps) for stream in streams["none"]])
    samples = {
        f"safelight, previews: {kind}": summary([stream.seconds for stream in seen]) for kind, seen in streams.items()
    }
    for kind, goal in CHEAP.items():
        extra = [after.seconds - before.seconds for before, after in zip(streams["none"], streams[kind], strict=True)]
        yield Figure(
            6,
            kind,
            case.name,
            unit="%",
            value=median(extra) / steps,
            goal=goal if case.name != "demo" else None,
            samples=samples,
            note=f"{_came(streams[kind], case.short.steps)}; the steps take {steps:.3f} s",
        )


def _watch(session: Session, asked: Asked, previews: Previews, number: int) -> Watched:
    return session.ours.watched(asked.numbered(number), previews)


def _came(streams: Sequence[Watched], steps: int) -> str:
    """A reader that is too slow gets the newest preview alone; those that were left out were not paid for."""
    came = sum(stream.previews for stream in streams)
    if came < 0.9 * steps * len(streams):
        raise RuntimeError(f"{came} previews came of {steps * len(streams)}: too few to tell what they cost")
    return f"{came} of {steps * len(streams)} previews came"
