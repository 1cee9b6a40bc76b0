"""safelight-server export: a checkpoint to a folder that the server runs."""

from __future__ import annotations

import argparse
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tqdm import tqdm

from safelight_server.errors import LoadError
from safelight_server.extras import install_line

from .parsing import add_command

if TYPE_CHECKING:
    from safelight_server.export.exporter import Export
    from safelight_server.export.plan import Options, Task
    from safelight_server.export.source import Source

EPILOG = """\
examples:
  safelight-server export stabilityai/stable-diffusion-xl-base-1.0 ./sdxl-base
  safelight-server export stabilityai/stable-diffusion-xl-refiner-1.0 ./sdxl-refiner --share-with ./sdxl-base
  safelight-server export segmind/Segmind-Vega ./vegart --lora segmind/Segmind-VegaRT --tiny-vae madebyollin/taesdxl
  safelight-server export segmind/Segmind-Vega ./vegart-int8 --lora segmind/Segmind-VegaRT --int8 all

An export that was stopped goes on where it was when the same command is given again.
"""

NEEDED = ("torch", "diffusers", "transformers", "optimum", "nncf", "accelerate", "peft")
SCHEDULER = """keep, or euler, euler-trailing, euler-ancestral, euler-ancestral-trailing, ddim, ddim-trailing, dpmpp-2m,
dpmpp-2m-karras, lcm, or any name of docs/schedulers.md ("DPM++ SDE Karras", unipc); or for a distillation its
scheduler, steps and guidance: turbo, lightning, hyper, hyper-cfg, dmd2, pcm, flash"""
INT8_MODES = """ptq: weights and activations, the fastest (takes 10 GB of memory for Vega, and would take 30 for SDXL);
hybrid: both of convolutions, weights alone of the rest (15 GB for SDXL); weights: half the size, hardly faster. Of what
--int8 names; alone, of the UNet (ptq)"""
INT8 = """quantize with NNCF: all, or unet, vae (the decoder), text (the encoders), commas between; alone, the UNet.
What loses most is measured and stays in floating point; pictures are drawn before and after"""


def add(commands: Any) -> None:
    """Adds the command and its options."""
    command = add_command(
        commands,
        "export",
        run,
        help="turn a checkpoint into a folder that the server runs (needs the extra [export])",
        description=__doc__,
        epilog=EPILOG,
    )
    option = command.add_argument
    option(
        "source",
        metavar="SOURCE",
        help="a folder in the diffusers layout, a single file (.safetensors), or OWNER/NAME or OWNER/NAME/FILE on the "
        "Hugging Face hub",
    )
    option("output", type=Path, metavar="DIR", help="the folder to make; it appears when it is whole")
    option("--revision", help="of the checkpoint on the hub: a branch, a tag or a commit")
    option("--weights", choices=("f16", "f32"), default="f16", help="how the weights are stored (%(default)s)")
    option(
        "--lora",
        action="append",
        default=[],
        metavar="FILE[:X]",
        help="a LoRA in safetensors, or its name on the hub: X times it is fused into the weights; may come again",
    )
    option("--lora-scale", type=float, default=1.0, metavar="X", help="how much of those without an X (%(default)g)")
    option("--scheduler", metavar="NAME", help=f"{SCHEDULER} (that of a LoRA which is known for it; else keep)")
    option("--steps", type=int, metavar="N", help="the folder's default (what the scheduler is used with)")
    option("--guidance", type=float, metavar="X", help="the folder's default guidance scale; 1 is none (likewise)")
    option(
        "--tiny-vae", metavar="DIR", help="an AutoencoderTiny (TAESDXL), a folder or its name on the hub, for previews"
    )
    option("--vae", metavar="NAME", help="another VAE: a folder, a file or a name on the hub (the checkpoint's own)")
    option("--share-with", type=Path, metavar="DIR", help="an exported folder beside: equal parts are read from it")
    option("--int8", nargs="?", const="unet", metavar="PARTS", help=INT8)
    option("--int8-mode", choices=("ptq", "hybrid", "weights"), help=INT8_MODES)
    option(
        "--int8-vae", action="store_true", help="quantize the VAE decoder, too, as ptq; --int8 unet,vae does it as well"
    )
    option("--prompts", type=Path, metavar="FILE", help="what to calibrate with, a prompt a line (those that ship)")
    option("--samples", type=int, metavar="N", help="how many inputs to calibrate with (40)")
    option("--allow-pickle", action="store_true", help="read weights from pickles where there is nothing else")


