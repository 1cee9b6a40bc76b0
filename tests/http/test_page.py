"""The page in a real browser: Chromium, driven by playwright, before a server of the demo models."""

from __future__ import annotations

import base64
import io
import re
import shutil
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from PIL import Image
from safelight_server import demo
from support.servers import ServerProcess

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
MISSING = "NO CHROMIUM HERE, so nothing is known of the page: apt-get install chromium, pip install playwright"
PATIENCE = 30_000  # milliseconds
# As servers name them: one, and a pair that differs in 8 bits. Here they are the same files: a third of the start.
MODELS = ("vega", "vega-int8", "xl")
REFUSED = "Failed to load resource: the server responded with a status of 400"  # Chromium's own words, for any refusal

DROP = """(text) => {
    const files = new DataTransfer();
    const bytes = Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
    files.items.add(new File([bytes], "x.png", {type: "image/png"}));
    document.body.dispatchEvent(new DragEvent("drop", {dataTransfer: files, bubbles: true, clientX: 20, clientY: 90}));
}"""
NAMELESS = """[...document.querySelectorAll("input, select, textarea, button")]
    .filter((each) => !each.labels?.length && !each.getAttribute("aria-label") && !each.textContent.trim())
    .map((each) => each.id)"""


@pytest.fixture(scope="module")
def server(request: pytest.FixtureRequest) -> Iterator[ServerProcess]:
    _skip_without_browser(request)
    models = [f"--model={name}={demo.FOLDERS['demo-vega']}" for name in MODELS]
    with ServerProcess("--http=127.0.0.1:0", "--precision=f32", "--ephemeral", *models) as process:
        yield process


@pytest.fixture(scope="module")
def browser(request: pytest.FixtureRequest) -> Iterator[Browser]:
    _skip_without_browser(request)
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield chromium
        chromium.close()


@pytest.fixture
def address(server: ServerProcess) -> str:
    found = re.search(r"http://127\.0\.0\.1:\d+", server.log())
    assert found, server.log()
    return found[0]


@pytest.fixture
def page(browser: Browser, address: str) -> Iterator[Page]:
    """The page as one sees it first. What the browser complains of fails the test: scripts, policies, lost files."""
    with browser.new_context(viewport={"width": 1280, "height": 860}) as context:
        context.set_default_timeout(PATIENCE)
        complaints: list[str] = []
        context.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
        context.on("weberror", lambda error: complaints.append(str(error.error)))
        opened = context.new_page()
        opened.goto(address)
        opened.wait_for_selector("body.ready")
        yield opened
        assert [text for text in complaints if not text.startswith(REFUSED)] == []


def _skip_without_browser(request: pytest.FixtureRequest) -> None:
    try:
        import playwright.sync_api  # noqa: F401
    except ImportError:
        there = False
    else:
        there = CHROMIUM is not None
    if not there:
        with request.config.pluginmanager.getplugin("capturemanager").global_and_fixture_disabled():
            print(f"\n{MISSING}")  # whether or not pytest is asked for the reasons
        pytest.skip(MISSING)


def ask(page: Page, prompt: str, model: str = "vega", **fields: object) -> None:
    """Fills the form, and draws by the keyboard."""
    page.select_option("#model", model)
    page.fill("#prompt", prompt)
    for name, value in fields.items():
        page.fill(f"#{name}", str(value))
    before = page.evaluate("location.hash")
    page.keyboard.press("Control+Enter")
    wait_for_another(page, before)


