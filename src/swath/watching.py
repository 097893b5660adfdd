"""What long work tells whoever watches it."""

from __future__ import annotations

from typing import Protocol


class Watch(Protocol):
    """Told what is being done, and how far it is; `total` None: nobody knows."""

    def __call__(self, what: str, done: int = 0, total: int | None = None) -> None: ...
