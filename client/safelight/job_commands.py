"""The commands of `safelight` about jobs: functions of a client and the arguments, which return the exit code."""

from __future__ import annotations

import json
import sys
from argparse import Namespace
from collections.abc import Iterable
from dataclasses import asdict
from typing import Any

from .client import Client
from .commands import bar_of, deliver_events, options_of, wait_for
from .destination import Destination, check_preview, destination
from .job import Job
from .job_status import Estimate, Interval, JobStatus
from .options import Output, Previews

INTERRUPTED = 130
GIB = 2**30


def submit(client: Client, args: Namespace) -> int:
    """Asks for a job, and prints its id."""
    wait_for(client, args)
    source = {"image": args.image, "mask": args.mask, "strength": args.strength}
    job = client.submit(args.prompt, **source, **_drawing(args))
    _tell_id(job, args)
    return 0


def attach(client: Client, args: Namespace) -> int:
    """Prints and writes what each event of a job brings, from its first one on."""
    wait_for(client, args)
    return _watch(client.job(args.id), args)


def jobs(client: Client, args: Namespace) -> int:
    """Prints the jobs, the newest first."""
    wait_for(client, args)
    found = client.jobs(args.state, args.model)
    if args.json:
        for status in found:
            print(json.dumps(asdict(status), default=str), flush=True)
    else:
        _print_table(found)
    return 0


def cancel(client: Client, args: Namespace) -> int:
    """Stops a job, and prints how it ended."""
    wait_for(client, args)
    return _print_status(client.job(args.id).cancel(), args)


def finish(client: Client, args: Namespace) -> int:
    """Ends a job with what is there, and writes that."""
    wait_for(client, args)
    job = client.job(args.id)
    target = _target(job.status(), args)
    job.finish()
    return _follow(job, target, args)


def fork(client: Client, args: Namespace) -> int:
    """Goes on from a step of a job, changed; prints the new job's id, or with --attach what it brings."""
    wait_for(client, args)
    if args.attach:
        destination(args.output_path, None, force=args.force)  # before a job is made that nobody could read
    names = ("prompt", "negative_prompt", "guidance_scale", "seed", "model", "scheduler")
    changes: Any = {name: getattr(args, name) for name in names}
    job = client.job(args.id).fork(args.step, image_index=args.image_index, **changes)
    _tell_id(job, args, sys.stderr if args.attach else sys.stdout)
    return _watch(job, args) if args.attach else 0


def estimate(client: Client, args: Namespace) -> int:
    """Prints what a drawing would take."""
    wait_for(client, args)
    source = {"image": args.image, "mask": args.mask, "strength": args.strength}
    found = client.estimate(args.prompt, **source, **_drawing(args))
    print(json.dumps(asdict(found)) if args.json else _estimate_text(found))
    return 0


def verify(client: Client, args: Namespace) -> int:
    """Prints whether a picture is drawn again the same: 0 if it is, else 1."""
    wait_for(client, args)
    found = client.verify(args.file, args.image, args.mask)
    if args.json:
        print(json.dumps(asdict(found)))
    else:
        print("the same" if found else f"not the same: pixels differ by up to {found.max_difference} of 255")
        for line in found.differs:
            print(f"safelight: {line}", file=sys.stderr)
    return 0 if found else 1


def _watch(job: Job, args: Namespace) -> int:
    return _follow(job, _target(job.status(), args), args)


def _follow(job: Job, target: Destination, args: Namespace) -> int:
    """Ctrl-C only detaches."""
    preview = getattr(args, "preview", None)
    try:
        with job.events(previews=Previews(every=args.preview_every if preview else 0)) as events, bar_of(args) as bar:
            return deliver_events(events, bar, args, target)
    except KeyboardInterrupt:
        print(f"safelight: detached; attach again with: safelight attach {job.id}", file=sys.stderr)
        return INTERRUPTED


def _target(status: JobStatus, args: Namespace) -> Destination:
    """Where the pictures of a job go. Raises BadDestination, before anything is read."""
    if getattr(args, "preview", None):
        check_preview(args.preview)
    return destination(args.output_path, None, count=status.num_images or 1, force=args.force)


def _drawing(args: Namespace) -> Any:
    return options_of(args, Output(args.format or "png", args.quality))


def _tell_id(job: Job, args: Namespace, out: Any = None) -> None:
    if args.json and out is not sys.stderr:
        print(json.dumps({"id": job.id}))
        return
    print(job.id, file=out or sys.stdout, flush=True)
    if not args.quiet:
        print(f"safelight: watch it with: safelight attach {job.id}", file=sys.stderr)


def _print_status(status: JobStatus, args: Namespace) -> int:
    print(json.dumps(asdict(status), default=str) if args.json else status.state)
    return 0


def _print_table(found: Iterable[JobStatus]) -> None:
    """Line by line, for there may be many."""
    row = "{:16}  {:9}  {:>7}  {:>6}  {:19}  {:12}  {}"
    print(row.format("ID", "STATE", "STEP", "IMAGES", "CREATED", "MODEL", "PROMPT"))
    for status in found:
        asked = status.arguments
        created = status.created.astimezone().strftime("%Y-%m-%d %H:%M:%S")
        step, images = f"{status.step}/{status.steps}", f"{status.images_done}/{status.num_images}"
        prompt = " ".join(str(asked.get("prompt", "")).split())[:60]
        print(row.format(status.id, status.state, step, images, created, asked.get("model", "-"), prompt).rstrip())


def _estimate_text(found: Estimate) -> str:
    guess = "" if found.is_known else " (a guess: such steps were never run here)"
    fits = "which fits" if found.fits else "which does not fit"
    return "\n".join(
        [
            f"total   {_span(found.total)}{guess}",
            f"wait    {_span(found.wait)}",
            f"work    {_span(found.work)}",
            f"memory  {found.peak_bytes / GIB:.1f} GiB, {fits}",
        ]
    )


def _span(seconds: Interval) -> str:
    return f"{seconds.likely:.1f} s ({seconds.low:.1f} to {seconds.high:.1f})"
