"""Whole segmentation checkpoints of other people, through explicit key maps: one file a family.

All or nothing: every tensor of the file must have its place and every place of the network its tensor (counters of
batches may lack); what does not fit is named. Only families whose authors' names are documented are here.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from swath.errors import SwathError
from swath.networks import Network, create_model, model_info
from swath.networks.encoders.checkpoints import read_tensors
from swath.networks.encoders.layouts import recognise as recognise_encoder
from swath.networks.shapes import ShapesOnly
from swath.weights.file import read_meta
from swath.weights.imports import edgeai_lite, refinenet_lw
from swath.weights.imports.layout import ImportLayout

__all__ = ["Identified", "identify", "import_checkpoint", "importable"]

LAYOUTS: tuple[ImportLayout, ...] = (*refinenet_lw.LAYOUTS, *edgeai_lite.LAYOUTS)


@dataclass(frozen=True, kw_only=True)
class Identified:
    """What a checkpoint is. Several networks where the same tensors fit all of them."""

    layout: ImportLayout
    networks: tuple[str, ...]
    num_classes: int
    in_channels: int
    tensors: Mapping[str, Tensor]  # under the authors' names

    @property
    def card(self) -> str | None:
        """The card that the authors mean by so many classes, where they have such a rule."""
        return self.layout.cards.get(self.num_classes)


def importable() -> list[str]:
    """The networks that have a key map."""
    return [name for layout in LAYOUTS for name in layout.networks]


def identify(path: str | Path) -> Identified:
    """Which networks a file fits, by its keys and shapes; an error that says what it has where there is none."""
    file = _read(path)
    layout = next((each for each in LAYOUTS if all(key in file for key in each.decisive)), None)
    if layout is None:
        raise _stranger(path, file)
    num_classes, in_channels = file[layout.classifier].shape[0], file[layout.first].shape[1]
    misfits = {name: _misfit(file, layout, name, num_classes, in_channels) for name in layout.candidates(file)}
    fitting = tuple(name for name, misfit in misfits.items() if not misfit)
    if not fitting:
        said = "; ".join(f"as {name}, {misfit}" for name, misfit in misfits.items()) or "of an unknown size"
        raise SwathError(f"{path}: looks like {layout.name}, but fits none of its networks: {said}")
    return Identified(layout=layout, networks=fitting, num_classes=num_classes, in_channels=in_channels, tensors=file)


def import_checkpoint(path: str | Path, network: str) -> tuple[Network, Identified]:
    """`network` with the tensors of a checkpoint in its authors' layout, in eval mode, and what the file was."""
    name = model_info(network).name
    if name not in importable():
        raise SwathError(
            f"{path}: no names of the tensors in checkpoints of {name} are documented; "
            f"what can be imported: {', '.join(importable())}"
        )
    found = identify(path)
    if name not in found.networks:
        raise SwathError(f"{path}: is {' or '.join(found.networks)} with {found.num_classes} classes, not {name}")
    model = create_model(name, num_classes=found.num_classes, in_channels=found.in_channels)
    ours = {found.layout.rename(key): tensor for key, tensor in found.tensors.items()}
    state = model.state_dict()  # begins with our counters of batches, for files that have none
    state.update({key: tensor.to(state[key].dtype) for key, tensor in ours.items() if key is not None})
    model.load_state_dict(state)
    return model.eval(), found


def _read(path: str | Path) -> dict[str, Tensor]:
    """The tensors, without what parallel and compiled training put before every name."""
    return read_tensors(path, prefixes=("module.", "_orig_mod."))


def _misfit(file: Mapping[str, Tensor], layout: ImportLayout, network: str, num_classes: int, in_channels: int) -> str:
    """What keeps the tensors of a file from being those of a network; empty: nothing."""
    with ShapesOnly():
        expected = create_model(network, num_classes=num_classes, in_channels=in_channels).state_dict()
    ours = {key: layout.rename(key) for key in file}
    given = {name: key for key, name in ours.items()}
    problems = {
        "it lacks the counterpart of": [
            key for key in expected if key not in given and not key.endswith("num_batches_tracked")
        ],
        "nothing takes": [key for key, name in ours.items() if name not in expected],
        "it has twice": [key for key, name in ours.items() if name is not None and given[name] != key],
        "another shape is needed of": [
            f"{key} ({list(file[key].shape)}, needed {list(expected[name].shape)})"
            for key, name in ours.items()
            if name in expected and file[key].shape != expected[name].shape
        ],
    }
    return "; ".join(f"{what} {', '.join(names)}" for what, names in problems.items() if names)


def _stranger(path: str | Path, file: Mapping[str, Tensor]) -> SwathError:
    known = ", ".join(layout.name for layout in LAYOUTS)
    encoder = recognise_encoder(file.keys())
    if encoder is not None:
        return SwathError(
            f"{path}: holds {encoder.name} alone, an encoder; give it to a network as encoder_weights. "
            f"Whole checkpoints that are known: {known}"
        )
    if Path(path).suffix == ".safetensors":
        with contextlib.suppress(SwathError):
            return SwathError(f"{path}: is swath's own already, a {read_meta(path).network}; use it as it is")
    some = ", ".join(list(file)[:3])
    return SwathError(f"{path}: no checkpoint that is known here; it has {some}, ...; known: {known}")
