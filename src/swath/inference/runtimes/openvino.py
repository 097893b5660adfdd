"""OpenVINO as the engine: its own .xml with the .bin beside it, or an .onnx file as it is."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from swath.errors import SwathError
from swath.inference.description import KEY, Description
from swath.inference.runtimes.described import in_batches
from swath.inference.runtimes.openvino_integers import sound


class OpenVino:
    """`part` is OpenVINO's name of what computes: CPU, GPU, NPU, AUTO."""

    def __init__(self, path: Path, part: str = ""):
        import openvino

        core = openvino.Core()
        part = part.upper() or "CPU"
        here = core.available_devices
        if part != "AUTO" and part.partition(".")[0] not in {name.partition(".")[0] for name in here}:
            raise SwathError(f"engine 'openvino:{part}' finds no such device; OpenVINO sees {', '.join(here)} here")
        if path.suffix == ".xml" and not path.with_suffix(".bin").is_file():
            raise SwathError(f"{path.with_suffix('.bin')}: is missing, it holds the numbers of {path.name}")
        try:
            model = sound(core.read_model(str(path)))
        except Exception as error:  # OpenVINO raises RuntimeError, and others from readers behind it
            kind = "OpenVINO" if path.suffix == ".xml" else "ONNX"
            raise SwathError(
                f"{path}: is not a readable {kind} file ({_last_line(error)}); export it again with `swath export`"
            ) from error
        try:
            compiled = core.compile_model(model, part, _settings(part))
        except Exception as error:
            raise SwathError(
                f"{path}: this OpenVINO ({openvino.__version__.partition('-')[0]}) cannot compile it for {part} "
                f"({_last_line(error)}); try --engine onnxruntime, or export it in another precision or without a size"
            ) from error
        self.description = Description.from_json(_description(model), path)
        first = model.input(0).partial_shape[0]
        self.batch = first.get_length() if first.is_static else None
        self.device = "cpu"  # where pixels and answers are
        self.engine = f"OpenVINO {openvino.__version__.partition('-')[0]}{'' if part == 'CPU' else f' ({part})'}"
        self._compiled = compiled
        self._own = threading.local()  # a request each thread, made once

    def run(self, pixels: Tensor) -> Tensor:
        return in_batches(self._run, pixels.cpu(), self.batch)

    def _run(self, pixels: Tensor) -> Tensor:
        request = getattr(self._own, "request", None)
        if request is None:
            request = self._own.request = self._compiled.create_infer_request()
        # The input is read where it lies; the answer is copied, for the request writes its next one to the same place.
        answer = request.infer([pixels.contiguous().numpy()], share_inputs=True)
        return torch.from_numpy(answer[0])


def _last_line(error: Exception) -> str:
    """Of a message that lists the places in OpenVINO's code before."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return (lines[-1] if lines else type(error).__name__)[:200]


def _settings(part: str) -> dict[str, Any]:
    settings: dict[str, Any] = {"PERFORMANCE_HINT": "LATENCY", "INFERENCE_PRECISION_HINT": "f32"}
    if part == "CPU":
        settings["INFERENCE_NUM_THREADS"] = torch.get_num_threads()  # one setting rules every engine
        settings["ENABLE_CPU_PINNING"] = False  # two processes would be pinned to the same cores
    return settings


def _description(model: Any) -> str:
    """Our own files keep it under our key; of ONNX files, OpenVINO keeps what it found under `framework`."""
    for place in ([KEY], ["framework", KEY]):
        if model.has_rt_info(place):
            return str(model.get_rt_info(place).astype(str))
    return ""
