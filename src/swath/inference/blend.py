"""Several answers about one picture -> one label and one probability a pixel, in bands of rows.

Every answer is a small map of logits (`Piece`) and a rule which pixels of the picture it is about, and where between
its logits each of them lies. Full-size scores of all classes exist for some rows at a time only.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from swath.finish.labels import best_class

_VALUES = {"cpu": 1 << 19}  # scores held at once: on a processor what its caches hold
_VALUES_ON_DEVICE = 1 << 26


@dataclass(frozen=True)
class Axis:
    """Along one axis: which pixels of the picture a piece is about, from `start` to `stop`; between which two logits
    each lies, how far from the first, and what share of its own view's answer this piece is."""

    start: int
    stop: int
    below: Tensor
    above: Tensor
    fraction: Tensor
    share: Tensor

    @classmethod
    def of(
        cls,
        pixels: int,
        *,
        logits: int,
        shown: int | None = None,
        starts: Sequence[int] = (0,),
        at: int = 0,
        window: int | None = None,
        padded: int | None = None,
        mirrored: bool = False,
        align_corners: bool = False,
        device: torch.device | str = "cpu",
    ) -> Axis:
        """For a picture of `pixels` that was shown as `shown`, through the window that begins at `starts[at]`, which
        was padded to `padded` before it became `logits`. What is left out stands for itself: nothing was changed."""
        shown = shown or pixels
        window = window or shown
        padded = padded or window
        place = (torch.arange(pixels, dtype=torch.float64) + 0.5) * (shown / pixels)  # in what was shown, from its edge
        place = shown - place if mirrored else place
        seen = [(place >= start) & (place < start + window) for start in starts]
        mine = seen[at].nonzero()[:, 0]
        start, stop = int(mine[0]) if len(mine) else 0, int(mine[-1]) + 1 if len(mine) else 0
        inner = place[start:stop] - starts[at]
        if align_corners:
            source = (inner - 0.5) * ((logits - 1) / (padded - 1) if padded > 1 else 0.0)
        else:
            source = inner * (logits / padded) - 0.5
        source = source.clamp_(0, logits - 1)
        below = source.long()
        count = torch.stack(seen).sum(0)[start:stop]
        return cls(
            start,
            stop,
            below.to(device),
            (below + 1).clamp_(max=logits - 1).to(device),
            (source - below).float().to(device),
            (1 / count).float().to(device),
        )


@dataclass(frozen=True)
class Piece:
    """Logits N x C x h x w of a window of the picture, or of the whole."""

    logits: Tensor
    rows: Axis
    columns: Axis

    def scores(self, start: int, stop: int) -> Tensor:
        """Interpolated logits N x C x (stop - start) x columns of some rows, which must be the piece's own."""
        band = slice(start - self.rows.start, stop - self.rows.start)
        below, above, fraction = self.rows.below[band], self.rows.above[band], self.rows.fraction[band]
        # Few rows of logits lie below many rows of pixels: these are widened first, and each only once.
        low, high = int(torch.minimum(below, above).min()), int(above.max()) + 1
        few = self.logits[:, :, low:high].float()
        wide = torch.lerp(few[..., self.columns.below], few[..., self.columns.above], self.columns.fraction)
        first, second = wide.index_select(2, below - low), wide.index_select(2, above - low)
        return torch.lerp(first, second, fraction[:, None])


@dataclass(frozen=True)
class Blended:
    """uint8 labels N x H x W, and the probability of each where it was asked for."""

    labels: Tensor
    confidence: Tensor | None


def blend(
    views: Sequence[Sequence[Piece]],
    size: tuple[int, int],
    *,
    logits: bool,
    confidence: bool,
    temperature: float = 1.0,
) -> Blended:
    """The class with the best average over all views, and its probability. A view is one piece or several windows;
    `logits`: these are averaged, not probabilities. `temperature` comes after the averages: it moves no label."""
    sample = views[0][0].logits
    count, classes, device = len(sample), sample.shape[1], sample.device
    logits = logits or sum(map(len, views)) == 1  # of a single answer, the logits say it all
    labels = torch.empty((count, *size), dtype=torch.uint8, device=device)
    sure = torch.empty((count, *size), device=device) if confidence else None
    rows = max(1, _VALUES.get(device.type, _VALUES_ON_DEVICE) // (count * classes * size[1]))
    for start in range(0, size[0], rows):
        stop = min(start + rows, size[0])
        total = _total([piece for view in views for piece in view], start, stop, size[1], logits) / len(views)
        by_class = total.transpose(0, 1)
        labels[:, start:stop] = best_class(by_class)
        if sure is not None:
            best = by_class.amax(0)
            if logits:
                sure[:, start:stop] = 1 / (by_class - best).div_(temperature).exp_().sum(0)
            else:
                sure[:, start:stop] = best if temperature == 1 else 1 / (by_class / best).pow_(1 / temperature).sum(0)
    return Blended(labels, sure)


def _total(pieces: Sequence[Piece], start: int, stop: int, width: int, logits: bool) -> Tensor:
    """The views' scores, added up: N x C x rows x width."""
    sample = pieces[0].logits
    total = torch.zeros((*sample.shape[:2], stop - start, width), device=sample.device)
    for piece in pieces:
        rows, columns = piece.rows, piece.columns
        top, bottom = max(start, rows.start), min(stop, rows.stop)
        if top < bottom and columns.start < columns.stop:
            scores = piece.scores(top, bottom)
            share = rows.share[top - rows.start : bottom - rows.start, None] * columns.share
            part = total[:, :, top - start : bottom - start, columns.start : columns.stop]
            part.addcmul_(scores if logits else scores.softmax(1), share)
    return total
