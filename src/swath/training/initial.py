"""Weights that a stage begins with, from a file."""

from __future__ import annotations

import logging

from swath.errors import SwathError
from swath.networks import Network
from swath.training.carry import in_short
from swath.weights.file import load_tensors, load_weights

_LOG = logging.getLogger("swath")


def check_network(path: str, found: str, wanted: str) -> None:
    """Refuse weights of another network than the one that is trained."""
    if found != wanted:
        raise SwathError(f"{path}: holds weights of {found}, this run trains {wanted}; give others as init")


def load_initial(model: Network, path: str) -> None:
    """Start from the weights of a file; auxiliary heads that it does not hold keep their fresh weights, and so do the
    last layers where it has another number of classes."""
    loaded = load_weights(path)
    check_network(path, loaded.name, model.name)
    tensors, others = dict(loaded.state_dict()), []
    for name, tensor in model.state_dict().items():
        if name.startswith("aux_heads.") and not len(loaded.aux_heads):
            tensors[name] = tensor
        elif name in tensors and tensors[name].shape != tensor.shape and loaded.num_classes != model.num_classes:
            tensors[name] = tensor
            others.append(name)
    if not len(model.aux_heads):
        tensors = {name: tensor for name, tensor in tensors.items() if not name.startswith("aux_heads.")}
    load_tensors(model, tensors, path)
    if others:
        _LOG.warning("%s: has %d classes: new weights for %s", path, loaded.num_classes, in_short(others))
