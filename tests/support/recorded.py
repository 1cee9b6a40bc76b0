"""What a page of figures says of the run that they come from."""

from __future__ import annotations

RUN = {
    "processor": "Z80",
    "cores": 1,
    "memory": 0.1,
    "when": "1976-07-01 10:00",
    "commit": "abc",
    "load": 0.1,
    "after": 0.2,
}
