"""Forward and backward pass as one CUDA graph: a light network's hundreds of kernels cost one launch an iteration."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from swath.errors import SwathError
from swath.training.checkpoint import random_states, restore_random_states
from swath.training.config import Stage
from swath.training.losses.registry import changes_with_time
from swath.training.stream import Batch

Work = Callable[[Batch], Tensor]  # a batch on the device -> its loss; leaves gradients in the parameters
Replay = Callable[[], object]

_WARMUPS = 3  # libraries choose their kernels and make their workspaces in the first passes


class Graph:
    """`graph(batch)` is `work(batch)`, captured at the first call and replayed on the same memory from then on.

    Gradients are overwritten by each replay, so nothing may set them to None, and the loss stands in one place. Warming
    up leaves no trace: statistics of norms and the like and the random numbers are put back.
    """

    def __init__(self, work: Work, learned: nn.Module, device: Device | None = None):
        self.work, self.learned = work, learned
        self.device = device or Device()
        self._batch: Batch = {}
        self._loss: Tensor | None = None
        self._replay: Replay | None = None

    def __call__(self, batch: Batch) -> Tensor:
        if self._replay is None:
            self._batch = {name: each.clone() for name, each in batch.items()}
            self._replay = self._captured()
        for name, each in batch.items():
            self._batch[name].copy_(each, non_blocking=True)
        self._replay()
        assert self._loss is not None
        return self._loss

    def _captured(self) -> Replay:
        states, before = random_states(), [each.clone() for each in self.learned.buffers()]
        try:
            self.device.warm_up(self._pass)
            self.learned.zero_grad(set_to_none=True)  # the capture makes gradients in memory of its own
            self._loss, replay = self.device.capture(self._pass)
        except RuntimeError as error:
            reason = str(error).splitlines()[0]
            raise SwathError(
                f"this training cannot be captured in a CUDA graph ({reason}); go on with --graphs false"
            ) from error
        for each, old in zip(self.learned.buffers(), before):
            each.copy_(old)
        restore_random_states(states)
        return replay

    def _pass(self) -> Tensor:
        return self.work(self._batch)


class Device:
    """What a CUDA device does for a graph; tests have another one."""

    def warm_up(self, work: Callable[[], Tensor]) -> None:
        """A few passes on a stream of their own, as captures are."""
        side = torch.cuda.Stream()
        side.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(side):
            for _ in range(_WARMUPS):
                work()
        torch.cuda.current_stream().wait_stream(side)

    def capture(self, work: Callable[[], Tensor]) -> tuple[Tensor, Replay]:
        """The place of the answer, and what computes it again. Only this thread's calls are watched: the loader's
        thread pins memory meanwhile."""
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph, capture_error_mode="thread_local"):
            answer = work()
        return answer, graph.replay


def check_graphs(stage: Stage, processes: int) -> None:
    """Refuse what a graph, which is the same in each iteration, cannot hold."""
    if not stage.graphs:
        return
    name = f"stage '{stage.name}': graphs"
    if processes > 1:
        raise SwathError(f"{name} is for one process, and there are {processes}; leave it out")
    losses = [stage.loss, *(task.loss for task in stage.tasks.values())]
    if stage.aux_loss is not None:
        losses.append(stage.aux_loss)
    if late := next((each for named in losses for each in changes_with_time(named)), None):
        raise SwathError(f"{name} repeats one iteration, and the loss '{late}' changes in the course of the stage")
