"""Which part of a network feeds which: its modules as boxes, and what joins their answers, from one run on shapes.

A box is the largest module that takes at most two maps, answers one, and does not shrink it by more than four.
Larger ones are opened. Arithmetic between boxes that brings maps together becomes a join.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from swath.networks import Network
from swath.networks.shapes import ShapesOnly

SIDE = 1024  # of the picture that is traced
_SYMBOLS = {"add": "+", "sub": "−", "mul": "×", "cat": "‖", "concat": "‖", "stack": "‖", "grid_sample": "warp"}


@dataclass
class Node:
    """A box (or a join, where `symbol` says what it does) with its answer's stride and channels."""

    name: str
    stride: float
    channels: int
    symbol: str = ""
    feeds_from: list[int] = field(default_factory=list)  # indices of nodes
    count: int = 1  # runs of one module, or modules alike in a chain


def trace(model: Network) -> list[Node]:
    """The nodes in the order in which they run; the pictures come first, the answers last."""
    with ShapesOnly():
        inputs = [torch.empty(1, channels, SIDE, SIDE) for channels in model.inputs.values()]
    model.eval()
    with torch.no_grad(), ShapesOnly():
        boxes = _choose(model, inputs)
        return _follow(model, inputs, boxes)


def _choose(model: Network, inputs: Sequence[Tensor]) -> set[nn.Module]:
    """The modules that become boxes."""
    shapes: dict[nn.Module, tuple[list[Tensor], list[Tensor]]] = {}

    def note(module: nn.Module, taken: Any, given: Any) -> None:
        shapes.setdefault(module, (list(_tensors(taken)), list(_tensors(given))))

    hooks = [module.register_forward_hook(note) for module in model.modules() if module is not model]
    model.logits(*inputs)
    for hook in hooks:
        hook.remove()

    def pick(module: nn.Module) -> Iterator[nn.Module]:
        for child in module.children():
            if child not in shapes or not _is_box(child, *shapes[child]):
                yield from pick(child)
            elif _does_something(child, *shapes[child]):
                yield child

    return set(pick(model))


def _is_box(module: nn.Module, taken: list[Tensor], given: list[Tensor]) -> bool:
    if not list(module.children()):
        return True
    if len(taken) > 2 or len(given) != 1:
        return False
    sides = [tensor.shape[-1] for tensor in taken if tensor.dim() == 4]
    return given[0].dim() == 4 and all(side <= 4 * given[0].shape[-1] for side in sides[:1])


def _does_something(module: nn.Module, taken: list[Tensor], given: list[Tensor]) -> bool:
    """A module that neither weighs nor resizes (an activation, a norm, dropout) only clutters the picture."""
    if any(isinstance(each, (nn.Conv2d, nn.ConvTranspose2d, nn.Conv1d, nn.Linear)) for each in module.modules()):
        return True
    return len(taken) != 1 or [each.shape[-2:] for each in taken] != [each.shape[-2:] for each in given]


def _follow(model: Network, inputs: Sequence[Tensor], boxes: set[nn.Module]) -> list[Node]:
    names = {module: name for name, module in model.named_modules()}
    flow = _Flow()
    for name, tensor in zip(model.inputs, inputs):
        flow.add(Node(name, 1, tensor.shape[1]), [], [tensor])
    hooks = []
    for module in boxes:
        hooks.append(module.register_forward_pre_hook(flow.enter))
        hooks.append(module.register_forward_hook(flow.leave(names[module])))
    with flow:
        answer = model.logits(*inputs)
    for hook in hooks:
        hook.remove()
    answers = answer if isinstance(answer, dict) else {next(iter(model.tasks)): answer}
    for task, tensor in answers.items():
        flow.add(Node(task, SIDE / tensor.shape[-1], tensor.shape[1], symbol="answer"), [tensor], [])
    return flow.nodes


class _Flow(TorchFunctionMode):
    """Remembers which node every tensor came from."""

    def __init__(self) -> None:
        super().__init__()
        self.nodes: list[Node] = []
        self.origin: dict[int, int] = {}
        self.alive: list[Tensor] = []  # an id is only good while its tensor lives
        self.depth = 0  # within a box nothing is followed

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        result = func(*args, **(kwargs or {}))
        given = list(_tensors(result))
        if self.depth == 0 and given:
            taken = [*_tensors(args), *_tensors((kwargs or {}).values())]
            self._pass_on(getattr(func, "__name__", "").strip("_"), taken, given)
        return result

    def _pass_on(self, name: str, taken: list[Tensor], given: list[Tensor]) -> None:
        origins = self._origins(taken)
        if len(origins) > 1:
            symbol = _SYMBOLS.get(name.removeprefix("i"), name.replace("_", " "))
            self.add(Node("", _stride(given[0]), given[0].shape[1], symbol), taken, given)
        elif origins:
            self._keep(given, origins[0])

    def _origins(self, tensors: list[Tensor]) -> list[int]:
        return list(dict.fromkeys(self.origin[id(each)] for each in tensors if id(each) in self.origin))

    def _keep(self, tensors: list[Tensor], index: int) -> None:
        for tensor in tensors:
            self.alive.append(tensor)
            self.origin[id(tensor)] = index

    def add(self, node: Node, taken: list[Tensor], given: list[Tensor]) -> None:
        node.feeds_from = self._origins(taken)
        self._keep(given, len(self.nodes))
        self.nodes.append(node)

    def enter(self, module: nn.Module, taken: Any) -> None:
        self.depth += 1

    def leave(self, name: str) -> Callable[[nn.Module, Any, Any], None]:
        def note(module: nn.Module, taken: Any, given: Any) -> None:
            self.depth -= 1
            maps = list(_tensors(given))
            if self.depth == 0:
                # a module may answer its own input, changed in place: the node before it must stay what it was
                self.add(Node(name, _stride(maps[0]), maps[0].shape[1]), list(_tensors(taken)), maps)

        return note


def _stride(tensor: Tensor) -> float:
    """Of a map; infinite for a description of the whole picture."""
    sides = tensor.shape[2:]
    return math.inf if not sides or max(sides) <= 1 else 2 ** round(math.log2(SIDE / max(sides)))


def _tensors(value: Any) -> Iterator[Tensor]:
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, Mapping):
        for each in value.values():
            yield from _tensors(each)
    elif isinstance(value, Sequence) and not isinstance(value, str):
        for each in value:
            yield from _tensors(each)
