"""What Prometheus is told: read by its own parser, and held against what was asked of the server."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path

import httpx
import pytest
from prometheus_client.openmetrics import parser as openmetrics
from prometheus_client.parser import text_string_to_metric_families
from safelight import Client, SafelightError
from safelight_server.callers import Right
from support.access import new_tokens
from support.http_server import HttpServer

SECRET = "a prompt that nobody else may see"
Labels = tuple[tuple[str, str], ...]


class Told(Mapping[tuple[str, Labels], float]):
    """The samples of one scrape, by name and labels; what is not there is 0."""

    def __init__(self, text: str) -> None:
        self.families = list(text_string_to_metric_families(text))
        samples = (sample for family in self.families for sample in family.samples)
        self._samples = {(sample.name, tuple(sorted(sample.labels.items()))): sample.value for sample in samples}

    def __getitem__(self, key: tuple[str, Labels]) -> float:
        return self._samples.get(key, 0.0)

    def __iter__(self) -> Iterator[tuple[str, Labels]]:
        return iter(self._samples)

    def __len__(self) -> int:
        return len(self._samples)

    def of(self, name: str, **labels: str) -> float:
        return self["safelight_" + name, tuple(sorted(labels.items()))]

    def values(self_, label: str) -> set[str]:  # type: ignore[override]
        return {value for _, labels in self_ for key, value in labels if key == label}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[HttpServer, dict[str, str]]]:
    file = tmp_path_factory.mktemp("metrics") / "tokens"
    known = new_tokens(file, alice=Right.DRAW, scraper=Right.READ)
    with HttpServer("--metrics=127.0.0.1:0", f"--tokens={file}") as process:
        yield process, known


@pytest.fixture
def scraper(server: tuple[HttpServer, dict[str, str]]) -> Iterator[httpx.Client]:
    with server[0].client(headers={"authorization": f"Bearer {server[1]['scraper']}"}) as client:
        yield client


@pytest.fixture
def alice(server: tuple[HttpServer, dict[str, str]]) -> Iterator[Client]:
    with Client(server[0].address, token=server[1]["alice"]) as client:
        yield client


def scrape(http: httpx.Client) -> Told:
    answer = http.get("/metrics")
    assert answer.status_code == 200
    return Told(answer.text)


def test_what_is_counted_is_what_happened(scraper: httpx.Client, alice: Client) -> None:
    before = scrape(scraper)
    alice.generate(SECRET, steps=4, seed=1)
    with alice.stream(SECRET, steps=4, seed=2) as events:
        for _ in events:
            pass
    with pytest.raises(SafelightError):
        alice.generate("x", steps=0)
    job = alice.submit(SECRET, steps=150, num_images=16, scheduler="euler")
    while not job.status().step:
        pass
    during = scrape(scraper)
    job.cancel()
    after = scrape(scraper)

    def grown(name: str, **labels: str) -> float:
        return after.of(name, **labels) - before.of(name, **labels)

    assert grown("jobs_ended_total", model="demo-vega", state="succeeded") == 2
    assert grown("jobs_ended_total", model="demo-vega", state="cancelled") == 1
    assert grown("refusals_total", door="grpc", reason="INVALID_REQUEST") == 1
    assert grown("requests_total", door="grpc") >= 5
    assert grown("requests_total", door="http") == 2
    assert grown("cancel_seconds_count") == 1
    assert 0 < grown("cancel_seconds_sum") < 60
    assert grown("previews_sent_total") + grown("previews_skipped_total") >= 3
    assert grown("checkpoints_total") > 0
    assert grown("inference_seconds_count", network="demo-vega/unet", shape="4x16x16") >= 8
    assert grown("inference_rows_total", network="demo-vega/unet") >= 8
    assert during.of("jobs", state="running", priority="normal") == 1
    assert during.of("lane_seconds_left", lane="CPU") > 1
    assert after.of("jobs", state="running", priority="normal") == 0
    assert after.of("lane_seconds_left", lane="CPU") == 0
    assert after.of("model_ready", model="demo-vega") == 1
    assert after.of("model_bytes", model="demo-vega") > 2**20
    assert after["process_resident_memory_bytes", ()] > 2**26


def test_no_label_is_a_callers_words_and_their_number_is_bounded(scraper: httpx.Client, alice: Client) -> None:
    for edge in range(64, 64 + 8 * 30, 8):
        for height in (64, 72):
            alice.generate(SECRET, steps=1, width=edge, height=height)
    for name in ("no such model", "nor this"):
        with pytest.raises(SafelightError):
            alice.generate("x", model=name)
    text = scraper.get("/metrics").text
    assert "prompt" not in text
    assert "such" not in text
    assert "alice" not in text
    told = Told(text)
    assert len(told.values("shape")) <= 49
    assert told.of("inference_seconds_count", network="demo-vega/unet", shape="other") > 0
    assert len(told) < 3000


def test_names_and_units_are_by_the_conventions(scraper: httpx.Client) -> None:
    for family in scrape(scraper).families:
        assert family.documentation, family.name
        if not family.name.startswith("safelight_"):
            continue
        assert re.fullmatch(r"[a-z][a-z_]*", family.name)
        assert not re.search(r"(milliseconds|_ms|_kb|_mb|percent)(_|$)", family.name), "in base units"
        if family.type == "counter":
            assert all(sample.name.endswith(("_total", "_created")) for sample in family.samples)
        if family.type == "histogram":
            assert family.name.endswith("_seconds")


def test_openmetrics_is_told_to_who_asks_for_it(scraper: httpx.Client) -> None:
    answer = scraper.get("/metrics", headers={"accept": "application/openmetrics-text; version=1.0.0"})
    assert answer.headers["content-type"].startswith("application/openmetrics-text")
    families = openmetrics.text_string_to_metric_families(answer.text)  # type: ignore[no-untyped-call]
    assert {family.name for family in families} > {"safelight_requests", "safelight_jobs"}


def test_the_door_of_their_own_has_nothing_else(server: tuple[HttpServer, dict[str, str]]) -> None:
    process, known = server
    found = re.search(r"the metrics are at (http://\S+)", process.log())
    assert found
    headers = {"authorization": f"Bearer {known['alice']}"}
    with httpx.Client(base_url=found[1]) as http:
        assert http.get("/healthz").status_code == 200
        assert http.get("/metrics").status_code == 401
        assert http.get("/metrics", headers=headers).status_code == 200
        for path in ("/", "/api/models", "/v1/models"):
            assert http.get(path, headers=headers).status_code == 404


def test_what_the_dashboard_and_the_alerts_ask_for_is_there(scraper: httpx.Client) -> None:
    folder = Path(__file__).parents[2] / "docs/operations"
    names = set()
    for family in scrape(scraper).families:
        names |= {family.name, f"{family.name}_total", *(f"{family.name}_{end}" for end in ("bucket", "sum", "count"))}
    for file in ("dashboard.json", "alerts.yml"):
        asked = set(re.findall(r"\b(?:safelight|process)_[a-z_]+", (folder / file).read_text(encoding="utf-8")))
        assert asked, file
        assert asked <= names, file
