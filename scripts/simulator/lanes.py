"""Devices in simulated time: one that runs step by step as a policy chooses, one that threads share."""

from __future__ import annotations

import heapq
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from .traces import Job, Step

LOSS = 1.06  # measured: how much longer two compiled UNets take at once on the same cores than one after the other


@dataclass(eq=False, slots=True)
class Run:
    """A job, and how far it is."""

    job: Job
    rest: list[float]  # estimated seconds of work from each step on
    at: int = 0
    served: float = 0.0
    entered: dict[int, int] = field(default_factory=dict)  # by lane: the order of its first coming there
    ended: float | None = None  # with its picture; or without, by its deadline or its client
    finished: bool = False
    delays: list[float] = field(default_factory=list)  # seconds from each step to its preview


@dataclass(eq=False, slots=True)
class Task:
    """A step of a job, or a preview of it, before a lane."""

    run: Run
    step: Step
    preview: bool
    since: float  # when it came to the lane
    order: int  # of submission
    began: float = 0.0

    @property
    def seconds(self) -> float:
        return self.step.preview if self.preview else self.step.seconds

    @property
    def graph(self) -> str | None:
        return None if self.preview else self.step.graph

    @property
    def entered(self) -> int:
        return self.run.entered[self.step.lane]


Choose = Callable[[Sequence[Task], float], int]
Gains = Mapping[int, float]  # so many steps of one graph as one batch: so many times the seconds of one


class Lane(ABC):
    """A device. Its jobs' steps and previews wait before it and run on it as its class says."""

    next: float | None = None  # when something ends; None while it is idle

    @abstractmethod
    def add(self, task: Task, now: float) -> None: ...

    @abstractmethod
    def drop(self, run: Run, now: float) -> None:
        """Drops all of a job that waits or runs. A running step takes milliseconds to stop: no time, here."""

    @abstractmethod
    def start(self, now: float) -> None:
        """Starts what can start, after everything else that happened at this moment."""

    @abstractmethod
    def done(self, now: float) -> Sequence[Task]:
        """The tasks that end now, at `next`."""


class StepLane(Lane):
    """One step at a time, to its end. Steps of one graph are joined if they fill a batch of `gains`."""

    def __init__(self, choose: Choose, gains: Gains) -> None:
        self._choose = choose
        self._gains = dict(sorted({1: 1.0, **gains}.items(), reverse=True))
        self._waiting: list[Task] = []
        self._running: list[Task] = []

    def add(self, task: Task, now: float) -> None:
        self._waiting.append(task)

    def drop(self, run: Run, now: float) -> None:
        self._waiting = [task for task in self._waiting if task.run is not run]
        self._running = [task for task in self._running if task.run is not run]
        if not self._running:
            self.next = None

    def start(self, now: float) -> None:
        if self._waiting and not self._running:
            first = self._waiting.pop(self._choose(self._waiting, now))
            self._running = [first, *self._join(first, now)]
            for task in self._running:
                task.began = now
            self.next = now + first.seconds * self._gains[len(self._running)]

    def _join(self, first: Task, now: float) -> list[Task]:
        if first.graph is None or len(self._gains) == 1:
            return []
        alike = [task for task in self._waiting if task.graph == first.graph]
        size = next(size for size in self._gains if size <= len(alike) + 1)
        joined = []
        for _ in range(size - 1):
            joined.append(alike.pop(self._choose(alike, now)))
            self._waiting.remove(joined[-1])
        return joined

    def done(self, now: float) -> Sequence[Task]:
        done, self._running, self.next = self._running, [], None
        return done


class SharedLane(Lane):
    """Threads: all tasks run at once, each with an equal share of the device, and slower in all."""

    def __init__(self, loss: float = LOSS) -> None:
        self._loss = loss
        self._tasks: list[tuple[float, int, Task]] = []  # a heap by the virtual time at which each is done
        self._virtual = 0.0  # seconds that each of the tasks has had
        self._at = 0.0

    def _advance(self, now: float) -> None:
        self._virtual += (now - self._at) / self._slowness()
        self._at = now

    def _slowness(self) -> float:
        return len(self._tasks) * self._loss if len(self._tasks) > 1 else 1.0

    def add(self, task: Task, now: float) -> None:
        self._advance(now)
        task.began = now
        heapq.heappush(self._tasks, (self._virtual + task.seconds, task.order, task))

    def drop(self, run: Run, now: float) -> None:
        self._advance(now)
        self._tasks = [entry for entry in self._tasks if entry[2].run is not run]
        heapq.heapify(self._tasks)

    def start(self, now: float) -> None:
        self._advance(now)
        left = self._tasks[0][0] - self._virtual if self._tasks else 0.0
        self.next = now + max(0.0, left) * self._slowness() if self._tasks else None

    def done(self, now: float) -> Sequence[Task]:
        self._advance(now)
        self._virtual, _, task = heapq.heappop(self._tasks)
        return [task]
