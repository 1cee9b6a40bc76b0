"""The training loop of every stage: it shows its progress, and goes on where it was after a stop."""

from __future__ import annotations

import copy
import csv
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import torch
from torch import nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from tqdm import tqdm

from .work import Work

DEVICE = torch.device("cuda" if torch.cuda.is_available() else "cpu")
SAVE_EVERY = 120.0  # seconds between checkpoints
LOG_EVERY = 20  # steps between rows of loss.csv

Loss = Callable[[nn.Module, torch.Generator], torch.Tensor]


@dataclass(frozen=True)
class Recipe:
    """How long and how fast. The rate rises over `warmup` steps, stays, and falls to nothing over the last `decay`."""

    steps: int
    rate: float
    warmup: int = 100
    decay: float = 0.25
    average: float = 0.998  # of the weights, exponential; what is shipped
    weight_decay: float = 0.01

    def rate_at(self, step: int) -> float:
        left = (self.steps - step) / (self.decay * self.steps)
        return self.rate * min(1.0, (step + 1) / self.warmup, max(left, 1e-3))


class Run:
    """A stage's state: the weights, their average, the optimizer and the step that comes next."""

    def __init__(self, folder: Path, model: nn.Module, recipe: Recipe) -> None:
        self.folder, self.recipe = folder, recipe
        folder.mkdir(parents=True, exist_ok=True)
        self.model = model.to(DEVICE)
        self.average = copy.deepcopy(self.model).requires_grad_(False).eval()
        trained = [weight for weight in self.model.parameters() if weight.requires_grad]
        self.optimizer = torch.optim.AdamW(
            trained, recipe.rate, (0.9, 0.98), weight_decay=recipe.weight_decay, fused=True
        )
        self.step, self.seconds = 0, 0.0
        if self._file.is_file():
            self._load(torch.load(self._file, map_location=DEVICE, weights_only=True))

    @property
    def _file(self) -> Path:
        return self.folder / "checkpoint.pt"

    def _load(self, kept: dict[str, Any]) -> None:
        self.model.load_state_dict(kept["model"])
        self.average.load_state_dict(kept["average"])
        self.optimizer.load_state_dict(kept["optimizer"])
        self.step, self.seconds = kept["step"], kept["seconds"]

    def save(self) -> None:
        kept = {name: getattr(self, name).state_dict() for name in ("model", "average", "optimizer")}
        aside = self._file.with_suffix(".partial")
        torch.save({**kept, "step": self.step, "seconds": self.seconds}, aside)
        aside.rename(self._file)  # if saving is stopped, the checkpoint before stays

    def advance(self, loss: Loss) -> float:
        """One step of training; its seed is its number, so that a run taken up again sees the same batches."""
        for group in self.optimizer.param_groups:
            group["lr"] = self.recipe.rate_at(self.step)
        # Fused attention is much slower than plain in training on a CPU.
        with torch.autocast(DEVICE.type, torch.bfloat16), sdpa_kernel(SDPBackend.MATH):
            value = loss(self.model, torch.Generator().manual_seed(self.step))
        value.backward()
        nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        self.step += 1
        self._follow()
        return float(value.detach())

    def _follow(self) -> None:
        share = min(self.recipe.average, self.step / (self.step + 10))
        with torch.no_grad():
            ours = [weight for weight in self.average.parameters() if weight.is_floating_point()]
            torch._foreach_lerp_(ours, list(self.model.parameters()), 1 - share)


def fit(
    name: str, work: Work, model: nn.Module, recipe: Recipe, loss: Loss, sheet: Callable[[nn.Module, Path], None]
) -> nn.Module:
    """Trains `model` by `loss` from where a run before stopped, and returns the model with averaged weights.

    `sheet` writes a picture file that shows what these can do.
    """
    recipe = replace(recipe, steps=work.some(recipe.steps, 2))
    run = Run(work / name, model, recipe)
    if run.step >= recipe.steps:
        return run.average
    run.model.train()
    losses: list[float] = []
    started = saved = time.monotonic()
    before = run.seconds
    with tqdm(total=recipe.steps, initial=run.step, desc=name, unit="step", smoothing=0.02) as bar:
        while run.step < recipe.steps:
            losses.append(run.advance(loss))
            bar.update()
            if run.step % LOG_EVERY == 0:
                bar.set_postfix(loss=f"{_log_loss(run, losses):.4f}")
            if time.monotonic() - saved > SAVE_EVERY or run.step == recipe.steps:
                run.seconds = before + time.monotonic() - started
                run.save()
                _plot(run.folder)
                sheet(run.average, run.folder / "sheet.png")
                saved = time.monotonic()
    return run.average


def _log_loss(run: Run, losses: list[float]) -> float:
    mean = sum(losses) / len(losses)
    losses.clear()
    with (run.folder / "loss.csv").open("a", newline="") as file:
        csv.writer(file).writerow([run.step, f"{mean:.6f}"])
    return mean


def _plot(folder: Path) -> None:
    """The loss curve, as a picture."""
    if not (folder / "loss.csv").is_file():
        return
    rows = [(int(step), float(value)) for step, value in csv.reader((folder / "loss.csv").open())]
    figure, axes = plt.subplots(figsize=(6, 3), layout="constrained")
    axes.semilogy(*zip(*rows, strict=True), linewidth=0.8)
    axes.set(xlabel="step", ylabel="loss", title=folder.name)
    axes.grid(alpha=0.3)
    figure.savefig(folder / "loss.png", dpi=120)
    plt.close(figure)
