"""What happened in a call when, in monotonic seconds, and what of it was Weir's own share."""

from __future__ import annotations


class Timeline:
    """Monotonic seconds of what happened when; 0.0 means not (yet)."""

    __slots__ = (
        "_own_s", "busy", "ended", "first", "headers", "plugins", "queue_s", "read", "sent", "start", "upstream_end",
    )  # fmt: skip

    def __init__(self, start: float) -> None:
        self.start = start
        """The request line was there."""
        self.read = 0.0
        """The body was there."""
        self.sent = 0.0
        """The last attempt was given to the upstream."""
        self.headers = 0.0
        """The upstream's status was there."""
        self.first = 0.0
        """The first content went to the caller."""
        self.upstream_end = 0.0
        """The upstream's last byte was there."""
        self.ended = 0.0
        """The caller's last byte was written."""
        self.queue_s = 0.0
        self.busy = 0.0
        """Seconds Weir itself worked on the answer while it ran (streams)."""
        self.plugins: dict[str, float] = {}
        """Seconds inside each plugin's hooks and filters."""
        self._own_s: float | None = None

    def close(self, ended: float) -> None:
        """The caller's last byte is written: nothing changes any more."""
        self.ended = ended
        self._own_s = self._share_s()

    @property
    def own_s(self) -> float:
        """Weir's own share: before the call left (without the queue), while the answer ran, after its last byte."""
        own_s = self._own_s
        return self._share_s() if own_s is None else own_s

    def _share_s(self) -> float:
        if not self.sent:
            return max(0.0, self.ended - (self.read or self.start))
        before = self.sent - (self.read or self.start) - self.queue_s
        after = self.ended - self.upstream_end if self.upstream_end else 0.0
        return max(0.0, before) + self.busy + max(0.0, after)
