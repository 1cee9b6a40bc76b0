"""The command line: `safelight generate|refine|stream|again`, `submit|attach|jobs|...`, `models|health`."""

from __future__ import annotations

import argparse
import os
import sys
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from . import __version__, command_options, commands, job_commands, job_options, parsing
from .client import Client
from .errors import Busy, Denied, InvalidRequest, NotFound, SafelightError, TimedOut, Unavailable
from .image_scaling import PictureScaled

EXIT_CODES = {InvalidRequest: 2, Unavailable: 3, NotFound: 4, Busy: 5, TimedOut: 5, Denied: 6}
INTERRUPTED = 130

EPILOG = """\
examples:
  safelight generate "a red apple" -o apple.png --seed 7
  safelight generate "a red apple" --size 768x512 --steps 4 --model vega -n 4 -o apple.jpg
  safelight refine sketch.png "an oil painting" --strength 0.6 -o painting.png
  safelight stream "a red apple" --preview preview.jpg -o apple.png
  safelight stream "a red apple" --json | jq .event
  safelight again apple.png -o same.png
  safelight attach "$(safelight submit "a red apple")" -o apple.png
  safelight generate "a red apple" --wait 60 -o - | display
  safelight health && safelight models

Paths and data go to stdout, progress to stderr. Ctrl-C stops the work on the server,
but for attach, fork and finish, which it only detaches.
Exit codes: 0 done, 1 failed, 2 bad arguments, 3 no server, 4 no such model, 5 server full or out of time,
6 not allowed, 130 Ctrl-C.
"""
DEFAULTS = " Whatever is left out is the model's own default: see `safelight models`."


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command, and returns its exit code. SystemExit for arguments that cannot be read."""
    args = _parser().parse_args(parsing.with_wait(sys.argv[1:] if argv is None else argv))
    try:
        with _client(args) as client, _warnings_told(args.quiet):
            code: int = args.run(client, args)
            return code
    except SafelightError as error:
        return _fail(f"{error}{_advice(error)}", EXIT_CODES.get(type(error), 1))
    except (TypeError, ValueError) as error:
        return _fail(str(error), 2)
    except BrokenPipeError:
        # The reader has left (`| head`); without this Python complains once more at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except OSError as error:
        return _fail(str(error), 1)
    except KeyboardInterrupt:
        return _fail("cancelled", INTERRUPTED)


def _client(args: Any) -> Client:
    if args.key and not args.cert:
        raise ValueError("--key is the key to --cert: give both")
    cert = (args.cert, args.key) if args.key else args.cert
    return Client(args.address, timeout=args.timeout, token=args.token, ca=args.ca, cert=cert)


@contextmanager
def _warnings_told(quiet: bool) -> Iterator[None]:
    """Says in a line, without a place in the program, that a picture was scaled down."""

    def show(message: Warning | str, *where: Any, **more: Any) -> None:
        print(f"safelight: {message}", file=sys.stderr)

    with warnings.catch_warnings():
        warnings.simplefilter("ignore" if quiet else "always", PictureScaled)
        warnings.showwarning = show
        yield


def _fail(message: str, code: int) -> int:
    print(f"safelight: {message}", file=sys.stderr)
    return code


def _advice(error: SafelightError) -> str:
    if error.job_id and isinstance(error, Unavailable):
        return f"; attach again with: safelight attach {error.job_id}"
    if error.reason == "TOKEN_MISSING":
        return "; set SAFELIGHT_TOKEN, or give --token-file"
    return f" (try again in {error.retry_after:g} s)" if error.retry_after is not None else ""


def _parser() -> argparse.ArgumentParser:
    parser = parsing.Parser(
        prog="safelight",
        description="Draws pictures on a Safelight server, and shows them while they come up.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"safelight {__version__}")
    shells = ("bash", "zsh", "tcsh")
    complete = "print the script that completes commands and options in this shell, and exit"
    parser.add_argument("--print-completion", choices=shells, action=parsing.PrintCompletion, help=complete)
    subs = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for run, help, adders in COMMANDS:
        draws = {command_options.add_draw_options, command_options.add_draw_options_without_place} & {*adders}
        text = f"{help[0].upper()}{help[1:]}.{DEFAULTS if draws else ''}"
        example = f"example: safelight {EXAMPLES[run.__name__]}" if run.__name__ in EXAMPLES else None
        sub = subs.add_parser(run.__name__, help=help, description=text, epilog=example)
        sub.set_defaults(run=run)
        for add_options in (*adders, command_options.add_server_options):
            add_options(sub)
    return parser


Adder = Callable[[argparse.ArgumentParser], None]
COMMANDS: tuple[tuple[Callable[..., int], str, tuple[Adder, ...]], ...] = (
    (commands.generate, "draw pictures from words", (command_options.add_prompt, command_options.add_draw_options)),
    (
        commands.refine,
        "redraw a picture",
        (
            command_options.add_image,
            command_options.add_prompt,
            command_options.add_redraw_options,
            command_options.add_draw_options,
        ),
    ),
    (
        commands.stream,
        "draw, and tell what happens while it does",
        (
            command_options.add_prompt,
            command_options.add_image_option,
            command_options.add_redraw_options,
            command_options.add_preview_options,
            command_options.add_draw_options,
        ),
    ),
    (
        job_commands.submit,
        "ask for a job that is drawn whether anybody waits or not, and print its id",
        (
            command_options.add_prompt,
            command_options.add_image_option,
            command_options.add_redraw_options,
            command_options.add_draw_options_without_place,
            job_options.add_terms,
        ),
    ),
    (
        job_commands.attach,
        "watch a job from its first event on, and write its pictures; Ctrl-C only detaches",
        (job_options.add_id, command_options.add_preview_options, job_options.add_places),
    ),
    (job_commands.jobs, "show the jobs, the newest first", (job_options.add_filters,)),
    (job_commands.cancel, "stop a job", (job_options.add_id,)),
    (
        job_commands.finish,
        "end a job early: what is there after the running step is its picture",
        (job_options.add_id, job_options.add_places),
    ),
    (
        job_commands.fork,
        "go on from a step of a job with changes, as a new job",
        (
            job_options.add_id,
            job_options.add_fork_options,
            command_options.add_preview_options,
            job_options.add_places,
        ),
    ),
    (
        job_commands.estimate,
        "say how long a drawing would take, and what memory; nothing is drawn",
        (
            command_options.add_prompt,
            command_options.add_image_option,
            command_options.add_redraw_options,
            command_options.add_draw_options_without_place,
        ),
    ),
    (
        job_commands.verify,
        "draw a picture again by its receipt; exit with 0 when every pixel is the same, else with 1",
        (job_options.add_verified,),
    ),
    (commands.again, "draw a picture again, by what its file says", (command_options.add_picture,)),
    (commands.models, "show what the server draws with", ()),
    (commands.health, "exit with 0 when the server is ready, with 1 when it is not yet", (command_options.add_model,)),
)
EXAMPLES = {
    "submit": 'submit "a red apple" --steps 60',
    "attach": "attach 0123456789abcdef --preview now.jpg -o apple.png",
    "jobs": "jobs --state running",
    "cancel": "cancel 0123456789abcdef",
    "finish": "finish 0123456789abcdef -o early.png",
    "fork": 'fork 0123456789abcdef --step 20 --prompt "a green apple" --attach -o green.png',
    "estimate": 'estimate "a red apple" --size 1024x1024 -n 4',
    "verify": "verify apple.png",
}

if __name__ == "__main__":
    sys.exit(main())
