"""Is quantisation-aware training worth its time? Against a float control of the same length, and against calibration.

Small synthetic streets, nothing trained elsewhere. For each network and seed a float stage, and from its last weights
three stages of the same windows, rate and length, of which only what is trained differs. Beside them, float training of
the whole length by one schedule: what a person would do who does not mean to train with 8 bits.

  float       the float stage, then float again: the control
  QAT         the float stage, then 8 bits (int8; power2: TI's powers of two)
  PTQ         the control with 8 bits, by `calibrate` with corrected biases on 64 training pictures
  one, PTQ    the float training by one schedule, and the same calibration of it

mIoU of the last weights on pictures that no training has seen; nothing is chosen by it.

  python benchmarks/qat.py                                    all; runs that are there already are not repeated
  python benchmarks/qat.py --networks contextnet14 --seeds 1 --page some.md

Figures are written to qat.md beside this file after every run, so that it can be stopped at any time.
"""

from __future__ import annotations

import argparse
import json
import math
import statistics
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml

import swath
from swath.cards import load_card
from swath.data import Source
from swath.evaluation import evaluate
from swath.networks import Network
from swath.quantise import calibrate

NETWORKS = ["contextnet14", "fastscnn", "deeplabv3plus_lite_mobilenetv2_fd"]
SIZE = (128, 256)
TRAIN, TEST, CALIBRATED = 320, 100, 64
ARMS = ["float", "QAT int8", "PTQ int8", "QAT power2", "PTQ power2", "one", "one, PTQ int8", "one, PTQ power2"]
CONTROL = {arm: "one" if arm.startswith("one") else "float" for arm in ARMS}
STAGE: dict[str, Any] = {
    "batch": 8,
    "window": {"size": "256x128", "scale": [0.75, 1.5], "jitter": 0.5, "brightness": 0.1, "contrast": 0.1},
    "optimiser": "adamw",
    "lr": 6e-3,
    "weight_decay": 1e-4,
    "schedule": "onecycle",
    "class_weights": "log",
}
ON = {"lr": 6e-3 / 40, "schedule": "constant"}  # as EdgeAI's recipe goes on from its float training


class Runs:
    """The trainings and scores of one network and seed; each is made where it is asked for and is not there yet."""

    def __init__(self, network: str, seed: int, lengths: tuple[int, int], out: Path):
        self.network, self.seed, self.lengths = network, seed, lengths
        self.folder = out / "-".join(map(str, (network, *lengths, seed)))
        self.scores_file = self.folder / "scores.json"
        self.scores: dict[str, float] = json.loads(self.scores_file.read_text()) if self.scores_file.exists() else {}

    def score(self, arm: str, train: Source, test: Source) -> float:
        """mIoU in percent."""
        if arm not in self.scores:
            self.scores[arm] = 100 * (evaluate(self._made(arm, train), test).miou or 0)
            self.scores_file.write_text(json.dumps(self.scores, indent=2) + "\n")
        return self.scores[arm]

    def _made(self, arm: str, train: Source) -> Network:
        if "PTQ" in arm:
            model = swath.load(self._weights(CONTROL[arm]))
            pixels = torch.from_numpy(np.stack([train.image(i) for i in range(CALIBRATED)]))
            return calibrate(model, list(pixels.split(8)), arm.split()[-1])
        return swath.load(self._weights(arm))

    def _weights(self, arm: str) -> Path:
        first, then = self.lengths
        if arm == "one":
            return self._train("one", {"iterations": first + then}, self.seed)
        before = self._train("first", {"iterations": first}, self.seed)
        more: dict[str, Any] = {**ON, "iterations": then, "init": str(before)}
        if arm.startswith("QAT"):
            more["quantise"] = {"scheme": arm.split()[-1]}
        return self._train(arm.replace(" ", "-"), more, self.seed + 100)  # other windows than in the first stage

    def _train(self, name: str, stage: dict[str, Any], seed: int) -> Path:
        """The last weights of a run of one stage, in a process of its own."""
        folder = self.folder / name
        if not (folder / "done").exists():
            recipe = {
                "name": name,
                "network": self.network,
                "data": {
                    "card": "streets",
                    "cache": True,
                    "workers": 0,
                    "train_options": {"count": TRAIN, "size": list(SIZE)},
                    "val_options": {"count": 8, "size": list(SIZE)},
                },
                "stages": [{**STAGE, **stage}],
                "validation": {"iterations": 1_000_000},  # at the end
                "seed": seed,
                "threads": 1,
                "device": "cpu",
                "samples": 0,
                "tensorboard": False,
            }
            self.folder.mkdir(parents=True, exist_ok=True)
            file = self.folder / f"{name}.yaml"
            file.write_text(yaml.safe_dump(recipe, sort_keys=False))
            command = [sys.executable, "-m", "swath.cli.main", "train", str(file), "--out", str(folder), "--overwrite"]
            subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
            (folder / "done").touch()
        return folder / "last.safetensors"


