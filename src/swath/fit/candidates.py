"""What could be run: networks, widths, sizes that they see, engines and precisions."""

from __future__ import annotations

import hashlib
import inspect
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from swath.bench import macs
from swath.errors import SwathError
from swath.inference.runtimes.engines import CONVERTED, ENGINES, WEIGHTS, check_engine, present
from swath.inference.runtimes.torch import check_task
from swath.networks import Info, Network, create_model, list_models, model_info
from swath.networks.shapes import ShapesOnly
from swath.quantise.engines.makers import installed
from swath.weights import list_shipped, load_weights, weights_file

Size = tuple[int, int]  # height, width

# Made for real time by their authors, and with a figure on Cityscapes to compare them by.
REAL_TIME = (
    *("contextnet12", "contextnet14", "contextnet18", "fastscnn", "lednet", "bisenetv2", "bisenetv1_resnet18"),
    *("deeplabv3plus_lite_mobilenetv2", "unet_lite_mobilenetv2", "fpn_lite_mobilenetv2", "fpn_lite_mobilenetv2_fd"),
    *("fpn_lite_regnetx400mf", "fpn_lite_regnetx800mf", "stdc1_seg", "stdc2_seg", "pp_liteseg_t", "pp_liteseg_b"),
    *("ddrnet23_slim", "ddrnet23", "pidnet_s", "regseg", "swiftnet_resnet18", "csfcn"),
)
WIDTHS = (1.0, 0.75, 0.5)
SCALES = (1.0, 0.75, 0.5)
PRECISIONS = ("float32", "bfloat16", "float16", "int8")
_SHORT = {"float32": "fp32", "bfloat16": "bf16", "float16": "fp16", "int8": "int8"}
_INT8 = ("onnx", "onnxruntime", "onnxscript")  # the packages that make files of 8 bits here


@dataclass(frozen=True, kw_only=True)
class Subject:
    """A network of the registry with its options, or weights."""

    word: str  # what commands take: a name, or a path
    title: str
    network: str  # its registered name
    options: Mapping[str, Any] = field(default_factory=dict)
    path: Path | None = None
    num_classes: int
    macs: int  # of a picture at the whole size
    outputs: int  # values that its layers write for one
    parameters: int
    min_size: Size
    quantised: bool = False  # trained with 8 bits
    key: str  # equal where the same work is done

    @property
    def info(self) -> Info:
        return model_info(self.network)

    def build(self) -> Network:
        """The network itself; without weights, one that is the same each time."""
        if self.path is not None:
            return load_weights(self.path)
        torch.manual_seed(0)
        return create_model(self.network, num_classes=self.num_classes, **self.options).drop_aux().eval()


@dataclass(frozen=True)
class Way:
    """What computes, and how exactly."""

    engine: str
    precision: str

    def __str__(self) -> str:
        base, _, part = self.engine.partition(":")
        return f"{ENGINES[base].title}{f' ({part})' if part else ''} {_SHORT[self.precision]}"

    @property
    def converts(self) -> bool:
        """Whether a file must be made first, which takes far longer than a measurement."""
        return self.engine.partition(":")[0] in CONVERTED


@dataclass(frozen=True)
class Group:
    """What answers alike, however it is computed."""

    subject: Subject
    seen: Size  # what the network sees of a picture

    def __hash__(self) -> int:
        return hash((self.subject.key, self.subject.word, self.seen))

    def gmacs(self, size: Size) -> float:
        """Multiply-accumulates, in 10^9; they go with the pixels."""
        return self.subject.macs * self.seen[0] * self.seen[1] / (size[0] * size[1]) / 1e9


@dataclass(frozen=True)
class Trial:
    """One configuration."""

    group: Group
    way: Way


def subjects(
    words: Sequence[str], widths: Sequence[float], num_classes: int, size: Size
) -> Iterator[tuple[str, Subject | SwathError]]:
    """Every network that was asked for, or what is wrong with it, with its name; nothing asked for: those made for
    real time. Weights have the width they were trained with."""
    names: dict[str, bool] = {}  # whether it was asked for by its very name
    for word in words or REAL_TIME:
        found = list_models(word) if any(sign in word for sign in "*?[") else [word]
        if not found:
            raise SwathError(f"no network matches '{word}'; `swath models` lists them")
        for name in found:
            names[name] = names.get(name, False) or name == word
    wanted = [(name, 1.0) for name in names]
    wanted += [(name, width) for name in names for width in widths if width != 1 and _has_width(name)]
    known: set[str] = set()
    for name, width in wanted:
        try:
            subject = _weights(name, size) if _is_path(name) else _named(name, width, num_classes, size)
        except SwathError as error:
            if names[name]:
                raise
            yield name, error
            continue
        if subject.path or subject.key not in known:  # contextnet14 of width 0.75 is contextnet14_500
            known.add(subject.key)
            yield name, subject


