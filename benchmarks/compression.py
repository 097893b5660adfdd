"""Does training with compression help? ContextNet trained as it is, against begun twice as wide and pruned on the way.

Three arms, several seeds, mIoU of the last weights on the validation split (nothing is chosen by it):

  direct      the network itself
  compressed  begun at twice the width, pruned to 1.5, 1.25 and 1 times after 40, 55 and 70 % of the same iterations
  longer      the network itself with as much arithmetic as `compressed` (a wide network's iteration costs more)

  python benchmarks/compression.py streets
  python benchmarks/compression.py camvid --root CAMVID

Runs that are there already are not repeated. Figures are added to compression.md beside this file.
"""

from __future__ import annotations

import argparse
import math
import statistics
import subprocess
import sys
from pathlib import Path

import yaml

from swath.weights import read_meta

PARTS = ((2.0, 0.0, 0.4), (1.5, 0.4, 0.55), (1.25, 0.55, 0.7), (1.0, 0.7, 1.0))  # width, from, to
# GMACs of contextnet14 at those widths (specification of the network; tests/networks checks the last)
COST = {2.0: 25.076, 1.5: 14.463, 1.25: 10.242, 1.0: 6.746}
LONGER = sum(COST[width] * (high - low) for width, low, high in PARTS) / COST[1.0]

SETS = {
    "streets": {
        "title": "streets, 320 pictures of 512x256, contextnet14",
        "extends": "streets",
        "network": "contextnet14",
        "width": 1.0,
        "iterations": 800,
        "stage": {},
    },
    "camvid": {
        "title": "CamVid train 367 / val 101, contextnet14_160",
        "extends": "contextnet12-camvid",
        "network": "contextnet14_160",
        "width": 0.4125,
        "iterations": 900,
        "stage": {
            "batch": 8,
            "window": {"size": [256, 352], "scale": [0.5, 1.5], "jitter": 0.5, "brightness": 0.2, "contrast": 0.2},
            "lr": 5.0e-3,
            "weight_decay": 1.0e-4,
            "schedule": "onecycle",
            "warmup": 0,
            "floor": 0.0,
            "loss": "cross-entropy",
            "loss_options": {},
            "class_weights": "log",
            "ema": 0.99,
        },
    },
}


def recipe(name: str, arm: str, seed: int, root: str | None) -> dict[str, object]:
    """One run as a recipe."""
    facts = SETS[name]
    from swath.training.fill import as_plain
    from swath.training.recipe_files import load_recipe

    plain = as_plain(load_recipe(str(facts["extends"])))
    stage = {**plain["stages"][0], **facts["stage"], "epochs": None}
    total = int(facts["iterations"])
    base = float(facts["width"])
    options: dict[str, object] = {}
    if arm == "compressed":
        options = {"width": 2 * base}
        stages = []
        for width, low, high in PARTS:
            part = {**stage, "name": f"width {width}", "span": [low, high], "iterations": round(total * (high - low))}
            if width != PARTS[0][0]:
                part.update(prune={"width": width * base}, warmup=20, warmup_from=0.1)
            stages.append(part)
    else:
        stages = [{**stage, "iterations": total if arm == "direct" else round(total * LONGER)}]
    data = {**plain["data"], "cache": True, **({"root": root} if root else {})}
    return {
        **plain,
        "name": f"{name}-{arm}-{seed}",
        "network": facts["network"],
        "network_options": options,
        "data": data,
        "stages": stages,
        "validation": {"iterations": 1_000_000, "epochs": 1, "patience": None},  # at the end of each stage
        "seed": seed,
        "threads": 1,
        "samples": 0,
        "tensorboard": False,
    }


def train(name: str, arm: str, seed: int, root: str | None, out: Path) -> float:
    """The mIoU of the last weights of one run, in percent."""
    folder = out / f"{name}-{arm}-{seed}"
    last = folder / "last.safetensors"
    if not (folder / "done").exists():
        out.mkdir(parents=True, exist_ok=True)
        file = out / f"{name}-{arm}-{seed}.yaml"
        file.write_text(yaml.safe_dump(recipe(name, arm, seed, root), sort_keys=False))
        command = [sys.executable, "-m", "swath.cli.main", "train", str(file), "--out", str(folder), "--overwrite"]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        (folder / "done").touch()
    return 100 * float(read_meta(last).score["miou"])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("set", choices=SETS)
    parser.add_argument("--root")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--out", type=Path, default=Path("runs/compression"))
    arguments = parser.parse_args()
    arms = ("direct", "compressed", "longer")
    found: dict[str, list[float]] = {arm: [] for arm in arms}
    for seed in range(1, arguments.seeds + 1):
        for arm in arms:
            found[arm].append(train(arguments.set, arm, seed, arguments.root, arguments.out))
            print(f"seed {seed} {arm}: {found[arm][-1]:.1f} %", flush=True)
    facts = SETS[arguments.set]
    lines = [
        f"## {facts['title']}",
        "",
        f"{facts['iterations']} iterations ({LONGER:.2f} times as many in `longer`), {arguments.seeds} seeds.",
        "",
        "| arm | " + " | ".join(f"seed {i + 1}" for i in range(arguments.seeds)) + " | mean | against direct |",
        "| --- |" + " ---: |" * (arguments.seeds + 2),
    ]
    for arm in arms:
        gains = [a - b for a, b in zip(found[arm], found["direct"])]
        error = statistics.stdev(gains) / math.sqrt(len(gains)) if len(gains) > 1 and arm != "direct" else 0.0
        gain = "" if arm == "direct" else f"{statistics.mean(gains):+.1f} ± {error:.1f}"
        row = " | ".join(f"{each:.1f}" for each in found[arm])
        lines.append(f"| {arm} | {row} | {statistics.mean(found[arm]):.1f} | {gain} |")
    text = "\n".join(lines) + "\n"
    print("\n" + text)
    write(Path(__file__).with_suffix(".md"), str(facts["title"]), text)


def write(path: Path, title: str, text: str) -> None:
    """Put one section of the page in place of its older self."""
    head = (
        "# Training with compression\n\nmIoU (%) on the validation split, last weights, by benchmarks/compression.py. "
        "The last column is the mean difference of runs of the same seed, with its standard error.\n\n"
    )
    old = path.read_text().split("## ")[1:] if path.exists() else []
    kept = ["## " + part.rstrip() + "\n" for part in old if not part.startswith(title)]
    path.write_text(head + "\n".join([*kept, text]))


if __name__ == "__main__":
    main()
