"""What libraries say about themselves while they work, kept from people whom it does not concern."""

from __future__ import annotations

import contextlib
import logging
import os
import sys
import threading
import warnings
from collections.abc import Iterator
from pathlib import Path

_turn = threading.RLock()


@contextlib.contextmanager
def quiet(*loggers: str, prints: bool = False) -> Iterator[None]:
    """No warnings, nothing below an error from these loggers ("" is the root), and with `prints` nothing printed."""
    before = [(logger, logger.level) for logger in map(logging.getLogger, loggers)]
    for logger, _ in before:
        logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings(), _nowhere() if prints else contextlib.nullcontext():
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, level in before:
            logger.setLevel(level)


@contextlib.contextmanager
def _nowhere() -> Iterator[None]:
    with Path(os.devnull).open("w") as file, contextlib.redirect_stdout(file):
        yield


@contextlib.contextmanager
def silence() -> Iterator[None]:
    """Nothing on the file behind stderr, for libraries in C that ask nobody. Other threads are silent with it."""
    with _turn:  # two at once would each keep the other's nothing
        sys.stderr.flush()
        kept, nothing = os.dup(2), os.open(os.devnull, os.O_WRONLY)
        os.dup2(nothing, 2)
        try:
            yield
        finally:
            os.dup2(kept, 2)
            os.close(kept)
            os.close(nothing)
