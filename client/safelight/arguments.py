"""The keyword arguments of every call that draws: their types, and their text for help()."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any, TypedDict, TypeVar, cast

from .acceleration import Acceleration
from .options import OnDisconnect, Output, Priority, PromptSyntax, Refiner, SchedulerOptions, SizeConditioning
from .pictures import Format

Function = TypeVar("Function", bound=Callable[..., Any])


class JobTerms(TypedDict, total=False):
    """What a call says of its job beside the drawing."""

    request_id: str | None
    on_disconnect: OnDisconnect | None
    grace: float | None
    retain: float | None
    stop_at_step: int | None
    wait_for_model: bool | None


class DrawOptions(JobTerms, total=False):
    """The keyword arguments of every call that draws. What is left out, or None, is the model's own default."""

    model: str | None
    prompt_2: str | None
    negative_prompt: str | None
    negative_prompt_2: str | None
    width: int | None
    height: int | None
    steps: int | None
    guidance_scale: float | None
    guidance_rescale: float | None
    seed: int | None
    num_images: int | None
    scheduler: str | None
    scheduler_options: SchedulerOptions | None
    size_conditioning: SizeConditioning | None
    refiner: Refiner | str | None
    output: Output | Format | None
    priority: Priority | None
    acceleration: Acceleration | None
    prompt_syntax: PromptSyntax | None


TEXTS = {
    "prompt": "what the picture should show; for the first text encoder",
    "image": "where to start from: a Pillow image, Picture, Result, path, open file, bytes, data: URL or array",
    "mask": "as `image`, of its size: white is drawn anew, black and what is transparent is kept",
    "strength": "0 to 1: how much of the image may change; default 0.3, with a mask 0.9999",
    "model": "a name from models(); default: the first there",
    "prompt_2": "for the second text encoder; default: the prompt",
    "negative_prompt": 'what the picture should not show, if guidance_scale is above 1; "" is not the same as None',
    "negative_prompt_2": "for the second text encoder; default: negative_prompt",
    "width": "pixels; default: the model's, or the image's",
    "height": "pixels; default: the model's, or the image's",
    "steps": "denoising steps of a whole run from noise",
    "guidance_scale": "1 or less turns guidance off, and halves the work",
    "guidance_rescale": "0 to 1: how far the guided noise is brought back to the spread of the unguided",
    "seed": "of the first picture, picture i has seed + i; default, and -1: drawn by lot, see Result.seeds",
    "num_images": "how many pictures; default 1",
    "scheduler": "a name from models(); default: the one the model was made for",
    "scheduler_options": "a SchedulerOptions: changes to the scheduler's configuration",
    "size_conditioning": "a SizeConditioning: what the model is told of sizes and crops",
    "refiner": "a model that takes over on the way: its name, or a Refiner",
    "output": 'the file: "png", "jpeg", "webp", or an Output; default "png"',
    "priority": 'whose steps go first: a second of "interactive" work counts as a fifth, of "batch" as five',
    "acceleration": "an Acceleration: nearly the same picture for less work; default: the exact one",
    "prompt_syntax": '"weighted" reads (more), [less] and (just:1.3), and takes long prompts; default: "literal"',
    "request_id": "up to 36 characters: calls with the same one get the same job; default: a new one",
    "on_disconnect": 'what becomes of the job without callers: "cancel", "grace" (cancel after `grace`), or "keep"; '
    "default: it ends when you leave, and waits for you when the link is lost",
    "grace": "seconds that a job waits for its caller; default 60",
    "retain": "seconds that the pictures are kept after the end; default 600, for jobs that are kept a day",
    "stop_at_step": "rest after this step of each picture, as an event Rested: Job.fork goes on from there",
    "wait_for_model": "False: refuse the call (Unavailable, reason MODEL_LOADING) while the server loads the model; "
    "default: wait",
    "resume": "False: a lost link ends the call; True: it goes on, for up to 5 minutes without news",
    "previews": "a preview every so many steps, 0 is none, or a Previews; default: after every step",
    "max_image_bytes": "4096 or more: larger pictures come in messages of this size and are put together here",
    "progress": "True shows a bar; a function is called with each event",
    "timeout": "seconds; default: the client's",
}


def documented(function: Function) -> Function:
    """Adds the text of each argument to the function's own, so that help() has them all."""
    parameters = inspect.signature(function).parameters.values()
    plain = [one.name for one in parameters if one.name != "self" and one.kind is not one.VAR_KEYWORD]
    names = plain if len(plain) == len(parameters) - 1 else [*plain, *DrawOptions.__annotations__]
    lines = [f"    {name}: {TEXTS[name]}" for name in names]
    function.__doc__ = "\n".join([inspect.cleandoc(function.__doc__ or ""), "", "Arguments:", *lines])
    return function


def options_of(given: Mapping[str, Any]) -> DrawOptions:
    """The options among a call's local names."""
    return cast(DrawOptions, {name: given[name] for name in DrawOptions.__annotations__})
