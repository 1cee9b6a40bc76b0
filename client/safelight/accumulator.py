"""Makes the result of a stream out of its messages."""

from __future__ import annotations

from .acceleration import Acceleration
from .errors import Internal
from .events import Done, Event, ImageDone, Message, Resumed, Started, event_from
from .pictures import Picture
from .results import Result, Timings


class Accumulator:
    """What the messages of a job have said so far."""

    def __init__(self) -> None:
        self.job_id = ""
        self._parts = bytearray()  # of a picture that comes in pieces
        self._pictures: dict[int, Picture] = {}
        self._timings: Timings | None = None
        self._warnings: tuple[str, ...] = ()
        self._acceleration: Acceleration | None = None

    def take(self, message: Message) -> Event | None:
        """Adds a message, and returns its event.

        None for an event that is newer than this client, and for a piece of a picture that more pieces follow. Raises
        Internal for pieces that do not fit together.
        """
        if message.HasField("image_part"):
            whole = self._join(message)
            return None if whole is None else self.take(whole)
        event = event_from(message)
        self.job_id = message.job_id
        if isinstance(event, Started):
            self._warnings, self._acceleration = event.warnings, event.acceleration
        elif isinstance(event, Resumed) and event.warning:
            self._warnings += (event.warning,)
        elif isinstance(event, ImageDone):
            self._pictures[event.index] = event
        elif isinstance(event, Done):
            self._timings = event.timings
        return event

    def _join(self, message: Message) -> Message | None:
        """The message of the whole picture, once its last piece is there."""
        part = message.image_part
        if part.offset == 0:
            self._parts.clear()
        end = part.offset + len(part.image.data)
        if part.offset != len(self._parts) or end > part.total_bytes:
            raise Internal("the pieces of a picture do not fit together", code="INTERNAL")
        self._parts += part.image.data
        if end < part.total_bytes:
            return None
        whole = type(message)(job_id=message.job_id, sequence=message.sequence, image=part.image)
        whole.image.data = bytes(self._parts)
        self._parts.clear()
        return whole

    def result(self) -> Result:
        """The result of a stream that has ended. Raises Internal if the job was not done by then."""
        if self._timings is None:
            raise Internal("the stream ended before the job was done", code="INTERNAL")
        pictures = tuple(self._pictures[index] for index in sorted(self._pictures))
        return Result(self.job_id, pictures, self._timings, self._warnings, self._acceleration)
