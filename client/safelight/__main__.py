"""The command line: `safelight generate|refine|stream|again|models|health`."""

from __future__ import annotations

import argparse
import os
import sys
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from . import __version__, commands, parsing
from .client import Client
from .errors import Busy, InvalidRequest, NotFound, SafelightError, TimedOut, Unavailable
from .image_scaling import PictureScaled
from .pictures import SUFFIXES

EXIT_CODES = {InvalidRequest: 2, Unavailable: 3, NotFound: 4, Busy: 5, TimedOut: 5}
INTERRUPTED = 130

EPILOG = """\
examples:
  safelight generate "a red apple" -o apple.png --seed 7
  safelight generate "a red apple" --size 768x512 --steps 4 --model vega -n 4 -o apple.jpg
  safelight refine sketch.png "an oil painting" --strength 0.6 -o painting.png
  safelight stream "a red apple" --preview preview.jpg -o apple.png
  safelight stream "a red apple" --json | jq .event
  safelight again apple.png -o same.png
  safelight generate "a red apple" --wait 60 -o - | display
  safelight health && safelight models

Paths and data go to stdout, progress to stderr. Ctrl-C stops the work on the server.
Exit codes: 0 done, 1 failed, 2 bad arguments, 3 no server, 4 no such model, 5 server full or out of time, 130 Ctrl-C.
"""
DEFAULTS = " Whatever is left out is the model's own default: see `safelight models`."


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command, and returns its exit code. SystemExit for arguments that cannot be read."""
    args = _parser().parse_args(parsing.with_wait(sys.argv[1:] if argv is None else argv))
    try:
        with Client(args.address, timeout=args.timeout) as client, _warnings_told(args.quiet):
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
        text = f"{help[0].upper()}{help[1:]}.{DEFAULTS if _add_draw_options in adders else ''}"
        sub = subs.add_parser(run.__name__, help=help, description=text)
        sub.set_defaults(run=run)
        for add_options in (*adders, _add_server_options):
            add_options(sub)
    return parser


def _add_prompt(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("prompt", metavar="PROMPT", help="what the picture should show")


def _add_draw_options(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("the picture")
    _add_output_options(group)
    add = group.add_argument
    add("--model", metavar="NAME", help="one of `safelight models`")
    add("--negative", metavar="TEXT", dest="negative_prompt", help="what the picture should not show")
    add("--prompt-syntax", choices=("literal", "weighted"), help="weighted: (more), [less], (just:1.3), over 77 tokens")
    add("--size", metavar="WxH", type=parsing.size, help="pixels, as 768x512")
    add("--steps", metavar="N", type=int, help="denoising steps")
    add("--guidance", metavar="SCALE", dest="guidance_scale", type=float, help="1 or less turns guidance off")
    add(
        "--seed",
        metavar="N",
        type=int,
        help="of the first picture; the next have N+1, N+2, ... (default, and -1: by lot)",
    )
    add("-n", "--num-images", metavar="N", type=int, help="how many pictures")
    add("--scheduler", metavar="NAME", help="one of the model's")
    add(
        "--refiner",
        metavar="NAME[@HANDOFF]",
        type=parsing.refiner,
        help="a second model that takes over at 0 to 1, as @0.8",
    )
    add("--format", choices=tuple(SUFFIXES), help="of the file (default: as the name of -o says, else png)")
    add("--quality", metavar="1-100", type=int, help="for jpeg and webp")
    add("--priority", choices=("interactive", "normal", "batch"), help="whose steps go first (default: normal)")
    add = parser.add_argument_group("less work for nearly the same picture").add_argument
    add("--deep-cache", metavar="N", dest="deep_cache_interval", type=int, help="the whole UNet every N steps, as 3")
    add("--guide-until", metavar="SHARE", dest="guidance_until", type=float, help="no guidance after this, as 0.6")
    add("--tiny", dest="tiny_decoder", action="store_true", default=None, help="decode with the tiny decoder")


def _add_image(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("image", metavar="IMAGE", type=parsing.file, help="the picture to start from")


def _add_image_option(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--image", metavar="FILE", type=parsing.file, help="redraw this picture instead of drawing a new one"
    )


def _add_redraw_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--strength", metavar="0-1", type=float, help="how much of the image may change")
    parser.add_argument("--mask", metavar="FILE", type=parsing.file, help="white is drawn anew, black is kept")


def _add_preview_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--preview",
        metavar="FILE",
        type=Path,
        help="keep the newest preview in this file, as .jpg; what is there is replaced",
    )
    parser.add_argument("--preview-every", metavar="N", type=int, default=1, help="steps between previews (default: 1)")


def _add_picture(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("file", metavar="FILE", help="a picture that Safelight drew")
    parser.add_argument("--image", metavar="FILE", type=parsing.file, help="what it was redrawn from, if it was")
    parser.add_argument("--mask", metavar="FILE", type=parsing.file, help="the mask that it was redrawn with")
    _add_output_options(parser.add_argument_group("the picture"))


def _add_output_options(group: argparse._ArgumentGroup) -> None:
    where = "a file, a folder, or - for stdout; several pictures get -0, -1, ... (default: ./safelight-SEED.png)"
    group.add_argument("-o", "--output", metavar="PATH", dest="output_path", default=".", help=where)
    group.add_argument("-f", "--force", action="store_true", help="replace files that are there")


def _add_model(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("model", metavar="MODEL", nargs="?", help="ask for this model alone")


def _add_server_options(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument_group("the server, and what is told").add_argument
    where = "host:port, or unix:path, or several with commas (default: $SAFELIGHT_ADDRESS, else localhost:50051)"
    add("--address", metavar="ADDRESS", help=where)
    add("--timeout", metavar="SECONDS", type=float, help="give up after this (default: $SAFELIGHT_TIMEOUT, else never)")
    waits = "wait until the server is ready, at most so long (default: not at all; without a number: %(const)g)"
    add("--wait", metavar="SECONDS", type=parsing.above_zero, nargs="?", const=parsing.WAIT, help=waits)
    add("-q", "--quiet", action="store_true", help="nothing on stderr but errors")
    add("--json", action="store_true", help="JSON on stdout instead of plain text; for stream, one line per event")


Adder = Callable[[argparse.ArgumentParser], None]
COMMANDS: tuple[tuple[Callable[..., int], str, tuple[Adder, ...]], ...] = (
    (commands.generate, "draw pictures from words", (_add_prompt, _add_draw_options)),
    (commands.refine, "redraw a picture", (_add_image, _add_prompt, _add_redraw_options, _add_draw_options)),
    (
        commands.stream,
        "draw, and tell what happens while it does",
        (_add_prompt, _add_image_option, _add_redraw_options, _add_preview_options, _add_draw_options),
    ),
    (commands.again, "draw a picture again, by what its file says", (_add_picture,)),
    (commands.models, "show what the server draws with", ()),
    (commands.health, "exit with 0 when the server is ready, with 1 when it is not yet", (_add_model,)),
)

if __name__ == "__main__":
    sys.exit(main())
