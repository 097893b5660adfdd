"""How papers timed their networks, repeated here; and what every difference to our way is worth, each measured."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from time import perf_counter
from typing import Any

import torch
from torch import Tensor, nn

from swath.bench.run import street
from swath.bench.targets import named
from swath.bench.timing import Latency, in_turns, synchroniser
from swath.bench.typical import Typical
from swath.errors import SwathError, unknown
from swath.inference import Segmenter, Views
from swath.inference.runtimes.torch import PixelsIn, check_device, check_task
from swath.networks import Network, fuse

_LONGEST = 60.0  # seconds that a paper's loop may take here; on a slow device it has fewer passes

Call = Callable[[], object]


@dataclass(frozen=True, kw_only=True)
class Protocol:
    """A way of timing. All of them: batch 1, float32, random numbers for a picture, and the answer thrown away."""

    name: str
    of: str  # whose it is
    networks: tuple[str, ...]  # that it was used for
    size: tuple[int, int]  # height, width
    warmup: int
    passes: int  # in one loop; 0: as many as `seconds` hold
    seconds: float = 0.0
    norms: str = "kept"  # or "deleted"
    training: bool = False  # left in training mode: norms and dropout do a training's work
    swapped: bool = False  # height and width of the tensor
    note: str = ""


PROTOCOLS = {
    each.name: each
    for each in (
        Protocol(
            name="contextnet",
            of="the benchmark script of a public ContextNet implementation",
            networks=("contextnet14", "contextnet12", "contextnet18", "contextnet14_500", "contextnet14_160"),
            size=(1080, 1920),
            warmup=5,
            passes=100,
            training=True,
            swapped=True,
            note="it does not wait for a GPU either, and so times the launch of the work only; here it is waited for",
        ),
        Protocol(
            name="csfcn",
            of="CSFCN's speed script, of which PIDNet's is a copy",
            networks=("csfcn_plainstem", "csfcn", "csfcn_tiny"),
            size=(1024, 2048),
            warmup=10,
            passes=0,
            seconds=12.0,
            norms="deleted",
            note="its timed network has the plain stem, the published one the deep stem with 1.63 times the work",
        ),
        Protocol(
            name="pidnet",
            of="PIDNet's speed script",
            networks=("pidnet_s", "pidnet_m", "pidnet_l"),
            size=(1024, 2048),
            warmup=10,
            passes=0,
            seconds=12.0,
            norms="deleted",
            note="it deletes norms before activations too, in the head and where boundaries are fused: those no "
            "convolution can take over",
        ),
        Protocol(
            name="bisenetv1",
            of="the script that CSFCN's authors timed BiSeNetV1 with",
            networks=("bisenetv1_resnet18",),
            size=(1024, 2048),
            warmup=20,
            passes=1000,
            norms="deleted",
            note="norms inside the attention gates are deleted as well",
        ),
        Protocol(
            name="swiftnet",
            of="the script that CSFCN's authors timed SwiftNet with",
            networks=("swiftnet_resnet18",),
            size=(1024, 2048),
            warmup=20,
            passes=1000,
            norms="deleted",
            note="SwiftNet's norms stand before activations: nearly none of them can be folded into a convolution",
        ),
    )
}


@dataclass(frozen=True)
class Step:
    """One difference, and the time once it is taken away; all that came before it stay away."""

    what: str
    ms: float  # median


@dataclass(frozen=True, kw_only=True)
class Repeated:
    """A network timed as a paper does it, and step by step until it is timed as we do."""

    protocol: Protocol
    network: str
    claims: dict[str, float]  # frames a second, by device and size
    size: tuple[int, int]
    device: str
    passes: int
    warmup: int
    mean: float  # milliseconds, of the loop as a whole: the paper's figure
    steps: list[Step] = field(default_factory=list)  # the first is the paper's, the last is ours

    @property
    def ours(self) -> float:
        return self.steps[-1].ms


def protocol_of(name: str) -> Protocol:
    if name not in PROTOCOLS:
        raise unknown("protocol", name, PROTOCOLS)
    return PROTOCOLS[name]


@torch.inference_mode()
def repeat(
    protocol: Protocol,
    word: str,
    *,
    size: tuple[int, int] | None = None,
    device: str = "cpu",
    num_classes: int = 19,
    iterations: int | None = None,
    warmup: int | None = None,
    rounds: int = 20,
    doing: Callable[[str, int], None] = lambda text, total: None,
    step: Callable[[], None] = lambda: None,
) -> Repeated:
    """`word`: a network by name, or weights. What is None is the paper's; `rounds` calls of each step."""
    check_device(device)
    subject = named(word, num_classes).subject
    if not isinstance(subject, Network):
        raise SwathError(f"{word}: papers time networks in torch; give a network's name, or .safetensors weights")
    check_task(subject)
    size, warmup = size or protocol.size, protocol.warmup if warmup is None else warmup
    subject.check_size(*(min(size),) * 2 if protocol.swapped else size)
    calls = _calls(protocol, subject, size, device, trained=subject.meta is not None)
    first = calls[0][1]
    doing("warm-up", warmup)
    passes = _passes(protocol, first, device) if iterations is None else iterations
    wait = synchroniser(device)
    for _ in range(warmup):
        first()
        step()
    wait()
    doing(f"as {protocol.name} does it", passes)
    start = perf_counter()
    for _ in range(passes):
        first()
        step()
    wait()
    mean = 1000 * (perf_counter() - start) / passes
    doing("step by step", rounds * len(calls))
    times = in_turns([call for _, call in calls], rounds, 1, device, step)
    from swath.networks import model_info

    return Repeated(
        protocol=protocol,
        network=subject.name,
        claims=dict(model_info(subject.name).claims.fps),
        size=size,
        device=device,
        passes=passes,
        warmup=warmup,
        mean=mean,
        steps=[Step(what, Latency.of(each).p50) for (what, _), each in zip(calls, times)],
    )


