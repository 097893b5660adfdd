"""Weights that go on with other classes: everything but the layers that answer with the classes."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from swath.cards import Card
from swath.networks import Network
from swath.training.config import Recipe
from swath.training.tasks import bare_network


def of_classes(recipe: Recipe, card: Card, stage: int) -> set[str]:
    """Names of the tensors whose shape goes by the number of classes."""
    shapes = [
        {name: tensor.shape for name, tensor in bare_network(recipe, card, stage, more).state_dict().items()}
        for more in (0, 1)
    ]
    return {name for name, shape in shapes[0].items() if shapes[1].get(name) != shape}


def carry_over(weights: Mapping[str, Tensor], model: Network, fresh: set[str]) -> list[str]:
    """Put weights into a new network by name and shape, but none of `fresh`; returns the names that stay as they are
    made. What counts batches is no weight, and goes with its layer."""
    own = model.state_dict()
    taken = {
        name: tensor
        for name, tensor in weights.items()
        if name in own and name not in fresh and own[name].shape == tensor.shape
    }
    model.load_state_dict({**own, **taken})
    return [name for name in own if name not in taken]


def in_short(names: list[str]) -> str:
    """Layers by their names, for a line of the log."""
    layers = list(dict.fromkeys(name.rpartition(".")[0] for name in names))
    return ", ".join(layers[:4]) + (f" and {len(layers) - 4} more" if len(layers) > 4 else "")
