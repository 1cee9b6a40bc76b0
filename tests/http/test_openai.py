"""OpenAI's images API: its answers and events, its parameters, and bodies that real programs send."""

from __future__ import annotations

import base64
import io
from typing import Any

import httpx
import numpy as np
import pytest
from PIL import Image
from safelight.v1 import images_pb2 as pb
from safelight_server.http.failures import bad
from safelight_server.http.openai import answers, fields
from safelight_server.http.openai.partials import Partials
from support.http_server import Event, stream
from support.pictures import pixels, png

DRAW = "/v1/images/generations"
EDIT = "/v1/images/edits"
BODY: dict[str, Any] = {"model": "demo-vega", "prompt": "a red apple"}
EVENT = {"type", "b64_json", "created_at", "size", "quality", "background", "output_format"}
USAGE = {"input_tokens", "output_tokens", "total_tokens", "input_tokens_details", "output_tokens_details"}


def opened(b64: str) -> Image.Image:
    return Image.open(io.BytesIO(base64.b64decode(b64)))


def told(http: httpx.Client, **more: Any) -> list[Event]:
    return stream(http, "POST", DRAW, json={**BODY, "stream": True, **more})


def refusal(http: httpx.Client, **more: Any) -> tuple[int, str | None, str]:
    answer = http.post(DRAW, json={**BODY, **more})
    error = answer.json()["error"]
    assert set(error) == {"message", "type", "param", "code"}
    return answer.status_code, error["param"], error["code"]


def test_pictures(http: httpx.Client) -> None:
    body = {**BODY, "n": 2, "seed": 7, "num_inference_steps": 2, "output_format": "webp", "response_format": "b64_json"}
    answer = http.post(DRAW, json=body).json()
    assert [(opened(picture["b64_json"]).format, picture["seed"]) for picture in answer["data"]] == [
        ("WEBP", 7),
        ("WEBP", 8),
    ]
    assert {name: answer[name] for name in ("size", "quality", "background", "output_format")} == {
        "size": "128x128",
        "quality": "high",
        "background": "opaque",
        "output_format": "webp",
    }
    assert all("url" not in picture for picture in answer["data"])
    assert answer["usage"]["total_tokens"] == 3


def test_an_address_is_told_only_if_it_was_asked_for(http: httpx.Client) -> None:
    (picture,) = http.post(DRAW, json={**BODY, "response_format": "url"}).json()["data"]
    assert "b64_json" not in picture
    assert http.get(picture["url"]).headers["content-type"] == "image/png"


@pytest.mark.parametrize("steps", [1, 4, 25])
@pytest.mark.parametrize("count", [0, 1, 2, 3])
def test_a_stream_has_as_many_previews_as_were_asked_for(http: httpx.Client, count: int, steps: int) -> None:
    happened = told(http, partial_images=count, steps=steps, output_format="webp")
    names = [event.name for event in happened]
    assert names == ["image_generation.partial_image"] * count + ["image_generation.completed"]
    for index, event in enumerate(happened[:-1]):
        assert set(event.data) == EVENT | {"partial_image_index"}
        assert event.data["partial_image_index"] == index
    assert set(happened[-1].data) == EVENT | {"usage"}
    assert set(happened[-1].data["usage"]) == USAGE
    assert {opened(event.data["b64_json"]).format for event in happened} == {"WEBP"}
    assert [event.name for event in happened] == [event.data["type"] for event in happened]


@pytest.mark.parametrize(
    ("count", "steps", "at"),
    [(3, 25, [6, 12, 19]), (3, 4, [1, 2, 3]), (2, 4, [1, 3]), (1, 4, [2]), (3, 2, [1, 1, 2]), (3, 1, [1, 1, 1])],
)
def test_previews_are_spread_evenly(count: int, steps: int, at: list[int]) -> None:
    partials = Partials(count)
    due = [(index, step) for step in range(1, steps + 1) for index in partials.after(step, steps, b"x")]
    assert due == list(enumerate(at))
    assert not partials.rest()


def test_a_preview_that_was_missed_is_made_up_for() -> None:
    partials = Partials(3)
    assert list(partials.after(20, 25, b"x")) == [0, 1, 2]
    assert list(Partials(2).rest()) == [0, 1]


def test_each_picture_of_several_has_its_own_previews(http: httpx.Client) -> None:
    names = [event.name.rpartition(".")[2] for event in told(http, n=2, partial_images=1)]
    assert names == ["partial_image", "completed"] * 2


def edited(http: httpx.Client, picture: bytes, mask: bytes | None = None, **values: str) -> Any:
    # As Node's SDK sends it: files first, as application/octet-stream, in chunks.
    files = [("image[]", ("a", picture, "application/octet-stream"))]
    files += [("mask", ("m", mask, "application/octet-stream"))] if mask else []
    request = http.build_request("POST", EDIT, files=files, data={**BODY, **values})
    body = request.read()
    chunks = (body[at : at + 1000] for at in range(0, len(body), 1000))
    return http.post(EDIT, content=chunks, headers={"content-type": request.headers["content-type"]})


def test_an_edit_redraws_what_is_transparent_in_the_mask(http: httpx.Client) -> None:
    grey = png(np.full((128, 128, 3), 128))
    layers = np.full((128, 128, 4), 255, np.uint8)
    layers[:, :64, 3] = 0
    file = io.BytesIO()
    Image.fromarray(layers).save(file, "PNG")
    answer = edited(http, grey, file.getvalue(), seed="3", steps="4", n="1")
    assert answer.status_code == 200, answer.text
    changed = np.abs(pixels(base64.b64decode(answer.json()["data"][0]["b64_json"])).astype(int) - 128)
    assert changed[:, :48].mean() > 3 * changed[:, 80:].mean()


