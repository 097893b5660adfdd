"""ONNX Runtime as the engine."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor

from swath.errors import SwathError
from swath.inference.description import KEY, Description

_PROVIDERS = {"cpu": "CPUExecutionProvider", "cuda": "CUDAExecutionProvider"}


class OnnxRuntime:
    """A file of `swath export --to onnx`."""

    def __init__(self, path: Path, device: str = "cpu"):
        try:
            import onnxruntime as ort
        except ImportError as error:
            raise SwathError(f"{path}: needs ONNX Runtime, which is missing; pip install 'swath[onnx]'") from error
        kind, _, index = device.partition(":")
        provider = _PROVIDERS.get(kind)
        if provider not in ort.get_available_providers():
            raise SwathError(f"device '{device}' cannot be used by this ONNX Runtime; try --device cpu")
        options = ort.SessionOptions()
        options.log_severity_level = 3
        options.intra_op_num_threads = torch.get_num_threads()  # one setting rules every engine
        # Idle threads that spin steal the processor from the decoding and writing beside them.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        arguments = {"device_id": index or "0"} if kind == "cuda" else {}
        try:
            self.session = ort.InferenceSession(str(path), options, providers=[(provider, arguments)])
        except Exception as error:  # ONNX Runtime's own exceptions share no base class but this
            line = next(iter(str(error).splitlines()), "")[:200]
            raise SwathError(
                f"{path}: is not a readable ONNX file ({line}); export it again with `swath export WEIGHTS --to onnx`"
            ) from error
        text = self.session.get_modelmeta().custom_metadata_map.get(KEY, "")
        self.description = Description.from_json(text, path)
        self.device = device
        self.engine = f"ONNX Runtime {ort.__version__}"

    def run(self, pixels: Tensor) -> Tensor:
        (answer,) = self.session.run(None, {"image": pixels.cpu().contiguous().numpy()})
        return torch.from_numpy(answer)
