"""The segmenter as three stages: making the frame ready, the network, and from its answer to labels."""

from __future__ import annotations

import torch

from swath.bench.timing import synchroniser
from swath.errors import SwathError
from swath.inference.segmenter import Answer, Segmenter
from swath.inference.streams.pipeline import Stage, Work
from swath.inference.streams.smoothing import Smoothing


def network_stages(segmenter: Segmenter, smooth: float = 0.0) -> list[Stage]:
    """`pre`, `network` and `finish`; with several views of each frame they are all in `network`."""
    smoothing = Smoothing(smooth)
    if segmenter.description.channels != 3:
        channels = segmenter.description.channels
        raise SwathError(f"{segmenter.name}: takes pictures of {channels} channels, videos have 3")
    if smooth and not segmenter.gives_logits:
        raise SwathError(
            f"{segmenter.name}: answers labels, which cannot be smoothed; use the weights, or a file of "
            "`swath export --finish outside`"
        )
    if smooth and segmenter.views.several:
        raise SwathError("smoothing goes with one view of each frame; leave out the scales, the flip and the window")

    def whole(work: Work) -> None:
        work.result = segmenter(work.frame.image)

    if segmenter.views.several:
        return [("network", whole)]
    wait = synchroniser(segmenter.runtime.device)  # so that each stage's time is its own

    def pre(work: Work) -> None:
        work.pixels = segmenter.prepare(torch.from_numpy(work.frame.image)[None])

    def network(work: Work) -> None:
        assert work.pixels is not None
        work.answer = segmenter.runtime.run(work.pixels)
        wait()

    def finish(work: Work) -> None:
        assert work.answer is not None and work.pixels is not None
        image = work.frame.image
        size = (image.shape[0], image.shape[1])
        if smooth:
            work.answer = smoothing(work.answer, size, work.frame.time)
        found = segmenter.finish(work.answer, work.pixels, size, sure=segmenter.unsure is not None)
        sure = None if found.confidence is None else found.confidence[0].cpu().numpy()
        work.result = segmenter.result(image, Answer(found.labels[0].cpu().numpy(), sure))
        work.pixels = work.answer = None  # what is done with need not wait in memory

    return [("pre", pre), ("network", network), ("finish", finish)]
