"""Models that come and go, in a real server: by an operator's calls, by the command line, by requests, by idleness."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest
from safelight import Client, Conflict, FailedPrecondition, InvalidRequest, Model, NotFound
from safelight.v1 import images_pb2 as pb
from safelight.v1.images_pb2_grpc import ImageServiceStub
from safelight_server import demo
from support.clients import Connect
from support.failures import failure
from support.http_server import HttpServer
from support.servers import ServerProcess, refused_start

VEGA = f"--model=vega={demo.FOLDERS['demo-vega']}"
XL = f"--model=xl={demo.FOLDERS['demo-xl']}"


@pytest.fixture(scope="module")
def server() -> Iterator[HttpServer]:
    with HttpServer(VEGA, XL, "--precision=f32", f"--models-root={demo.FOLDERS['demo-xl'].parent}") as process:
        yield process


@pytest.fixture
def client(server: HttpServer) -> Iterator[Client]:
    with Client(server.address) as client:
        yield client


def named(client: Client, name: str) -> Model:
    return next(model for model in client.models() if model.name == name)


def test_an_unloaded_model_is_loaded_by_the_next_request_and_draws_the_same_picture(
    client: Client, server: HttpServer
) -> None:
    right = client.generate("a red apple", model="vega", seed=7)
    assert named(client, "vega").memory_bytes > 2**20
    client.unload_model("vega")
    idle = named(client, "vega")
    assert (idle.state, idle.memory_bytes, idle.limits.max_edge) == ("unloaded", 0, 2048)
    assert client.health()
    assert client.health("vega"), "a request for it is answered"
    again = client.generate("a red apple", model="vega", seed=7)
    assert again.pictures[0].data == right.pictures[0].data
    assert named(client, "vega").state == "loaded"


def test_who_does_not_want_to_wait_is_refused_with_the_seconds(client: Client, server: HttpServer) -> None:
    client.unload_model("vega")
    request = pb.GenerateRequest(prompt="a red apple", model="vega", steps=1, wait_for_model=False)
    with grpc.insecure_channel(server.address) as channel:  # the client would ask again, until it is loaded
        refused = failure(lambda: ImageServiceStub(channel).Generate(request))
    assert (refused.code, refused.reason) == (grpc.StatusCode.UNAVAILABLE, "MODEL_LOADING")
    assert refused.retry_delay
    client.load_model("vega")
    assert client.generate("a red apple", model="vega", steps=1, wait_for_model=False)


def test_a_bad_request_for_a_model_that_is_not_loaded_loads_nothing(client: Client) -> None:
    client.unload_model("vega")
    with pytest.raises(InvalidRequest) as refused:
        client.generate("a red apple", model="vega", width=67, steps=0)
    assert {violation.field for violation in refused.value.violations} == {"width", "steps"}
    assert named(client, "vega").state == "unloaded"
    with pytest.raises(FailedPrecondition):
        client.estimate("a red apple", model="vega")
    assert named(client, "vega").state == "unloaded"


def test_a_new_model_is_loaded_from_below_the_root_and_forgotten(connect: Connect, server: HttpServer) -> None:
    client = connect(server.address)
    loaded = client.load_model("refiner", "demo-refiner")
    assert (loaded.name, loaded.kind, loaded.state) == ("refiner", "refiner", "loaded")
    assert "refiner" in next(model for model in client.models() if model.name == "xl").refiners
    assert client.generate("a red apple", model="xl", refiner="refiner", steps=4, seed=1)
    assert client.load_model("refiner", "demo-refiner") == loaded, "as it is"
    with pytest.raises(Conflict):
        client.load_model("refiner", "demo-vega")
    client.unload_model("refiner", forget=True)
    with pytest.raises(NotFound):
        client.health("refiner")
    with pytest.raises(NotFound):
        client.unload_model("refiner")


@pytest.mark.parametrize("folder", ["..", "/etc", "demo-vega/../..", "nothing", ".", "demo-vega\0", "x" * 5000])
def test_nothing_is_loaded_from_elsewhere(client: Client, folder: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        client.load_model("other", folder)
    assert refused.value.violations[0].field == "folder"
    assert len(client.models()) == 2


def test_a_link_that_leads_out_of_the_root_is_not_followed(tmp_path: Path) -> None:
    root = tmp_path / "root"
    root.mkdir()
    (root / "out").symlink_to(demo.FOLDERS["demo-vega"])
    (root / "broken").mkdir()
    with ServerProcess(VEGA, f"--models-root={root}") as server, Client(server.address) as client:
        with pytest.raises(InvalidRequest):
            client.load_model("out", "out")
        with pytest.raises(FailedPrecondition, match=r"model_index\.json"):
            client.load_model("broken", "broken")
        assert [model.name for model in client.models()] == ["vega"]
        with pytest.raises(FailedPrecondition, match="only model"):
            client.unload_model("vega", forget=True)


@pytest.mark.parametrize("name", ["", "a b", "../x", "x" * 65, "ä"])
def test_a_new_model_needs_a_name(client: Client, name: str) -> None:
    with pytest.raises((InvalidRequest, NotFound)) as refused:
        client.load_model(name, "demo-refiner")
    assert refused.value.violations[0].field == "name"


def test_without_a_root_no_new_model_is_taken(tmp_path: Path) -> None:
    assert "--models-root" in refused_start(f"--models-root={tmp_path / 'nothing'}")
    with (
        ServerProcess(VEGA) as server,
        Client(server.address) as client,
        pytest.raises(FailedPrecondition, match="--models-root"),
    ):
        client.load_model("x", "demo-xl")


def test_a_model_leaves_after_its_jobs_and_those_that_come_meanwhile_are_drawn(client: Client) -> None:
    def draw(seed: int) -> None:
        pictures[seed] = client.generate("a red apple", model="xl", steps=12, seed=seed).pictures[0].data

    pictures: dict[int, bytes] = {}
    right = client.generate("a red apple", model="xl", steps=12, seed=2).pictures[0].data
    threads = [threading.Thread(target=draw, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
        client.unload_model("xl")
    for thread in threads:
        thread.join()
    assert len(pictures) == 4
    assert pictures[2] == right


def test_the_command_line_loads_unloads_and_forgets(server: HttpServer) -> None:
    def models(*arguments: str, code: int = 0) -> str:
        command = [sys.executable, "-m", "safelight_server", "models", *arguments]
        environment = os.environ | {"SAFELIGHT_ADDRESS": server.address}
        ran = subprocess.run(command, capture_output=True, text=True, timeout=120, env=environment)
        assert ran.returncode == code, ran.stderr
        return ran.stdout + ran.stderr

    assert "vega  unloaded" in models("unload", "vega")
    assert "vega  loaded" in models("load", "vega")
    assert "other  loaded" in models("load", "other", "demo-refiner")
    assert "other" not in models("forget", "other")
    assert models().startswith("NAME")
    assert "no model 'nothing'" in models("load", "nothing", code=1)
    assert "take a NAME" in models("load", code=1)
    assert "only load takes a DIR" in models("unload", "vega", "demo-vega", code=1)


def test_the_page_and_the_other_doors_load_what_is_asked_for(server: HttpServer, client: Client) -> None:
    client.unload_model("vega")
    with server.client() as http:
        states = {model["name"]: model["state"] for model in http.get("/api/models").json()["models"]}
        assert states["vega"] == "MODEL_STATE_UNLOADED"
        asked = {"model": "vega", "prompt": "a red apple", "n": 1, "response_format": "b64_json"}
        assert http.post("/v1/images/generations", json=asked, timeout=120).status_code == 200
        metrics = http.get("/metrics").text
    assert 'safelight_model_loaded{model="vega"} 1.0' in metrics
    assert 'safelight_model_loaded{model="xl"}' in metrics


def test_a_model_that_nobody_asks_for_is_unloaded() -> None:
    with ServerProcess(VEGA, "--idle-unload=1") as server, Client(server.address) as client:
        right = client.generate("a red apple", seed=3)
        server.wait_for("model vega is unloaded")
        assert client.health()
        assert client.generate("a red apple", seed=3).pictures[0].data == right.pictures[0].data


def test_under_a_limit_models_take_turns() -> None:
    """The server takes 0.3 to 0.4 GB with vega, and xl is thought to need 0.2 GB."""
    limit = "--memory-limit=480000000"
    with ServerProcess(VEGA, XL, "--precision=f32", limit) as limited, Client(limited.address) as client:
        assert [model.state for model in client.models()] == ["loaded", "unloaded"], limited.log()
        assert client.generate("a red apple", model="xl", steps=2)
        assert [model.state for model in client.models()] == ["unloaded", "loaded"], limited.log()
    assert "does not fit" in refused_start(VEGA, "--memory-limit=32M")


def test_health_follows_a_model_by_the_plain_protocol(server: HttpServer, client: Client) -> None:
    client.unload_model("vega")
    with grpc.insecure_channel(server.address) as channel:
        call: grpc.UnaryUnaryMultiCallable[pb.ListModelsRequest, pb.ListModelsResponse] = channel.unary_unary(
            "/safelight.v1.ImageService/ListModels", lambda m: m.SerializeToString(), pb.ListModelsResponse.FromString
        )
        told = {model.name: model.state for model in call(pb.ListModelsRequest()).models}
    assert told["vega"] == pb.MODEL_STATE_UNLOADED
