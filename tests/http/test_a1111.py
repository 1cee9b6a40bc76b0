"""AUTOMATIC1111's addresses: drawings, the caller's own progress, and what SillyTavern and Open WebUI send."""

from __future__ import annotations

import base64
import io
import json
import threading
import time
from typing import Any

import httpx
import numpy as np
import pytest
from PIL import Image
from safelight.v1 import images_pb2 as pb
from safelight_server.errors import InvalidRequest
from safelight_server.http import masks
from safelight_server.http.a1111 import fields, names
from support.http_server import HttpServer
from support.pictures import pixels, png

API = "/sdapi/v1"
IDLE = {"progress": 0.0, "job_count": 0}
LONG = {"prompt": "a long apple", "steps": 50, "width": 256, "height": 256}


def opened(b64: str) -> Image.Image:
    return Image.open(io.BytesIO(base64.b64decode(b64)))


def progress(http: httpx.Client) -> Any:
    return http.get(f"{API}/progress").json()


def idle(http: httpx.Client) -> bool:
    told = progress(http)
    return {"progress": told["progress"], "job_count": told["state"]["job_count"]} == IDLE


def wait_for_steps(http: httpx.Client, steps: int) -> Any:
    for _ in range(600):
        told = progress(http)
        if told["state"]["sampling_step"] >= steps:
            return told
        time.sleep(0.05)
    raise AssertionError(told)


def test_pictures_and_what_is_told_of_them(http: httpx.Client) -> None:
    body = {"prompt": "an (apple:1.2)", "seed": 7, "steps": 2, "batch_size": 2, "sampler_name": "LCM", "unheard_of": 1}
    answer = http.post(f"{API}/txt2img", json=body).json()
    assert [opened(image).size for image in answer["images"]] == [(128, 128)] * 2
    assert answer["parameters"] == body
    info = json.loads(answer["info"])
    assert (info["all_seeds"], info["sampler_name"], info["sd_model_name"]) == ([7, 8], "LCM", "demo-vega")
    assert "Seed: 8" in info["infotexts"][1]
    assert opened(answer["images"][1]).text["parameters"] == info["infotexts"][1]  # type: ignore[attr-defined]


def test_a_picture_is_redrawn_where_the_mask_is_white(http: httpx.Client) -> None:
    grey, mask = png(np.full((128, 128, 3), 128)), np.zeros((128, 128))
    mask[:, :64] = 255
    body = {
        "init_images": ["data:image/png;base64," + base64.b64encode(grey).decode()],
        "mask": base64.b64encode(png(mask)).decode(),
        "prompt": "an apple",
        "denoising_strength": 0.9,
        "seed": 2,
    }
    for invert in (0, 1):
        answer = http.post(f"{API}/img2img", json={**body, "inpainting_mask_invert": invert}).json()
        changed = np.abs(pixels(base64.b64decode(answer["images"][0])).astype(int) - 128)
        redrawn, kept = (changed[:, 80:], changed[:, :48]) if invert else (changed[:, :48], changed[:, 80:])
        assert redrawn.mean() > 2 * kept.mean(), invert
        assert "init_images" not in answer["parameters"]


def test_progress_and_interrupt_are_the_callers_own(http: httpx.Client, http_server: HttpServer) -> None:
    answers: list[Any] = []
    other = httpx.Client(base_url=http_server.url, transport=httpx.HTTPTransport(local_address="127.0.0.2"))

    def draw() -> None:
        with http_server.client() as client:
            answers.append(client.post(f"{API}/txt2img", json=LONG).json())

    drawing = threading.Thread(target=draw)
    with other:
        assert idle(http)
        drawing.start()
        told = wait_for_steps(http, 2)
        assert 0 < told["progress"] < 1
        assert told["eta_relative"] > 0
        assert opened(told["current_image"]).size == (256, 256)
        assert idle(other)
        assert other.post(f"{API}/interrupt").json() == {}
        wait_for_steps(http, told["state"]["sampling_step"] + 1)  # it goes on
    assert http.get(f"{API}/progress?skip_current_image=true").json()["current_image"] is None
    assert http.post(f"{API}/interrupt").json() == {}
    drawing.join(60)
    assert opened(answers[0]["images"][0]).size == (256, 256)  # what was there, as A1111 does
    assert idle(http)


