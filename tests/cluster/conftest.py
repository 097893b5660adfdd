from __future__ import annotations

from archives import archive, here  # noqa: F401
