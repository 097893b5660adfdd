"""What ends a run before its end: a signal, or a loss or gradient that is no number."""

from __future__ import annotations

import signal
import threading
from types import FrameType
from typing import Any

import torch
from torch import Tensor

from swath.training.optimisers import Optimisers


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
    """The loss or the gradient of an iteration was not finite."""

    def __init__(self, loss: float, gradient: float, step: int):
        what = (
            f"loss of iteration {step} is {loss}"
            if not _finite(loss)
            else f"gradient of iteration {step} is {gradient}"
        )
        super().__init__(f"the {what}")
        self.loss, self.gradient, self.step = loss, gradient, step


class Finite:
    """Sees the loss of each iteration and the norm of its gradient before the optimiser's step.

    On the CPU looking at a number is free: it raises at once. Elsewhere looking would stop the pipeline, so the device
    itself skips the step (fused optimisers take `found_inf`), and the numbers are read in the next iteration, before
    its step: the weights are still those that went wrong.
    """

    def __init__(self) -> None:
        self._pending: list[tuple[Any, Tensor, int]] = []

    def see(self, loss: Tensor, gradient: Tensor, step: int, optimiser: Optimisers) -> None:
        """Look at the numbers of iteration `step`, or have them looked at."""
        both = torch.stack([loss.detach().float(), gradient.detach().float()])
        if loss.device.type == "cpu":
            _judge(both, step)
            return
        optimiser.skip_if((~torch.isfinite(both).all()).float())
        copy = torch.empty(2, pin_memory=True)
        copy.copy_(both, non_blocking=True)
        event = torch.cuda.Event()
        event.record()  # type: ignore[no-untyped-call]
        self._pending.append((event, copy, step))
        if len(self._pending) > 1:
            self._settle()

    def settle(self) -> None:
        """Wait for all that is still unread; before anything is saved."""
        while self._pending:
            self._settle()

    def _settle(self) -> None:
        event, copy, step = self._pending.pop(0)
        event.synchronize()
        _judge(copy, step)


def _judge(both: Tensor, step: int) -> None:
    loss, gradient = both.tolist()
    if not (_finite(loss) and _finite(gradient)):
        raise NotFinite(loss, gradient, step)


def _finite(value: float) -> bool:
    return value - value == 0
