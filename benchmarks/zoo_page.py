"""docs/benchmarks.md and its pictures, from the figures that zoo.py has measured."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any

from swath.networks import list_models, model_info

HERE = Path(__file__).parent
DOCS = HERE.parent / "docs"
TITLES = {"cpu": "On a CPU", "cuda": "On a GPU"}
CLAIMS = {"Cityscapes": ("cityscapes val", "cityscapes test"), "CamVid": ("camvid test",)}  # which count, best first


@dataclass(frozen=True)
class Row:
    """One network's medians, in milliseconds."""

    name: str
    size: tuple[int, int]
    parameters: int
    macs: int
    usual: float
    engine: str  # of which has the least to the mask
    network: float
    mask: float
    spread: float  # p99 / p50 of the mask
    differ: float
    int8: float | None  # the mask, of the network in 8 bits, by the faster engine; none: not in the selection

    @property
    def gain(self) -> float:
        return self.usual / self.mask


def write_page() -> None:
    """Write what the figures that are there allow."""
    parts = [
        "# How fast the networks are",
        "",
        "Every registered network by one protocol. `python benchmarks/zoo.py` measures and writes this page; its head",
        "says what is timed. *usual*: eager float32 network with `model(x).argmax(1)`; *network*: swath from pixels to",
        "logits; *mask*: the same with the label map; *gain*: usual / mask; *int8*: as *mask*, for a selection of",
        "networks in 8 bits ([int8.md](../benchmarks/int8.md): what that costs). Medians of calls that take turns.",
        "Weights are random, so label maps are more ragged than of a trained network: *mask* pays for it, *usual* not.",
        "mIoU is what the authors publish, not ours.",
        "",
    ]
    for device in TITLES:
        file = HERE / f"zoo-{device}.json"
        if file.exists():
            parts += section(device, json.loads(file.read_text()))
    (DOCS / "benchmarks.md").write_text("\n".join(parts).rstrip() + "\n")


def section(device: str, kept: dict[str, Any]) -> list[str]:
    rows = sorted(read(kept["networks"]), key=lambda row: row.mask)
    about = kept["manifest"]
    versions = ", ".join(f"{name} {version}" for name, version in about["versions"].items())
    gains = sorted(row.gain for row in rows)
    lines = [
        f"## {TITLES[device]}",
        "",
        f"{about['device']}, {about['threads']} threads, {about['date'][:10]}; {versions}. {len(rows)} networks: the",
        f"gain is {gains[len(gains) // 2]:.1f}x in the median, from {gains[0]:.1f}x to {gains[-1]:.1f}x.",
        "",
    ]
    for title, keys in CLAIMS.items():
        if points := [(row, claim) for row in rows if (claim := claimed(row.name, keys)) is not None]:
            file = DOCS / "images" / f"pareto-{device}-{title.lower()}.svg"
            file.write_text(pareto(points, f"mIoU on {title} by its authors, %", device))
            lines += [f"![{title}: the authors' mIoU over the time to the label map](images/{file.name})", ""]
    any_int8 = any(row.int8 for row in rows)
    one_size = len({row.size for row in rows}) <= 3
    if one_size:
        height, width = max((row.size for row in rows), key=lambda size: sum(row.size == size for row in rows))
        lines += [f"Pictures of {width}x{height} (a few networks need sides of another multiple).", ""]
    lines += [
        "| network | M parameters | GMACs |"
        + ("" if one_size else " size |")
        + " usual, ms | network, ms | mask, ms | p99/p50 | engine | gain |"
        + (" int8, ms |" if any_int8 else "")
        + " authors' mIoU |",
        "|---|---:|---:|"
        + ("" if one_size else "---|")
        + "---:|---:|---:|---:|---|---:|"
        + ("---:|" if any_int8 else "")
        + "---|",
    ]
    for row in rows:
        claims = model_info(row.name).claims.miou
        best = "<br>".join(f"{value:g} {on}" for on, value in claims.items())
        size = "" if one_size else f" {row.size[1]}x{row.size[0]} |"
        int8 = (f" {row.int8:.1f} |" if row.int8 else " |") if any_int8 else ""
        lines.append(
            f"| `{row.name}` | {row.parameters / 1e6:.2f} | {row.macs / 1e9:.2f} |{size} {row.usual:.1f} "
            f"| {row.network:.1f} | {row.mask:.1f} | {row.spread:.2f} | {row.engine} | {row.gain:.1f}x |{int8} {best} |"
        )
    failed = {name: found["failed"] for name, found in kept["networks"].items() if "failed" in found}
    if failed:
        lines += ["", "Not timed: " + "; ".join(f"`{name}` ({why})" for name, why in sorted(failed.items())) + "."]
    if left := [name for name in list_models() if name not in kept["networks"]]:
        lines += ["", f"Not measured yet: {', '.join(f'`{name}`' for name in left)}."]
    return [*lines, ""]


