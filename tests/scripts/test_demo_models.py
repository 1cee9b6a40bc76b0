"""The demo models that ship: they draw what is asked, and every setting shows its effect in the picture's content."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from demo_models.captions import COLOURS
from PIL import Image, ImageFilter
from safelight import Client, Progress, SizeConditioning
from safelight_server import demo
from support.files import opened
from support.servers import ServerProcess

ICONS = {path.stem.replace("-", " "): opened(path) for path in sorted((Path(__file__).parent / "icons").glob("*.png"))}
ASKED = [("owl", "teal"), ("banana", "blue"), ("snowman", "green"), ("sunflower", "purple"), ("red apple", "white")]
DEMO = Path(demo.__file__).parent
FEW: dict[str, Any] = {"steps": 12}  # half of the default: enough where only the effect of a setting is looked at


@pytest.fixture(scope="module")
def client() -> Iterator[Client]:
    with ServerProcess() as process, Client(process.address) as client:
        yield client


@cache
def drawn(client: Client, prompt: str, seed: int = 1, **settings: Any) -> np.ndarray:
    """float32 (128, 128, 3), 0 to 255; a picture that several tests look at is drawn once."""
    return np.asarray(client.generate(prompt, seed=seed, **settings).image.convert("RGB"), np.float32)


def background(picture: np.ndarray) -> str:
    corners = np.concatenate([picture[:6, :6], picture[:6, -6:], picture[-6:, :6], picture[-6:, -6:]]).reshape(-1, 3)
    median = np.median(corners, axis=0)
    return min(COLOURS, key=lambda name: distance(median, np.array(COLOURS[name])))


def nearest_icon(picture: np.ndarray, colour: str) -> str:
    """Which icon it looks like, on this colour, at 32x32."""
    small = picture.reshape(32, 4, 32, 4, 3).mean(axis=(1, 3))

    def distance(name: str) -> float:
        canvas = Image.new("RGBA", (32, 32), COLOURS[colour])
        canvas.alpha_composite(ICONS[name])
        return float(np.square(small - np.asarray(canvas.convert("RGB"), np.float32)).sum())

    return min(ICONS, key=distance)


def sharpness(picture: np.ndarray) -> float:
    """The mean square of the difference from a blurred copy."""
    image = Image.fromarray(picture.astype(np.uint8))
    return float(np.square(picture - np.asarray(image.filter(ImageFilter.GaussianBlur(2)), np.float32)).mean())


def distance(a: np.ndarray, b: np.ndarray) -> float:
    return float(np.square(a - b).mean())


def where(picture: np.ndarray) -> np.ndarray:
    """(y, x) of the middle of what is not background."""
    corner = np.median(picture[-6:, -6:].reshape(-1, 3), axis=0)
    shown = np.square(picture - corner).sum(axis=2) > 60**2
    return np.array(np.argwhere(shown).mean(axis=0))


@pytest.mark.parametrize(("name", "colour"), ASKED)
@pytest.mark.parametrize("model", ["demo-xl", "demo-vega"])
def test_what_is_asked_for_comes(model: str, name: str, colour: str, client: Client) -> None:
    article = "an" if name == "owl" else "a"
    picture = drawn(
        client, f"{article} {name} on a {colour} background", **({} if model == "demo-xl" else {"model": model})
    )
    assert nearest_icon(picture, colour) == name
    assert background(picture) == colour


def test_the_refiner_leaves_what_was_asked_for(client: Client) -> None:
    picture = drawn(client, "an owl on a teal background", refiner="demo-refiner")
    assert (nearest_icon(picture, "teal"), background(picture)) == ("owl", "teal")


def test_a_negative_prompt_takes_effect(client: Client) -> None:
    """A prompt that leaves the colour open keeps away from the colour that is not wanted."""
    kept = drawn(client, "teal background", guidance_scale=3, **FEW)
    away = drawn(client, "", negative_prompt="teal background", guidance_scale=3, **FEW)
    assert background(kept) == "teal"
    assert background(away) != "teal"


def test_guidance_brings_the_prompt_out(client: Client) -> None:
    """Without a word of it there is no owl; with guidance 1 and more there is."""
    without = drawn(client, "an owl on a pink background", guidance_scale=0, **FEW)
    guided = drawn(client, "an owl on a pink background", guidance_scale=2, **FEW)
    assert (nearest_icon(guided, "pink"), background(guided)) == ("owl", "pink")
    assert distance(without, guided) > 100


def test_a_small_original_blurs(client: Client) -> None:
    sharp = drawn(client, "an owl on a teal background", **FEW)
    dull = drawn(client, "an owl on a teal background", size_conditioning=SizeConditioning(original=(16, 16)), **FEW)
    assert sharpness(dull) < 0.7 * sharpness(sharp)
    assert nearest_icon(dull, "teal") == "owl"


def test_a_crop_moves_the_picture(client: Client) -> None:
    """Sizes are (width, height) and crops (x, y) in the SDK: 40 pixels to the left, then 40 up."""
    plain = where(drawn(client, "an octopus", **FEW))
    left = where(drawn(client, "an octopus", size_conditioning=SizeConditioning(crop=(40, 0)), **FEW))
    up = where(drawn(client, "an octopus", size_conditioning=SizeConditioning(crop=(0, 40)), **FEW))
    assert left[1] < plain[1] - 10
    assert abs(left[0] - plain[0]) < 10
    assert up[0] < plain[0] - 10
    assert abs(up[1] - plain[1]) < 10


def test_strength_says_how_far_a_picture_moves(client: Client) -> None:
    source = client.generate("a lemon on a green background", seed=3, **FEW).image
    moved = [
        np.asarray(
            client.refine(source, "an owl on a purple background", strength=strength, seed=3, **FEW).image.convert(
                "RGB"
            ),
            np.float32,
        )
        for strength in (0.1, 0.5, 0.95)
    ]
    before = np.asarray(source.convert("RGB"), np.float32)
    distances = [distance(before, picture) for picture in moved]
    assert distances == sorted(distances)
    assert (nearest_icon(moved[0], "green"), background(moved[0])) == ("lemon", "green")
    assert (nearest_icon(moved[-1], "purple"), background(moved[-1])) == ("owl", "purple")


def test_an_aesthetic_score_sharpens(client: Client) -> None:
    """What the refiner makes of a blurred picture depends on the score that it is told."""
    source = (
        Image.fromarray(drawn(client, "an owl on a teal background", **FEW).astype(np.uint8))
        .resize((40, 40))
        .resize((128, 128))
    )
    fine, dull = (
        np.asarray(
            client.refine(
                source,
                "an owl on a teal background",
                model="demo-refiner",
                strength=0.38,
                seed=5,
                size_conditioning=SizeConditioning(aesthetic_score=score, negative_aesthetic_score=score),
            ).image.convert("RGB"),
            np.float32,
        )
        for score in (6.0, 2.5)
    )
    assert sharpness(fine) > 1.1 * sharpness(dull)


def test_a_cancelled_drawing_begun_again_is_the_same(client: Client) -> None:
    prompt = "a cactus on a brown background"
    before = client.generate(prompt, seed=9, **FEW).files
    with client.stream(prompt, seed=9, **FEW) as events:
        for event in events:
            if isinstance(event, Progress) and event.step >= 5:
                break
    assert client.generate(prompt, seed=9, **FEW).files == before


def test_the_first_model_is_the_base(client: Client) -> None:
    models = client.models()
    assert [model.name for model in models] == ["demo-xl", "demo-vega", "demo-refiner"]
    assert [(model.defaults.steps, model.defaults.scheduler) for model in models[:2]] == [(25, "euler"), (4, "lcm")]
    assert set(models[0].refiners) == {"demo-vega", "demo-refiner"}


def test_vega_is_quantized() -> None:
    graph = (DEMO / "demo-vega" / "unet" / "openvino_model.xml").read_text(encoding="utf-8")
    assert graph.count('type="FakeQuantize"') > 40


def test_what_ships_is_small_clean_and_licensed() -> None:
    files = [path for path in DEMO.rglob("*") if path.is_file() and path.suffix != ".pyc"]
    assert sum(path.stat().st_size for path in files) <= 40_000_000
    assert "Microsoft" in (DEMO / "NOTICE").read_text(encoding="utf-8")
    assert "Fluent Emoji" in (DEMO / "README.md").read_text(encoding="utf-8")
    texts = [path.read_text(encoding="utf-8") for path in files if path.suffix != ".bin"]
    assert not [text for text in texts if "_name_or_path" in text or str(DEMO.parents[2]) in text]
