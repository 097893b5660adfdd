"""How long a training crop takes to load: swath, and the usual way, from PNG, JPEG, packed data and shards.

    python benchmarks/loading.py [--root CITYSCAPES] [--crops N]         writes benchmarks/loading.md

The usual way is that of mmsegmentation 1.x's default pipeline, written out below; where mmsegmentation itself can be
imported, its own transforms are timed too:

    pip install --no-deps --target SIDE mmengine mmsegmentation "mmcv-lite<2.2" addict yapf termcolor ftfy wcwidth \\
        prettytable regex
    PYTHONPATH=SIDE python benchmarks/loading.py

All ways: 2048 x 1024 to 1024 x 512, scale 0.5 to 2, mirrored half of the time, brightness, contrast, saturation and hue
jittered. One core: every way's crop of a picture directly after the other's, in one process with one thread. Pictures
are street scenes made here, with the noise of a sensor: their PNGs are as large as Cityscapes' (about 2.3 MB); --root
takes real ones.
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import platform
import shutil
import statistics
import sys
import tempfile
import time
import types
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import cv2
import numpy as np
import torch
from PIL import Image
from rich.console import Console

from swath.cards import Card, load_card
from swath.data import Source, Windows, WindowSpec
from swath.data.packed import pack, plan_packing
from swath.data.shards import write_shards
from swath.training.machine import available_cores
from swath.training.sources import Cached

SIZE, CROP = (1024, 2048), (512, 1024)
SPEC = WindowSpec(CROP, scale=(0.5, 2.0), brightness=0.125, contrast=0.5, saturation=0.5, hue=0.05)
MEAN, SCALE = np.array([[123.675, 116.28, 103.53]]), 1 / np.array([[58.395, 57.12, 57.375]])

Crop = Callable[[int], Any]

WAYS = {"usual": "usual", "floats": "usual, in floats", "mmseg": "mmsegmentation", "swath": "**swath**"}
# What the pictures are, the ways that are timed on it, and what they are compared with.
STORAGES = [
    ("PNG", ["usual png", "floats png", "mmseg png", "swath png"], "usual png"),
    ("JPEG", ["usual jpg", "floats jpg", "mmseg jpg", "swath jpg"], "usual jpg"),
    ("decoded, in memory", ["usual memory", "floats memory", "swath memory"], "usual memory"),
    ("packed", ["swath packed"], "usual png"),
    ("packed, against JPEG", ["swath packed"], "usual jpg"),
    ("packed as JPEG", ["swath packed-jpeg"], "usual png"),
    ("shards of PNG, on a disk", ["swath shards"], "usual png"),
]


# --- the usual way ----------------------------------------------------------------------------------------------------


class Usual:
    """Decode whole, resize whole, crop, mirror, jitter colors in turn, normalise: all of it before the batch."""

    def __init__(self, source: Source, floats: bool = False, decoded: bool = False):
        self.source, self.floats = source, floats
        self.pictures = [self.decode(i) for i in range(len(source))] if decoded else None

    def decode(self, index: int) -> tuple[Any, Any]:
        pair = self.source.pairs[index]
        with Image.open(pair.label) as label:  # mmsegmentation reads labels by Pillow, pictures by OpenCV
            return cv2.imread(str(pair.image), cv2.IMREAD_COLOR), np.array(label)

    def __call__(self, index: int) -> tuple[Any, Any]:
        image, labels = self.pictures[index] if self.pictures else self.decode(index)
        if self.floats:
            image = image.astype(np.float32)
        scale = np.random.uniform(0.5, 2.0)
        size = (int(image.shape[1] * scale + 0.5), int(image.shape[0] * scale + 0.5))
        image = cv2.resize(image, size, interpolation=cv2.INTER_LINEAR)
        labels = cv2.resize(labels, size, interpolation=cv2.INTER_NEAREST)
        image, labels = self.crop(image, labels)
        if np.random.random() < 0.5:
            image, labels = np.flip(image, 1), np.flip(labels, 1)
        image = distort(image.astype(np.uint8))
        return normalise(image), np.ascontiguousarray(labels)

    def crop(self, image: Any, labels: Any) -> tuple[Any, Any]:
        """No class may fill more than three quarters, if ten tries find such a place (cat_max_ratio)."""
        height, width = CROP
        for _ in range(10):
            y = np.random.randint(max(labels.shape[0] - height, 0) + 1)
            x = np.random.randint(max(labels.shape[1] - width, 0) + 1)
            part = labels[y : y + height, x : x + width]
            found, counts = np.unique(part, return_counts=True)
            counts = counts[found != 255]
            if len(counts) > 1 and counts.max() / counts.sum() < 0.75:
                break
        return image[y : y + height, x : x + width], part


def distort(image: Any) -> Any:
    """PhotoMetricDistortion: each change by itself, half of the time."""

    def changed(image: Any, factor: float = 1, plus: float = 0) -> Any:
        return np.clip(image.astype(np.float32) * factor + plus, 0, 255).astype(np.uint8)

    flip = np.random.randint
    if flip(2):
        image = changed(image, plus=np.random.uniform(-32, 32))
    first = flip(2)
    if first and flip(2):
        image = changed(image, np.random.uniform(0.5, 1.5))
    if flip(2):
        hsv = cv2.cvtColor(image, cv2.COLOR_BGR2HSV)
        hsv[..., 1] = changed(hsv[..., 1], np.random.uniform(0.5, 1.5))
        image = cv2.cvtColor(hsv, cv2.COLOR_HSV2BGR)
    if flip(2):
        hsv = cv2.cvtColor(image, cv2.COLOR_BGR2HSV)
        hsv[..., 0] = (hsv[..., 0].astype(int) + np.random.randint(-18, 18)) % 180
        image = cv2.cvtColor(hsv, cv2.COLOR_HSV2BGR)
    if not first and flip(2):
        image = changed(image, np.random.uniform(0.5, 1.5))
    return image


def normalise(image: Any) -> Any:
    image = cv2.cvtColor(image.astype(np.float32), cv2.COLOR_BGR2RGB)
    cv2.subtract(image, MEAN, image)
    cv2.multiply(image, SCALE, image)
    return np.ascontiguousarray(image.transpose(2, 0, 1))


def _nothing(name: str) -> Any:
    if name.startswith("__"):
        raise AttributeError(name)
    return lambda *_: None


def mmsegmentation(source: Source) -> Crop | None:
    """The transforms of its default pipeline, where it can be imported."""
    try:
        # mmcv-lite, the part of mmcv that installs without a compiler, lacks compiled layers; transforms need none.
        extension = types.ModuleType("mmcv._ext")
        extension.__file__ = "_ext.py"
        extension.__getattr__ = _nothing  # type: ignore[method-assign]
        sys.modules.setdefault("mmcv._ext", extension)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            from mmcv.transforms import LoadImageFromFile, RandomFlip, RandomResize
            from mmengine.registry import init_default_scope
            from mmseg.datasets.transforms import LoadAnnotations, PackSegInputs, PhotoMetricDistortion, RandomCrop
    except ImportError:
        return None
    init_default_scope("mmseg")
    steps = [
        LoadImageFromFile(),
        LoadAnnotations(),
        RandomResize(scale=SIZE[::-1], ratio_range=(0.5, 2.0), keep_ratio=True),
        RandomCrop(crop_size=CROP, cat_max_ratio=0.75),
        RandomFlip(prob=0.5),
        PhotoMetricDistortion(),
        PackSegInputs(),
    ]

    def crop(index: int) -> Any:
        pair = source.pairs[index]
        told: Any = {"img_path": str(pair.image), "seg_map_path": str(pair.label), "seg_fields": []}
        told |= {"reduce_zero_label": False, "label_map": None}
        for step in steps:
            told = step(told)
        return told

    return crop


# --- pictures ---------------------------------------------------------------------------------------------------------


def make_pictures(folder: Path, count: int, root: str | None) -> dict[str, Card]:
    """The same pictures as PNG and as JPEG of quality 95, with train ids as labels; a card for each."""
    source = load_card("cityscapes").open("train", root) if root else load_card("streets").open("train", size=SIZE)
    rng = np.random.default_rng(0)
    for index in range(count):
        image = source.image(index)
        if not root:
            noise = cv2.GaussianBlur(rng.normal(0, 1, image.shape).astype(np.float32), (0, 0), 0.6)
            image = np.clip(cv2.GaussianBlur(image, (0, 0), 0.7) + noise, 0, 255).astype(np.uint8)
        for kind, options in (("png", {}), ("jpg", {"quality": 95})):
            for part in ("pictures", "labels"):
                (folder / kind / part).mkdir(parents=True, exist_ok=True)
            path = folder / kind / "pictures" / f"{index}.{kind}"
            if root and kind == "png":
                shutil.copy(source.pairs[index].image, path)
            else:
                Image.fromarray(image).save(path, **options)
            Image.fromarray(source.labels(index)).save(folder / kind / "labels" / f"{index}.png")
    cards = {}
    for kind in ("png", "jpg"):
        classes = "".join(f"  {each.name}: {' '.join(map(str, each.color))}\n" for each in source.card.classes)
        text = f"name: {kind}\nclasses:\n{classes}images: pictures/{{id}}.{kind}\nlabels: labels/{{id}}.png\n"
        (folder / kind / "card.yaml").write_text(f"{text}splits: {{train: {{}}}}\n")
        cards[kind] = load_card(folder / kind / "card.yaml")
    return cards


# --- measuring --------------------------------------------------------------------------------------------------------


def timed(ways: dict[str, Crop], count: int, crops: int) -> dict[str, tuple[float, float, float]]:
    """Milliseconds: median and mean of the processor's, median of the clock's. The ways take turns, and begin with
    another one each round."""
    taken: dict[str, list[tuple[float, float]]] = {name: [] for name in ways}
    names = list(ways)
    for turn in range(crops + 2):
        for name in names[turn % len(names) :] + names[: turn % len(names)]:
            cpu, wall = time.process_time(), time.perf_counter()
            ways[name](turn % count)
            if turn >= 2:
                taken[name].append((time.process_time() - cpu, time.perf_counter() - wall))
    figures = {}
    for name, pairs in taken.items():
        cpu, wall = ([1e3 * each for each in column] for column in zip(*pairs))
        figures[name] = statistics.median(cpu), statistics.mean(cpu), statistics.median(wall)
    return figures


def swath_way(source: Source) -> Crop:
    windows = Windows(source, SPEC)
    epochs = iter(range(1_000_000))  # every crop is another one
    return lambda index: windows[next(epochs), index]


def waiting(source: Source, val: Source, workers: int, steps: int, folder: Path) -> tuple[float, float]:
    """(share of a training's steps spent waiting for data, seconds a step): contextnet14, batch 4, one thread."""
    from swath.training import load_recipe
    from swath.training.display import Display
    from swath.training.loop import Trainer
    from swath.training.machine import settle

    (folder / "checkpoints").mkdir(parents=True)
    recipe_file = folder / "recipe.yaml"
    recipe_file.write_text(
        f"""
name: loading
network: contextnet14
data: {{card: {source.card.file}, workers: {workers}}}
device: cpu
threads: 1
samples: 0
validation: {{iterations: 1000000}}
stages:
  - iterations: {steps}
    batch: 4
    lr: 0.001
    window: {{size: 1024x512, brightness: 0.125, contrast: 0.5, saturation: 0.5, hue: 0.05}}
"""
    )
    recipe = load_recipe(recipe_file)
    settle(recipe)
    display = Display(folder / "log.txt", Console(file=open(os.devnull, "w")))  # noqa: SIM115, PTH123
    Trainer(recipe, folder, [(source, val)], display).train()
    return display.pace.waiting / display.pace.training, display.pace.training / steps


def trainings(sources: dict[str, Source], val: Source, steps: int, folder: Path) -> list[str]:
    """The table of shares of a step."""
    lines = [
        "",
        "## Waiting",
        "",
        f"A training of contextnet14 on the CPU, batch 4 of 1024 x 512, one thread, {steps} iterations: of a step's "
        f"time, the share in which it waits for its batch. {available_cores()} cores.",
        "",
        "| pictures | 0 workers: waiting | s a step | 1 worker: waiting | s a step |",
        "|---|---:|---:|---:|---:|",
    ]
    for name, source in sources.items():
        cells = []
        for workers in (0, 1):
            share, seconds = waiting(source, val, workers, steps, folder / f"run-{name}-{workers}".replace(" ", "-"))
            cells += [f"{share:.1%}", f"{seconds:.2f}"]
        lines.append(f"| {name} | {' | '.join(cells)} |")
        print(lines[-1])
    return lines


def table(taken: dict[str, tuple[float, float, float]]) -> list[str]:
    """A row a way; ratios are of processor time, and crops a second those of its mean."""
    lines = [
        "| pictures | way | ms, median | ms, mean | by the clock | crops/s, core | usual / this, medians | means |",
        "|---|---|---:|---:|---:|---:|---:|---:|",
    ]
    for what, names, usual in STORAGES:
        for name in names:
            if name in taken:
                median, mean, wall = taken[name]
                figures = (median, mean, wall, 1e3 / mean, taken[usual][0] / median, taken[usual][1] / mean)
                cells = " | ".join(f"{figure:.1f}" for figure in figures)
                lines.append(f"| {what} | {WAYS[name.split()[0]]} | {cells} |")
    return lines


def heading(given: argparse.Namespace, folder: Path, load: float, theirs: bool) -> list[str]:
    size = {kind: folder_bytes(folder / kind / "pictures") / given.pictures / 1e6 for kind in ("png", "jpg")}
    decoder = "kornia-rs" if importlib.util.find_spec("kornia_rs") else "OpenCV (kornia-rs is not installed)"
    return [
        "# Loading",
        "",
        f"`python benchmarks/loading.py{' --root CITYSCAPES' if given.root else ''}`: one core of {processor()}, "
        f"Python {platform.python_version()}, OpenCV {cv2.__version__}, numpy {np.__version__}, load at the start "
        f"{load:.1f}. {given.pictures} pictures of 2048 x 1024 (PNG {size['png']:.1f} MB, JPEG {size['jpg']:.1f} MB), "
        f"{given.crops} crops of each way in turns, medians. PNG decoder of swath: {decoder}.",
        "",
        'The usual way is the default pipeline of mmsegmentation 1.x, written out in the script, and normalised; "in '
        'floats" converts to float before it resizes.'
        + (" mmsegmentation's own transforms are timed beside it, without normalising." if theirs else ""),
        "",
    ]


def processor() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []
    return next((line.split(":")[1].strip() for line in lines if line.startswith("model name")), platform.machine())


def folder_bytes(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.iterdir())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--root", help="folder of Cityscapes; without it, street scenes are made")
    parser.add_argument("--pictures", type=int, default=12)
    parser.add_argument("--crops", type=int, default=48, help="crops of each way")
    parser.add_argument("--steps", type=int, default=12, help="iterations of each training; 0: none, no .md")
    given = parser.parse_args()
    cv2.setNumThreads(1)
    torch.set_num_threads(1)
    np.random.seed(0)
    with tempfile.TemporaryDirectory() as text:
        folder = Path(text)
        cards = make_pictures(folder, given.pictures, given.root)
        png, jpg = (cards[kind].open("train") for kind in ("png", "jpg"))
        for form in ("raw", "jpeg"):
            pack(plan_packing(cards["png"], folder / form, packing=form), jobs=1)
        write_shards(cards["png"], ["train"], None, folder / "shards")
        packed, packed_jpeg, shards = (cards["png"].open("train", folder / name) for name in ("raw", "jpeg", "shards"))
        ways: dict[str, Crop] = {}
        for kind, source in (("png", png), ("jpg", jpg)):
            theirs = mmsegmentation(source)
            ways |= {f"usual {kind}": Usual(source), f"floats {kind}": Usual(source, floats=True)}
            ways |= {f"mmseg {kind}": theirs} if theirs else {}
            ways[f"swath {kind}"] = swath_way(source)
        ways |= {"usual memory": Usual(png, decoded=True), "floats memory": Usual(png, floats=True, decoded=True)}
        ways |= {"swath memory": swath_way(Cached(png, 1)), "swath packed": swath_way(packed)}
        ways |= {"swath packed-jpeg": swath_way(packed_jpeg), "swath shards": swath_way(shards)}
        load = os.getloadavg()[0]
        taken = timed(ways, given.pictures, given.crops)
        lines = heading(given, folder, load, "mmseg png" in ways) + table(taken)
        print("\n".join(lines))
        if given.steps:
            lines += trainings({"PNG": png, "JPEG": jpg, "packed": packed, "shards": shards}, png, given.steps, folder)
            Path(__file__).with_suffix(".md").write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
