"""What 8 bits cost: a network trained on synthetic streets, quantised without and with training.

    python benchmarks/quantisation.py [--network contextnet14]      writes benchmarks/quantisation.md

One float training; from its best weights, for each scheme: ranges from pictures alone (simple), with corrected biases,
and quantisation-aware training. All are scored on the same unseen streets. What was trained is also exported to ONNX,
and its labels in ONNX Runtime are compared with those of the network in torch.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
import yaml

import swath
from swath.cards import load_card
from swath.data import Source
from swath.deploy import export
from swath.evaluation import evaluate
from swath.inference import Segmenter
from swath.networks import Network
from swath.quantise import SCHEMES, calibrate
from swath.training import start

SIZE = (192, 384)
FLOAT = {
    "epochs": 12,
    "batch": 8,
    "window": {"size": "256x128", "scale": [0.75, 1.5], "jitter": 0.5, "brightness": 0.1, "contrast": 0.1},
    "optimiser": "adamw",
    "lr": 6e-3,
    "weight_decay": 1e-4,
    "schedule": "onecycle",
    "class_weights": "log",
}
# The share of its float rate at which EdgeAI's recipe trains on (4e-4 to 1e-5), without a rise.
AWARE = {**FLOAT, "epochs": 4, "lr": 6e-3 / 40, "schedule": "constant"}


def train(folder: Path, network: str, stage: dict[str, object]) -> Path:
    """The best weights of a run of one stage."""
    recipe = {
        "name": folder.name,
        "network": network,
        "data": {
            "card": "streets",
            "cache": True,
            "workers": 0,
            "train_options": {"count": 240, "size": "384x192"},
            "val_options": {"count": 24, "size": "384x192"},
        },
        "stages": [stage],
        "validation": {"epochs": 2},
        "threads": torch.get_num_threads(),
        "device": "cpu",
        "tensorboard": False,
    }
    file = folder.parent / f"{folder.name}.yaml"
    file.write_text(yaml.safe_dump(recipe))
    if status := start(str(file), out=folder):
        raise SystemExit(status)
    return folder / "best.safetensors"


def score(model: Network, streets: Source) -> str:
    return f"{100 * (evaluate(model, streets).miou or 0):.1f}"


def differing(weights: Path, streets: Source) -> str:
    """The share of pixels whose label ONNX Runtime sees otherwise, and the file's size."""
    model, file = swath.load(weights), weights.with_suffix(".onnx")
    export(model, file, "onnx")
    pictures = [np.ascontiguousarray(streets.image(i)) for i in range(8)]
    ours, theirs = (np.stack(Segmenter(each).label_maps(pictures)) for each in (model, file))
    return f"{100 * (ours != theirs).mean():.2f} %, {file.stat().st_size / 1e6:.2f} MB"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--network", default="contextnet14")
    network = parser.parse_args().network
    torch.set_num_threads(1)
    began = time.monotonic()
    card = load_card("streets")
    test = card.open("test", count=40, size=SIZE)
    train_split = card.open("train", count=240, size=SIZE)
    pixels = torch.from_numpy(np.stack([train_split.image(i) for i in range(64)]))
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        best = train(Path(folder) / "float", network, FLOAT)
        model = swath.load(best)
        export(model, best.with_suffix(".onnx"), "onnx")
        size = best.with_suffix(".onnx").stat().st_size / 1e6
        rows.append(["float32", score(model, test), "", "", "", f"{size:.2f} MB"])
        for scheme in SCHEMES:
            simple = calibrate(model, list(pixels.split(8)), scheme, bias_correction=False)
            corrected = calibrate(model, list(pixels.split(8)), scheme, steps=80)
            aware = train(Path(folder) / scheme, network, {**AWARE, "init": str(best), "quantise": {"scheme": scheme}})
            trained = score(swath.load(aware), test)
            rows.append([scheme, "", score(simple, test), score(corrected, test), trained, differing(aware, test)])
            print(rows[-1])
    minutes = (time.monotonic() - began) / 60
    lines = [
        "# What 8 bits cost",
        "",
        f"`python benchmarks/quantisation.py --network {network}`: mIoU (%) on 40 unseen synthetic streets of "
        f"{SIZE[1]}x{SIZE[0]}; torch {torch.__version__}, one thread, {minutes:.0f} minutes in all. "
        f"Trained on 240 pictures, {FLOAT['epochs']} epochs in float and {AWARE['epochs']} more aware of quantisation.",
        "",
        "| scheme | float | PTQ, simple | PTQ, biases corrected | QAT | ONNX Runtime: labels that differ, file |",
        "|---|---:|---:|---:|---:|---:|",
        *(f"| {' | '.join(row)} |" for row in rows),
    ]
    Path(__file__).with_suffix(".md").write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
