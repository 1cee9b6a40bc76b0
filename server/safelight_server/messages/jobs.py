"""How jobs stand, as messages of the contract."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from google.protobuf.json_format import ParseDict
from google.protobuf.timestamp_pb2 import Timestamp
from safelight.v1 import images_pb2 as images
from safelight.v1 import jobs_pb2 as pb

from safelight_server.contract import pages, terms
from safelight_server.engine.estimate import Estimate, Spread
from safelight_server.engine.job_record import JobView

from .events import duration

STATES = {state: number for number, state in pages.STATES.items()}
POLICIES = {policy: number for number, policy in terms.POLICIES.items()}
REQUESTS: dict[str, Any] = {"generate": images.GenerateRequest, "refine": images.RefineRequest}


def job(view: JobView, eta: Spread | None = None) -> pb.Job:
    asked = ParseDict(dict(view.recipe), REQUESTS[view.method](), ignore_unknown_fields=True)
    return pb.Job(
        id=view.id,
        state=STATES[view.state],
        image_index=view.index,
        step=view.step,
        steps=view.steps,
        position=view.position,
        eta=interval(eta) if eta else None,
        last_sequence=view.last_sequence,
        create_time=_time(view.created),
        end_time=_time(view.ended),
        expire_time=_time(view.expires),
        **{view.method: asked},
        images_done=view.images_done,
        num_images=view.num_images,
        checkpoints=[pb.Checkpoints(image_index=index, steps=steps) for index, steps in view.checkpoints.items()],
        failure=pb.Failure(**view.failure._asdict()) if view.failure else None,
        warnings=view.warnings,
        forked_from=view.forked_from,
        request_id=view.terms.request_id,
        on_disconnect=POLICIES[view.terms.on_disconnect],
        finished_early=view.finished_early,
    )


def estimate(found: Estimate) -> pb.EstimateResponse:
    return pb.EstimateResponse(
        wait=interval(found.wait),
        work=interval(found.work),
        total=interval(found.total),
        peak_bytes=found.peak_bytes,
        fits=found.fits,
        is_known=found.is_known,
    )


def interval(spread: Spread) -> pb.Interval:
    return pb.Interval(low=duration(spread.low), likely=duration(spread.likely), high=duration(spread.high))


def _time(seconds: float | None) -> Timestamp | None:
    if seconds is None:
        return None
    timestamp = Timestamp()
    timestamp.FromDatetime(datetime.fromtimestamp(seconds, UTC))
    return timestamp
