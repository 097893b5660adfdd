"""ONNX Runtime as the engine."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from swath.errors import SwathError, unknown
from swath.inference.description import KEY, Description
from swath.inference.runtimes.described import in_batches

# How ONNX Runtime calls those who compute for it. What one of them cannot do falls to the next.
PROVIDERS = {
    "cpu": "CPUExecutionProvider",
    "cuda": "CUDAExecutionProvider",
    "tensorrt": "TensorrtExecutionProvider",
    "directml": "DmlExecutionProvider",
    "coreml": "CoreMLExecutionProvider",
    "openvino": "OpenVINOExecutionProvider",
}
_OF_DEVICE = {"cpu": "cpu", "cuda": "cuda", "mps": "coreml"}
_BEHIND = {"tensorrt": ("cuda", "cpu")}


class OnnxRuntime:
    """A file of `swath export --to onnx`. `provider` says who computes, where the device leaves a choice."""

    def __init__(self, path: Path, device: str = "cpu", provider: str = ""):
        import onnxruntime as ort

        kind, _, index = device.partition(":")
        if provider and provider not in PROVIDERS:
            raise unknown("provider of ONNX Runtime", provider, PROVIDERS)
        chosen = provider or _OF_DEVICE.get(kind, "")
        here = [name for name, full in PROVIDERS.items() if full in ort.get_available_providers()]
        if chosen not in here:
            what = f"provider '{provider}'" if provider else f"device '{device}'"
            raise SwathError(
                f"{what} cannot be used by this ONNX Runtime; try --device cpu, or install one that can "
                f"(this one has {', '.join(here)})"
            )
        options = ort.SessionOptions()
        options.log_severity_level = 3
        options.intra_op_num_threads = torch.get_num_threads()  # one setting rules every engine
        # Idle threads that spin steal the processor from the decoding and writing beside them.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        if chosen == "directml":  # which supports neither
            options.enable_mem_pattern = False
            options.execution_mode = ort.ExecutionMode.ORT_SEQUENTIAL
        names = (chosen, *(name for name in _BEHIND.get(chosen, ("cpu",)) if name in here and name != chosen))
        on_gpu = {"device_id": index or "0"}
        providers = [(PROVIDERS[name], on_gpu if name in ("cuda", "tensorrt") else {}) for name in names]
        try:
            self.session = ort.InferenceSession(str(path), options, providers=providers)
        except Exception as error:  # ONNX Runtime's own exceptions share no base class but this
            line = next(iter(str(error).splitlines()), "")[:200]
            raise SwathError(
                f"{path}: is not a readable ONNX file ({line}); export it again with `swath export WEIGHTS --to onnx`"
            ) from error
        if self.session.get_providers()[0] != PROVIDERS[chosen]:  # it goes on without, and would only be slow
            raise SwathError(
                f"{path}: ONNX Runtime cannot start its {chosen} provider here, mostly because libraries of the "
                "device's maker are missing or of another version; try --device cpu"
            )
        text = self.session.get_modelmeta().custom_metadata_map.get(KEY, "")
        self.description = Description.from_json(text, path)
        first: Any = self.session.get_inputs()[0].shape[0]
        self.batch = first if isinstance(first, int) else None
        self.device = device
        self.engine = f"ONNX Runtime {ort.__version__}{'' if chosen == 'cpu' else f' ({chosen})'}"

    def run(self, pixels: Tensor) -> Tensor:
        return in_batches(self._run, pixels.cpu(), self.batch)

    def _run(self, pixels: Tensor) -> Tensor:
        (answer,) = self.session.run(None, {"image": pixels.contiguous().numpy()})
        return torch.from_numpy(answer)