def read(networks: dict[str, Any]) -> Iterable[Row]:
    for name, found in networks.items():
        if "failed" in found:
            continue
        ms = found["ms"]
        engines = [way.removesuffix(" mask") for way in ms if way.endswith(" mask")]
        best = min(engines, key=lambda engine: ms[f"{engine} mask"]["p50"])
        mask = ms[f"{best} mask"]
        integers = [each["p50"] for way, each in ms.items() if way.endswith(" int8")]
        yield Row(
            name,
            tuple(found["size"]),
            found["parameters"],
            found["macs"],
            ms["usual"]["p50"],
            best,
            ms[f"{best} network"]["p50"],
            mask["p50"],
            mask["p99"] / mask["p50"],
            found["differ"][best],
            min(integers, default=None),
        )


def claimed(name: str, keys: Sequence[str]) -> float | None:
    claims = model_info(name).claims.miou
    return next((claims[key] for key in keys if key in claims), None)


# --- the picture: time to the right (each line twice the last), mIoU up, the front drawn and named

WIDTH, HEIGHT = 900, 520
LEFT, RIGHT, TOP, BOTTOM = 60, 30, 20, 56


def pareto(points: list[tuple[Row, float]], y_label: str, device: str) -> str:
    times = [row.mask for row, _ in points]
    scores = [score for _, score in points]
    low, high = math.log2(min(times)) - 0.3, math.log2(max(times)) + 0.9
    bottom, top = math.floor(min(scores) / 5) * 5, math.ceil(max(scores) / 5) * 5

    def x(ms: float) -> float:
        return LEFT + (math.log2(ms) - low) / (high - low) * (WIDTH - LEFT - RIGHT)

    def y(score: float) -> float:
        return HEIGHT - BOTTOM - (score - bottom) / (top - bottom) * (HEIGHT - TOP - BOTTOM)

    parts = [f'<rect width="{WIDTH}" height="{HEIGHT}" fill="white"/>']
    for power in range(math.ceil(low), math.floor(high) + 1):
        at, label = x(2.0**power), f"{2.0**power:g}"
        parts.append(f'<line x1="{at:.1f}" x2="{at:.1f}" y1="{TOP}" y2="{HEIGHT - BOTTOM}" stroke="#e6e6e6"/>')
        parts.append(f'<text x="{at:.1f}" y="{HEIGHT - BOTTOM + 18}" text-anchor="middle">{label}</text>')
    for score in range(bottom, top + 1, 5):
        parts.append(
            f'<line x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y(score):.1f}" y2="{y(score):.1f}" stroke="#e6e6e6"/>'
        )
        parts.append(f'<text x="{LEFT - 8}" y="{y(score) + 4:.1f}" text-anchor="end">{score}</text>')
    front = []
    for row, score in sorted(points, key=lambda point: (point[0].mask, -point[1])):
        if not front or score > front[-1][1]:
            front.append((row, score))
    steps = " ".join(f"{x(row.mask):.1f},{y(score):.1f}" for row, score in front)
    parts.append(f'<polyline points="{steps}" fill="none" stroke="#2f7de1" stroke-width="1.5" stroke-dasharray="4 3"/>')
    leading = {row.name for row, _ in front}
    taken: list[tuple[float, float, float]] = []
    for row, score in sorted(points, key=lambda point: point[0].name not in leading):
        cx, cy = x(row.mask), y(score)
        leads = row.name in leading
        parts.append(
            f'<circle cx="{cx:.1f}" cy="{cy:.1f}" r="{5 if leads else 3.5}" fill="{"#2f7de1" if leads else "#9aa3ad"}">'
            f"<title>{escape(row.name)}: {row.mask:.1f} ms, {score:g} %</title></circle>"
        )
        long = 7.2 * len(row.name)
        places = [(cx + 8, cy + 4)] if not leads else [(cx + 8, cy - 6), (cx - 8 - long, cy - 6), (cx + 8, cy + 16)]
        free = [
            (left, at)
            for left, at in places
            if not any(abs(at - b) < 13 and left < right and left + long > start for start, right, b in taken)
        ]
        if leads or free:
            left, at = (free or places)[0]
            weight = ' font-weight="600"' if leads else ' fill="#6b7480"'
            parts.append(f'<text x="{left:.1f}" y="{at:.1f}"{weight}>{escape(row.name)}</text>')
            taken.append((left, left + long, at))
    engine = "this CPU" if device == "cpu" else "this GPU"
    parts.append(
        f'<text x="{(LEFT + WIDTH - RIGHT) / 2}" y="{HEIGHT - 14}" text-anchor="middle">pixels to label map on {engine}'
        ", ms (each line twice the last; left is better)</text>"
    )
    parts.append(
        f'<text transform="translate(16 {HEIGHT / 2}) rotate(-90)" text-anchor="middle">{escape(y_label)}</text>'
    )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" '
        f'font-family="system-ui, sans-serif" font-size="12">{"".join(parts)}</svg>\n'
    )
