"""Draws docs/architecture.svg: the packages of the server in their layers, and who imports whom, read from the code.

The layers are those of import-linter in pyproject.toml. With --check: fails if the committed picture differs.
"""

from __future__ import annotations

import re
import sys
import tomllib
from collections.abc import Iterator, Sequence
from html import escape
from itertools import cycle
from pathlib import Path

import grimp
from layered_layout import Layout, Place, lay_out

ROOT = Path(__file__).parents[1]
PICTURE = ROOT / "docs" / "architecture.svg"
PACKAGE = "safelight_server"

WHAT = {
    "commands": "serve, export, compare, verify",
    "server": "the process: start, health, stop",
    "http": "the HTTP door: page, OpenAI, A1111",
    "rpc": "the gRPC door",
    "messages": "what both doors tell",
    "desk": "what every door does alike",
    "engine": "jobs, and who watches them",
    "compare": "tool: two models, side by side",
    "export": "tool: checkpoints to folders",
    "models": "folders to warm models",
    "diffusion": "text, plan, step, decode",
    "lanes": "whose step is next, on a device",
    "model_folder": "what a folder holds, its seal",
    "samplers": "noise levels, and steps as data",
    "pixels": "the arithmetic, in C and NumPy",
}
GROUND = ("images", "observer", "jobs", "arrays", "errors", "logs", "demo")  # nearly all import from these
BADGES = {"grpc": "gRPC", "openvino": "OpenVINO", "torch": "PyTorch"}

WIDTH, HEIGHT, GAP, WAY, RISE = 208, 48, 36, 22, 46  # a box, between two, a waypoint, between two rows
MARGIN = 28
COLOURS = ("#2563a8", "#b4532a", "#3f7d4e", "#7a4fa3", "#a8323e", "#23808a", "#8a6d1f", "#5b6470", "#c2417f", "#4a5fc1")
FONT = "font-family=\"system-ui, 'Segoe UI', Helvetica, Arial, sans-serif\""


def main() -> None:
    text = picture()
    if "--check" in sys.argv[1:]:
        if not PICTURE.exists() or PICTURE.read_text(encoding="utf-8") != text:
            sys.exit(f"{PICTURE.relative_to(ROOT)} is not up to date: run scripts/draw_packages")
        return
    PICTURE.write_text(text, encoding="utf-8")
    print(PICTURE.relative_to(ROOT))


def picture() -> str:
    graph = grimp.build_graph(PACKAGE, include_external_packages=True, cache_dir=None)
    rows = [row for row in layers(graph) if row]
    shown = [name for row in rows for name in row]
    edges = [(a, b) for a in shown for b in shown if a != b and imports(graph, a, f"{PACKAGE}.{b}", as_packages=True)]
    badges = {name: [text for module, text in BADGES.items() if imports(graph, name, module)] for name in shown}
    return svg(rows, lay_out(rows, edges, (WIDTH + GAP, WAY)), badges)


