"""`swath replay`: an iteration that ended a training, again, layer by layer."""

from __future__ import annotations

import argparse

from swath.cli import options

HELP = "repeat an iteration that went wrong, and name the layer where it did"
EXAMPLES = """
  swath replay runs/streets/replay-000000421.pt      the training that ended has said this name
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("file", help="replay-*.pt in the folder of a run; it holds weights, pictures and random states")
    parser.add_argument("--device", default="cpu", help="cpu, cuda, cuda:1 … (default: %(default)s)")
    parser.add_argument("--threads", type=options.whole("--threads"), metavar="N", help="CPU threads")


def run(arguments: argparse.Namespace) -> int:
    from rich.console import Console

    from swath.training.replay import replay

    options.set_threads(arguments.threads)
    found = replay(arguments.file, arguments.device)
    console = Console(highlight=False, soft_wrap=True)
    console.print(f"iteration {found.number}: loss {found.loss:.6g}, norm of the gradient {found.gradient:.6g}")
    console.print(f"pictures: {', '.join(found.names)}")
    if found.parameters:
        console.print(
            f"weights that are not finite: {', '.join(found.parameters[:5])} ({len(found.parameters)} in all)"
        )
    if found.layer:
        console.print(f"first layer with an answer that is not finite: {found.layer}; {found.reason}")
    elif found.reproduced:
        console.print("every layer's answer is finite: it is the loss, or the way back, that goes wrong")
    if found.largest:
        words = ", ".join(f"{name} {value:.3g}" for name, value in found.largest)
        console.print(f"largest answers: {words}")
    if found.reproduced:
        return 1
    console.print("nothing went wrong this time: the fault is not in what the iteration depends on (another device?)")
    return 0
