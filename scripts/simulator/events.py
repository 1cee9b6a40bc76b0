"""Plays a trace: jobs come in, their steps go from lane to lane, clients leave and deadlines pass."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence

from .lanes import Lane, Run, Task
from .traces import Job


def play(
    jobs: Sequence[Job], lanes: Sequence[Lane], *, inline: bool, on_end: Callable[[], object] = lambda: None
) -> list[Run]:
    """Plays jobs, given by order of arrival, to their ends.

    `inline`: a job waits for each of its previews, as for a callback.
    """
    return _Play(jobs, lanes, inline, on_end).run()


class _Play:
    def __init__(self, jobs: Sequence[Job], lanes: Sequence[Lane], inline: bool, on_end: Callable[[], object]) -> None:
        self._lanes, self._inline, self._on_end = lanes, inline, on_end
        self._orders = itertools.count()
        self._runs = [Run(job, _rest(job)) for job in jobs]
        # All that clients do is known: each comes (0), and leaves after its patience (1). The next of these is last.
        comes = [(run.job.arrival, 0, i) for i, run in enumerate(self._runs)]
        leaves = [(_patience(run.job), 1, i) for i, run in enumerate(self._runs)]
        self._clients = sorted((event for event in comes + leaves if event[0] < math.inf), reverse=True)

    def run(self) -> list[Run]:
        while (now := self._next()) < math.inf:
            for lane in self._lanes:
                if lane.next is not None and lane.next <= now:
                    for task in lane.done(now):
                        self._done(task, now)
            while self._clients and self._clients[-1][0] <= now:
                _, leaves, i = self._clients.pop()
                if not leaves:
                    self._submit(self._runs[i], now)
                elif self._runs[i].ended is None:
                    self._end(self._runs[i], now)
            for lane in self._lanes:
                lane.start(now)
        return self._runs

    def _next(self) -> float:
        ends = [lane.next for lane in self._lanes if lane.next is not None]
        return min([*ends, self._clients[-1][0] if self._clients else math.inf], default=math.inf)

    def _done(self, task: Task, now: float) -> None:
        run, preview = task.run, task.step.preview
        if task.preview:
            run.delays.append(now - task.since)
        else:
            run.at += 1
            run.served += now - task.began
            if run.at == len(run.job.steps):
                run.finished = True
                self._end(run, now)
                return
            if preview:
                self._add(Task(run, task.step, True, now, next(self._orders)), now)
        if task.preview == (self._inline and preview > 0):
            self._submit(run, now)

    def _submit(self, run: Run, now: float) -> None:
        order = next(self._orders)
        step = run.job.steps[run.at]
        run.entered.setdefault(step.lane, order)
        self._add(Task(run, step, False, now, order), now)

    def _add(self, task: Task, now: float) -> None:
        self._lanes[task.step.lane].add(task, now)

    def _end(self, run: Run, now: float) -> None:
        run.ended = now
        for lane in self._lanes:
            lane.drop(run, now)
        self._on_end()


def _rest(job: Job) -> list[float]:
    backwards = itertools.accumulate(step.estimate for step in reversed(job.steps))
    return list(backwards)[::-1]


def _patience(job: Job) -> float:
    return min((time for time in (job.deadline, job.leaves) if time is not None), default=math.inf)