def test_the_chosen_model_is_each_callers_own(http: httpx.Client) -> None:
    options = http.get(f"{API}/options").json()
    (model,) = http.get(f"{API}/sd-models").json()
    assert options["sd_model_checkpoint"] == model["title"]
    assert http.post(f"{API}/options", json=options).json() is None  # the whole object back, as Open WebUI does
    assert http.post(f"{API}/options", json={"sd_model_checkpoint": "demo-vega"}).status_code == 200
    assert http.post(f"{API}/options", json={"sd_model_checkpoint": "nope"}).status_code == 404


def test_lists(http: httpx.Client) -> None:
    for name in ("sd-vae", "upscalers", "latent-upscale-modes", "loras"):
        assert http.get(f"{API}/{name}").json() == []
    assert "Euler a" in [sampler["name"] for sampler in http.get(f"{API}/samplers").json()]
    assert "Karras" in [scheduler["label"] for scheduler in http.get(f"{API}/schedulers").json()]
    assert http.get(f"{API}/scripts").json() == {"txt2img": [], "img2img": []}
    assert http.get(f"{API}/memory").json()["ram"]["used"] > 0
    assert http.get(f"{API}/cmd-flags").status_code == 200
    assert http.post(f"{API}/skip").json() == {}


@pytest.mark.parametrize(
    ("values", "field"),
    [
        ({"enable_hr": True}, "enable_hr"),
        ({"script_name": "x/y/z plot"}, "script_name"),
        ({"tiling": True}, "tiling"),
        ({"restore_faces": True}, "restore_faces"),
        ({"subseed_strength": 0.1}, "subseed_strength"),
        ({"styles": ["a"]}, "styles"),
        ({"alwayson_scripts": {"ControlNet": {"args": [{"enabled": True}]}}}, "alwayson_scripts"),
        ({"override_settings": {"sd_vae": "other.pt"}}, "override_settings.sd_vae"),
        ({"sampler_name": "DPM adaptive"}, "sampler_name"),
        ({"sampler_name": "LCM", "scheduler": "Karras"}, "scheduler"),
        ({"sampler_name": "LCM", "scheduler": "Beta"}, "scheduler"),
        ({"steps": 0}, "steps"),
        ({"steps": "9"}, "steps"),
        ({"cfg_scale": 1000}, "cfg_scale"),
        ({"n_iter": 0}, "n_iter"),
        ({"override_settings": {"sd_model_checkpoint": "nope"}}, "override_settings.sd_model_checkpoint"),
    ],
)
def test_what_cannot_be_drawn_is_refused_by_name(http: httpx.Client, values: Any, field: str) -> None:
    answer = http.post(f"{API}/txt2img", json={"prompt": "x", **values})
    assert answer.status_code in (404, 422)
    told = answer.json()
    assert told["detail"].startswith((f"{field}:", "model:" if "sd_model" in field else field)), told
    assert told["errors"] == told["detail"]


