"""The program that a user of a peer would write: import, load, draw. Row 10 times it from the start of its process.

python -m benchmark.peers.first PEER PRECISION '[[FOLDER, EDGE, STEPS, GUIDANCE], ...]' prints "drawn" when it is done.
"""

from __future__ import annotations

import importlib
import json
import sys
from pathlib import Path

from benchmark.request import Request


def main() -> None:
    peer, precision, pictures = sys.argv[1:]
    pipeline = importlib.import_module(f"{__package__}.{peer}").Pipeline
    loaded = [
        (
            pipeline(Path(folder), {"INFERENCE_PRECISION_HINT": precision, "PERFORMANCE_HINT": "LATENCY"}),
            Request(folder, edge, steps, guidance),
        )
        for folder, edge, steps, guidance in json.loads(pictures)
    ]
    for pipe, request in loaded:
        pipe.draw(request)
    print("drawn", flush=True)


if __name__ == "__main__":
    main()
