"""The programs' own clients, where they are installed: openai, litellm and webuiapi (docs/http.md)."""

from __future__ import annotations

import base64
import io
from typing import Any

import pytest
from PIL import Image
from support.http_server import HttpServer


def opened(b64: str) -> Image.Image:
    return Image.open(io.BytesIO(base64.b64decode(b64)))


@pytest.fixture
def openai(http_server: HttpServer) -> Any:
    return pytest.importorskip("openai").OpenAI(base_url=f"{http_server.url}/v1", api_key="none")


def test_openai_draws_edits_and_streams(openai: Any) -> None:
    drawn = openai.images.generate(model="demo-vega", prompt="an apple", extra_body={"seed": 5, "steps": 2})
    assert opened(drawn.data[0].b64_json).size == (128, 128)
    file = ("a.png", base64.b64decode(drawn.data[0].b64_json))
    edited = openai.images.edit(model="demo-vega", prompt="a green apple", image=file)
    assert opened(edited.data[0].b64_json).size == (128, 128)
    events = list(openai.images.generate(model="demo-vega", prompt="an apple", stream=True, partial_images=2))
    assert [event.type.rpartition(".")[2] for event in events] == ["partial_image"] * 2 + ["completed"]
    assert [model.id for model in openai.models.list()] == ["demo-vega"]


def test_openais_timeout_below_the_drawings_time(openai: Any) -> None:
    impatient = openai.with_options(timeout=0.6, max_retries=8)
    fields = {"model": "demo-vega", "prompt": "an apple that takes its time", "extra_body": {"steps": 50}}
    answer = impatient.images.with_raw_response.generate(**fields)
    assert answer.retries_taken > 0
    jobs = openai.get("/../api/jobs", cast_to=object)["jobs"]
    ids = [job["id"] for job in jobs if job.get("generate", {}).get("prompt") == fields["prompt"]]
    assert ids == [answer.headers["x-safelight-job-id"]]


def test_litellm(http_server: HttpServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LITELLM_LOCAL_MODEL_COST_MAP", "True")
    litellm = pytest.importorskip("litellm")
    options = {"model": "openai/demo-vega", "api_base": f"{http_server.url}/v1", "api_key": "none"}
    drawn = litellm.image_generation(prompt="an apple", seed=3, num_inference_steps=2, **options)
    file = io.BytesIO(base64.b64decode(drawn.data[0].b64_json))
    file.name = "a.png"
    assert litellm.image_edit(image=file, prompt="a green apple", **options).data[0].b64_json


def test_webuiapi(http_server: HttpServer) -> None:
    webuiapi = pytest.importorskip("webuiapi")
    host, _, port = http_server.url.removeprefix("http://").partition(":")
    api = webuiapi.WebUIApi(host=host, port=int(port), sampler="Euler a", steps=2)
    api.util_set_model(api.util_get_model_names()[0])
    drawn = api.txt2img(prompt="an (apple:1.2)", width=64, height=64, seed=7, batch_size=2)
    assert ([image.size for image in drawn.images], drawn.info["all_seeds"]) == ([(64, 64)] * 2, [7, 8])
    redrawn = api.img2img(images=[drawn.image], mask_image=Image.new("L", (64, 64), 255), width=64, height=64)
    assert redrawn.image.size == (64, 64)
    api.util_wait_for_ready()