def layers(graph: grimp.ImportGraph) -> Iterator[list[str]]:
    """The packages that exist, by import-linter's layers, without the ground."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    (contract,) = (c for c in project["tool"]["importlinter"]["contracts"] if c["type"] == "layers")
    there = {name.rpartition(".")[2] for name in graph.find_children(PACKAGE)} - {"__main__", *GROUND}
    for line in contract["layers"]:
        yield [name for name in re.findall(r"\w+", line) if name in there]


def imports(graph: grimp.ImportGraph, importer: str, imported: str, *, as_packages: bool = False) -> bool:
    """Whether any module of a package imports a module, or one below it."""
    if imported not in graph.modules:
        return False
    name = f"{PACKAGE}.{importer}"
    if as_packages:
        return graph.direct_import_exists(importer=name, imported=imported, as_packages=True)
    return any(graph.direct_import_exists(importer=module, imported=imported) for module in tree(graph, name))


def tree(graph: grimp.ImportGraph, name: str) -> set[str]:
    return {name, *graph.find_descendants(name)}


def svg(rows: Sequence[Sequence[str]], layout: Layout, badges: dict[str, list[str]]) -> str:
    left = min(layout.x.values()) - WIDTH / 2 - MARGIN
    width = max(layout.x.values()) + WIDTH / 2 + MARGIN - left
    bottom = MARGIN + len(rows) * (HEIGHT + RISE)
    height = bottom + HEIGHT + MARGIN + 12
    colour = dict(zip((name for row in rows for name in row), cycle(COLOURS), strict=False))
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:.0f} {height:.0f}" {FONT}>',
        "<title>The packages of safelight_server in their layers; an arrow is an import</title>",
        f'<rect width="{width:.0f}" height="{height:.0f}" rx="10" fill="#fbfaf7"/>',
        *(band(row, width) for row in range(0, len(rows), 2)),
        *(line(a, b, layout, left, colour, rows) for a, b in layout.links),
        *(box(name, row, layout, left, colour, badges) for row, names in enumerate(rows) for name in names),
        ground(bottom, width),
        note(
            "An arrow is an import. Arrows to one package have its colour, and join on their way.", height - 16, width
        ),
        "</svg>",
    ]
    return "\n".join(parts) + "\n"


def top(row: int) -> float:
    return MARGIN + row * (HEIGHT + RISE)


def band(row: int, width: float) -> str:
    return f'<rect y="{top(row) - RISE / 2:.0f}" width="{width:.0f}" height="{HEIGHT + RISE}" fill="#f2efe8"/>'


def line(a: Place, b: Place, layout: Layout, left: float, colour: dict[str, str], rows: Sequence[Sequence[str]]) -> str:
    """From the bottom of a row to the top of the next, and on through it where `b` is a waypoint; else an arrow."""
    x, y, to, end = layout.x[a] - left, top(a.row) + HEIGHT, layout.x[b] - left, top(b.row)
    half = RISE / 2
    arrives = b.name in rows[b.row]
    path = f"M{x:.1f} {y:.0f}C{x:.1f} {y + half:.0f} {to:.1f} {end - half:.0f} {to:.1f} {end - 5 * arrives:.0f}"
    path += "" if arrives else f"V{end + HEIGHT:.0f}"
    drawn = f'<path d="{path}" fill="none" stroke="{colour[b.name]}" stroke-width="1.8" stroke-opacity="0.75"/>'
    head = f'<path d="M{to:.1f} {end:.0f}l-4.5 -8h9z" fill="{colour[b.name]}"/>' if arrives else ""
    return drawn + head


def box(name: str, row: int, layout: Layout, left: float, colour: dict[str, str], badges: dict[str, list[str]]) -> str:
    x, y = layout.x[Place(name, row)] - left, top(row)
    tags = " · ".join(badges[name])
    return (
        f'<rect x="{x - WIDTH / 2:.1f}" y="{y:.0f}" width="{WIDTH}" height="{HEIGHT}" rx="7" fill="#fff" '
        f'stroke="{colour[name]}" stroke-width="1.8"/>'
        f'<text x="{x - WIDTH / 2 + 12:.1f}" y="{y + 20:.0f}" font-size="15" font-weight="600" fill="#1f2430">'
        f"{escape(name)}</text>"
        f'<text x="{x + WIDTH / 2 - 12:.1f}" y="{y + 20:.0f}" font-size="11" text-anchor="end" fill="{colour[name]}">'
        f"{escape(tags)}</text>"
        f'<text x="{x - WIDTH / 2 + 12:.1f}" y="{y + 37:.0f}" font-size="12" fill="#5b6470">'
        f"{escape(WHAT.get(name, ''))}</text>"
    )


def ground(y: float, width: float) -> str:
    names = "   ".join(GROUND)
    return (
        f'<rect x="{MARGIN}" y="{y:.0f}" width="{width - 2 * MARGIN:.0f}" height="{HEIGHT}" rx="7" fill="#e6e1d6"/>'
        f'<text x="{width / 2:.1f}" y="{y + 20:.0f}" font-size="15" font-weight="600" text-anchor="middle" '
        f'fill="#1f2430" xml:space="preserve">{names}</text>'
        + note("all packages may import these; their arrows are left out", y + 37, width)
    )


def note(text: str, y: float, width: float) -> str:
    return f'<text x="{width / 2:.1f}" y="{y:.0f}" font-size="12" text-anchor="middle" fill="#5b6470">{text}</text>'


if __name__ == "__main__":
    main()