def as_json(found: Repeated) -> dict[str, Any]:
    """Everything, for programs."""
    protocol = found.protocol
    return {
        "protocol": {"name": protocol.name, "of": protocol.of, "note": protocol.note, "norms": protocol.norms},
        "network": found.network,
        "size": f"{found.size[1]}x{found.size[0]}",
        "device": found.device,
        "passes": found.passes,
        "warmup": found.warmup,
        "mean": found.mean,
        "fps": 1000 / found.mean,
        "claims": found.claims,
        "steps": [{"what": each.what, "ms": each.ms} for each in found.steps],
        "ours": found.ours,
    }


def _passes(protocol: Protocol, call: Call, device: str) -> int:
    """The paper's number, or what fits into a minute."""
    wait = synchroniser(device)
    call()
    wait()
    start = perf_counter()
    call()
    wait()
    once = perf_counter() - start
    wanted = protocol.passes or max(1, int(protocol.seconds / once))
    return max(1, min(wanted, int(_LONGEST / once)))


def _calls(
    protocol: Protocol, network: Network, size: tuple[int, int], device: str, trained: bool
) -> list[tuple[str, Call]]:
    """From the paper's way to ours, one difference after the other."""
    plain = copy.deepcopy(network).to(device).eval()
    pixels = torch.from_numpy(street(size, network.inputs["image"])[None])
    noise = torch.randn(1, network.inputs["image"], *size, device=device)
    first = _without_norms(plain) if protocol.norms == "deleted" else plain
    if protocol.training:
        first = copy.deepcopy(plain).train()
    turned = noise.transpose(2, 3).contiguous() if protocol.swapped else noise
    calls = [(f"as {protocol.name} times it", _enlarged(first, turned))]
    if protocol.swapped:
        calls.append(("height and width the right way round", _enlarged(first, noise)))
    if protocol.training:
        calls.append(("in eval mode", _enlarged(plain, noise)))
    elif protocol.norms == "deleted":
        calls.append(("batch norms put back", _enlarged(plain, noise)))
    fused = fuse(plain)
    calls.append((f"batch norms folded, {_folded(plain, fused)}", _enlarged(fused, noise)))
    fast = copy.deepcopy(fused).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    last = noise.contiguous(memory_format=torch.channels_last)
    calls.append(("channels last in memory", _enlarged(fast, last)))
    calls.append((f"logits left at stride {network.stride}, not enlarged", lambda: fast.logits(last)))
    inside = PixelsIn(fast).to(device)
    resident = pixels.to(device)
    calls.append(("from uint8 pixels, normalised inside", lambda: inside(resident)))
    segmenter = Segmenter(network, device, engine="torch", views=Views())
    if not trained:
        segmenter.runtime = Typical(segmenter.runtime)
    if torch.device(device).type != "cpu":
        calls.append(("pixels copied from host memory", lambda: segmenter.runtime.run(segmenter.prepare(pixels))))
    calls.append(("mask: enlarged, decided, in host memory", lambda: segmenter.labels(pixels).cpu()))
    return calls


def _enlarged(model: nn.Module, x: Tensor) -> Call:
    return lambda: model(x)


def _without_norms(network: Network) -> Network:
    """Another network, which answers nonsense: for its time only."""
    bare = copy.deepcopy(network)
    for parent in list(bare.modules()):
        for name, child in list(parent.named_children()):
            if isinstance(child, nn.BatchNorm2d):
                setattr(parent, name, nn.Identity())
    return bare


def _folded(before: nn.Module, after: nn.Module) -> str:
    had, left = (sum(isinstance(each, nn.BatchNorm2d) for each in model.modules()) for model in (before, after))
    return f"{had - left} of {had}, which changes no answer"


def shares(found: Repeated) -> Iterator[tuple[str, float, float, float]]:
    """What, milliseconds after it, milliseconds it adds, and that as a share of the paper's time."""
    before = found.steps[0].ms
    for each in found.steps:
        yield each.what, each.ms, each.ms - before, (each.ms - before) / found.steps[0].ms
        before = each.ms
