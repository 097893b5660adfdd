"""OpenVINO's own files, `.xml` and `.bin`, converted from our ONNX: its reader of ONNX is quicker than the one of torch
and gives the same."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor, nn

from swath.deploy import onnx
from swath.deploy.graph import Precision
from swath.errors import SwathError
from swath.inference.description import KEY, Description
from swath.inference.runtimes.openvino_integers import sound

_PREPROCESSING = ("normalise.gain", "normalise.offset")  # how names of its two constants end


def write(
    module: nn.Module, description: Description, example: Tensor, path: Path, precision: Precision = "fp32"
) -> None:
    """`path` and the weights beside it. With "fp16" the weights are stored in halves; what the device computes with is
    its own choice there: float32 on processors, halves on GPUs and NPUs."""
    with tempfile.TemporaryDirectory(prefix=".openvino.", dir=path.parent) as scratch:
        source = Path(scratch) / "model.onnx"
        onnx.write(module, description, example, source)
        from_onnx(source, description, path, precision)


def from_onnx(source: Path, description: Description, path: Path, precision: Precision = "fp32") -> None:
    """The same of a file of ours that is ONNX already."""
    try:
        import openvino
    except ImportError as error:
        raise SwathError("--to openvino needs OpenVINO, which is missing; pip install 'swath[openvino]'") from error
    model = sound(openvino.Core().read_model(source))  # unlike convert_model, it tells nobody that it ran
    model.set_rt_info(description.as_json(), [KEY])
    if precision == "fp16":
        _split_preprocessing(model)
    openvino.save_model(model, path, compress_to_fp16=precision == "fp16")


def _split_preprocessing(model: Any) -> None:
    """Gain and offset of the pixels as sums of two parts each, which are all but exact in halves. In one they would
    shift every value of a picture the same way, which moves logits ten times as far as all rounded weights do."""
    from openvino import opset14 as op

    for node in model.get_ordered_ops():
        if node.get_type_name() != "Constant" or not node.get_friendly_name().endswith(_PREPROCESSING):
            continue
        value = node.get_data()
        high = value.astype(np.float16).astype(np.float32)
        both = op.add(op.constant(high), op.constant(value - high))
        for reader in node.output(0).get_target_inputs():
            reader.replace_source_output(both.output(0))
