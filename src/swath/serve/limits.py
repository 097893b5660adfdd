"""What a service grants its clients, and how it says no."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Limits:
    """The options of `swath serve`, and what follows from them."""

    batch: int = 8  # pictures that go through the network together
    wait: float = 0.005  # seconds that a picture waits for others of its size
    queue: int = 64  # pictures that may be under way; who comes later is sent away at once
    megabytes: int = 16  # of one request
    megapixels: int = 16  # of one picture
    timeout: float = 30  # seconds from a request's header to its answer
    grace: float = 30  # seconds for what is under way when the service is told to stop
    connections: int = 512  # fewer than the files that most systems let a process open
    head: float = 10  # seconds for the header of a request, and for a client that takes nothing of its answer

    @property
    def body(self) -> int:
        return self.megabytes << 20

    @property
    def bodies(self) -> int:
        """Bytes of requests that are being read: many slow uploads together must not fill the memory."""
        return 16 * self.body

    @property
    def pixels(self) -> int:
        """Of one picture, and so of one batch: a batch must not need more memory than the largest picture does."""
        return self.megapixels * 1_000_000

    @property
    def decoded(self) -> int:
        """Pixels that are held decoded: one batch in the network, the next one, and one that is being written."""
        return 3 * self.pixels


class Refused(Exception):
    """An answer other than 200: its status, and one sentence that says what to do."""

    def __init__(self, status: int, sentence: str, headers: dict[str, str] | None = None):
        super().__init__(sentence)
        self.status = status
        self.sentence = sentence
        self.headers = headers or {}


def busy(sentence: str) -> Refused:
    return Refused(503, f"{sentence}; try again in a moment", {"Retry-After": "1"})
