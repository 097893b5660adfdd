"""What ends a run before its end: a signal, or a loss that is no number."""

from __future__ import annotations

import signal
import threading
from collections.abc import Sequence
from types import FrameType
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer


class Stop:
    """The first Ctrl-C or SIGTERM only raises a flag, which the loop looks at after a step; the second ends at once."""

    def __init__(self) -> None:
        self.signal: int | None = None
        self._before: dict[int, Any] = {}

    def __enter__(self) -> Stop:
        main = threading.current_thread() is threading.main_thread()  # elsewhere Python allows no handlers
        for number in (signal.SIGINT, signal.SIGTERM) if main else ():
            self._before[number] = signal.signal(number, self._raise_flag)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _raise_flag(self, number: int, _: FrameType | None) -> None:
        self.signal = number
        signal.signal(signal.SIGINT, signal.default_int_handler)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)


class Stopped(Exception):
    """The loop has saved its state and leaves because of `signal`."""

    def __init__(self, signal_number: int):
        super().__init__(f"stopped by {signal.Signals(signal_number).name}")
        self.signal = signal_number


class NotFinite(Exception):
    """The loss of an iteration was not finite; `indices` are the pictures of its batch."""

    def __init__(self, value: float, step: int, indices: Sequence[int]):
        super().__init__(f"loss {value} at iteration {step}")
        self.value, self.step, self.indices = value, step, list(indices)


class FiniteLoss:
    """Sees each loss before the optimiser's step.

    On the CPU looking at a number is free: it raises at once. Elsewhere looking would stop the pipeline, so the device
    itself skips the step (fused optimisers take `found_inf`), and the number is read one iteration later.
    """

    def __init__(self) -> None:
        self._pending: list[tuple[Any, Tensor, int, Tensor]] = []

    def see(self, loss: Tensor, step: int, indices: Tensor, optimiser: Optimizer) -> None:
        """Look at the loss of iteration `step`, or have it looked at."""
        if loss.device.type == "cpu":
            self._judge(loss, step, indices)
            return
        optimiser.found_inf = (~torch.isfinite(loss)).float()  # type: ignore[attr-defined]
        copy = torch.empty((), dtype=loss.dtype, pin_memory=True)
        copy.copy_(loss.detach(), non_blocking=True)
        event = torch.cuda.Event()
        event.record()  # type: ignore[no-untyped-call]
        self._pending.append((event, copy, step, indices))
        if len(self._pending) > 1:
            self._settle()

    def settle(self) -> None:
        """Wait for all that is still unread; before anything is saved."""
        while self._pending:
            self._settle()

    def _settle(self) -> None:
        event, copy, step, indices = self._pending.pop(0)
        event.synchronize()
        self._judge(copy, step, indices)

    @staticmethod
    def _judge(loss: Tensor, step: int, indices: Tensor) -> None:
        value = loss.item()
        if not (value - value == 0):
            raise NotFinite(value, step, indices.tolist())
