"""One thread a process: on shared cores more threads wait for each other (and the tests run in parallel anyway)."""

from __future__ import annotations

import logging
import sys
from pathlib import Path

import cv2
import pytest
import torch

sys.path.insert(0, str(Path(__file__).parent))  # golden_facts.py is shared by several folders of tests

torch.set_num_threads(1)
cv2.setNumThreads(1)


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(0)


@pytest.fixture(autouse=True)
def _own_words() -> None:
    """Some libraries put a handler on the root logger, which writes to the standard error of an earlier test."""
    logging.getLogger().handlers.clear()
