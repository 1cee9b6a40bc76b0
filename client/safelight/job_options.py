"""The options of `safelight`'s commands about jobs."""

from __future__ import annotations

import argparse
from typing import get_args

from . import parsing
from .command_options import add_place
from .job_status import JobState


def add_id(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("id", metavar="ID", help="as `safelight submit` and `safelight jobs` print it")


def add_places(parser: argparse.ArgumentParser) -> None:
    add_place(parser.add_argument_group("the pictures"))


def add_terms(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument_group("the job").add_argument
    add("--retain", metavar="SECONDS", type=parsing.above_zero, help="keep the pictures so long (default: a day)")
    add("--stop-at-step", metavar="N", type=int, help="rest after this step: `safelight fork` goes on from there")
    same = "with the id of a job that was asked for before, it is that job; up to 36 characters"
    add("--request-id", metavar="TEXT", help=same)


def add_filters(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--state", choices=get_args(JobState), help="only those in this state")
    parser.add_argument("--model", metavar="NAME", help="only those of this model")


def add_fork_options(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument_group("where it goes on, and what is changed").add_argument
    add("--step", metavar="N", type=int, help="one of the steps that are kept (default: the last)")
    add("--image-index", metavar="N", type=int, default=0, help="which of the job's pictures, from 0 (default: 0)")
    add("--prompt", metavar="TEXT", help="what the picture should show from here on")
    add("--negative", metavar="TEXT", dest="negative_prompt", help="what it should not show")
    add("--guidance", metavar="SCALE", dest="guidance_scale", type=float, help="1 or less turns guidance off")
    add("--seed", metavar="N", type=int, help="of what is drawn of noise, for schedulers that add some")
    add("--model", metavar="NAME", help="another one of the same latent space")
    add("--scheduler", metavar="NAME", help="another one")
    add("--attach", action="store_true", help="watch the new job, and write its picture")


def add_verified(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("file", metavar="FILE", type=parsing.file, help="a PNG with its receipt in it")
    parser.add_argument("--image", metavar="FILE", type=parsing.file, help="what it was redrawn from, if it was")
    parser.add_argument("--mask", metavar="FILE", type=parsing.file, help="the mask that it was redrawn with")
