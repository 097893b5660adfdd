"""What a bundle says where swath is not: the script that re-runs its pictures, and three lines of code."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Device:
    """A format on the machine that shall run it."""

    title: str
    needs: str  # besides numpy, for verify.py
    load: str  # Python that defines `run(pixels)`: uint8 N x H x W x C to an array
    cpp: str
    note: str = ""


DEVICES = {
    "onnx": Device(
        "ONNX Runtime",
        "onnxruntime",
        """import onnxruntime
session = onnxruntime.InferenceSession(str(model), providers=onnxruntime.get_available_providers())
run = lambda pixels: session.run(None, {"image": pixels})[0]""",
        """Ort::Session session(env, "model.onnx", Ort::SessionOptions{});
auto image = Ort::Value::CreateTensor<uint8_t>(memory, pixels, size, shape, 4);  // shape: {1, H, W, 3}
auto answer = session.Run({}, inputs, &image, 1, outputs, 1);                    // {"image"} -> {"OUTPUT"}""",
    ),
    "openvino": Device(
        "OpenVINO",
        "openvino",
        """import openvino
network = openvino.Core().compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
run = lambda pixels: network(pixels)[0]""",
        """auto request = ov::Core().compile_model("model.xml", "CPU").create_infer_request();
request.set_input_tensor(ov::Tensor(ov::element::u8, {1, H, W, 3}, pixels));
request.infer();  // request.get_output_tensor() holds OUTPUT""",
        "Without the hint f32 some processors compute in bfloat16, which is quicker and answers a little differently.",
    ),
    "tensorrt": Device(
        "TensorRT",
        "tensorrt, torch (it holds the GPU's memory)",
        """import tensorrt, torch
engine = tensorrt.Runtime(tensorrt.Logger(tensorrt.Logger.ERROR)).deserialize_cuda_engine(model.read_bytes())
context = engine.create_execution_context()
def run(pixels):
    image = torch.from_numpy(pixels).cuda()
    context.set_input_shape("image", tuple(image.shape))
    answer = torch.empty(tuple(context.get_tensor_shape("OUTPUT")), dtype=torch.KIND, device="cuda")
    context.set_tensor_address("image", image.data_ptr())
    context.set_tensor_address("OUTPUT", answer.data_ptr())
    context.execute_async_v3(torch.cuda.current_stream().cuda_stream)
    return answer.cpu().numpy()""",
        """auto* context = runtime->deserializeCudaEngine(plan.data(), plan.size())->createExecutionContext();
context->setInputShape("image", nvinfer1::Dims4{1, H, W, 3}); context->setTensorAddress("image", pixels_on_gpu);
context->setTensorAddress("OUTPUT", answer_on_gpu); context->enqueueV3(stream);""",
        "The plan belongs to this kind of GPU and this version of TensorRT.",
    ),
    "executorch": Device(
        "ExecuTorch",
        "executorch",
        """import torch
from executorch.runtime import Runtime
program = Runtime.get().load_program(str(model))
method = program.load_method("forward")
run = lambda pixels: method.execute([torch.from_numpy(pixels)])[0].numpy()""",
        """executorch::extension::Module module("model.pte");
auto image = executorch::extension::from_blob(pixels, {1, H, W, 3}, executorch::aten::ScalarType::Byte);
auto answer = module.forward(image);  // answer->at(0).toTensor() is OUTPUT""",
    ),
    "pt2": Device(
        "torch",
        "torch",
        """import torch
network = torch.export.load(model).module(check_guards=False)
run = lambda pixels: network(torch.from_numpy(pixels)).detach().numpy()""",
        """// torch.export programs run in Python; for C++ export --to aot, or --to onnx""",
    ),
    "aot": Device(
        "AOTInductor",
        "torch",
        """import io, torch
network = torch._inductor.aoti_load_package(io.BytesIO(model.read_bytes()))
run = lambda pixels: network(torch.from_numpy(pixels)).detach().numpy()""",
        """torch::inductor::AOTIModelPackageLoader network("model.pt2");  // a copy of model.aoti: it wants this ending
auto image = torch::from_blob(pixels, {1, H, W, 3}, torch::kUInt8);
auto answer = network.run({image})[0];  // OUTPUT""",
        "The package belongs to processors like the one it was made on.",
    ),
    "torchscript": Device(
        "TorchScript",
        "torch",
        """import torch
network = torch.jit.load(model)
run = lambda pixels: network(torch.from_numpy(pixels)).detach().numpy()""",
        """auto network = torch::jit::load("model.pt");
auto image = torch::from_blob(pixels, {1, H, W, 3}, torch::kUInt8);
auto answer = network.forward({image}).toTensor();  // OUTPUT""",
    ),
}

