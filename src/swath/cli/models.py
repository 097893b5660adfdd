"""`swath models`: the table of networks, or all that is known of one."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from swath.catalogue import Entry

HELP = "list the networks: what their authors report beside what is measured"
EXAMPLES = """
  swath models                      every network
  swath models 'contextnet*'        those whose name matches
  swath models pidnet_s             all that is known of one
  swath models --json               the same for a program

Parameters and MACs are counted for 19 classes, MACs at the size beside them; the authors' figures are in brackets.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("pattern", nargs="?", default="*", help="shell pattern of names (default: all)")
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")


def run(arguments: argparse.Namespace) -> int:
    from swath.networks import list_models, model_info

    names = list_models(arguments.pattern) or [model_info(arguments.pattern).name]  # an alias, or a mistake
    rows = list(_measured(names))
    if arguments.json:
        print(json.dumps([entry.as_dict() for entry in rows], indent=2))
    elif len(rows) == 1:
        _print_one(rows[0])
    else:
        _print_table(rows)
    return 0


def _measured(names: list[str]) -> Iterator[Entry]:
    from swath.catalogue import entries

    if len(names) < 10 or not sys.stderr.isatty():
        return entries(names)
    from rich.console import Console
    from rich.progress import track

    return iter(track(entries(names), "counting", len(names), console=Console(stderr=True), transient=True))


def _print_table(rows: list[Entry]) -> None:
    from rich.console import Console
    from rich.table import Table

    shipped = any(entry.weights for entry in rows)
    table = Table(
        box=None,  # 120 columns are just enough
        padding=(0, 1, 0, 0),
        pad_edge=False,
        caption="* weights come with swath" if shipped else None,
        caption_justify="left",
    )
    table.add_column("network", no_wrap=True)
    for title in ("year", "stride", "M params", "GMACs"):
        table.add_column(title, justify="right", no_wrap=True)
    table.add_column("at", no_wrap=True)
    table.add_column("authors' mIoU", no_wrap=True)
    table.add_column("recipes", justify="right", no_wrap=True)
    for entry in rows:
        info, claims = entry.info, entry.info.claims
        miou = [f"{value:g} {data.split(',')[0].removesuffix(' val')}" for data, value in claims.miou.items()]
        table.add_row(
            info.name + "*" * bool(entry.weights),
            str(info.year),
            str(info.stride),
            _beside(entry.parameters / 1e6, claims.params_m),
            _beside(entry.macs / 1e9, claims.gmacs),
            f"{info.size[1]}x{info.size[0]}",
            miou[0] if miou else "",
            str(len(entry.recipes) or ""),
        )
    Console().print(table)


def _beside(measured: float, claimed: float | None) -> str:
    """Ours, and the authors' in brackets."""
    text = f"{measured:.2f}" if measured < 100 else f"{measured:.1f}"
    return text + (f" ({claimed:.4g})" if claimed is not None else "")


def _print_one(entry: Entry) -> None:
    info, claims = entry.info, entry.info.claims
    facts = {
        "also called": ", ".join(info.aliases),
        "family": f"{info.family}, {info.year}, {info.paper}",
        "licence": info.licence,
        "parameters": f"{entry.parameters:,} ({entry.convolution_weights:,} weights of convolutions)",
        "MACs": f"{entry.macs / 1e9:.3f} G at {info.size[1]}x{info.size[0]} (width x height), 19 classes",
        "stride": f"{info.stride}, of the logits",
        "authors": "; ".join(
            [
                *([f"{claims.params_m:g} M parameters"] if claims.params_m is not None else []),
                *([f"{claims.gmacs:g} GMACs"] if claims.gmacs is not None else []),
                *(f"{value:g} mIoU on {name}" for name, value in claims.miou.items()),
                *(f"{value:g} FPS ({name})" for name, value in claims.fps.items()),
            ]
        ),
        "note": claims.note,
        "recipes": ", ".join(entry.recipes) or "none",
        "weights": ", ".join(f"{each.name} ({each.dataset})" for each in entry.weights) or "none in the package",
    }
    print(info.name)
    for name, fact in facts.items():
        if fact:
            print(f"  {name:<12} {fact}")
