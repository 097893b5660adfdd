"""benchmarks/inference.md, from the figures that inference.py has measured."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from swath.bench.macs import macs
from swath.inference.runtimes.engines import ENGINES
from swath.networks import create_model, model_info

HERE = Path(__file__).parent
CLASSES = 19
ENGINE_NAMES = ("torch", "onnxruntime", "openvino")
GOAL = 3.0  # times as fast as the usual way
QUIET = 1.0  # load beyond the benchmark's own threads, above which figures are provisional
CLAIMED = {  # mIoU on the validation pictures of Cityscapes, as published for the trained network
    "transformers": ("SegFormer-b0, processor + model + post-processing", 76.2),
    "transformers pipeline": ('SegFormer-b0, pipeline("image-segmentation")', 76.2),
    "smp Segformer": ("segmentation_models.pytorch, Segformer mit_b0", 76.2),
    "smp Unet": ("segmentation_models.pytorch, Unet resnet34", None),
    "ultralytics": ("YOLO26n-sem, predict", 78.3),
}


def write_page() -> None:
    file = HERE / "inference.json"
    if not file.exists():
        return
    kept = json.loads(file.read_text())
    figures = [each for each in kept["figures"].values() if each.get("ms")]
    lines = head(kept, figures)
    groups = sorted({(each["threads"], *each["size"]) for each in figures}, key=lambda key: (-key[0], key[1]))
    for threads, width, height in groups:
        mine = [each for each in figures if (each["threads"], *each["size"]) == (threads, width, height)]
        networks = [each for each in mine if each["name"] != "others"]
        lines += ["", f"## {width}x{height}, {threads} thread{'s' if threads > 1 else ''}"]
        if networks:
            lines += networks_table(networks) + missed(networks) + stages_table(networks)
        for each in mine:
            if each["name"] == "others":
                lines += others_table(each)
    lines += left_out(kept["figures"])
    (HERE / "inference.md").write_text("\n".join(lines) + "\n", "utf-8")


def head(kept: dict[str, Any], figures: list[dict[str, Any]]) -> list[str]:
    about = kept["manifest"]
    versions = ", ".join(f"{name} {version}" for name, version in about["versions"].items())
    least, most = min(each["count"] for each in figures), max(each["count"] for each in figures)
    busiest = max(each["load"] - each["threads"] for each in figures)
    provisional = f" **Provisional: other work ran beside it (load up to {busiest:.1f} above its own).**"
    return [
        "# From file to mask",
        "",
        f"`python benchmarks/inference.py`, {about['date'][:10]}, {about['cpu']}, {about['cores']} cores; {versions}; "
        f"random weights, {CLASSES} classes.{provisional if busiest > QUIET else ''}",
        "",
        "A JPEG on the disk to a label PNG on the disk, one picture at a time, in milliseconds: p50 / p90 / p99 of "
        f"{least} to {most} calls of each way, all ways of a network taking turns, each in a process of its own, whose "
        "highest memory stands beside it (libraries and weights included). *usual* is the network in eager torch as "
        "it is built: OpenCV, floats in numpy, logits enlarged to the picture's size, argmax, Pillow. *default* is "
        "what `swath predict` runs for many pictures, having measured the engines on this machine; its PNG is "
        "forced to the disk, which no other way's is. The page's head of benchmarks/inference.py says more.",
    ]


def networks_table(networks: list[dict[str, Any]]) -> list[str]:
    shown = [engine for engine in ENGINE_NAMES if any(engine in each["ms"] for each in networks)]
    titles = " | ".join(ENGINES[engine].title for engine in shown)
    lines = [
        "",
        f"| network | usual | default | gain | {titles} | memory, usual | memory, default | labels that differ |",
        "| --- | ---: | ---: | ---: |" + " ---: |" * (len(shown) + 3),
    ]
    for each in networks:
        default = each["default"]
        alone = " | ".join(
            f"{milliseconds(each['ms'][engine]['p50'])} ({gain(each, engine):.1f}x)" if engine in each["ms"] else "-"
            for engine in shown
        )
        mark = "" if gain(each, default) >= GOAL else " (missed)"
        lines.append(
            f"| {each['name']} | {spread(each['ms']['usual'])} | {spread(each['ms'][default])} "
            f"| **{gain(each, default):.1f}x**{mark} | {alone} | {memory(each['peak']['usual'])} "
            f"| {memory(each['peak'][default])} | {each['differ'][default]:.3%} |"
        )
    return lines


def missed(networks: list[dict[str, Any]]) -> list[str]:
    """Those below the goal, and what stands in the way."""
    below = [each for each in networks if gain(each, each["default"]) < GOAL]
    if not below:
        return ["", f"All are at least {GOAL:g} times as fast as the usual way."]
    lines = ["", f"{len(networks) - len(below)} of {len(networks)} reach {GOAL:g}x. The others:", ""]
    for each in below:
        default = each["default"]
        usual, ours = each["stages"]["usual"], each["stages"][default]
        rest = sum(ours.values()) - ours["network"]
        alone = (usual["network"] + usual["finish"]) / (ours["network"] + ours["finish"])
        lines.append(
            f"- {each['name']}, {gain(each, default):.2f}x: network and finish alone are {alone:.2f}x "
            f"({milliseconds(usual['network'] + usual['finish'])} to "
            f"{milliseconds(ours['network'] + ours['finish'])} ms); all beside the network takes "
            f"{milliseconds(rest)} ms, {rest / sum(ours.values()):.0%} of ours. Its network does "
            f"{operations(each) / ours['network'] / 1e6:.0f} GFLOP/s, the usual one "
            f"{operations(each) / usual['network'] / 1e6:.0f}."
        )
    return lines


def operations(figures: dict[str, Any]) -> int:
    """Multiplications and additions of the network for one picture."""
    width, height = figures["size"]
    return 2 * macs(create_model(figures["name"], num_classes=CLASSES).drop_aux(), (height, width))


def stages_table(networks: list[dict[str, Any]]) -> list[str]:
    """Where the time goes."""
    lines = [
        "",
        "Where the time goes, usual → default (medians of five):",
        "",
        "| network | decode | to the network's input | network | finish | PNG, to the disk |",
        "| --- | ---: | ---: | ---: | ---: | ---: |",
    ]
    for each in networks:
        usual, ours = each["stages"]["usual"], each["stages"][each["default"]]
        cells = [
            f"{milliseconds(usual[name])} → {milliseconds(ours[name])}"
            for name in ("decode", "pre", "network", "finish")
        ]
        encode, write = milliseconds(ours["encode"]), milliseconds(ours["write"])
        cells.append(f"{milliseconds(usual['save'])} → {encode} + {write}")
        lines.append(f"| {each['name']} | " + " | ".join(cells) + " |")
    return lines


def others_table(figures: dict[str, Any]) -> list[str]:
    lines = [
        "",
        "Other projects, as their documentation shows them, and ours beside them, taking turns:",
        "",
        "| way | ms | memory | mIoU published (Cityscapes val) |",
        "| --- | ---: | ---: | ---: |",
    ]
    for way, ms in sorted(figures["ms"].items(), key=lambda item: item[1]["p50"]):
        if way in CLAIMED:
            title, miou = CLAIMED[way]
            name = f"{title} ({figures['versions'][way]})"
        else:
            miou = model_info(way).claims.miou.get("cityscapes val")
            name = f"**swath, {way}** ({ENGINES[figures['defaults'][way]].title})"
        lines.append(f"| {name} | {spread(ms)} | {memory(figures['peak'][way])} | {miou or '-'} |")
    lines += [f"- {way} is left out: {why}" for way, why in figures["failed"].items()]
    return lines


def left_out(figures: dict[str, dict[str, Any]]) -> list[str]:
    """What could not be measured, and why."""
    whole = {each["name"]: each["failed"] for each in figures.values() if not each.get("ms")}
    engines = {
        f"{each['name']} by {way}": why
        for each in figures.values()
        if each.get("ms") and each["name"] != "others"
        for way, why in each["failed"].items()
    }
    found = [f"- {name}: {why}" for name, why in (whole | engines).items()]
    return ["", "## Left out", "", *found] if found else []


def gain(figures: dict[str, Any], way: str) -> float:
    return float(figures["ms"]["usual"]["p50"] / figures["ms"][way]["p50"])


def spread(ms: dict[str, float]) -> str:
    return " / ".join(milliseconds(ms[name]) for name in ("p50", "p90", "p99"))


def milliseconds(value: float) -> str:
    return f"{value:.0f}" if value >= 10 else f"{value:.1f}"


def memory(value: int | None) -> str:
    return "-" if value is None else f"{value / 2**20:.0f} MiB"


if __name__ == "__main__":
    write_page()
