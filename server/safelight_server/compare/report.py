"""The results of a comparison, as figures for a JSON file and as a table to read."""

from __future__ import annotations

import math
import os
import platform
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from statistics import median, median_low, quantiles
from typing import Any

import numpy as np
import openvino as ov

from safelight_server import __version__
from safelight_server.model_folder.model_config import ModelConfig

from .parts import Likeness
from .runs import Comparison, Pair, Seconds

Figures = dict[str, Any]

STEPS_SHOWN = 10  # in the table; the figures have all

STAGES: dict[str, Callable[[Seconds], Iterable[float]]] = {
    "encode": lambda seconds: [seconds.encode],
    "step": lambda seconds: seconds.steps,
    "decode": lambda seconds: [seconds.decode],
    "picture": lambda seconds: [seconds.picture],
}


def figures(comparison: Comparison, load: tuple[float, float], parts: Mapping[str, Likeness] | None = None) -> Figures:
    """All results except the pixels, as JSON can hold them: what is infinite is None.

    `load` is the machine's load average before and after; `parts` what each of B's parts does by itself, if asked for.
    """
    job, pairs = comparison.job, comparison.pairs
    return {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": _machine(comparison.infos[0].device) | {"load_average": {"before": load[0], "after": load[1]}},
        "versions": {
            "safelight_server": __version__,
            "openvino": ov.__version__,
            "numpy": np.__version__,
            "python": platform.python_version(),
        },
        "settings": {
            "width": job.size[1],
            "height": job.size[0],
            "steps": len(pairs[0].latents),
            "guidance_scale": job.guidance,
            "scheduler": job.scheduler.name,
            "prompts": len(comparison.asked.prompts),
            "seeds": comparison.asked.seeds,
            "repeats": comparison.asked.repeats,
        },
        "models": {
            info.name: {
                "folder": str(info.config.folder),
                "device": info.device,
                "precision": info.precision,
                "bytes": _sizes(info.config),
                "seconds": {stage: _spread([x for one in drawings for x in of(one)]) for stage, of in STAGES.items()},
            }
            for info, drawings in zip(comparison.infos, comparison.seconds, strict=True)
        },
        "quality": {
            "identical": sum(np.array_equal(pair.a, pair.b) for pair in pairs),
            "psnr": _likeness([pair.psnr for pair in pairs]),
            "ssim": _likeness([pair.ssim for pair in pairs]),
            "latents": _errors([pair.latents for pair in pairs]),
            "one_step": _errors([pair.one_step for pair in pairs]),
            **({"parts": {name: _part(likeness) for name, likeness in parts.items()}} if parts is not None else {}),
        },
        "pictures": [_picture(pair) for pair in pairs],
    }


def _machine(device: str) -> Figures:
    try:
        name = ov.Core().get_property(device, "FULL_DEVICE_NAME")
    except RuntimeError:  # of virtual devices, as AUTO:CPU
        name = device
    return {"device": name, "cores": os.cpu_count(), "system": platform.platform(terse=True)}


def _sizes(config: ModelConfig) -> dict[str, int]:
    """The bytes of each network, graph and weights, also of those that are read from another folder; and of all."""
    parts = (*config.encoders, "unet", "vae_encoder", "vae_decoder", *["vae_tiny_decoder"] * config.has_tiny_decoder)
    sizes = {
        part: sum(config.graph(part).with_suffix(end).stat().st_size for end in (".xml", ".bin")) for part in parts
    }
    return sizes | {"all": sum(sizes.values())}


def _spread(values: Sequence[float]) -> Figures:
    tail = quantiles(values, n=10, method="inclusive")[-1] if len(values) > 1 else values[0]
    return {"median": median(values), "p90": tail, "count": len(values)}


def _likeness(values: Sequence[float]) -> Figures:
    # The lower of two middle values: there is no mean of a number and infinity.
    return {"median": _finite(median_low(values)), "worst": _finite(min(values))}


def _part(likeness: Likeness) -> Figures:
    return {"psnr": _likeness(likeness.psnr), "ssim": _likeness(likeness.ssim)}


def _errors(rows: Sequence[Sequence[float]]) -> Figures:
    steps = list(zip(*rows, strict=True))
    return {"median": [_finite(median(step)) for step in steps], "worst": [_finite(max(step)) for step in steps]}


