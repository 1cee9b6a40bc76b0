"""What the figures were measured on: the machine, the versions, the load."""

from __future__ import annotations

import os
import platform
import subprocess
from collections.abc import Collection, Mapping
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import safelight_server

WIDE = ("avx512f", "avx512_bf16", "avx512_vnni", "avx512_fp16", "amx_bf16")
PACKAGES = ("openvino", "openvino-genai", "openvino-tokenizers", "optimum-intel", "diffusers", "torch", "grpcio")


def facts() -> dict[str, Any]:
    """The processor, its cores, memory in GiB, the system, Python and the packages."""
    pages, size = os.sysconf("SC_PHYS_PAGES"), os.sysconf("SC_PAGE_SIZE")
    return {
        "processor": _processor(),
        "cores": os.cpu_count(),
        "memory": round(pages * size / 2**30, 1),
        "system": platform.system() + " " + platform.machine(),
        "python": platform.python_version(),
        "packages": {name: _version(name) for name in PACKAGES},
    }


def moment() -> dict[str, Any]:
    """The date, the server's commit ("+" where the tree differs from it), and how many processes want a core."""
    return {"when": datetime.now(UTC).strftime("%Y-%m-%d %H:%M"), "commit": _commit(), "load": load()}


def load() -> float:
    """The load average of the last minute."""
    return round(os.getloadavg()[0], 2)


def busy(run: Mapping[str, Any]) -> str:
    """A word for a run that began while other processes wanted more cores than there are."""
    return ": beside other work" if run["load"] > run["cores"] else ""


def best_precision() -> str:
    """The precision that OpenVINO chooses for this CPU: bf16 if it can calculate in it, else f32."""
    import openvino as ov

    return "bf16" if "BF16" in ov.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES") else "f32"


def _processor() -> str:
    """The processor's name, and those of its instructions that decide how fast it multiplies."""
    file = Path("/proc/cpuinfo")
    lines = file.read_text(encoding="utf-8").splitlines() if file.exists() else []
    fields = dict(line.split(":", 1) for line in lines if ":" in line)
    facts = {name.strip(): value.strip() for name, value in fields.items()}
    return " ".join([facts.get("model name", platform.processor()), *wide(facts.get("flags", "").split())])


def wide(flags: Collection[str]) -> list[str]:
    """Those of a processor's instructions that decide how fast it multiplies; AVX2 where it has nothing wider."""
    found = [flag for flag in WIDE if flag in flags]
    return found or [flag for flag in ("avx2",) if flag in flags]


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"


def _commit() -> str:
    server = Path(safelight_server.__file__).parent

    def git(*words: str) -> str:
        done = subprocess.run(
            ["git", *words], cwd=server, capture_output=True, text=True, encoding="utf-8", check=False
        )
        return done.stdout.strip()

    return git("rev-parse", "--short", "HEAD") + ("+" if git("status", "--porcelain", "--", ".") else "")
