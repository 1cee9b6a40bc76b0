"""The calls of JobService that are answered by one message: a message in, a message out, whatever the door."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from functools import partial

from safelight.v1 import jobs_pb2 as pb

from safelight_server.contract import forks, pages, receipts
from safelight_server.contract.requests import asked_in, check_request, plan_from, takes_long
from safelight_server.desk import Desk
from safelight_server.engine import estimate
from safelight_server.events import Image
from safelight_server.jobs import OnDisconnect

from . import events, jobs
from .asking import Call, ask_for


class JobCalls:
    """Each raises what the desk and the jobs do."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    async def submit(self, request: pb.SubmitRequest, call: Call) -> pb.Job:
        check_request(request)
        asked = asked_in(request)
        check = partial(plan_from, asked, job_id=call.id, prefix=f"{request.WhichOneof('request')}.")
        ask = ask_for(asked, call._replace(deadline=None), OnDisconnect.KEEP)  # the job has more time than this call
        job_id = await self._desk.take(ask, check, unpacks=takes_long(asked))
        self._desk.expect(job_id)
        return await self.get(job_id)

    async def get(self, job_id: str) -> pb.Job:
        view, book = await self._desk.view(job_id), self._desk.jobs
        record = book.live.get(job_id)
        return jobs.job(view, estimate.eta(book.engine, record.drawing) if record else None)

    async def page(self, request: pb.ListJobsRequest) -> pb.ListJobsResponse:
        page = pages.read(request)
        views = await self._desk.page(page.size + 1, page.before, page.state, request.model)
        token = pages.next_token(page, [(view.created, view.id) for view in views])
        return pb.ListJobsResponse(jobs=[jobs.job(view) for view in views[: page.size]], next_page_token=token)

    async def delete(self, job_id: str) -> None:
        await self._desk.jobs.delete(job_id)

    async def cancel(self, job_id: str) -> pb.Job:
        return jobs.job(await self._desk.jobs.cancel(job_id))

    async def finish(self, job_id: str) -> pb.Job:
        return jobs.job(await self._desk.jobs.finish(job_id))

    async def fork(self, request: pb.ForkRequest, call: Call) -> pb.Job:
        fork = forks.Fork(request)
        ask = ask_for(request, call._replace(deadline=None), OnDisconnect.KEEP)._replace(pack=fork.pack)
        check = partial(fork.plan_from, job_id=call.id)
        step = request.step if request.HasField("step") else None
        job_id = await self._desk.fork(ask, request.job_id, request.image_index, step, check)
        self._desk.expect(job_id)
        return await self.get(job_id)

    async def estimate(self, request: pb.EstimateRequest, call: Call) -> pb.EstimateResponse:
        check_request(request)
        asked = asked_in(request)
        check = partial(plan_from, asked, job_id=call.id, prefix=f"{request.WhichOneof('request')}.")
        plan = await self._desk.check(check, call.caller, unpacks=takes_long(asked))
        return jobs.estimate(estimate.estimate(self._desk.jobs.engine, plan, call.caller))

    async def verify(self, request: pb.VerifyRequest, call: Call) -> pb.VerifyResponse:
        claim = await self._desk.check(lambda infos: receipts.read(request), call.caller)
        check = partial(plan_from, claim.request, job_id=call.id, prefix="receipt.")
        job_id = await self._desk.take(ask_for(claim.request, call), check, unpacks=takes_long(claim.request))
        async with aclosing(self._desk.attach(job_id, None, call.deadline)) as told:
            async for _, event in told:
                if isinstance(event, Image):
                    return await asyncio.to_thread(claim.verdict, event.data, events.image(event).receipt)
        raise AssertionError("a job ends with a picture, or raises")
