"""CUDA graphs: the launches of all kernels of a network, recorded once for a size and then repeated as one.

A light network on a fast GPU waits for Python and the driver more than for its kernels; a recording has neither.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable

import torch
from torch import Tensor

from swath.inference.runtimes.torch import TorchRuntime

_KEPT = 8  # recordings; each size of pictures needs its own, and the memory of all its maps
_WARM = 3  # runs before a recording: libraries choose their kernels and make their workspaces, which cannot be recorded

Recording = Callable[[Tensor], Tensor]


class Graphs:
    """Any network on a CUDA device. A size that has not been seen of late is recorded at its first picture."""

    def __init__(self, eager: TorchRuntime, kept: int = _KEPT):
        self.eager = eager
        self.description = eager.description
        self.device = eager.device
        self.engine = f"{eager.engine}, CUDA graphs"
        self._kept = kept
        self._recordings: OrderedDict[tuple[int, ...], Recording] = OrderedDict()
        self._turn = threading.Lock()  # a recording has one input and one output, and recording allows no other work

    def run(self, pixels: Tensor) -> Tensor:
        shape = tuple(pixels.shape)
        with self._turn, torch.inference_mode(), torch.cuda.device(self.device):
            recording = self._recordings.get(shape)
            if recording is None:
                while len(self._recordings) >= self._kept:
                    self._recordings.popitem(last=False)  # frees its memory before the next one takes more
                recording = self._recordings[shape] = self._record(pixels)
            self._recordings.move_to_end(shape)
            return recording(pixels)

    def _record(self, pixels: Tensor) -> Recording:
        held = pixels.to(self.device).clone()  # where the recording reads, always
        aside = torch.cuda.Stream()
        aside.wait_stream(torch.cuda.current_stream())
        benchmark = torch.backends.cudnn.benchmark
        torch.backends.cudnn.benchmark = True  # one size: let it try its algorithms
        try:
            with torch.cuda.stream(aside):
                for _ in range(_WARM):
                    self.eager.module(held)
            torch.cuda.current_stream().wait_stream(aside)
            graph = torch.cuda.CUDAGraph()
            # Other threads (decoding, writing) may allocate pinned memory meanwhile, which the strictest mode forbids.
            with torch.cuda.graph(graph, stream=aside, capture_error_mode="thread_local"):
                answer = self.eager.module(held)
        finally:
            torch.backends.cudnn.benchmark = benchmark

        def replay(pixels: Tensor) -> Tensor:
            held.copy_(pixels, non_blocking=True)
            graph.replay()
            return answer.clone()  # the next replay writes to the same place

        return replay
