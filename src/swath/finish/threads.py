"""The rows of cells of several pictures, shared out to threads."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import torch

LABELS, PROBABILITIES = 1 << 21, 1 << 18  # pixels worth a thread: about 0.6 and 3 ms of work, and 0.5 ms to start one
_PIECES = 4  # pieces a thread: some are all sky, some all borders


def spread(work: Callable[[int, int, int], None], pictures: int, rows: int, pixels: int, a_thread: int) -> None:
    """work(picture, first row, last row + 1) over all rows of all pictures of `pixels` each, by as many threads as
    torch may use and are worth it. They live as long as the call: nothing is left over that a fork could break."""
    threads = max(1, min(torch.get_num_threads(), pictures * pixels // a_thread))
    if threads == 1:
        for picture in range(pictures):
            work(picture, 0, rows)
        return
    step = max(1, rows * pictures // (threads * _PIECES))

    def some(piece: tuple[int, int]) -> None:
        picture, first = piece
        work(picture, first, min(first + step, rows))

    with ThreadPoolExecutor(threads) as pool:
        for _ in pool.map(some, itertools.product(range(pictures), range(0, rows, step))):
            pass  # what went wrong in a thread is raised here
