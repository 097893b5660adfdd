"""TensorRT as the engine. Its files belong to one kind of GPU and one version of TensorRT."""

from __future__ import annotations

import threading
from pathlib import Path

import torch
from torch import Tensor

from swath.errors import SwathError
from swath.inference.runtimes.described import beside, in_batches
from swath.inference.runtimes.torch import check_device


class TensorRt:
    """A file of `swath export --to tensorrt`. torch holds the memory, TensorRT computes in it."""

    def __init__(self, path: Path, device: str = "cuda"):
        import tensorrt as trt

        check_device(device)
        self.description = beside(path)
        self.device = device
        self.engine = f"TensorRT {trt.__version__}"
        with torch.cuda.device(device):
            self._engine = trt.Runtime(trt.Logger(trt.Logger.ERROR)).deserialize_cuda_engine(path.read_bytes())
        if self._engine is None:
            raise SwathError(
                f"{path}: was not built by TensorRT {trt.__version__} for this kind of GPU, or is damaged; build it "
                "here with `swath export WEIGHTS --to tensorrt`"
            )
        names = [self._engine.get_tensor_name(index) for index in range(self._engine.num_io_tensors)]
        modes = {name: self._engine.get_tensor_mode(name) for name in names}
        (self._input,) = (name for name in names if modes[name] == trt.TensorIOMode.INPUT)
        (self._output,) = (name for name in names if modes[name] == trt.TensorIOMode.OUTPUT)
        kinds = {trt.float32: torch.float32, trt.float16: torch.float16, trt.uint8: torch.uint8}
        self._dtype = kinds[self._engine.get_tensor_dtype(self._output)]
        low, _, self._most = self._engine.get_tensor_profile_shape(self._input, 0)
        first = self._engine.get_tensor_shape(self._input)[0]
        self._batch = first if first > 0 else None
        self._least = tuple(low)
        self._context = self._engine.create_execution_context()
        self._turn = threading.Lock()  # a context has one shape and one set of addresses at a time

    def run(self, pixels: Tensor) -> Tensor:
        return in_batches(self._run, pixels.to(self.device), self._batch)

    def _run(self, pixels: Tensor) -> Tensor:
        pixels = pixels.contiguous()
        shape = tuple(pixels.shape)
        if not all(low <= side <= high for low, side, high in zip(self._least, shape, self._most)):
            (_, low_h, low_w, _), (count, high_h, high_w, _) = self._least, self._most
            raise SwathError(
                f"this TensorRT file was built for 1 to {count} pictures of {low_w}x{low_h} to {high_w}x{high_h} "
                f"(width x height), these are {shape[0]} of {shape[2]}x{shape[1]}; build it for them"
            )
        with self._turn, torch.cuda.device(self.device):
            self._context.set_input_shape(self._input, shape)
            answer = torch.empty(
                tuple(self._context.get_tensor_shape(self._output)), dtype=self._dtype, device=self.device
            )
            self._context.set_tensor_address(self._input, pixels.data_ptr())
            self._context.set_tensor_address(self._output, answer.data_ptr())
            if not self._context.execute_async_v3(torch.cuda.current_stream().cuda_stream):
                raise SwathError(f"TensorRT could not run {shape[2]}x{shape[1]}; its own message stands above")
        return answer
