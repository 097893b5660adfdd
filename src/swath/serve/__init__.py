"""A small HTTP service: pictures in, label maps out. Starlette and uvicorn carry it; torch sees whole batches."""

from __future__ import annotations

from swath.errors import SwathError


def check_installed() -> None:
    """Say what is missing before anything is loaded."""
    try:
        import starlette  # noqa: F401
        import uvicorn  # noqa: F401
    except ImportError as error:
        raise SwathError(f"a service needs the package '{error.name}'; pip install 'swath[serve]'") from error
