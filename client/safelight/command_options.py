"""The options of `safelight`'s commands: a function a group, which adds it to a parser."""

from __future__ import annotations

import argparse
from pathlib import Path

from . import parsing
from .pictures import SUFFIXES


def add_prompt(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("prompt", metavar="PROMPT", help="what the picture should show")


def add_draw_options(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("the picture")
    add_place(group)
    _add_drawing(parser, group)


def add_draw_options_without_place(parser: argparse.ArgumentParser) -> None:
    _add_drawing(parser, parser.add_argument_group("the picture"))


def _add_drawing(parser: argparse.ArgumentParser, group: argparse._ArgumentGroup) -> None:
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


def add_image(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("image", metavar="IMAGE", type=parsing.file, help="the picture to start from")


def add_image_option(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--image", metavar="FILE", type=parsing.file, help="redraw this picture instead of drawing a new one"
    )


def add_redraw_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--strength", metavar="0-1", type=float, help="how much of the image may change")
    parser.add_argument("--mask", metavar="FILE", type=parsing.file, help="white is drawn anew, black is kept")


def add_preview_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--preview",
        metavar="FILE",
        type=Path,
        help="keep the newest preview in this file, as .jpg; what is there is replaced",
    )
    parser.add_argument("--preview-every", metavar="N", type=int, default=1, help="steps between previews (default: 1)")


def add_picture(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("file", metavar="FILE", help="a picture that Safelight drew")
    parser.add_argument("--image", metavar="FILE", type=parsing.file, help="what it was redrawn from, if it was")
    parser.add_argument("--mask", metavar="FILE", type=parsing.file, help="the mask that it was redrawn with")
    add_place(parser.add_argument_group("the picture"))


def add_place(group: argparse._ArgumentGroup) -> None:
    where = "a file, a folder, or - for stdout; several pictures get -0, -1, ... (default: ./safelight-SEED.png)"
    group.add_argument("-o", "--output", metavar="PATH", dest="output_path", default=".", help=where)
    group.add_argument("-f", "--force", action="store_true", help="replace files that are there")


def add_model(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("model", metavar="MODEL", nargs="?", help="ask for this model alone")


def add_server_options(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument_group("the server, and what is told").add_argument
    where = (
        "host:port, https://host:port or unix:path, or several with commas "
        "(default: $SAFELIGHT_ADDRESS, else localhost:50051)"
    )
    add("--address", metavar="ADDRESS", help=where)
    secret = (
        "a file with the token that says who calls (default: $SAFELIGHT_TOKEN; an argument would be seen by others)"
    )
    add("--token-file", metavar="FILE", type=parsing.token, dest="token", help=secret)
    signed = "PEM file of what the server's certificate may be signed by (default: $SAFELIGHT_CA)"
    add("--ca", metavar="FILE", help=signed)
    add("--cert", metavar="FILE", help="PEM file of your own certificate, and its key unless --key is given")
    add("--key", metavar="FILE", help="PEM file of the key to --cert")
    add("--timeout", metavar="SECONDS", type=float, help="give up after this (default: $SAFELIGHT_TIMEOUT, else never)")
    waits = "wait until the server is ready, at most so long (default: not at all; without a number: %(const)g)"
    add("--wait", metavar="SECONDS", type=parsing.above_zero, nargs="?", const=parsing.WAIT, help=waits)
    add("-q", "--quiet", action="store_true", help="nothing on stderr but errors")
    add("--json", action="store_true", help="JSON on stdout instead of plain text; for stream, one line per event")
