"""One network: what its authors say and, beside it, what is measured here."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from torch import nn

from swath.bench import macs
from swath.networks import Info, create_model, list_models, model_info
from swath.networks.shapes import ShapesOnly
from swath.training import list_recipes, load_recipe
from swath.weights import list_shipped, read_meta, weights_file

CLASSES = 19  # that parameters and MACs are counted for: those of Cityscapes


@dataclass(frozen=True, kw_only=True)
class Shipped:
    """Weights in the package."""

    name: str  # what commands take in the place of a file
    dataset: str
    score: dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Entry:
    """A row of the table of networks."""

    info: Info
    parameters: int
    convolution_weights: int  # without norms and biases: what some papers call their parameters
    macs: int  # at `info.size`, up to the logits at the native stride
    recipes: tuple[str, ...]
    weights: tuple[Shipped, ...]

    def as_dict(self) -> dict[str, Any]:
        """The entry for a program; sizes are width x height."""
        info, claims = self.info, self.info.claims
        return {
            "name": info.name,
            "family": info.family,
            "year": info.year,
            "paper": info.paper,
            "aliases": list(info.aliases),
            "stride": info.stride,
            "size": f"{info.size[1]}x{info.size[0]}",
            "parameters": self.parameters,
            "convolution_weights": self.convolution_weights,
            "macs": self.macs,
            "claims": {
                "params_m": claims.params_m,
                "gmacs": claims.gmacs,
                "miou": dict(claims.miou),
                "fps": dict(claims.fps),
                "note": claims.note,
            },
            "licence": info.licence,
            "recipes": list(self.recipes),
            "weights": [{"name": each.name, "dataset": each.dataset, "score": each.score} for each in self.weights],
        }


def entries(names: Iterable[str]) -> Iterator[Entry]:
    """The entries of some networks, one by one as they are measured (a fraction of a tenth of a second each)."""
    recipes, weights = _recipes(), _weights()
    for name in names:
        info = model_info(name)
        with ShapesOnly():
            model = create_model(name, num_classes=CLASSES).eval()
        yield Entry(
            info=info,
            parameters=sum(parameter.numel() for parameter in model.parameters()),
            convolution_weights=sum(
                module.weight.numel()
                for module in model.modules()
                if isinstance(module, (nn.Conv1d, nn.Conv2d, nn.ConvTranspose2d))
            ),
            macs=macs(model, info.size),
            recipes=tuple(recipe for recipe, network in recipes.items() if network == info.name),
            weights=tuple(each for network, each in weights if network == info.name),
        )


def _recipes() -> dict[str, str]:
    """Which network each recipe of the package trains."""
    networks = {name: load_recipe(name).network for name in list_recipes()}
    known = set(list_models())
    return {recipe: name if name in known else model_info(name).name for recipe, name in networks.items()}


def _weights() -> list[tuple[str, Shipped]]:
    found = []
    for name in list_shipped():
        meta = read_meta(weights_file(name))
        found.append((meta.network, Shipped(name=name, dataset=meta.dataset, score=meta.score)))
    return found
