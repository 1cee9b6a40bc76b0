"""What nobody has any more is gone, compiled graphs above all: else a process of many engines grows by each of them."""

from __future__ import annotations

import gc
from weakref import ref

from safelight_server.engine.engine import Engine
from safelight_server.lanes.network import Network
from support.engines import VEGA, draw, load, run


def drawn_and_left() -> list[ref[Network]]:
    """The networks of an engine that has drawn a picture."""
    model = load("demo-vega")

    async def test() -> None:
        assert await draw(Engine({"demo-vega": model}, slots=1, queue=0), VEGA)

    run(test)
    return [ref(network) for network in model.networks.all()]


def test_an_engine_that_is_left_takes_its_networks_with_it() -> None:
    networks = drawn_and_left()
    gc.collect()
    assert networks
    assert [network() for network in networks] == [None] * len(networks)