@pytest.mark.parametrize(
    ("values", "field"),
    [
        ({}, "init_images"),
        ({"init_images": ["?"]}, "init_images"),
        ({"inpainting_fill": 2}, "inpainting_fill"),
        ({"resize_mode": 1}, "resize_mode"),
        ({"mask": "?"}, "mask"),
        ({"mask": "AAAA", "mask_blur": 99}, "mask_blur"),
    ],
)
def test_what_is_bad_of_img2img(values: Any, field: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        fields.read(values, "m", from_picture=True)
    assert field in [violation.field for violation in caught.value.violations]


def test_what_clients_send_without_meaning_it_is_ignored() -> None:
    off = {"enable_hr": False, "subseed_strength": 0.0, "styles": [], "script_name": None, "tiling": None, "s_noise": 1}
    scripts = {"alwayson_scripts": {"ADetailer": {"args": [False]}}}
    asked, mask = fields.read({"seed": -1, "prompt": "x", **off, **scripts}, "m", from_picture=False)
    assert (asked.HasField("seed"), asked.prompt_syntax, mask) == (False, pb.PROMPT_SYNTAX_WEIGHTED, None)


@pytest.mark.parametrize(
    ("sampler", "scheduler", "ours"),
    [
        ("", "", ""),
        ("Euler a", "Automatic", "euler_ancestral"),
        ("DPM++ 2M", "Automatic", "dpmpp_2m_karras"),
        ("DPM++ 2M", "Uniform", "dpmpp_2m"),
        ("DPM++ 2M", "Exponential", "dpmpp_2m_exponential"),
        ("DPM++ 2M SDE", "", "dpmpp_2m_sde_exponential"),
        ("DPM++ 2M Karras", "", "dpmpp_2m_karras"),
        ("DPM++ 2M Karras", "Karras", "dpmpp_2m_karras"),
        ("Euler", "karras", "euler_karras"),
        ("k_euler", "normal", "euler"),
    ],
)
def test_samplers(sampler: str, scheduler: str, ours: str) -> None:
    asked = pb.GenerateRequest()
    names.put_sampler(asked, sampler, scheduler)
    assert asked.scheduler == ours


def test_titles_of_models() -> None:
    assert [names.model_of(told) for told in ("xl [0123abcdef]", "xl", "xl.safetensors", " xl ")] == ["xl"] * 4


def test_masks() -> None:
    mask = np.zeros((32, 32))
    mask[:, :16] = 255
    hard = pixels(masks.from_a1111(png(mask), invert=True, blur=0))
    assert (hard.reshape(32, 32, -1)[..., 0] == 255 - mask).all()
    soft = pixels(masks.from_a1111(png(mask), invert=False, blur=4)).reshape(32, 32, -1)[16, :, 0].astype(int)
    assert (np.diff(soft) <= 0).all()
    assert 100 < soft[15] < 200
    with pytest.raises(InvalidRequest):
        masks.from_alpha(b"no picture")


def test_what_sillytavern_sends(http: httpx.Client) -> None:
    """Its sequence (src/endpoints/stable-diffusion.js): a look around, a drawing, and an end."""
    for path in ("options", "sd-models", "samplers", "schedulers", "upscalers", "latent-upscale-modes", "sd-vae"):
        assert http.get(f"{API}/{path}").status_code == 200
    http.post(f"{API}/options", json={"sd_model_checkpoint": http.get(f"{API}/sd-models").json()[0]["title"]})
    assert idle(http)
    body = {
        "prompt": "best quality, an apple",
        "negative_prompt": "lowres",
        "sampler_name": "Euler a",
        "scheduler": "Automatic",
        "steps": 4,
        "cfg_scale": 7,
        "width": 128,
        "height": 128,
        "restore_faces": False,
        "enable_hr": False,
        "hr_upscaler": "Latent",
        "hr_scale": 2,
        "hr_additional_modules": [],
        "denoising_strength": 0.7,
        "hr_second_pass_steps": 0,
        "override_settings": {"CLIP_stop_at_last_layers": 1, "sd_vae": "Automatic", "forge_additional_modules": []},
        "override_settings_restore_afterwards": True,
        "clip_skip": 1,
        "save_images": True,
        "send_images": True,
        "do_not_save_grid": False,
        "do_not_save_samples": False,
    }
    assert opened(http.post(f"{API}/txt2img", json=body).json()["images"][0]).size == (128, 128)
    assert http.post(f"{API}/interrupt", json={}).status_code == 200


def test_what_open_webui_sends(http: httpx.Client) -> None:
    options = http.get(f"{API}/options", headers={"Authorization": "Basic eDp5"}).json()
    title = http.get(f"{API}/sd-models").json()[0]["title"]
    http.post(f"{API}/options", json={**options, "sd_model_checkpoint": title})
    body = {"prompt": "an apple", "batch_size": 1, "width": 128, "height": 128, "steps": 4}
    answer = http.post(f"{API}/txt2img", json=body).json()
    assert len(answer["images"]) == 1
    assert json.loads(answer["info"])