def test_an_edit_is_streamed(http: httpx.Client) -> None:
    files = {"image": ("a.png", png(np.full((64, 64, 3), 128)), "image/png")}
    form = {**BODY, "stream": "true", "partial_images": "2", "strength": "0.5"}
    happened = stream(http, "POST", EDIT, files=files, data=form)
    assert [event.name for event in happened] == ["image_edit.partial_image"] * 2 + ["image_edit.completed"]
    assert happened[-1].data["size"] == "64x64"


@pytest.mark.parametrize(
    ("more", "status", "param"),
    [
        ({"stepz": 4}, 400, "stepz"),
        ({"steps": 0}, 400, "steps"),
        ({"num_inference_steps": 0}, 400, "num_inference_steps"),
        ({"steps": "many"}, 400, "steps"),
        ({"steps": True}, 400, "steps"),
        ({"n": 0}, 400, "n"),
        ({"n": 2**40}, 400, "n"),
        ({"size": "12x12"}, 400, "size"),
        ({"size": "large"}, 400, "size"),
        ({"quality": "best"}, 400, "quality"),
        ({"output_format": "gif"}, 400, "output_format"),
        ({"output_compression": 101}, 400, "output_compression"),
        ({"background": "transparent"}, 400, "background"),
        ({"partial_images": 4}, 400, "partial_images"),
        ({"markup": []}, 400, "markup"),
        ({"frame_count": 2}, 400, "frame_count"),
        ({"strength": 0.5}, 400, "strength"),
        ({"scheduler": "nope"}, 400, "scheduler"),
        ({"priority": "urgent"}, 400, "priority"),
        ({"refiner": {"modl": "x"}}, 400, "refiner"),
        ({"guidance_scale": float("1e99")}, 400, "guidance_scale"),
        ({"prompt": 7}, 400, "prompt"),
        ({"model": "nope"}, 404, "model"),
    ],
)
def test_what_is_bad_is_told_by_its_parameter(http: httpx.Client, more: Any, status: int, param: str) -> None:
    assert refusal(http, **more)[:2] == (status, param)


def test_other_refusals(http: httpx.Client) -> None:
    assert refusal(http, stepz=4)[2] == "unknown_parameter"
    assert http.post(DRAW, json={"model": "demo-vega"}).json()["error"]["param"] == "prompt"
    assert http.post(DRAW, content=b"{").json()["error"]["param"] == "body"
    assert http.post(DRAW, json=[1]).status_code == 400
    picture = ("a.png", png(np.zeros((64, 64, 3))), "image/png")
    two = http.post(EDIT, files=[("image[]", picture), ("image[]", picture)], data=BODY)
    assert (two.status_code, two.json()["error"]["param"]) == (400, "image")
    assert http.post(EDIT, files={"mask": picture}, data=BODY).json()["error"]["param"] == "image"
    assert http.post(EDIT, json=BODY).json()["error"]["param"] == "body"


def test_what_is_ignored(http: httpx.Client) -> None:
    more = {"moderation": "low", "style": "vivid", "user": "me", "safety_identifier": "x", "seed": -1, "size": "auto"}
    assert http.post(DRAW, json={**BODY, **more, "background": None}).status_code == 200


def test_models(http: httpx.Client) -> None:
    (model,) = http.get("/v1/models").json()["data"]
    assert (model["id"], model["object"]) == ("demo-vega", "model")
    assert http.get("/v1/models/demo-vega").json() == model
    assert http.get("/v1/models/nope").json()["error"]["code"] == "model_not_found"


def test_a_low_quality_leaves_work_out_and_says_so(http: httpx.Client) -> None:
    answer = http.post(DRAW, json={**BODY, "quality": "low"}).json()
    assert (answer["quality"], answer["acceleration"]["tiny_decoder"]) == ("low", True)  # all that this model has
    assert "acceleration" not in http.post(DRAW, json={**BODY, "quality": "hd"}).json()


def test_names_of_fields_are_those_of_others() -> None:
    asked = pb.GenerateRequest()
    values = {"rng_seed": "5", "guidance_scale": "2.5", "priority": "batch", "refiner": "r", "negative_prompt": ""}
    fields.read(values, asked)
    assert (asked.seed, asked.guidance_scale, asked.priority) == (5, 2.5, pb.PRIORITY_BATCH)
    assert (asked.refiner.model, asked.HasField("negative_prompt")) == ("r", True)


@pytest.mark.parametrize(("code", "status", "told"), [("INTERNAL", 500, "false"), ("DEADLINE_EXCEEDED", 504, "false")])
def test_what_would_be_drawn_twice_is_not_to_be_tried_again(code: str, status: int, told: str) -> None:
    error = bad("x", "y")
    error.code = code
    assert answers.failure(error, status).headers["x-should-retry"] == told
    assert "x-should-retry" not in answers.failure(bad("x", "y"), 400).headers
    assert answers.failure(bad("x", "y"), 409).status_code == 422


def test_what_open_webui_sends(http: httpx.Client) -> None:
    """Its two bodies, as open-webui 0.12.4 makes them (routers/images.py)."""
    body = {"model": "demo-vega", "prompt": "a red apple", "n": 1, "size": "128x128", "response_format": "b64_json"}
    drawn = http.post(DRAW, json=body, headers={"Authorization": "Bearer sk-x"}).json()["data"]
    assert [set(picture) & {"url", "b64_json"} for picture in drawn] == [{"b64_json"}]
    files = {"image": ("image.png", base64.b64decode(drawn[0]["b64_json"]), "image/png")}
    again = http.post(EDIT, files=files, data={key: str(value) for key, value in body.items()})
    assert opened(again.json()["data"][0]["b64_json"]).size == (128, 128)
