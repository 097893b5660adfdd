"""One `.safetensors` file: tensors, and in its metadata everything needed to rebuild and use them."""

from __future__ import annotations

import json
import math
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from swath import __version__
from swath.errors import SwathError
from swath.files import atomic_path
from swath.networks import Network, Preprocess, create_model
from swath.weights.shipped import weights_file

# Where a signal comes in between, safetensors asks torch in an old way, which warns: that is no matter of the user's.
warnings.filterwarnings("ignore", message="TypedStorage is deprecated", module="safetensors")

FORMAT = 1
KEY = "swath"  # the one entry of the file's string-to-string metadata, holding JSON


@dataclass(frozen=True, kw_only=True)
class WeightsMeta:
    """What a weights file says about itself. A test freezes these names."""

    network: str
    arguments: dict[str, Any]
    classes: list[str]
    colors: list[tuple[int, int, int]]
    preprocesses: dict[str, dict[str, Any]]
    aux: bool = False  # whether the auxiliary heads are in the file
    quantised: str = ""  # the scheme of 8 bits that the network computes with; its ranges are in the file
    categories: list[str] = field(default_factory=list)  # of each class; empty: none known
    dataset: str = ""
    recipe: str = ""
    score: dict[str, Any] = field(default_factory=dict)
    notes: dict[str, Any] = field(default_factory=dict)
    temperature: float = 1.0  # divides the logits before they become probabilities; labels do not change by it
    calibration: dict[str, Any] = field(default_factory=dict)  # what that temperature was found on, and thresholds
    swath: str = __version__
    format: int = FORMAT

    def __post_init__(self) -> None:
        if not isinstance(self.temperature, (int, float)) or not 0 < self.temperature < math.inf:
            raise ValueError(f"temperature {self.temperature!r} is no number above 0")
        if not isinstance(self.calibration, dict):
            raise ValueError("its calibration is no table")


def save_weights(
    path: str | Path,
    model: Network,
    *,
    classes: Sequence[str],
    colors: Sequence[Sequence[int]],
    categories: Sequence[str] = (),
    dataset: str = "",
    recipe: str = "",
    score: Mapping[str, Any] | None = None,
    notes: Mapping[str, Any] | None = None,
    dtype: torch.dtype | None = None,
) -> None:
    """Write a network and its description in one step; `dtype` (e.g. torch.float16) makes a smaller file."""
    if not len(classes) == len(colors) == model.num_classes:
        raise SwathError(f"{path}: {len(classes)} names, {len(colors)} colours for {model.num_classes} classes")
    meta = WeightsMeta(
        network=model.name,
        arguments=model.arguments,
        classes=list(classes),
        colors=[(int(r), int(g), int(b)) for r, g, b in colors],
        preprocesses={name: each.as_dict() for name, each in model.preprocesses.items()},
        aux=bool(len(model.aux_heads)),
        quantised=model.quantised,
        categories=list(categories),
        dataset=dataset,
        recipe=recipe,
        score=dict(score or {}),
        notes=dict(notes or {}),
    )
    tensors = {}
    for name, tensor in model.state_dict().items():
        tensor = tensor.detach().cpu()
        tensors[name] = (tensor.to(dtype) if dtype and tensor.is_floating_point() else tensor).contiguous().clone()
    with atomic_path(path) as temporary:
        try:
            save_file(tensors, str(temporary), metadata={KEY: json.dumps(asdict(meta))})
        except SafetensorError as error:  # it wraps the system's own errors as text
            raise _write_failure(Path(path), error) from error


def _write_failure(path: Path, error: SafetensorError) -> Exception:
    if "No space left" in str(error) or "os error 28" in str(error):
        return SwathError(f"{path}: no room left on the disk; nothing was written. Free some space and run it again")
    return SwathError(f"{path}: cannot be written ({error})")


def describe_again(path: str | Path, out: str | Path, **changes: Any) -> None:
    """The same tensors with some entries of the description changed, in `out`, which may be the file itself."""
    read_meta(path)  # refuses what is not a file of ours
    with _open(Path(path)) as file:
        told = {**json.loads(file.metadata()[KEY]), **changes}
        try:
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        except SafetensorError as error:
            raise SwathError(f"{path}: is damaged ({error}); get the file again") from error
    with atomic_path(out) as temporary:
        try:
            save_file(tensors, str(temporary), metadata={KEY: json.dumps(told)})
        except SafetensorError as error:
            raise _write_failure(Path(out), error) from error


def read_meta(path: str | Path) -> WeightsMeta:
    """The description alone; reads the header, not the tensors."""
    with _open(Path(path)) as file:
        text = (file.metadata() or {}).get(KEY)
    if text is None:
        raise SwathError(
            f"{path}: holds tensors but no description of a network; swath's own weights say what they are. "
            "Was it written by another tool?"
        )
    try:
        raw = json.loads(text)
        if raw.get("format", 0) > FORMAT:
            raise SwathError(f"{path}: was written by a newer swath ({raw.get('swath')}); update this one")
        known = {each.name for each in fields(WeightsMeta)}
        meta = WeightsMeta(**{key: value for key, value in raw.items() if key in known})
    except (ValueError, TypeError, AttributeError) as error:
        raise SwathError(f"{path}: its description is damaged ({error}); get the file again") from error
    return meta


def load_weights(path: str | Path, device: str | torch.device = "cpu") -> Network:
    """Rebuild the network that a file describes, in eval mode, with `.meta` set."""
    meta = read_meta(path)
    model = create_model(meta.network, **meta.arguments)
    if not meta.aux:
        model.drop_aux()
    model.preprocesses = {name: Preprocess.from_dict(each) for name, each in meta.preprocesses.items()}
    if meta.quantised:
        from swath.quantise import Quantised

        model = Quantised(model.to(device), meta.quantised)
    with _open(Path(path)) as file:
        try:
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        except SafetensorError as error:
            raise SwathError(f"{path}: is damaged ({error}); get the file again") from error
    load_tensors(model, tensors, str(path))
    model.meta = meta
    return model.to(device).eval()


def load_tensors(model: Network, tensors: Mapping[str, torch.Tensor], source: str) -> None:
    """Fill every tensor of `model`; a missing, surplus or differently shaped one is named."""
    expected = model.state_dict()
    problems = [f"has no '{name}'" for name in expected if name not in tensors]
    problems += [f"has a surplus '{name}'" for name in tensors if name not in expected]
    problems += [
        f"'{name}' is {list(tensors[name].shape)} where {list(expected[name].shape)} is needed"
        for name in expected
        if name in tensors and tensors[name].shape != expected[name].shape
    ]
    if problems:
        more = f" (and {len(problems) - 1} more differences)" if len(problems) > 1 else ""
        raise SwathError(
            f"{source}: these are not weights of {model.name} with {model.num_classes} classes: it {problems[0]}{more}"
        )
    model.load_state_dict({name: tensor.to(expected[name].dtype) for name, tensor in tensors.items()})


def _open(path: Path) -> Any:
    path = weights_file(path)
    if not path.is_file():
        raise SwathError(f"{path}: no such file; give the path of a .safetensors file that `swath train` wrote")
    try:
        return safe_open(str(path), framework="pt")
    except (SafetensorError, OSError) as error:
        raise SwathError(
            f"{path}: is not a readable .safetensors file ({error}); it may be cut short or of another kind"
        ) from error
