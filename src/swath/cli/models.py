"""`swath models`: the table of networks."""

from __future__ import annotations

import argparse
import json

HELP = "list the networks, with what their authors report"
EXAMPLES = """
  swath models                      every network
  swath models 'contextnet*'        those whose name matches
  swath models --json               the same for a program
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("pattern", nargs="?", default="*", help="shell pattern of names (default: all)")
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")


def run(arguments: argparse.Namespace) -> int:
    from swath.errors import unknown
    from swath.networks import list_models, model_info

    names = list_models(arguments.pattern)
    if not names:
        raise unknown("network", arguments.pattern, list_models())
    infos = [model_info(name) for name in names]
    if arguments.json:
        rows = [
            {
                "name": info.name,
                "family": info.family,
                "year": info.year,
                "paper": info.paper,
                "aliases": list(info.aliases),
                "stride": info.stride,
                "size": f"{info.size[1]}x{info.size[0]}",
                "parameters": parameters(info.name),
                "claims": {
                    "params_m": info.claims.params_m,
                    "gmacs": info.claims.gmacs,
                    "miou": dict(info.claims.miou),
                    "fps": dict(info.claims.fps),
                    "note": info.claims.note,
                },
                "licence": info.licence,
            }
            for info in infos
        ]
        print(json.dumps(rows, indent=2))
        return 0
    _print_table([(info, parameters(info.name)) for info in infos])
    return 0


def parameters(name: str) -> int:
    """Counted on a network built without memory for its weights."""
    import torch

    from swath.networks import create_model

    with torch.device("meta"):
        return sum(p.numel() for p in create_model(name).parameters())


def _print_table(rows: list) -> None:  # type: ignore[type-arg]
    from rich import box
    from rich.console import Console
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD)
    for title in ("network", "family", "year"):
        table.add_column(title, no_wrap=True)
    for title in ("parameters", "stride"):
        table.add_column(title, justify="right", no_wrap=True)
    table.add_column("authors' claims")
    for info, count in rows:
        claims = [f"{miou:g} mIoU {data}" for data, miou in info.claims.miou.items()]
        claims += [f"{fps:g} FPS ({device})" for device, fps in info.claims.fps.items()]
        table.add_row(info.name, info.family, str(info.year), f"{count:,}", str(info.stride), "; ".join(claims))
    Console().print(table)