def ways(device: str, engines: Sequence[str] = (), precisions: Sequence[str] = ()) -> list[Way]:
    """What can compute here; without names, all that is quick to start. The first is what others are compared with."""
    for engine in engines:
        check_engine(engine, WEIGHTS, device)
    kind = device.partition(":")[0]
    half = {"cpu": "bfloat16", "cuda": "float16"}.get(kind)
    found = []
    for engine in engines or [each for each in present(WEIGHTS, device) if each != "compiled"]:
        converts = engine.partition(":")[0] in CONVERTED
        able = ["float32"]
        if half and not converts:
            able.append(half)
        if kind == "cpu" and engine in ("onnxruntime", "openvino") and all(installed(each) for each in _INT8):
            able.append("int8")
        found += [Way(engine, each) for each in able if not precisions or each in precisions]
    if not found:
        asked = ", ".join(precisions)
        raise SwathError(
            f"nothing here computes in {asked} on {device}; 8 bits need `pip install 'swath[onnx]'` and a processor, "
            "bfloat16 a processor, float16 a GPU"
        )
    return sorted(found, key=lambda way: (way.converts, way.engine != "torch", PRECISIONS.index(way.precision)))


def seen_sizes(subject: Subject, size: Size, scales: Sequence[float]) -> list[Size]:
    """Sizes that the network is shown, in steps of 8 pixels, which no stride minds; never more than the picture has."""
    sizes: dict[Size, None] = {}
    for scale in scales:
        height, width = (side if scale == 1 else max(8, round(scale * side / 8) * 8) for side in size)
        if height >= subject.min_size[0] and width >= subject.min_size[1]:
            sizes[height, width] = None
    return list(sizes)


def count(shapes: Network, size: Size) -> tuple[int, int]:
    """Multiply-accumulates, and values that layers write: what a network asks of arithmetic and of memory. `shapes` was
    built without memory."""
    written = 0

    def see(_: nn.Module, __: Any, output: Any) -> None:
        nonlocal written
        if isinstance(output, Tensor):
            written += output.numel()

    handles = [module.register_forward_hook(see) for module in shapes.modules() if not list(module.children())]
    counted = macs(shapes, size)
    for handle in handles:
        handle.remove()
    return counted, written


def _is_path(name: str) -> bool:
    return Path(name).suffix != "" or name in list_shipped()


def _has_width(name: str) -> bool:
    """Whether a network is one width of several; its narrower namesakes are variants of it, not it of them."""
    if _is_path(name):
        return False
    width = inspect.signature(model_info(name).build).parameters.get("width")
    return width is not None and width.default == 1


def _weights(name: str, size: Size) -> Subject:
    path = weights_file(name)
    if path.suffix != WEIGHTS:
        raise SwathError(
            f"{path}: has its precision in it, and there is nothing left to choose; give the weights that it was made "
            "from, or time it as it is with `swath benchmark`"
        )
    network = load_weights(path)
    check_task(network)
    assert network.meta is not None
    arguments = {key: value for key, value in network.meta.arguments.items() if key != "num_classes"}
    return _subject(
        name,
        name,
        network.meta.network,
        arguments,
        network.num_classes,
        size,
        path=path,
        quantised=bool(network.quantised),
    )


def _named(name: str, width: float, num_classes: int, size: Size) -> Subject:
    info = model_info(name)
    options = {} if width == 1 else {"width": width}
    title = info.name + "".join(f", {key} {value:g}" for key, value in options.items())
    return _subject(info.name, title, info.name, options, num_classes, size)


def _subject(
    word: str,
    title: str,
    network: str,
    options: Mapping[str, Any],
    num_classes: int,
    size: Size,
    path: Path | None = None,
    quantised: bool = False,
) -> Subject:
    with ShapesOnly():
        shapes = create_model(network, num_classes, **options).drop_aux().eval()
    check_task(shapes)
    largest = max(size[0], shapes.min_size[0]), max(size[1], shapes.min_size[1])
    counted, written = count(shapes, largest)
    return Subject(
        word=word,
        title=title,
        network=network,
        options=options,
        path=path,
        num_classes=num_classes,
        macs=counted,
        outputs=written,
        parameters=sum(each.numel() for each in shapes.parameters()),
        min_size=shapes.min_size,
        quantised=quantised,
        key=_key(network, {"num_classes": num_classes, **options}, shapes, quantised),
    )


def _key(network: str, arguments: Mapping[str, Any], shapes: Network, quantised: bool) -> str:
    """Of networks that have a width, the same for a wide one made narrow and its narrow namesake."""
    info = model_info(network)
    parameters = inspect.signature(info.build).parameters
    known = {name: each.default for name, each in parameters.items() if each.default is not each.empty}
    known.update(arguments)
    tensors = [(name, *tensor.shape) for name, tensor in shapes.state_dict().items()]
    who = info.family if "width" in parameters else info.name
    told = json.dumps([who, quantised, known, tensors], default=str, sort_keys=True)
    return hashlib.sha256(told.encode()).hexdigest()[:24]
