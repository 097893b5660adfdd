"""From a captured graph to one with fake quantisers in it."""

from __future__ import annotations

import copy
from collections import Counter

import torch
from torch.fx import GraphModule

from swath.quantise.library import torchao
from swath.quantise.norms import fold, unfold
from swath.quantise.schemes import Scheme
from swath.quiet import quiet

RANGE = "range_"  # and a number: a quantiser of activations
WEIGHT = "weight_"
_SAME = "same_"


def prepare(captured: GraphModule, scheme: Scheme, learning: bool) -> GraphModule:
    """A copy of the graph with quantisers, norms apart (learning) or folded in."""
    pt2e = torchao()
    from swath.quantise.quantizer import Annotator

    module = (unfold if learning else fold)(copy.deepcopy(captured))
    with quiet(), torch.no_grad():
        prepared: GraphModule = pt2e.quantize_pt2e.prepare_pt2e(module, Annotator(scheme))
    _rename(prepared)
    return prepared


def _rename(module: GraphModule) -> None:
    """Names for the quantisers that are ours, in the order of the graph: they stand in weights files."""
    from swath.quantise.observers import Activations, SameRange

    calls = [node for node in module.graph.nodes if node.op == "call_module"]
    theirs = [(node, getattr(module, node.target)) for node in calls]
    for name in {node.target for node in calls}:
        delattr(module, name)
    counts, seen = Counter[str](), set()
    for node, each in theirs:
        kind = RANGE if isinstance(each, Activations) else WEIGHT
        if each in seen:  # torchao shares ranges by calling one quantiser in several places
            each, kind = SameRange(each), _SAME
        seen.add(each)
        node.target = f"{kind}{counts[kind]}"
        counts[kind] += 1
        module.add_submodule(node.target, each)
    module.recompile()
