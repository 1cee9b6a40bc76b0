"""The commands of `safelight`, each a function of a client and the arguments, which returns the exit code."""

from __future__ import annotations

import json
import sys
from argparse import Namespace
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any, cast

from .acceleration import Acceleration
from .arguments import DrawOptions
from .client import Client
from .destination import BadDestination, Destination, check_preview, destination
from .errors import NotFound, TimedOut
from .events import Event, ImageDone, Preview, Started
from .models import Model
from .options import Output, Previews
from .progress import Bar
from .recipes import recipe
from .results import Result
from .stream import Stream

HEAD = "NAME", "KIND", "SIZE", "STEPS", "GUIDANCE", "SCHEDULER", "RUNS ON", "REFINERS", "STATE"


def generate(client: Client, args: Namespace) -> int:
    """Draws pictures, writes them and prints their paths."""
    target = check_place(args)
    wait_for(client, args)
    with bar_of(args) as bar:
        result = client.generate(
            args.prompt, progress=bar.show if bar else False, **options_of(args, Output(target.format, args.quality))
        )
    return _deliver(result, args, target)


def refine(client: Client, args: Namespace) -> int:
    """Redraws a picture, writes the result and prints its path."""
    target = check_place(args)
    wait_for(client, args)
    with bar_of(args) as bar:
        result = client.refine(
            args.image,
            args.prompt,
            strength=args.strength,
            mask=args.mask,
            progress=bar.show if bar else False,
            **options_of(args, Output(target.format, args.quality)),
        )
    return _deliver(result, args, target)


def stream(client: Client, args: Namespace) -> int:
    """Draws or redraws, and prints and writes what each event brings as it comes."""
    target = check_place(args)
    if args.preview:
        check_preview(args.preview)
    wait_for(client, args)
    previews = Previews(every=args.preview_every if args.preview else 0)
    source = {"image": args.image, "mask": args.mask, "strength": args.strength}
    events = client.stream(
        args.prompt, previews=previews, **source, **options_of(args, Output(target.format, args.quality))
    )
    with events, bar_of(args) as bar:
        return deliver_events(events, bar, args, target)


def models(client: Client, args: Namespace) -> int:
    """Prints the models of the server as a table, or as JSON."""
    wait_for(client, args)
    found = client.models()
    print(json.dumps([asdict(model) for model in found], indent=2) if args.json else _table(found))
    return 0


def health(client: Client, args: Namespace) -> int:
    """Prints the server's health; 0 if it serves, else 1. NotFound says which models there are."""
    with suppress(TimedOut):  # what it is now is told all the same
        wait_for(client, args, args.model)
    try:
        state = client.health(args.model)
    except NotFound as error:
        names = ", ".join(model.name for model in client.models())
        raise NotFound(f"there is no model {args.model!r}; there are {names}", code=error.code) from error
    print(json.dumps({"status": state.name}) if args.json else state.name)
    return 0 if state else 1


def again(client: Client, args: Namespace) -> int:
    """Draws what a picture's file says, writes it and prints its path."""
    options = recipe(args.file)
    redraws = "strength" in options
    if redraws and args.image is None:
        raise ValueError(f"{args.file} was redrawn from a picture, which is not in it: give that with --image")
    if not redraws and (args.image or args.mask):
        raise ValueError(f"{args.file} was drawn from words: it takes no --image and no --mask")
    target = destination(args.output_path, None, force=args.force)
    wait_for(client, args)
    result = client.refine(args.image, mask=args.mask, **options) if redraws else client.generate(**options)
    return _deliver(result, args, target)


def deliver_events(events: Stream, bar: Bar | None, args: Namespace, target: Destination) -> int:
    """Prints and writes what each event brings, as it comes."""
    count = 1
    for event in events:
        if isinstance(event, Started):
            count = len(event.seeds)
        _print_event(event, _write(event, args, target, count), args, target)
        if bar:
            bar.show(event)
    _conclude(events.final(), args)
    return 0