Found = dict[str, dict[str, list[float]]]  # by network and arm, in the order of seeds


def page(found: Found, lengths: tuple[int, int]) -> str:
    first, then = lengths
    height, width = SIZE
    lines = [
        "# Training with 8 bits against its control",
        "",
        f"`python benchmarks/qat.py`: mIoU (%) of the last weights on {TEST} unseen synthetic streets of "
        f"{width}x{height}, in torch, one thread. {TRAIN} pictures to learn from; {first} iterations of 8 in float, "
        f"then {then} more in float (the control) or with 8 bits (QAT); `one`: {first + then} in float by one "
        f"schedule. PTQ: calibrated on {CALIBRATED} pictures, biases corrected. Below each mean, the seeds.",
        "",
        f"| network | {' | '.join(ARMS)} |",
        f"| --- |{' ---: |' * len(ARMS)}",
    ]
    for network, arms in found.items():
        cells = (arms.get(arm, []) for arm in ARMS)
        texts = (f"{statistics.mean(c):.1f}<br>{' '.join(f'{v:.1f}' for v in c)}" if c else "" for c in cells)
        lines.append(f"| {network} | {' | '.join(texts)} |")
    lines += [
        "",
        "Differences of runs of the same seed, with their standard error over the seeds. The first four columns are "
        "against the float training that each comes from or runs beside.",
        "",
        "| network | QAT int8 | PTQ int8 | QAT power2 | PTQ power2 | QAT - PTQ, int8 | QAT - PTQ, power2 | "
        "QAT int8 - (one, PTQ int8) |",
        "| --- |" + " ---: |" * 7,
    ]
    pairs = [("QAT int8", "float"), ("PTQ int8", "float"), ("QAT power2", "float"), ("PTQ power2", "float")]
    pairs += [("QAT int8", "PTQ int8"), ("QAT power2", "PTQ power2"), ("QAT int8", "one, PTQ int8")]
    for network, arms in found.items():
        lines.append(f"| {network} | {' | '.join(difference(arms, *pair) for pair in pairs)} |")
    if len(found) > 1:
        every = {arm: [v for arms in found.values() for v in arms.get(arm, [])] for arm in ARMS}
        lines.append(f"| all | {' | '.join(difference(every, *pair) for pair in pairs)} |")
    return "\n".join(lines) + "\n"


def difference(arms: dict[str, list[float]], one: str, other: str) -> str:
    gains = [a - b for a, b in zip(arms.get(one, []), arms.get(other, []))]
    error = f" ± {statistics.stdev(gains) / math.sqrt(len(gains)):.2f}" if len(gains) > 1 else ""
    return f"{statistics.mean(gains):+.2f}{error}" if gains else ""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--networks", nargs="+", default=NETWORKS)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--iterations", type=int, nargs=2, default=(250, 100), metavar=("FLOAT", "MORE"))
    parser.add_argument("--out", type=Path, default=Path("runs/qat"))
    parser.add_argument("--page", type=Path, default=Path(__file__).with_suffix(".md"))
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    card, lengths = load_card("streets"), tuple(arguments.iterations)
    train, test = (card.open(split, count=count, size=SIZE) for split, count in (("train", TRAIN), ("test", TEST)))
    found: Found = {}
    for seed in range(1, arguments.seeds + 1):
        for network in arguments.networks:
            runs = Runs(network, seed, lengths, arguments.out)
            for arm in ARMS:
                found.setdefault(network, {}).setdefault(arm, []).append(runs.score(arm, train, test))
                print(f"seed {seed} {network} {arm}: {found[network][arm][-1]:.1f} %", flush=True)
                arguments.page.write_text(page(found, lengths))
    print("\n" + page(found, lengths))


if __name__ == "__main__":
    main()
