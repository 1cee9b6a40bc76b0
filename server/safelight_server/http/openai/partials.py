"""Which previews of a picture a stream gets: as many as were asked for, whatever its steps, spread evenly over them."""

from __future__ import annotations


class Partials:
    """The previews of one picture, `count` of them."""

    def __init__(self, count: int) -> None:
        self._count = count
        self._sent = 0
        self.last = b""  # the newest preview

    def after(self, step: int, steps: int, preview: bytes) -> range:
        """The indexes at which this preview is due. Where a slow reader has missed one, the next makes up for it."""
        self.last = preview
        due = self._sent
        while due < self._count and step >= max(1, round(steps * (due + 1) / (self._count + 1))):
            due += 1
        return self._send(due)

    def rest(self) -> range:
        """Those that were not due before the picture was finished."""
        return self._send(self._count)

    def _send(self, upto: int) -> range:
        began, self._sent = self._sent, upto
        return range(began, upto)
