"""What a user of a peer would write: import, load, draw. Row 10 times it from the start of the process.

python -m benchmark.peers.first KIND PRECISION '[[FOLDER, EDGE, STEPS, GUIDANCE], ...]' says "drawn" when it is done.
"""

from __future__ import annotations

import importlib
import json
import sys
from pathlib import Path

from benchmark.asked import Asked


def main() -> None:
    kind, precision, pictures = sys.argv[1:]
    pipeline = importlib.import_module(f"{__package__}.{kind}").Pipeline
    loaded = [
        (
            pipeline(Path(folder), {"INFERENCE_PRECISION_HINT": precision, "PERFORMANCE_HINT": "LATENCY"}),
            Asked(folder, edge, steps, guidance),
        )
        for folder, edge, steps, guidance in json.loads(pictures)
    ]
    for pipe, asked in loaded:
        pipe.draw(asked)
    print("drawn", flush=True)


if __name__ == "__main__":
    main()
