"""The command line: `safelight generate|refine|stream|models|health`."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from . import __version__, commands
from .client import Client
from .errors import Busy, InvalidRequest, NotFound, SafelightError, TimedOut, Unavailable
from .pictures import SUFFIXES
from .requests import Refiner

EXIT_CODES = {InvalidRequest: 2, Unavailable: 3, NotFound: 4, Busy: 5, TimedOut: 5}
INTERRUPTED = 130

EPILOG = """\
examples:
  safelight generate "a red apple" -o apple.png --seed 7
  safelight generate "a red apple" --size 768x512 --steps 4 --model vega -n 4 -o apple.jpg
  safelight refine sketch.png "an oil painting" --strength 0.6 -o painting.png
  safelight stream "a red apple" --preview preview.jpg -o apple.png
  safelight stream "a red apple" --json | jq .event
  safelight health && safelight models

Paths and data go to stdout, progress to stderr. Ctrl-C stops the work on the server.
Exit codes: 0 done, 1 failed, 2 bad arguments, 3 no server, 4 no such model, 5 server full or out of time, 130 Ctrl-C.
"""
DEFAULTS = " Whatever is left out is the model's own default: see `safelight models`."


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command, and returns its exit code. SystemExit for arguments that cannot be read."""
    args = _parser().parse_args(argv)
    try:
        with Client(args.address, timeout=args.timeout) as client:
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


def _fail(message: str, code: int) -> int:
    print(f"safelight: {message}", file=sys.stderr)
    return code


def _advice(error: SafelightError) -> str:
    return f" (try again in {error.retry_after:g} s)" if error.retry_after is not None else ""


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="safelight",
        description="Draws pictures on a Safelight server, and shows them while they come up.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"safelight {__version__}")
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
    add = parser.add_argument_group("the picture").add_argument
    where = "a file, a folder, or - for stdout; several pictures get -0, -1, ... (default: ./safelight-SEED.png)"
    add("-o", "--output", metavar="PATH", dest="output_path", default=".", help=where)
    add("-f", "--force", action="store_true", help="replace files that are there")
    add("--model", metavar="NAME", help="one of `safelight models`")
    add("--negative", metavar="TEXT", dest="negative_prompt", help="what the picture should not show")
    add("--size", metavar="WxH", type=_size, help="pixels, as 768x512")
    add("--steps", metavar="N", type=int, help="denoising steps")
    add("--guidance", metavar="SCALE", dest="guidance_scale", type=float, help="1 or less turns guidance off")
    add("--seed", metavar="N", type=int, help="of the first picture; the next have N+1, N+2, ... (default: by lot)")
    add("-n", "--num-images", metavar="N", type=int, help="how many pictures")
    add("--scheduler", metavar="NAME", help="one of the model's")
    add("--refiner", metavar="NAME[@HANDOFF]", type=_refiner, help="a second model that takes over at 0 to 1, as @0.8")
    add("--format", choices=tuple(SUFFIXES), help="of the file (default: as the name of -o says, else png)")
    add("--quality", metavar="1-100", type=int, help="for jpeg and webp")
    add("--priority", choices=("interactive", "normal", "batch"), help="whose steps go first (default: normal)")
    add = parser.add_argument_group("less work for nearly the same picture").add_argument
    add("--deep-cache", metavar="N", dest="deep_cache_interval", type=int, help="the whole UNet every N steps, as 3")
    add("--guide-until", metavar="SHARE", dest="guidance_until", type=float, help="no guidance after this, as 0.6")
    add("--tiny", dest="tiny_decoder", action="store_true", default=None, help="decode with the tiny decoder")


def _add_image(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("image", metavar="IMAGE", type=_file, help="the picture to start from")


def _add_image_option(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--image", metavar="FILE", type=_file, help="redraw this picture instead of drawing a new one")


def _add_redraw_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--strength", metavar="0-1", type=float, help="how much of the image may change")
    parser.add_argument("--mask", metavar="FILE", type=_file, help="white is drawn anew, black is kept")


def _add_preview_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--preview",
        metavar="FILE",
        type=Path,
        help="keep the newest preview in this file, as .jpg; what is there is replaced",
    )
    parser.add_argument("--preview-every", metavar="N", type=int, default=1, help="steps between previews (default: 1)")


def _add_model(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("model", metavar="MODEL", nargs="?", help="ask for this model alone")


def _add_server_options(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument_group("the server, and what is told").add_argument
    where = "host:port, or unix:path (default: $SAFELIGHT_ADDRESS, else localhost:50051)"
    add("--address", metavar="ADDRESS", help=where)
    add("--timeout", metavar="SECONDS", type=float, help="give up after this (default: $SAFELIGHT_TIMEOUT, else never)")
    add("-q", "--quiet", action="store_true", help="nothing on stderr but errors")
    add("--json", action="store_true", help="JSON on stdout instead of plain text; for stream, one line per event")


def _size(text: str) -> tuple[int, int]:
    width, found, height = text.lower().partition("x")
    if not (found and width.isdecimal() and height.isdecimal()):
        raise argparse.ArgumentTypeError(f"{text!r} is not WIDTHxHEIGHT, as 768x512")
    return int(width), int(height)


def _refiner(text: str) -> Refiner:
    name, found, handoff = text.rpartition("@")
    if not found:
        return Refiner(text)
    try:
        return Refiner(name, float(handoff))
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not NAME or NAME@HANDOFF, as refiner@0.8") from None


def _file(text: str) -> bytes:
    try:
        return Path(text).read_bytes()
    except OSError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


Adder = Callable[[argparse.ArgumentParser], None]
COMMANDS: tuple[tuple[Callable[..., int], str, tuple[Adder, ...]], ...] = (
    (commands.generate, "draw pictures from words", (_add_prompt, _add_draw_options)),
    (commands.refine, "redraw a picture", (_add_image, _add_prompt, _add_redraw_options, _add_draw_options)),
    (
        commands.stream,
        "draw, and tell what happens while it does",
        (_add_prompt, _add_image_option, _add_redraw_options, _add_preview_options, _add_draw_options),
    ),
    (commands.models, "show what the server draws with", ()),
    (commands.health, "exit with 0 when the server is ready, with 1 when it is not yet", (_add_model,)),
)

if __name__ == "__main__":
    sys.exit(main())
