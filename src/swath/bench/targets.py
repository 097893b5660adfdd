"""What can be benchmarked: a network by name, weights, an exported file."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from swath.errors import SwathError
from swath.inference import Segmenter
from swath.inference.runtimes import KINDS
from swath.networks import Network, create_model, model_info
from swath.weights import load_weights


@dataclass(frozen=True)
class Target:
    """A segmenter to be timed, the same network without memory (for counting), and its score where one is known."""

    name: str
    segmenter: Segmenter
    shapes: Network
    score: dict[str, Any]  # {"miou": percent, "on": dataset, "by": "swath" or "authors"}, or empty


def open_target(name: str, *, num_classes: int = 19, device: str = "cpu", dtype: str = "float32") -> Target:
    """A network of the registry with fresh weights, or a file."""
    path = Path(name)
    if path.suffix in KINDS:
        return _open_file(path, device, dtype)
    info = model_info(name)
    torch.manual_seed(0)
    network = create_model(info.name, num_classes=num_classes).drop_aux().eval()
    score: dict[str, Any] = {}
    if info.claims.miou:
        dataset, miou = next(iter(info.claims.miou.items()))
        score = {"miou": miou, "on": dataset, "by": "authors"}
    return Target(info.name, Segmenter(network, device, dtype=dtype), network, score)


def _open_file(path: Path, device: str, dtype: str) -> Target:
    if path.suffix == ".safetensors":
        network = load_weights(path)
        segmenter = Segmenter(network, device, dtype=dtype)
    elif dtype != "float32":
        raise SwathError(
            f"{path}: an exported file keeps its precision; leave --dtype {dtype} out, or give the weights"
        )
    else:
        segmenter = Segmenter(path, device)
        meta = segmenter.description.meta
        with torch.device("meta"):
            network = create_model(meta.network, **meta.arguments).drop_aux().eval()
    meta = segmenter.description.meta
    score = {}
    if isinstance(miou := meta.score.get("miou"), (int, float)):
        score = {"miou": 100 * float(miou), "on": meta.dataset, "by": "swath"}
    return Target(str(path), segmenter, network, score)