def run(arguments: argparse.Namespace) -> None:
    """Exports a checkpoint. Raises LoadError for whatever is not as it must be; then no folder is made."""
    if missing := [name for name in NEEDED if find_spec(name) is None]:
        lacks = f"export needs the extra [export], and there is no {missing[0]}"
        raise LoadError(f"{lacks}: {install_line('export')}")
    from safelight_server.export import exporter

    options = options_from(arguments)
    try:
        _show_progress(exporter, exporter.prepare(source_from(arguments, options), options))
    except KeyboardInterrupt:
        sys.exit("\nsafelight-server: stopped; the same command goes on from here")
    for line in exporter.told(options.output):
        print(line)
    print(f"{options.output}: {_megabytes(options.output)}; serve it with: {_serve_command(options.output)}")


def options_from(arguments: argparse.Namespace) -> Options:
    """What the arguments ask for; a LoRA or a tiny VAE that is named on the hub is fetched. Raises LoadError."""
    from safelight_server.export import hub, int8
    from safelight_server.export.lora_options import defaults_from, loras_from
    from safelight_server.export.plan import Options

    _check(arguments)
    loras = loras_from(arguments.lora, arguments.lora_scale)
    tiny = hub.tiny_vae(arguments.tiny_vae) if arguments.tiny_vae else None
    for lora, _ in loras:
        if lora.suffix != ".safetensors":
            raise LoadError(f"--lora must be a safetensors file, not {lora.name}")
    scheduler, steps, guidance = defaults_from(arguments, [path for path, _ in loras])
    return Options(
        output=arguments.output,
        half=arguments.weights == "f16",
        loras=loras,
        scheduler=scheduler,
        steps=steps,
        guidance=guidance,
        tiny=tiny,
        share_with=arguments.share_with,
        int8=int8.modes(arguments.int8, arguments.int8_mode, vae=arguments.int8_vae),
        prompts=arguments.prompts,
        samples=40 if arguments.samples is None else arguments.samples,
    )


def source_from(arguments: argparse.Namespace, options: Options) -> Source:
    """The checkpoint that the arguments name; what is on the hub is fetched. Raises LoadError."""
    from safelight_server.export import source

    return source.find(
        arguments.source,
        arguments.revision,
        half=options.half,
        pickles=arguments.allow_pickle,
        vae=arguments.vae,
    )


def _check(arguments: argparse.Namespace) -> None:
    """Raises LoadError for options that are wrong by themselves, before anything is fetched."""
    from safelight_server.export import int8, place

    place.check_output(arguments.output)
    if arguments.prompts and not arguments.prompts.is_file():
        raise LoadError(f"--prompts must be a file, and {arguments.prompts} is not")
    if arguments.samples is not None and arguments.samples < 1:
        raise LoadError(f"--samples must be from 1 on, not {arguments.samples}")
    if arguments.revision and Path(arguments.source).exists():
        raise LoadError(f"--revision must be left out for what is here, {arguments.source}: it is for names on the hub")
    calibrates = int8.calibrates(int8.modes(arguments.int8, arguments.int8_mode, vae=arguments.int8_vae))
    for name in ("prompts", "samples"):
        if getattr(arguments, name) is not None and not calibrates:
            raise LoadError(f"--{name} must come with --int8 or --int8-vae: nothing else is calibrated")


def _show_progress(exporter: Any, export: Export) -> None:
    """Runs the export, with a bar of the bytes of all tasks: the task that runs, and the time left."""
    seen: dict[str, int] = {}
    style = "{desc:22} {bar} {n_fmt}B/{total_fmt}B {elapsed}<{remaining}"
    with tqdm(unit_scale=True, bar_format=style, mininterval=0.5, total=export.bytes) as bar:

        def on_progress(task: Task, done: int) -> None:
            bar.set_description_str(task.name, refresh=False)
            bar.update(max(0, done - seen.get(task.name, 0)))
            seen[task.name] = max(done, seen.get(task.name, 0))

        exporter.run(export, on_progress)


def _megabytes(folder: Path) -> str:
    return f"{sum(path.stat().st_size for path in folder.rglob('*') if path.is_file()) / 1e6:,.0f} MB"


def _serve_command(folder: Path) -> str:
    return f"safelight-server serve --model {folder.resolve().name}={folder}"