def _picture(pair: Pair) -> Figures:
    errors = {"latents": [_finite(x) for x in pair.latents], "one_step": [_finite(x) for x in pair.one_step]}
    return {"prompt": pair.prompt, "seed": pair.seed, "psnr": _finite(pair.psnr), "ssim": pair.ssim} | errors


def _finite(value: float) -> float | None:
    """The value; None for infinity, which JSON does not have."""
    return float(value) if math.isfinite(value) else None


def table(figures: Figures) -> str:
    """The figures as a table to read."""
    a, b = figures["models"].values()
    settings, machine, quality = figures["settings"], figures["machine"], figures["quality"]
    load, pictures = machine["load_average"], len(figures["pictures"])
    busy = ": this machine is busy" if load["before"] > machine["cores"] / 2 else ""
    size = f"{settings['width']}x{settings['height']}"
    lines = [
        *(f"{name}  {model['folder']}, {model['precision']}" for name, model in figures["models"].items()),
        f"{size}, {settings['steps']} steps, {settings['scheduler']}, guidance {settings['guidance_scale']:g}; "
        f"{pictures} pictures, each drawn {settings['repeats']} x by A and B in turns",
        f"{machine['device']}, {machine['cores']} cores, OpenVINO {figures['versions']['openvino'].split('-')[0]}; "
        f"load average {load['before']:.1f} before, {load['after']:.1f} after{busy}",
        "",
        _row("size, MB", "A", "B", "B / A"),
        *(_ratio_row(part, a["bytes"].get(part, 0) / 1e6, b["bytes"].get(part, 0) / 1e6) for part in _parts(a, b)),
        "",
        _row("time, ms", "A", "B", "B / A"),
        *(
            _ratio_row(f"{stage}, {which}", 1e3 * a["seconds"][stage][which], 1e3 * b["seconds"][stage][which])
            for stage in STAGES
            for which in ("median", "p90")
        ),
        "",
        _row("B against A", "median", "worst"),
        _row("PSNR, dB", *map(_decibels, quality["psnr"].values())),
        _row("SSIM", *(f"{x:.4f}" for x in quality["ssim"].values())),
        _row("identical", f"{quality['identical']} of {pictures}"),
        *_part_rows(quality.get("parts", {})),
        "",
        *_step_rows(quality["latents"], quality["one_step"]),
    ]
    return "\n".join(lines)


def _part_rows(parts: Figures) -> list[str]:
    """Rows of what each part does by itself."""
    return [
        row
        for name, likeness in parts.items()
        for row in (
            _row(f"{name} alone, dB", *map(_decibels, likeness["psnr"].values())),
            _row(f"{name} alone, SSIM", *(f"{x:.4f}" for x in likeness["ssim"].values())),
        )
    ]


def _decibels(value: float | None) -> str:
    return "identical" if value is None else f"{value:.2f}"


def _parts(*models: Figures) -> list[str]:
    return sorted({part: None for model in models for part in model["bytes"]}, key=lambda part: part == "all")


def _ratio_row(name: str, a: float, b: float) -> str:
    return _row(name, f"{a:,.1f}", f"{b:,.1f}", f"{b / a:.2f}" if a else "-")


def _step_rows(latents: Figures, one_step: Figures) -> list[str]:
    """Rows of the errors at STEPS_SHOWN steps, evenly picked, the first and the last among them."""
    count = len(latents["median"])
    shown = sorted({round(x) for x in np.linspace(0, count - 1, min(count, STEPS_SHOWN))})
    columns = (latents["median"], latents["worst"], one_step["median"], one_step["worst"])
    return [
        f"{'relative error':<18}{'latents, B by itself':>32}{'UNet, B on the latents of A':>32}",
        _row("step", "median", "worst", "median", "worst"),
        *(_row(f"{i + 1:3}", *(_fraction(column[i]) for column in columns)) for i in shown),
    ]


def _fraction(value: float | None) -> str:
    return "infinite" if value is None else f"{value:.5f}" if value else "0"


def _row(name: str, *cells: str) -> str:
    return f"{name:<18}" + "".join(f"{cell:>16}" for cell in cells)
