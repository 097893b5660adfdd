"""What each loss costs beside plain cross-entropy.

    python benchmarks/losses.py [NAME ...]     writes benchmarks/losses.md (all of them), or prints some

Forward and backward of one loss on what a training step hands it: 19 classes, 4 pictures of 1024 x 512, logits at
stride 8 enlarged to the labels' size, of which a tenth is ignored. The enlargement, and its backward, are part of every
figure. One CPU thread; the losses take turns, so that a busy machine slows all alike, and medians are compared.
"""

from __future__ import annotations

import os
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from swath.training.losses import LOSSES, Moment, make_depth_loss, make_loss
from swath.training.losses.auxiliary import aux_loss
from swath.training.losses.distillation import DISTILLATION_LOSSES

PICTURES, CLASSES, HEIGHT, WIDTH, STRIDE = 4, 19, 512, 1024, 8
ROUNDS = 5
NOTES = {
    "boundary-focal": "distances to the next boundary, exact up to 128 pixels",
    "lovasz": "one sort of all pixels a class",
    "detail": "one channel; STDC's auxiliary head",
    "boundary": "one channel; PIDNet's auxiliary head, without its second look at the main output",
    "distillation: channel-wise": "without the teacher's own forward pass",
    "distillation: logits": "without the teacher's own forward pass",
    "depth: berhu": "one channel",
    "depth: scale-invariant": "one channel",
}


def labels_like_streets(g: torch.Generator) -> Tensor:
    """Blobs of classes, a tenth ignored."""
    coarse = torch.randn(PICTURES, CLASSES, HEIGHT // 64, WIDTH // 64, generator=g)
    labels = F.interpolate(coarse, size=(HEIGHT, WIDTH), mode="bicubic").argmax(1)
    labels[:, : HEIGHT // 10] = 255
    return labels.to(torch.uint8)


def cases(g: torch.Generator) -> dict[str, Callable[[], None]]:
    """Each loss as one forward and backward."""
    labels = labels_like_streets(g)
    half_right = 4 * F.one_hot(labels.long().clamp(max=CLASSES - 1), CLASSES).permute(0, 3, 1, 2).float()
    coarse = F.avg_pool2d(half_right, STRIDE) + torch.randn(
        PICTURES, CLASSES, HEIGHT // STRIDE, WIDTH // STRIDE, generator=g
    )
    teacher = F.interpolate(coarse + 0.5, size=(HEIGHT, WIDTH), mode="bilinear")
    metres = 50 * torch.rand(PICTURES, HEIGHT, WIDTH, generator=g)

    def step(loss: Callable[[Tensor], Tensor], channels: int = CLASSES) -> Callable[[], None]:
        def run() -> None:
            leaf = coarse[:, :channels].clone().requires_grad_()
            loss(F.interpolate(leaf, size=(HEIGHT, WIDTH), mode="bilinear")).backward()

        return run

    def named(name: str) -> Callable[[Tensor], Tensor]:
        criterion = make_loss(name, {})
        return lambda logits: criterion([logits], labels, Moment(1, 2))

    def auxiliary(kind: str) -> Callable[[Tensor], Tensor]:
        loss = aux_loss(kind, lambda logits, truth: make_loss("cross-entropy", {})([logits], truth))
        return lambda logits: loss(logits, labels.long())

    def depth(name: str) -> Callable[[Tensor], Tensor]:
        criterion = make_depth_loss(name, {})
        return lambda values: criterion([values], metres)

    return {
        **{name: step(named(name)) for name in LOSSES},
        "cross-entropy + dice": step(lambda x: make_loss(["cross-entropy", "dice"], {})([x], labels)),
        **{
            f"distillation: {name}": step(lambda x, loss=loss: loss(x, teacher, labels, 4.0))  # type: ignore[misc]
            for name, loss in DISTILLATION_LOSSES.items()
        },
        **{kind: step(auxiliary(kind), 1) for kind in ("boundary", "detail")},
        **{f"depth: {name}": step(depth(name), 1) for name in ("berhu", "scale-invariant")},
    }


def main(only: list[str]) -> None:
    torch.set_num_threads(1)
    every = cases(torch.Generator().manual_seed(0))
    chosen = {name: run for name, run in every.items() if not only or name in ("cross-entropy", *only)}
    times: dict[str, list[float]] = {name: [] for name in chosen}
    loads = []
    for turn in range(ROUNDS + 1):
        loads.append(os.getloadavg()[0])
        for name, run in chosen.items():
            began = time.perf_counter()
            run()
            if turn:  # the first is for warming up
                times[name].append(time.perf_counter() - began)
    medians = {name: statistics.median(each) for name, each in times.items()}
    lines = [
        "# Losses",
        "",
        f"`python benchmarks/losses.py`: forward and backward, {PICTURES} x {CLASSES} x {HEIGHT} x {WIDTH} from "
        f"logits at stride {STRIDE} (the enlargement counts everywhere), float32, one CPU thread, torch "
        f"{torch.__version__}; "
        f"medians of {ROUNDS} turns, load of the machine {min(loads):.1f} to {max(loads):.1f}.",
        "",
        "| loss | ms | beside cross-entropy | |",
        "|---|---:|---:|---|",
    ]
    for name, median in medians.items():
        ratio = median / medians["cross-entropy"]
        lines.append(f"| {name} | {1000 * median:.0f} | {ratio:.2f} | {NOTES.get(name, '')} |")
    text = "\n".join(lines) + "\n"
    print(text)
    if not only:
        Path(__file__).with_suffix(".md").write_text(text)


if __name__ == "__main__":
    main(sys.argv[1:])
