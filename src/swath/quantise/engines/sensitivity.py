"""How much each layer costs: the network with that layer alone in 8 bits, against the network in float."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from swath.quantise.engines.graph import Layer, Model, Quantised

Array = npt.NDArray[Any]

_SAMPLE = 1 << 16  # values of a layer's answer to one picture that are compared
_TOGETHER = 16  # layers whose answers are in memory at once
CLEAN = 200.0  # dB, of a layer that changes nothing
RUINED = -200.0  # of one that leaves no number


@dataclass(frozen=True)
class Sensitivity:
    """Signal to noise in decibels; 6 more are half the noise."""

    layer: Layer
    own: float  # of what the layer gives
    logits: float  # of what the network answers
    agree: float  # share of logits whose best class stays the same


def sensitivities(graph: Quantised, pictures: Sequence[Tensor]) -> Iterator[Sensitivity]:
    """One a layer, in the order of the graph."""
    arrays = [each.numpy() for each in pictures]
    plain = graph.with_float([layer.node for layer in graph.layers], {layer.output for layer in graph.layers})
    result = graph.model.graph.output[0].name
    session = _session(plain)
    wanted = [session.run([result], {"image": each})[0] for each in arrays]
    for start in range(0, len(graph.layers), _TOGETHER):
        group = graph.layers[start : start + _TOGETHER]
        names = sorted({layer.output for layer in group})
        answers = [session.run(names, {"image": each}) for each in arrays]
        clean = {name: [_sampled(answer[place]) for answer in answers] for place, name in enumerate(names)}
        del answers
        for layer in group:
            yield _alone(graph, layer, arrays, clean[layer.output], wanted)


def _alone(graph: Quantised, layer: Layer, arrays: list[Array], clean: list[Array], wanted: list[Array]) -> Sensitivity:
    result = graph.model.graph.output[0].name
    session = _session(graph.with_float(graph.all_but(layer.node), {layer.output} - {result}))
    own, logits, agree = _Ratio(), _Ratio(), []
    for pixels, theirs, whole in zip(arrays, clean, wanted):
        answer, given = session.run([layer.output, result], {"image": pixels})
        own.add(theirs, _sampled(answer))
        logits.add(whole, given)
        agree.append(float((given.argmax(1) == whole.argmax(1)).mean()))
    return Sensitivity(layer, own.decibels(), logits.decibels(), float(np.mean(agree)))


class _Ratio:
    """Of signal to noise, over several pictures."""

    def __init__(self) -> None:
        self.signal = self.noise = 0.0

    def add(self, clean: Array, noisy: Array) -> None:
        self.signal += float(np.square(clean, dtype=np.float64).sum())
        with np.errstate(invalid="ignore"):  # what is no number shows in the ratio
            self.noise += float(np.square(np.subtract(noisy, clean, dtype=np.float64)).sum())

    def decibels(self) -> float:
        if not np.isfinite(self.noise):
            return RUINED
        if not self.noise:
            return CLEAN
        return min(CLEAN, 10 * float(np.log10(max(self.signal, 1e-30) / self.noise)))


def _sampled(answer: Array) -> Array:
    flat = answer.reshape(-1)
    return flat[:: -(-flat.size // _SAMPLE)].copy()


def _session(model: Model) -> Any:
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.log_severity_level = 3
    options.intra_op_num_threads = torch.get_num_threads()
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return ort.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
