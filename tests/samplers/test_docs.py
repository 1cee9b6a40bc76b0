"""docs/schedulers.md: the names are those that there are, and each stands for what it says."""

from __future__ import annotations

import re
from pathlib import Path

from safelight_server.samplers.catalogue import BASES
from safelight_server.samplers.names import canonical
from safelight_server.samplers.table import SAMPLERS

PAGE = (Path(__file__).parents[2] / "docs/schedulers.md").read_text(encoding="utf-8")
ROW = re.compile(r"^\| `(\w+)` \| ([^|]*) \| ([^|]*)\| ([^|]*)\|$", re.MULTILINE)


def test_the_table_has_each_name_and_what_others_call_it() -> None:
    told = {name: rest for name, *rest in ROW.findall(PAGE)}
    assert list(told) == list(BASES)
    names = {name + ending for name, (*_, endings) in told.items() for ending in ("", *re.findall(r"_\w+", endings))}
    assert names == set(SAMPLERS)
    for name, (scheduler, elsewhere, _) in told.items():
        assert scheduler.startswith((BASES[name].scheduler, "the same"))
        assert not elsewhere.strip() or canonical(elsewhere) == name
