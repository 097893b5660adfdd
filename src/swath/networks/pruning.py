"""Narrow a network to the size of another of its kind, keeping the filters with the largest weights.

The target is a network of the registry, not a ratio: what comes out is that network, with its names and shapes, so it
saves, loads and exports as any other. Filters go by the sum of their absolute weights (Li et al., "Pruning Filters for
Efficient ConvNets", arXiv 1608.08710). Channels that are added to each other, or passed through one by one by a
depthwise convolution, can only go together: torch-pruning finds these groups by tracing the network.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from swath.errors import SwathError
from swath.networks.base import Network
from swath.networks.registry import create_model


@dataclass(frozen=True)
class Cut:
    """One group of channels: the layer it is named by, how many channels there were, and which stay."""

    layer: str
    channels: int
    kept: tuple[int, ...]


def prune_to(model: Network, network: str | None = None, **options: Any) -> tuple[Network, list[Cut]]:
    """`model` narrowed to `network` (its own kind, unless named) with `options` in place of its own, and what was cut.

    The answer is a new network on the same device, in training mode as `model` was; `model` stays as it is.
    """
    arguments = {**model.arguments, **options}
    with torch.random.fork_rng():
        target = create_model(network or model.name, **arguments)
        if not len(model.aux_heads):
            target.drop_aux()
        check_narrower(model, target)
        narrowed, cuts = _narrowed(model, target)
    try:
        target.load_state_dict(narrowed.state_dict())
    except RuntimeError as error:
        raise SwathError(
            f"{_words(model)} cannot be narrowed to {_words(target)}: its channels depend on each other in "
            f"ways that could not be followed ({str(error).splitlines()[-1].strip()})"
        ) from error
    target.preprocesses = dict(model.preprocesses)
    device = next(model.parameters()).device
    return target.to(device).train(model.training), cuts


def check_narrower(model: Network, target: Network) -> None:
    """Refuse a target that is no narrower network of the same kind; networks without memory will do."""
    found, wanted = model.state_dict(), target.state_dict()
    for name in [*found, *wanted]:
        if name not in found or name not in wanted or found[name].dim() != wanted[name].dim():
            reason = f"they differ in more than channels, first in {name}"
        elif any(have < want for have, want in zip(found[name].shape, wanted[name].shape)):
            reason = (
                f"it is not narrower: {name} is {list(found[name].shape)} now and would be {list(wanted[name].shape)}"
            )
        else:
            continue
        raise SwathError(f"{_words(model)} cannot be narrowed to {_words(target)}: {reason}")
    _library()


def _library() -> Any:
    try:
        import torch_pruning
    except ImportError as error:
        raise SwathError("pruning needs torch-pruning: pip install 'swath[prune]'") from error
    return torch_pruning


def _words(model: Network) -> str:
    options = {key: value for key, value in model.arguments.items() if key not in ("num_classes", "in_channels")}
    return f"{model.name} {options}" if options else model.name


def _narrowed(model: Network, target: Network) -> tuple[nn.Module, list[Cut]]:
    """A copy of the network with every group of channels cut to the target's size; all are scored before any is cut."""
    body = copy.deepcopy(model).cpu()
    names = {module: name for name, module in body.named_modules()}
    wanted = {name: module.out_channels for name, module in target.named_modules() if isinstance(module, nn.Conv2d)}
    graph = _graph(body)
    planned: list[tuple[Cut, nn.Module, Any, list[int]]] = []
    for group in graph.get_all_groups(root_module_types=[nn.Conv2d]):
        filters = [(dep.target.module, dep.handler) for dep, _ in group if _loses_filters(graph, dep)]
        root, cut = filters[0][0], names[filters[0][0]]
        have = root.out_channels
        sizes = {wanted[names[module]] for module, _ in filters}
        want = min(sizes)
        if len(sizes) != 1:
            others = ", ".join(names[module] for module, _ in filters)
            raise SwathError(
                f"{_words(model)} cannot be narrowed to {_words(target)}: the {have} channels of {others} go together, "
                f"and the target has {sorted(sizes)} of them"
            )
        if want == have:
            continue
        scores = sum((_filter_sums(module) for module, _ in filters), torch.zeros(have, dtype=torch.float64))
        order = torch.sort(scores, descending=True, stable=True).indices  # ties go to the lower index
        kept = sorted(order[:want].tolist())
        gone = sorted(set(range(have)) - set(kept))
        planned.append((Cut(cut, have, tuple(kept)), root, filters[0][1], gone))
    for _, root, handler, gone in planned:
        graph.get_pruning_group(root, handler, gone).prune()
    return body, [cut for cut, *_ in planned]


def _graph(body: Network) -> Any:
    """The dependencies between the layers, auxiliary heads included; statistics of norms are put back."""
    before = {name: tensor.clone() for name, tensor in body.state_dict().items()}
    body.requires_grad_(True)
    height, width = (max(2 * body.deepest, 2 * side) for side in body.min_size)
    pictures = tuple(torch.rand(2, channels, height, width) for channels in body.inputs.values())
    with torch.enable_grad():
        graph = (
            _library().DependencyGraph().build_dependency(body, pictures, forward_fn=_training_outputs, verbose=False)
        )
    body.load_state_dict(before)
    return graph


def _training_outputs(body: Network, pictures: tuple[Tensor, ...]) -> list[Tensor]:
    """All tensors of an answer in training mode: the tracer switches to eval mode, in which auxiliary heads rest."""
    return list(_tensors(body.train().logits(*pictures)))


def _tensors(output: Any) -> Iterator[Tensor]:
    if isinstance(output, Tensor):
        yield output
        return
    for part in output.values() if isinstance(output, dict) else output:
        yield from _tensors(part)


def _loses_filters(graph: Any, dependency: Any) -> bool:
    """Whether a member of a group is a convolution that loses output channels (a depthwise one always does)."""
    module = dependency.target.module
    if not isinstance(module, nn.Conv2d):
        return False
    depthwise: bool = module.groups > 1
    return depthwise or bool(graph.is_out_channel_pruning_fn(dependency.handler))


def _filter_sums(layer: Any) -> Tensor:
    """The sum of the absolute weights of each filter."""
    weight: Tensor = layer.weight.detach()
    return weight.abs().double().sum(dim=(1, 2, 3))
