"""How things stand at the moment when Prometheus asks: jobs, lanes, models, the store."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator

from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from safelight_server.desk import Desk
from safelight_server.engine.admission import seconds_left
from safelight_server.engine.engine import Engine
from safelight_server.jobs import JobState, Priority
from safelight_server.lanes.lane import Lane
from safelight_server.model_folder.model_config import ModelConfig
from safelight_server.models import inspection

Sample = tuple[tuple[str, ...], float]
STATES = JobState.QUEUED, JobState.RUNNING


class Standing(Collector):
    """Of the engine that the desk has; nothing before the models are loaded."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    def describe(self) -> Iterable[GaugeMetricFamily]:
        return ()  # Prometheus's own code would call collect for it

    def collect(self) -> Iterator[GaugeMetricFamily]:
        if self._desk.book is None:
            return
        engine = self._desk.book.engine
        for name, help, labels, samples in (
            ("jobs", "Jobs that are not over", ("state", "priority"), _jobs(engine)),
            ("lane_seconds_left", "Seconds of work ahead of a lane", ("lane",), _seconds_left(engine)),
            ("lane_stuck", "1 while an inference of a lane hangs", ("lane",), _stuck(engine)),
            ("model_ready", "1 while a model takes jobs", ("model",), _ready(engine)),
            ("model_loaded", "1 while a model is loaded; a request loads one that is not", ("model",), _loaded(engine)),
            ("model_bytes", "Bytes of a model's weights; models may share files", ("model",), _bytes(engine)),
            (
                "checkpoint_seconds",
                "What writing a state down takes",
                (),
                [((), self._desk.book.store.checkpoint_seconds)],
            ),
        ):
            family = GaugeMetricFamily(f"safelight_{name}", help, labels=labels)
            for values, number in samples:
                family.add_metric(values, number)
            yield family


def _jobs(engine: Engine) -> list[Sample]:
    drawings = engine.drawings.all()
    count = Counter((drawing.state, drawing.subscribers.priority) for drawing in drawings)
    return [((state.value, priority.name.lower()), count[state, priority]) for state in STATES for priority in Priority]


def _lanes(engine: Engine) -> dict[str, Lane]:
    """By device, and numbered where there are several on one."""
    found: dict[str, Lane] = {}
    for lane in {id(model.lane): model.lane for model in engine.models.values()}.values():
        same = sum(other.device == lane.device for other in found.values())
        found[f"{lane.device}-{same + 1}" if same else lane.device] = lane
    return found


def _seconds_left(engine: Engine) -> list[Sample]:
    left: defaultdict[int, float] = defaultdict(float)
    for drawing in engine.drawings.all():
        for lane in drawing.runner.lanes:
            left[lane] += seconds_left(drawing)
    return [((name,), left[id(lane)]) for name, lane in _lanes(engine).items()]


def _stuck(engine: Engine) -> list[Sample]:
    return [((name,), float(lane.stuck)) for name, lane in _lanes(engine).items()]


def _ready(engine: Engine) -> list[Sample]:
    return [((name,), float(ready)) for name, ready in engine.health().items()]


def _loaded(engine: Engine) -> list[Sample]:
    return [((name,), float(name in engine.models)) for name in engine.infos]


def _bytes(engine: Engine) -> list[Sample]:
    return [((name,), _weights(model.config)) for name, model in engine.models.items()]


def _weights(config: ModelConfig) -> float:
    try:
        return sum(inspection.weights(config).values())
    except OSError:  # the folder was taken away
        return 0
