"""Whole archives of pictures, segmented by a Ray cluster: `predict_archive` is `swath predict … --engine ray`.

An archive is listed once and cut into parts of up to 1024 pictures (listing.py). A Ray Data pipeline hands parts to
actors (pipeline.py), one actor a core or a GPU (machine.py). An actor does a whole part: it reads ahead in threads,
runs the same Segmenter as everywhere, writes what came of each picture and last a marker, by which the part is done
(worker.py, ledger.py). Files appear whole or not at all, their names and bytes follow from the part alone: a part
that two actors did, because a machine died or seemed to, looks as if one had. So every picture is in the output
exactly once, and to go on after anything at all is to do the parts that have no marker.

Why Ray Data, and why like this (benchmarks/archive.md has the figures). Plain actors and a queue of our own cost
about the same: what costs is the start of Ray and of its actors. Ray Data spreads actors over machines, starts dead
ones again, uses machines that join, and waits where there are none, which would have to be written again. What it
does not promise is exactly once: it repeats what it believes lost, without end, be it the picture's fault. Hence the
markers; and notes, written when a part is begun, by which a picture that kills processes is found and left alone
(worker.py).

The usual pipeline, rows of pictures with reading tasks before the actors, was measured too: as fast on one machine.
But a part's pictures would come apart in it, which a marker stands for together, and on many machines pixels would
travel between them. Here readers are threads beside the network, and only names and markers travel.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from swath.cluster.archive import Outcome, predict_archive
    from swath.cluster.kinds import KINDS, label_map

_EXPORTS = {
    "KINDS": "swath.cluster.kinds",
    "Outcome": "swath.cluster.archive",
    "label_map": "swath.cluster.kinds",
    "predict_archive": "swath.cluster.archive",
}

__all__ = ["KINDS", "Outcome", "label_map", "predict_archive"]


def __getattr__(name: str) -> Any:
    if name not in _EXPORTS:
        raise AttributeError(f"module 'swath.cluster' has no attribute '{name}'")
    return getattr(importlib.import_module(_EXPORTS[name]), name)
