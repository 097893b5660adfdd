"""Start an encoder from a local ImageNet checkpoint, in torchvision's, timm's or the authors' names (layouts.py).

All or nothing: every tensor of the encoder must be in the file with its shape, and every tensor of the file must be
used or stand in the list of those that no encoder has (classifiers). What does not fit is named.
"""

from __future__ import annotations

import pickle
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from swath.errors import SwathError
from swath.networks.encoders.encoder import Encoder
from swath.networks.encoders.layouts import HEADS, LAYOUTS, Layout, recognise
from swath.networks.encoders.timm_encoder import TimmEncoder

_WRAPPERS = ("state_dict", "model_state_dict", "model", "model_state", "net", "module", "segmenter")
_PREFIXES = ("module.", "model.", "backbone.", "encoder.", "_orig_mod.")


@dataclass(frozen=True)
class Loaded:
    """What became of a checkpoint."""

    layout: str
    used: int  # tensors of the file
    left_out: tuple[str, ...]  # its keys that an encoder has no place for: classifiers, stages that were cut off
    adapted: bool  # whether the first convolution was made to fit another number of input channels


def load_encoders(model: nn.Module, path: str | Path) -> list[Loaded]:
    """Start every encoder within a network from one file; with several inputs each stream gets the same weights.

    A first convolution for other than 3 channels is adapted: see `load_encoder`.
    """
    encoders = [module for module in model.modules() if isinstance(module, Encoder)]
    if not encoders:
        raise SwathError(f"{path}: this network has no encoder that public checkpoints fit; leave encoder_weights out")
    return [load_encoder(encoder, path, adapt_input=True) for encoder in encoders]


def load_encoder(encoder: Encoder, path: str | Path, adapt_input: bool = False) -> Loaded:
    """Fill `encoder` from a .pth, .pt, .tar or .safetensors file.

    `adapt_input` lets a first convolution for 3 channels serve others: summed over them for 1, else repeated in turn
    and scaled by 3/n, so that a grey picture gives the same answer.
    """
    if isinstance(encoder, TimmEncoder):
        encoder.start_from(Path(path))
        return Loaded("timm", len(encoder.body.state_dict()), (), False)
    file = read_tensors(path)
    layout = recognise(file.keys())
    if layout is None:
        known = "; ".join(f"{each.name}: {each.decisive[-1]}" for each in LAYOUTS)
        raise SwathError(f"{path}: not an encoder's checkpoint that is known here: it has {_few(file)}; known: {known}")
    kind = type(encoder).__name__
    if layout.encoder != kind:
        raise SwathError(f"{path}: holds a {layout.name}, this network's encoder is a {kind}; give a file of that")
    tensors, left_out = _renamed(file, layout, encoder, path)
    adapted = _fit_first(tensors, encoder) if adapt_input else False
    if getattr(encoder, "expand_first", False) and not layout.expand_first:
        _add_identity(tensors, encoder)
    _check(tensors, encoder, path, layout)
    encoder.load_state_dict(tensors, strict=False)  # only batch counters may lack: `_check` has seen to the rest
    return Loaded(layout.name, len(file) - len(left_out), tuple(left_out), adapted)


def read_tensors(path: str | Path, prefixes: Sequence[str] = _PREFIXES) -> dict[str, Tensor]:
    """The tensors of a checkpoint by name, out of their wrappers and without those of `prefixes` that all share."""
    path = Path(path)
    if not path.is_file():
        raise SwathError(f"{path}: no such file; give the path of a checkpoint (.pth or .safetensors)")
    tensors = _unwrapped(_read(path))
    if not tensors:
        raise SwathError(f"{path}: holds no tensors by name; is it a checkpoint of a network?")
    while prefix := _shared_prefix(tensors, prefixes):
        tensors = {key.removeprefix(prefix): tensor for key, tensor in tensors.items()}
    return tensors


def _read(path: Path) -> Any:
    try:
        if path.suffix == ".safetensors":
            return load_file(str(path))
        return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        first = str(error).splitlines()[0]
        raise SwathError(
            f"{path}: holds more than tensors, or is damaged; nothing is run from a file ({first}). "
            "Save its state_dict alone, best as .safetensors"
        ) from error
    except (SafetensorError, OSError, RuntimeError, EOFError, ValueError, KeyError) as error:
        raise SwathError(f"{path}: is not a readable checkpoint ({error}); get the file again") from error