def wait_for_another(page: Page, before: str) -> None:
    """Until the tray has another job than the one that the address named."""
    for _ in range(PATIENCE // 50):
        if page.evaluate("location.hash") != before:
            return
        page.wait_for_timeout(50)
    raise AssertionError(page.locator("#form .error:visible").all_inner_texts())


def wait_for_end(page: Page) -> None:
    page.wait_for_selector("body:not(.drawing)")
    page.wait_for_selector("#again:visible")


def wait_for_step(page: Page, least: int) -> None:
    """A step may pass unseen: any from this one on will do."""
    at_least = "|".join(str(step) for step in range(least, 51))
    page.locator("#progress-text", has_text=re.compile(rf"Step ({at_least}) of")).wait_for()


def facts(page: Page) -> str:
    return str(page.inner_text("#facts"))


def picture(page: Page, address: str) -> np.ndarray[tuple[int, ...], np.dtype[np.int16]]:
    """The picture in the tray, as the server has it."""
    page.wait_for_selector("#picture[src^='api/']")
    return pixels(file(page, address))


def file(page: Page, address: str) -> bytes:
    with urllib.request.urlopen(f"{address}/{page.get_attribute('#picture', 'src')}") as answer:
        return bytes(answer.read())


def pixels(data: bytes) -> np.ndarray[tuple[int, ...], np.dtype[np.int16]]:
    return np.asarray(Image.open(io.BytesIO(data)).convert("RGB"), np.int16)


def test_a_picture_is_drawn_and_a_part_of_it_anew(page: Page, address: str) -> None:
    ask(page, "a small rocket on a purple background", seed=3)
    wait_for_end(page)
    first = picture(page, address)
    assert page.evaluate("document.querySelector('#picture').naturalWidth") == 128
    assert "seed 3" in facts(page).replace("\n", " ")

    page.click("#redraw")
    box = page.locator("#mask").bounding_box()
    assert box is not None
    page.fill("#brush", "30")
    page.mouse.move(box["x"] + box["width"] * 0.2, box["y"] + box["height"] * 0.2)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] * 0.8, box["y"] + box["height"] * 0.2, steps=8)
    page.mouse.up()
    page.fill("#strength", "1")
    ask(page, "a red apple", seed=4)
    wait_for_end(page)
    changed = np.abs(picture(page, address) - first).mean(axis=2)
    assert changed[15:35, 30:100].mean() > 5 * changed[70:].mean()

    again = page.evaluate("location.hash")
    page.click("#again")  # the picture that it started from is kept in the browser
    wait_for_another(page, again)
    wait_for_end(page)
    assert np.array_equal(np.abs(picture(page, address) - first).mean(axis=2), changed)


def test_cancel_stops_and_finish_makes_the_picture(page: Page, address: str) -> None:
    ask(page, "a red apple", "xl", steps=50, seed=5)
    wait_for_step(page, 2)
    page.keyboard.press("Escape")
    wait_for_end(page)
    page.locator("#trouble", has_text="Cancelled").wait_for()
    assert not page.is_visible("#save")

    ask(page, "a red apple", "xl", steps=50, seed=5)
    wait_for_step(page, 4)
    page.click("#finish")
    wait_for_end(page)
    assert re.search(r"finished early\s+at step \d+", facts(page))
    assert picture(page, address).shape == (128, 128, 3)


def test_a_reload_or_another_tab_takes_up_what_is_drawn(page: Page, address: str) -> None:
    ask(page, "an owl on a teal background", "xl", steps=30, seed=7, count=3)
    page.locator("#progress-text", has_text="picture 2 of 3").wait_for()
    page.reload(wait_until="commit")
    page.wait_for_selector("#picture[src^='data:']")

    other = page.context.new_page()
    other.goto(address)
    other.wait_for_selector("body.drawing")  # it has found the job by itself
    other.wait_for_selector("#picture[src^='data:']")
    assert other.evaluate("location.hash") == page.evaluate("location.hash")
    other.click("#finish")
    for each in (page, other):
        each.bring_to_front()
        wait_for_end(each)
        each.locator("#strip img[src^='api/']").nth(1).wait_for()  # the first one was done before they came
        assert each.locator("#strip button").count() == 2
        assert "seed 8" in facts(each).replace("\n", " ")
    marks = "['first-picture', 'first-preview'].map((name) => performance.getEntriesByName(name)[0]?.startTime)"
    print("after the reload, the last and the next preview were there at", page.evaluate(marks), "ms")
    assert page.input_value("#prompt") == "an owl on a teal background"


def test_two_pictures_side_by_side(page: Page, address: str) -> None:
    ask(page, "a red apple", seed=11)
    wait_for_end(page)
    left = picture(page, address)
    page.click("#hold")
    page.locator("#picking select").select_option("seed")
    page.click("#pick-draw")
    told = page.inner_text("#difference")
    apart = np.abs(picture(page, address) - left)
    assert told == f"They differ by {apart.mean():.2f} of 255 on average, by {apart.max()} at most."
    assert re.search(r"seed\s+11\s+12", page.inner_text("#compare table"))
    assert "time" in page.inner_text("#compare")
    page.keyboard.press("ArrowRight")
    assert page.evaluate("document.querySelector('.stack').style.getPropertyValue('--cut')") == "51%"
    page.keyboard.press("Escape")

    page.click("#hold")
    page.locator("#sheet .tile").nth(1).click()
    page.wait_for_selector("#difference")


