"""Protocols, and what came of one, for people at a terminal."""

from __future__ import annotations

from rich import box
from rich.console import Console
from rich.padding import Padding
from rich.table import Table

from swath.bench.manifest import device_name
from swath.bench.protocols import PROTOCOLS, Protocol, Repeated, shares


def listed(console: Console) -> None:
    """Every protocol, with what it does unlike us."""
    for each in PROTOCOLS.values():
        console.print(f"[bold]{each.name}[/bold]  {each.of}: {', '.join(each.networks)}", highlight=False)
        how = f"{how_it_times(each, each.size)}; {each.note}" if each.note else how_it_times(each, each.size)
        console.print(Padding(how, (0, 0, 1, 4)), style="dim", highlight=False)
    for line in (
        "Ours: network + mask, from uint8 pixels to labels, norms folded, the median of single calls.",
        "Figures of BiSeNetV2, STDC-Seg and PP-LiteSeg are of TensorRT: --engine tensorrt on a GPU comes nearest.",
        "All of them run any network: swath benchmark pidnet_s --protocol csfcn",
    ):
        console.print(line, style="dim", highlight=False)


def how_it_times(protocol: Protocol, size: tuple[int, int], found: Repeated | None = None) -> str:
    """In words, as far as it is unlike ours; `found`: as it was run here."""
    height, width = size
    loop = f"{protocol.passes} passes" if protocol.passes else f"passes for {protocol.seconds:g} s"
    warmup = protocol.warmup
    if found is not None:
        loop, warmup = f"{found.passes} pass{'' if found.passes == 1 else 'es'}", found.warmup
    parts = [
        f"{width}x{height}, float32, batch 1",
        f"{loop} after {warmup} of warm-up, the mean of the whole loop",
        "numbers on the device in, logits at full size out, no mask",
        "every batch norm deleted" if protocol.norms == "deleted" else "batch norms not folded",
    ]
    parts += ["in training mode"] if protocol.training else []
    parts += ["height and width swapped"] if protocol.swapped else []
    return "; ".join(parts)


def show(console: Console, found: Repeated) -> None:
    """Both figures, and every step between them."""
    protocol, (height, width) = found.protocol, found.size
    title = f"{found.network} at {width}x{height} on {device_name(found.device)}, by the protocol of {protocol.of}"
    console.print(title, style="bold", highlight=False)
    own = protocol.note and found.network in protocol.networks  # notes are about their networks
    note = f". {protocol.note[0].upper()}{protocol.note[1:]}." if own else "."
    console.print(how_it_times(protocol, found.size, found) + note, style="dim", highlight=False)
    theirs = [f"{protocol.passes} passes"] if protocol.passes and found.passes != protocol.passes else []
    theirs += [f"{protocol.warmup} of warm-up"] if found.warmup != protocol.warmup else []
    why = f" (it has {' and '.join(theirs)})" if theirs else ""
    console.print(
        f"its figure here: [bold]{found.mean:.1f} ms, {1000 / found.mean:.1f} FPS[/bold], the mean of {found.passes} "
        f"pass{'' if found.passes == 1 else 'es'} in one loop{why}",
        highlight=False,
    )
    if found.claims:
        claims = ", ".join(f"{fps:g} ({where})" for where, fps in found.claims.items())
        console.print(f"FPS that its authors publish: {claims}", highlight=False)
    console.print(_steps(found))
    ratio = found.ours / found.steps[0].ms
    console.print(
        f"ours, network + mask: [bold]{found.ours:.1f} ms, {1000 / found.ours:.1f} FPS[/bold], {ratio:.2f} times "
        "theirs. Steps are medians of single calls that took turns; a loop's mean counts hiccups too",
        highlight=False,
    )


def _steps(found: Repeated) -> Table:
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
    table.add_column("what differs, taken away one after the other", overflow="fold")
    for column in ("ms", "adds, ms", "of theirs"):
        table.add_column(column, justify="right", no_wrap=True)
    for index, (what, ms, added, share) in enumerate(shares(found)):
        more = [f"{added:+.1f}", f"{100 * share:+.0f} %"] if index else ["", ""]
        table.add_row(what, f"{ms:.1f}", *more)
    return table