def _unwrapped(found: Any) -> dict[str, Tensor]:
    while isinstance(found, Mapping) and not any(isinstance(value, Tensor) for value in found.values()):
        inner = next((found[name] for name in _WRAPPERS if name in found), None)
        if inner is None:
            break
        found = inner
    if not isinstance(found, Mapping):
        return {}
    return {str(key): value for key, value in found.items() if isinstance(value, Tensor)}


def _shared_prefix(tensors: Mapping[str, Tensor], prefixes: Sequence[str]) -> str | None:
    """A known prefix of nine keys in ten."""
    for prefix in prefixes:
        if sum(key.startswith(prefix) for key in tensors) >= 0.9 * len(tensors):
            return prefix
    return None


def _renamed(
    file: Mapping[str, Tensor], layout: Layout, encoder: Encoder, path: str | Path
) -> tuple[dict[str, Tensor], list[str]]:
    """The file's tensors under our names, and the keys left out on purpose."""
    tensors: dict[str, Tensor] = {}
    left_out, strangers = [], []
    shift = getattr(encoder, "expand_first", False) and not layout.expand_first
    for key, tensor in file.items():
        name = None if key.startswith((*HEADS, *layout.heads)) else layout.rename(key)
        if key.startswith((*HEADS, *layout.heads)) or (name and _beyond(name, encoder)):
            left_out.append(key)
        elif name is None:
            strangers.append(key)
        else:
            if shift and name.startswith("stages.1.0.body."):  # make room for the expansion in front
                place, rest = name.removeprefix("stages.1.0.body.").split(".", 1)
                name = f"stages.1.0.body.{int(place) + 1}.{rest}"
            tensors[name] = tensor
    if strangers:
        raise SwathError(f"{path}: looks like {layout.name}, but has no business with {_few(strangers)}")
    return tensors, left_out


def _beyond(name: str, encoder: Encoder) -> bool:
    """Whether a tensor belongs to a stage that this encoder was cut off before (further inputs of a network)."""
    _, stage, _ = name.split(".", 2)
    return name.startswith("stages.") and int(stage) >= len(encoder.stages)


def _fit_first(tensors: dict[str, Tensor], encoder: Encoder) -> bool:
    """Make a first convolution for 3 channels serve the encoder's own number."""
    name, wanted = next((key, value) for key, value in encoder.state_dict().items() if value.dim() == 4)
    n = wanted.shape[1]
    given = tensors.get(name)
    if given is None or given.dim() != 4 or given.shape[1] != 3 or n == 3:
        return False
    if n == 1:
        tensors[name] = given.sum(1, keepdim=True)
    else:
        tensors[name] = given[:, [channel % 3 for channel in range(n)]] * (3 / n)
    return True


def _add_identity(tensors: dict[str, Tensor], encoder: Encoder) -> None:
    """An expansion that changes nothing, for the first block of a MobileNetV2: its input is within 0...6 already."""
    norm = next(module for module in encoder.modules() if isinstance(module, nn.BatchNorm2d))
    width = norm.num_features
    tensors["stages.1.0.body.0.0.weight"] = torch.eye(width).reshape(width, width, 1, 1)
    tensors["stages.1.0.body.0.1.weight"] = torch.full((width,), (1 + norm.eps) ** 0.5, dtype=torch.float64)
    tensors["stages.1.0.body.0.1.bias"] = torch.zeros(width)
    tensors["stages.1.0.body.0.1.running_mean"] = torch.zeros(width)
    tensors["stages.1.0.body.0.1.running_var"] = torch.ones(width)


def _check(tensors: Mapping[str, Tensor], encoder: Encoder, path: str | Path, layout: Layout) -> None:
    expected = encoder.state_dict()
    missing = [key for key in expected if key not in tensors and not key.endswith("num_batches_tracked")]
    surplus = [key for key in tensors if key not in expected]
    other = [
        f"{key} ({list(tensors[key].shape)}, needed {list(expected[key].shape)})"
        for key in expected
        if key in tensors and tensors[key].shape != expected[key].shape
    ]
    problems = {"lacks": missing, "has too much": surplus, "has another shape of": other}
    if any(problems.values()):
        said = ", ".join(f"{what} {_few(names)}" for what, names in problems.items() if names)
        raise SwathError(f"{path}: this {layout.name} is not the one that the network needs: it {said}")


def _few(names: Mapping[str, Any] | list[str]) -> str:
    names = list(names)
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