def test_the_quantized_switch_is_there_for_pairs(page: Page) -> None:
    assert page.locator("#model option").all_inner_texts() == ["vega", "xl"]
    page.select_option("#model", "xl")
    assert not page.is_visible("#quantized")
    page.select_option("#model", "vega")
    page.check("#quantized")
    ask(page, "a red apple", seed=1)
    wait_for_end(page)
    assert "vega-int8" in facts(page)
    page.click("#hold")
    assert page.input_value("#picking select") == "vega"


def test_a_fork_goes_on_from_a_step_with_other_words(page: Page, address: str) -> None:
    ask(page, "a red apple", "xl", steps=8, seed=9)
    wait_for_end(page)
    first, parent = picture(page, address), page.evaluate("location.hash")
    page.click("#fork")
    page.fill("#fork-prompt", "a red apple on a purple background")
    page.keyboard.press("Control+Enter")
    page.wait_for_selector("#fork-dialog:not([open])", state="attached")
    wait_for_another(page, parent)
    wait_for_end(page)
    assert page.inner_text("#caption") == "a red apple on a purple background"
    assert re.search(r"forked from\s+\w+ image 0 step \d+", facts(page))
    assert np.abs(picture(page, address) - first).mean() > 1


def test_what_is_refused_is_told_at_its_field(page: Page) -> None:
    page.select_option("#model", "vega")
    page.fill("#prompt", "a red apple")
    page.fill("#steps", "0")
    page.fill("#width", "13")
    page.keyboard.press("Control+Enter")
    page.wait_for_selector("[data-field=steps] .error")
    assert "multiple of 8" in page.inner_text("[data-field=width] .error")
    assert page.get_attribute("#width", "aria-invalid") == "true"
    page.fill("#width", "128")
    assert not page.is_visible("[data-field=width] .error")
    page.check("input[value=refine]", force=True)
    page.keyboard.press("Control+Enter")
    page.locator("#source .error", has_text="choose a picture").wait_for()


def test_a_dropped_picture_brings_its_recipe_and_its_code_draws_it(
    page: Page, server: ServerProcess, address: str, tmp_path: Path
) -> None:
    ask(page, 'an owl\'s "cup"', seed=21)
    wait_for_end(page)
    drawn = file(page, address)
    page.fill("#prompt", "")
    page.fill("#seed", "")
    page.evaluate(DROP, base64.b64encode(drawn).decode())
    page.locator("#form-error", has_text="The recipe of x.png").wait_for()
    assert (page.input_value("#prompt"), page.input_value("#seed")) == ('an owl\'s "cup"', "21")

    page.click("#copy")
    page.locator("#snippets .tabs button").nth(0).click()
    page.fill("#grpc-address", server.address)
    tools = f"PATH={Path(sys.executable).parent}:$PATH"
    for at, (command, name) in enumerate(
        (([sys.executable, "-c"], "picture.png"), (["bash", "-c"], "picture-0.png"), (["bash", "-c"], "picture-0.png"))
    ):
        page.locator("#snippets .tabs button").nth(at).click()
        code = page.inner_text("#snippets pre")
        if command[0] == "bash":
            code = f"export {tools}\n{code}"
        folder = tmp_path / str(at)
        folder.mkdir()
        subprocess.run([*command, code], check=True, cwd=folder, timeout=60)
        assert np.array_equal(pixels((folder / name).read_bytes()), pixels(drawn)), code


def test_the_contact_sheet_is_walked_by_keys_and_forgets(page: Page) -> None:
    for seed in (31, 32):
        ask(page, "a dog", seed=seed)
        wait_for_end(page)
    page.fill("#find", "dog 31")
    page.wait_for_timeout(400)
    assert page.locator("#sheet .tile").count() == 1
    page.fill("#find", "dog")
    page.wait_for_timeout(400)
    tiles = page.locator("#sheet .tile")
    before = tiles.count()
    assert before >= 2
    tiles.nth(0).focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Enter")
    page.locator("#facts", has_text="31").wait_for()
    page.click("#delete")
    page.click("#delete")
    page.wait_for_selector("#empty:visible")
    assert tiles.count() == before - 1


def test_every_control_has_a_name_and_both_themes_differ(page: Page) -> None:
    assert page.evaluate(NAMELESS) == []
    ground = "getComputedStyle(document.body).backgroundColor"
    seen = set()
    for theme in ("dark", "light"):
        while page.inner_text("#theme") != f"Theme: {theme}":
            page.click("#theme")
        seen.add(page.evaluate(ground))
    assert len(seen) == 2
    page.set_viewport_size({"width": 390, "height": 800})
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