def wait_for(client: Client, args: Namespace, model: str | None = None) -> None:
    """Waits for a server that is ready, if that was asked for."""
    if args.wait is not None:
        client.wait_until_ready(args.wait, model)


def check_place(args: Namespace) -> Destination:
    """Where the pictures go. Raises BadDestination, before anything is drawn."""
    target = destination(args.output_path, args.format, count=args.num_images or 1, force=args.force)
    if target.is_stdout and args.json:
        raise BadDestination(f"--json and -o {args.output_path} both write to stdout: leave one out")
    return target


def options_of(args: Namespace, output: Output) -> DrawOptions:
    """What a call that draws is asked for."""
    options = {name: getattr(args, name) for name in DrawOptions.__annotations__ if hasattr(args, name)}
    width, height = args.size or (None, None)
    faster = Acceleration(args.deep_cache_interval, args.guidance_until, args.tiny_decoder)
    acceleration = faster if faster != Acceleration() else None
    more = {
        "width": width,
        "height": height,
        "output": output,
        "acceleration": acceleration,
    }
    return cast(DrawOptions, options | more)


@contextmanager
def bar_of(args: Namespace) -> Iterator[Bar | None]:
    """A bar if stderr is a terminal. Without one, Generate and Refine are plain calls."""
    if args.quiet or not sys.stderr.isatty():
        yield None
        return
    bar = Bar()
    try:
        yield bar
    finally:
        bar.close()


def _write(event: Event, args: Namespace, target: Destination, count: int) -> Path | None:
    """Writes the picture of an event, and returns the file; None for an event without one."""
    if isinstance(event, Preview) and getattr(args, "preview", None):
        return event.save(args.preview)
    if isinstance(event, ImageDone):
        return target.write(event, count)
    return None


def _print_event(event: Event, path: Path | None, args: Namespace, target: Destination) -> None:
    if args.json:
        print(json.dumps(_event_json(event, path)), flush=True)
    elif isinstance(event, ImageDone) and not target.is_stdout:
        print(path, flush=True)


def _event_json(event: Event, path: Path | None) -> dict[str, Any]:
    name = "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in type(event).__name__)
    fields = {field: value for field, value in asdict(event).items() if field not in ("data", "receipt")}
    return {"event": name.lstrip("_"), **fields, **({"path": str(path)} if path else {})}


def _deliver(result: Result, args: Namespace, target: Destination) -> int:
    paths = [str(target.write(picture, len(result.pictures))) for picture in result.pictures]
    if args.json:
        fields = {"job_id": result.job_id, "paths": paths, "seeds": result.seeds, "warnings": result.warnings}
        print(json.dumps({**fields, "timings": asdict(result.timings)}))
    elif not target.is_stdout:
        print(*paths, sep="\n")
    _conclude(result, args)
    return 0


def _conclude(result: Result, args: Namespace) -> None:
    if args.quiet:
        return
    for warning in result.warnings:
        print(f"safelight: {warning}", file=sys.stderr)
    seeds = ", ".join(str(seed) for seed in result.seeds)
    print(f"seed {seeds}; {result.timings.total:.1f} s", file=sys.stderr)


def _table(found: list[Model]) -> str:
    rows: list[tuple[str, ...]] = [HEAD]
    rows += [_row(model) for model in found]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join("  ".join(map(str.ljust, row, widths)).rstrip() for row in rows)


def _row(model: Model) -> tuple[str, ...]:
    taken = model.defaults
    others = [name for name in model.schedulers if name != taken.scheduler]
    return (
        model.name,
        model.kind,
        f"{taken.width}x{taken.height}",
        str(taken.steps),
        f"{taken.guidance_scale:g}",
        f"{taken.scheduler}, or {len(others)} others" if others else taken.scheduler,
        f"{model.device} {model.precision}".rstrip(),
        ",".join(model.refiners) or "-",
        model.state,
    )