_SCRIPT = '''\
"""python verify.py: does this machine answer as the network did? Status 0 if so, else 1.
Needs numpy and NEEDS."""
import hashlib, json, sys
from pathlib import Path
import numpy as np

here = Path(__file__).resolve().parent
about = json.loads((here / "bundle.json").read_text("utf-8"))
for name, digest in about["files"].items():
    if not (here / name).is_file() or hashlib.sha256((here / name).read_bytes()).hexdigest() != digest:
        sys.exit(f"{name}: is missing, or is not as it was exported")
model = here / about["model"]
LOAD
ENLARGE
failed = False
for each in about["vectors"]:
    (h, w), read = each["size"], lambda key: np.fromfile(here / each[key], np.uint8)
    tall, wide = (-(-max(pair) // about["multiple"]) * about["multiple"] for pair in zip((h, w), about["min_size"]))
    image = np.pad(read("picture").reshape(h, w, -1), ((0, tall - h), (0, wide - w), (0, 0)), "edge")
    answer = np.asarray(run(image[None]))[0]
    differ = LABELS[:h, :w] != read("labels").reshape(h, w)
    wrong = (differ & (read("sure").reshape(h, w) > 0)).mean()
    failed |= bool(wrong > each["limit"])
    print(f"{each['name']:<24} {f'{w}x{h}':>9} {differ.mean():9.4%} differ, {wrong:9.4%} without being ties")
print("FAILED: more differs than may" if failed else "agrees with the original")
sys.exit(failed)
'''

_ENLARGE = '''
def enlarge(logits, pixels):
    """To that many columns, bilinearly; then columns and rows change places."""
    last, at = logits.shape[2] - 1, np.arange(pixels, dtype=np.float32)
    at = AT
    low = np.minimum(at.astype(np.int64), last)
    between = logits[:, :, low] * (1 - (at - low)) + logits[:, :, np.minimum(low + 1, last)] * (at - low)
    return between.swapaxes(1, 2)
'''
_CORNERS = "at * (last / max(pixels - 1, 1))  # align_corners"
_CENTRES = "np.maximum((at + 0.5) * ((last + 1) / pixels) - 0.5, 0)"

_README = """\
{network} as {format} ({precision}), exported by swath {swath}

  python verify.py      are the answers here those of the original? Needs numpy and {needs}
  swath verify .        the same with a table by class, where swath is installed

What goes in is `image`: uint8, batch x height x width x {channels}, {order}, {sizes}.{learnt}
What comes out is {output}.
Classes, colours and all that is needed to read the answer stand in bundle.json.

{title} in Python:

{python}
answer = run(pixels)

{title} in C++:

{cpp}
"""


def script(about: dict[str, Any]) -> str:
    """The text of verify.py; `about` is what bundle.json says."""
    device = DEVICES[about["format"]]
    inside = about["finish"] == "inside"
    enlarge = _ENLARGE.replace("AT", _CORNERS if about["align_corners"] else _CENTRES)
    parts = {
        "NEEDS": device.needs,
        "LOAD": _filled(device.load, inside),
        "ENLARGE": "" if inside else enlarge,
        "LABELS": "answer" if inside else "enlarge(enlarge(answer, wide), tall).argmax(0)",
    }
    text = _SCRIPT
    for word, part in parts.items():
        text = text.replace(word, part)
    return text


def readme(about: dict[str, Any]) -> str:
    """The text of README.txt; `about` is what bundle.json says."""
    device = DEVICES[about["format"]]
    inside = about["finish"] == "inside"
    corners = about["align_corners"]
    output = (
        "`labels`: uint8, batch x height x width, the class of each pixel"
        if inside
        else f"`logits`: float32, batch x classes x height/{about['stride']} x width/{about['stride']}; enlarge them\n"
        f"bilinearly (align_corners={corners}) and take the largest, as verify.py does"
    )
    text = _README.format(
        **{key: about[key] for key in ("network", "format", "precision", "swath", "channels")},
        needs=device.needs,
        order="RGB" if about["channels"] == 3 else "channels in the order of training",
        sizes=_sizes(about),
        learnt=_learnt(about),
        output=output,
        title=device.title,
        python=f'from pathlib import Path\nmodel = Path("{about["model"]}")\n' + _filled(device.load, inside),
        cpp=_filled(device.cpp, inside).replace("W, 3}", f"W, {about['channels']}}}"),
    )
    return text + (f"\n{device.note}\n" if device.note else "")


def _filled(code: str, inside: bool) -> str:
    return code.replace("OUTPUT", "labels" if inside else "logits").replace("KIND", "uint8" if inside else "float32")


def _sizes(about: dict[str, Any]) -> str:
    if about["shape"]:
        return f"{about['shape'][1]}x{about['shape'][0]} (width x height) only"
    height, width = about["min_size"]
    whole = f", sides in multiples of {about['multiple']}" if about["multiple"] != 1 else ""
    return f"any size from {width}x{height} (width x height){whole}"


def _learnt(about: dict[str, Any]) -> str:
    """A line about the size at which things are as large as the network learnt them."""
    if not (side := about["short_side"]):
        return ""
    return f"\nResize pictures to {side} pixels on the shorter side: the network learnt things at that size."
