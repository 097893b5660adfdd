"""`swath train auto` against each network's own recipe, on synthetic streets: mIoU, several seeds.

Two arms, alike in all that costs time: 300 iterations of 8 windows, pictures of 256x128 (320 to learn from, 40 to be
measured on), no weights trained elsewhere, the best of six validations.

  own   the recipe of the network's authors for its own dataset, carried over (below)
  auto  `swath train auto --network NAME --card streets`, with that number of iterations and the seed; nothing else

How an own recipe is carried over. What it says stays: optimiser, rates, weight decay and what it spares, momentum,
schedule, losses, class weights, colors, scales, auxiliary heads. What depends on sizes is scaled:

  windows      the authors' share of the pictures, as they show them; never fewer pixels than auto's windows: enlarged
               to that, in their shape, in steps of 32 rounded up
  scales       in terms of the size at which the authors show pictures (LightNet halves them first: here, not)
  pixels       counted by a loss (OHEM's least, K of bootstrapping): the same share of the window
  iterations   warm-up and periods: the same share of the run
  classes      weights that were counted on its dataset are counted on streets by the same rule
  batch        8 in both arms, the authors' rates unchanged
  trained      encoders are not, so a lower rate for them and frozen norms, which need it, are left out

  python benchmarks/auto.py                      all; runs that are there already are not repeated
  python benchmarks/auto.py --networks fastscnn contextnet14 --seeds 1

The networks are light ones of each project, chosen by cost before their figures were known. The first run of
rf_lw_mobilenetv2 by `auto` came to 4.4 %: since then the rate is tried first, and its runs were made anew.

Figures are written to auto.md beside this file after every run, so that it can be stopped at any time.
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

import yaml

from swath.training.config import Recipe, Stage
from swath.training.fill import as_plain
from swath.training.recipe_files import load_recipe
from swath.weights import read_meta

ITERATIONS, BATCH, VALIDATIONS = 300, 8, 6
HEIGHT, WIDTH = 128, 256
TRAIN, VAL = 320, 40
AUTO_PIXELS = 192 * 96  # of the windows that auto chooses for such pictures
STEP = 32

# Own recipe -> the short side at which its authors show pictures, what its scales are shares of, and how many pictures
# its dataset has. Those with a star were looked at while the default was tuned.
OWN = {
    "fastscnn-cityscapes": (1024, 1.0, 2975),
    "contextnet14-cityscapes": (1024, 1.0, 2975),
    "fpn_lite_mobilenetv2-cityscapes": (384, 1.0, 2975),
    "unet_lite_mobilenetv2-cityscapes": (384, 1.0, 2975),
    "sfanet-cityscapes": (1024, 1.0, 2975),
    "rf_lw_mobilenetv2-nyuv2": (480, 1.0, 795),
    "csfcn_tiny-cityscapes": (1024, 1.0, 2975),
    "shufflenetplus-cityscapes": (512, 0.5, 2975),
}
TUNED = ("fastscnn", "contextnet14")


def own_recipe(name: str, seed: int) -> dict[str, Any]:
    """The recipe of the authors, carried over."""
    shown, unit, pictures = OWN[name]
    recipe = load_recipe(name)
    stage = recipe.stages[0]  # of several, the first has the settings, the others lower rates
    size = _window(stage.window.size, HEIGHT / shown)
    theirs = _steps(recipe, pictures)
    an_epoch = TRAIN // BATCH
    window = {
        **as_plain(stage.window),
        "size": size,
        "scale": [each / unit for each in stage.window.scale],
        "resize": [HEIGHT, WIDTH] if stage.window.resize else None,
        "short_side": HEIGHT if stage.window.short_side else None,
        "least_side": round(stage.window.least_side * HEIGHT / shown) if stage.window.least_side else None,
    }
    changed: dict[str, Any] = {
        "epochs": None,
        "iterations": ITERATIONS,
        "batch": BATCH,
        "window": window,
        "warmup": round(ITERATIONS * stage.warmup / theirs),
        "loss_options": _options(stage, size),
        "class_weights": "median" if isinstance(stage.class_weights, list) else stage.class_weights,
        "frozen_norms": False,
        "parts": {key: part for key, part in as_plain(stage)["parts"].items() if key != "encoder"},
    }
    if stage.period is not None:
        changed["period"] = stage.period / (stage.epochs or 1) * ITERATIONS / an_epoch
    if len(recipe.stages) > 1:  # Light-Weight RefineNet's three, as one whose rate falls as theirs do
        changed.update(schedule="steps", period=ITERATIONS / an_epoch / len(recipe.stages), drop=0.45)
    plain = as_plain(recipe)
    return {
        **plain,
        "data": {"card": "streets", **data()},
        "stages": [{**plain["stages"][0], **changed}],
        "validation": {"iterations": ITERATIONS // VALIDATIONS},
        "seed": seed,
        **quiet(),
    }


def data() -> dict[str, Any]:
    """Small streets, held in memory."""
    return {
        "cache": True,
        "train_options": {"count": TRAIN, "size": [HEIGHT, WIDTH]},
        "val_options": {"count": VAL, "size": [HEIGHT, WIDTH]},
    }


def quiet() -> dict[str, Any]:
    """What is the same for all and no part of the question."""
    return {"threads": 1, "samples": 0, "tensorboard": False, "device": "cpu"}


def _window(size: tuple[int, int], factor: float) -> list[int]:
    height, width = (side * factor for side in size)
    grown = max(1.0, math.sqrt(AUTO_PIXELS / (height * width)))
    return [math.ceil(round(side * grown / STEP, 6)) * STEP for side in (height, width)]


def _steps(recipe: Recipe, pictures: int) -> int:
    return sum(stage.iterations or (stage.epochs or 0) * (pictures // stage.batch) for stage in recipe.stages)


def _options(stage: Stage, size: list[int]) -> dict[str, Any]:
    """Numbers of pixels as the same share of the window."""
    share = size[0] * size[1] / (stage.window.size[0] * stage.window.size[1])
    options = dict(stage.loss_options)
    if "min_pixels" in options:
        options["min_pixels"] = round(options["min_pixels"] * share * BATCH / stage.batch)
    if stage.loss == "bootstrapped":
        options["step"] = max(1, round(options.get("step", 512) * share))
    return options


def run(name: str, arm: str, seed: int, out: Path) -> float:
    """The best mIoU of one run, in percent; a process of its own."""
    network = load_recipe(name).network
    folder = out / f"{network}-{arm}-{seed}"
    if not (folder / "done").exists():
        out.mkdir(parents=True, exist_ok=True)
        command = [sys.executable, "-m", "swath.cli.main", "train"]
        if arm == "own":
            file = out / f"{network}-own-{seed}.yaml"
            file.write_text(yaml.safe_dump(own_recipe(name, seed), sort_keys=False))
            command.append(str(file))
        else:
            command += ["auto", "--network", network, "--card", "streets", "--seed", str(seed)]
            command += ["--iterations", str(ITERATIONS), "--validation.iterations", str(ITERATIONS // VALIDATIONS)]
            command += [f"--{key}={value}" for key, value in quiet().items()]
            command += [f"--data.{key}={json.dumps(value)}" for key, value in data().items()]
        subprocess.run([*command, "--out", str(folder), "--overwrite"], check=True, stdout=subprocess.DEVNULL)
        (folder / "done").touch()
    return 100 * float(read_meta(folder / "best.safetensors").score["miou"])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--networks", nargs="+", help="some of them")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--out", type=Path, default=Path("runs/auto"))
    arguments = parser.parse_args()
    names = [name for name in OWN if not arguments.networks or load_recipe(name).network in arguments.networks]
    found: dict[tuple[str, str], list[float]] = {}
    for seed in range(1, arguments.seeds + 1):
        for name in names:
            for arm in ("own", "auto"):
                found.setdefault((name, arm), []).append(run(name, arm, seed, arguments.out))
                print(f"seed {seed} {name} {arm}: {found[name, arm][-1]:.1f} %", flush=True)
            if not arguments.networks:
                Path(__file__).with_suffix(".md").write_text(page(found))
    print("\n" + table(found))


def table(found: dict[tuple[str, str], list[float]]) -> str:
    """A row a network, of the seeds that both arms have."""
    lines = ["| network | own recipe of | own, by seed | auto, by seed | own | auto | auto - own |"]
    lines.append("| --- | --- | --- | --- | ---: | ---: | ---: |")
    for name in dict.fromkeys(name for name, _ in found):
        own, auto = found[name, "own"], found.get((name, "auto"), [])
        gains = [b - a for a, b in zip(own, auto)]
        if not gains:
            continue
        error = f" ± {statistics.stdev(gains) / math.sqrt(len(gains)):.1f}" if len(gains) > 1 else ""
        network, _, dataset = name.partition("-")
        star = "*" if network in TUNED else ""
        means = " | ".join(f"{statistics.mean(each):.1f}" for each in (own, auto))
        seeds = " | ".join(" ".join(f"{value:.1f}" for value in each) for each in (own, auto))
        lines.append(f"| {network}{star} | {dataset} | {seeds} | {means} | {statistics.mean(gains):+.1f}{error} |")
    return "\n".join(lines) + "\n"


def page(found: dict[tuple[str, str], list[float]]) -> str:
    """The file beside this one."""
    assert __doc__ is not None
    pairs = [
        (statistics.mean(own), statistics.mean(found[name, "auto"]))
        for (name, arm), own in found.items()
        if arm == "own" and (name, "auto") in found
    ]
    better = sum(auto > own for own, auto in pairs)
    definition = __doc__.partition("\n\n")[2].partition("  python benchmarks")[0].rstrip()
    return (
        "# One recipe for all against each network's own\n\n"
        "Best mIoU (%) on the validation split of synthetic streets. The last column is the mean difference of runs of "
        "the same seed, with its standard error. The default was tuned on the networks with a star (by other runs, of "
        "200 iterations). Of the others one was looked at: rf_lw_mobilenetv2, whose first run did not learn (below)."
        f"\n\n**auto is ahead for {better} of "
        f"{len(pairs)} networks**, by the mean of the seeds that are done.\n\n"
        f"{table(found)}\n"
        "300 iterations are a short training, in which fast beginnings count for much: this says with which settings a "
        "person should begin, not what a network's authors reach with theirs after days.\n\n"
        f"## How it is compared\n\n```\n{definition}\n```\n\n"
        "Written by `python benchmarks/auto.py`, a thread a run.\n"
    )


if __name__ == "__main__":
    main()
