"""`swath import`: other people's segmentation checkpoints, in their authors' layouts, to swath's weights."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from swath.weights.imports import Identified

HELP = "turn a checkpoint in its authors' layout into swath weights"
EXAMPLES = """
  swath import rf_lw50_nyu.pth                              says which network the file is
  swath import rf_lw50_nyu.pth --as rf_lw_resnet50          writes rf_lw_resnet50.safetensors
  swath import fpn.pth --as fpn_lite_mobilenetv2 --classes cityscapes --out city.safetensors

Every tensor must find its place; those that do not are named, and nothing is written. Nothing is run from a file.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("file", help="a checkpoint: .pth, .pt, .tar or .safetensors")
    parser.add_argument("--as", dest="network", metavar="NETWORK", help="the network; without it, only say what it is")
    parser.add_argument("--out", metavar="FILE", help="the weights to write (default: NETWORK.safetensors)")
    parser.add_argument("--classes", metavar="CARD", help="card whose class names and colors they are")
    parser.add_argument("--overwrite", action="store_true", help="write over weights that exist")


def run(arguments: argparse.Namespace) -> int:
    from swath.errors import SwathError
    from swath.weights import save_weights
    from swath.weights.imports import identify, import_checkpoint

    if arguments.network is None:
        if arguments.out or arguments.classes:
            raise SwathError("import: --out and --classes need --as NETWORK; without it the file is only named")
        _say(Path(arguments.file), identify(arguments.file))
        return 0
    model, found = import_checkpoint(arguments.file, arguments.network)
    out = Path(arguments.out or f"{model.name}.safetensors")
    if out.suffix != ".safetensors":
        raise SwathError(f"{out}: weights are .safetensors files; choose a name that ends so")
    if out.exists() and not arguments.overwrite:
        raise SwathError(f"{out}: exists already; choose another --out, or add --overwrite")
    names, colors, categories, dataset = _classes(arguments.classes, found)
    save_weights(
        out,
        model,
        classes=names,
        colors=colors,
        categories=categories,
        dataset=dataset,
        notes={"imported from": Path(arguments.file).name, "layout": found.layout.name},
    )
    print(f"{arguments.file}: {found.layout.name}, {len(found.tensors)} tensors, all used")
    print(f"classes: {len(names)}, {_whose(arguments.classes, found)}")
    print(f"wrote {out} ({out.stat().st_size / 1e6:.2f} MB): {model.name}")
    return 0


def _classes(card: str | None, found: Identified) -> tuple[list[str], list[tuple[int, int, int]], list[str], str]:
    """Names, colors, categories and dataset: of the card, of the authors' rule, or mere numbers."""
    from swath.cards import load_card
    from swath.errors import SwathError

    name = card or found.card
    if name is None:
        count = found.num_classes
        return [f"class {i}" for i in range(count)], [_color(i) for i in range(count)], [], ""
    chosen = load_card(name)
    if chosen.num_classes != found.num_classes:
        raise SwathError(
            f"card '{chosen.name}' has {chosen.num_classes} classes, the checkpoint has {found.num_classes}; "
            "name another card with --classes"
        )
    return chosen.class_names, chosen.colors, [info.category for info in chosen.classes], chosen.name


def _whose(card: str | None, found: Identified) -> str:
    if card:
        return f"named by card '{card}'"
    if found.card:
        return f"which its authors use for '{found.card}'; --classes CARD names others"
    return "numbered; --classes CARD gives them names and colors"


def _color(index: int) -> tuple[int, int, int]:
    """PASCAL VOC's color of a class: three bits of the index at a time, from the highest bit of each channel down."""
    red, green, blue = (
        sum((index >> (3 * place + channel) & 1) << (7 - place) for place in range(3)) for channel in range(3)
    )
    return red, green, blue


def _say(file: Path, found: Identified) -> None:
    print(f"{file}: {' or '.join(found.networks)}, {found.num_classes} classes ({found.layout.name})")
    if len(found.networks) > 1:
        print("these have the same tensors: the one who trained it knows which it is")
    if found.card:
        print(f"its authors use so many classes for '{found.card}'")
    print(f"swath import {file} --as {found.networks[0]}")
