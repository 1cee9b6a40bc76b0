"""What happens, counted for Prometheus: an observer whose counters have few labels, and none that a caller writes."""

from __future__ import annotations

import re
from collections.abc import Sequence

from prometheus_client import CollectorRegistry, Counter, Histogram, disable_created_metrics

from safelight_server.jobs import JobState
from safelight_server.observer import Observer

SECONDS = (0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50, 100)
STOPPING = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5)
# Sizes are the callers' choice, and each has a dozen series: those that come after so many are counted as one.
MOST_SHAPES = 48
OTHER = "other"
REASON = re.compile(r"[A-Z][A-Z_]{1,39}")
MOST_REASONS = 64


class Counting(Observer):
    """Counts into `registry`."""

    def __init__(self, registry: CollectorRegistry) -> None:
        disable_created_metrics()  # type: ignore[no-untyped-call]  # a series more for each, that nobody asks for

        def counter(name: str, help: str, *labels: str) -> Counter:
            return Counter(f"safelight_{name}", help, labels, registry=registry)

        def histogram(name: str, help: str, buckets: Sequence[float], *labels: str) -> Histogram:
            return Histogram(f"safelight_{name}", help, labels, buckets=buckets, registry=registry)

        self._calls = counter("requests", "Calls that came, by door", "door")
        self._refusals = counter("refusals", "Calls that ended with an error, by its reason", "door", "reason")
        self._jobs = counter("jobs_ended", "Jobs that ended, by the model that they began on and how", "model", "state")
        self._stopping = histogram("cancel_seconds", "From the wish to stop a job to the end of its work", STOPPING)
        run = "Seconds of an inference, by network and by the shape of one row of its first input"
        self._inferences = histogram("inference_seconds", run, SECONDS, "network", "shape")
        self._rows = counter("inference_rows", "Rows of all inferences; rows of several jobs are run as one", "network")
        self._failures = counter("inference_failures", "Inferences that failed", "network")
        self._healings = counter("healings", "Networks that failed and were compiled anew", "network")
        self._checkpoints = counter("checkpoints", "States of jobs that were written down")
        self._sent = counter("previews_sent", "Previews that were painted and sent")
        self._skipped = counter("previews_skipped", "Previews that were not painted: a newer one came first")
        self._shapes: set[str] = set()
        self._reasons: set[str] = set()

    def call_began(self, door: str) -> None:
        self._calls.labels(door).inc()

    def call_refused(self, door: str, reason: str) -> None:
        known = _bounded(reason if REASON.fullmatch(reason) else OTHER, self._reasons, MOST_REASONS)
        self._refusals.labels(door, known).inc()

    def job_moved(self, job_id: str, model: str, state: JobState) -> None:
        if state.final:
            self._jobs.labels(model, state.value).inc()

    def job_stopped(self, seconds: float) -> None:
        self._stopping.observe(seconds)

    def inference_ended(self, network: str, shape: Sequence[int], seconds: float) -> None:
        row = _bounded("x".join(map(str, shape[1:])), self._shapes, MOST_SHAPES)
        self._inferences.labels(network, row).observe(seconds)
        self._rows.labels(network).inc(shape[0])

    def inference_failed(self, network: str, rows: int) -> None:
        self._failures.labels(network).inc()

    def network_healed(self, network: str) -> None:
        self._healings.labels(network).inc()

    def checkpoint_written(self) -> None:
        self._checkpoints.inc()

    def item_read(self, kind: str) -> None:
        if kind == "Frame":
            self._sent.inc()

    def item_dropped(self, kind: str) -> None:
        if kind == "Frame":
            self._skipped.inc()


def _bounded(value: str, known: set[str], most: int) -> str:
    """The value, while there are few of them."""
    if value not in known and len(known) >= most:
        return OTHER
    known.add(value)
    return value
