"""The finish in plain torch: on a CPU cell by cell, elsewhere one full-size plane at a time.

Bilinear values inside a cell between four neighbouring logit vectors are convex mixes of its corners. If one class is
the largest at all four corners, it is the largest everywhere inside; only cells on borders between classes need
arithmetic. And there, a class that another one exceeds at all four corners cannot win: two or three are left.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from swath.finish.axis import Axis

LIMIT = 2.0**126  # corners of this size do not overflow between each other
_MOSTLY_MIXED = 0.5  # share of mixed cells above which going through whole planes is faster
_CHUNK = 1 << 18  # pixels interpolated at once; keeps the work in the cache and bounds the memory


def finite(logits: Tensor) -> Tensor:
    """Not a number becomes the least value there is, larger ones than 2^126 become it: then no product is 0 * inf."""
    if torch.isfinite(torch.linalg.vector_norm(logits)):  # one quick pass; an overflow here costs nothing but time
        return logits
    return logits.nan_to_num(nan=-LIMIT, posinf=LIMIT, neginf=-LIMIT).clamp_(-LIMIT, LIMIT)


def best_class(values: Tensor) -> Tensor:
    """argmax over the first dimension as uint8; a running maximum is many times faster on a CPU than `argmax`."""
    best = values[0].clone()
    index = torch.zeros(values.shape[1:], dtype=torch.uint8, device=values.device)
    for c in range(1, len(values)):
        _take_better(index, best, values[c], c)
    return index


def _take_better(index: Tensor, best: Tensor, values: Tensor, c: int) -> None:
    """Class c where its values exceed the best so far. Classes come in ascending order, so a maximum of bytes does what
    a masked assignment does, ten times faster."""
    better = (values > best).view(torch.uint8)
    torch.maximum(index, better.mul_(c), out=index)
    torch.maximum(best, values, out=best)


def by_planes(logits: Tensor, size: tuple[int, int], align_corners: bool) -> Tensor:
    """One full-size plane at a time: for sizes with few pixels a cell, and for devices without the cell form."""
    if tuple(logits.shape[2:]) == size:
        return best_class(logits.transpose(0, 1))
    best: Tensor | None = None
    index = torch.zeros((len(logits), *size), dtype=torch.uint8, device=logits.device)
    for c in range(logits.shape[1]):
        plane = F.interpolate(logits[:, c : c + 1], size=size, mode="bilinear", align_corners=align_corners)[:, 0]
        if best is None:
            best = plane
        else:
            _take_better(index, best, plane, c)
    return index


def by_cells(z_CHW: Tensor, size: tuple[int, int], align_corners: bool) -> Tensor:
    """uint8 labels H x W."""
    rows = Axis.of(z_CHW.shape[1], size[0], align_corners)
    columns = Axis.of(z_CHW.shape[2], size[1], align_corners)
    best = best_class(z_CHW)
    best = F.pad(best[None, None], (1, 1, 1, 1), mode="replicate")[0, 0]  # so that pixels at the edge lie in cells too
    here = best[:-1, :-1]
    mixed = (here != best[:-1, 1:]) | (here != best[1:, :-1]) | (here != best[1:, 1:])
    mixed &= (rows.start.diff() > 0)[:, None] & (columns.start.diff() > 0)
    wide = here.repeat_interleave(columns.start.diff(), 1)
    out = wide.repeat_interleave(rows.start.diff(), 0)
    cells = mixed.flatten().nonzero()[:, 0]
    if len(cells) > _MOSTLY_MIXED * mixed.numel():
        return by_planes(z_CHW[None], size, align_corners)[0]
    most = int(rows.start.diff().max()) * int(columns.start.diff().max())
    for chunk in cells.split(max(1, _CHUNK // most)) if len(cells) else ():
        _fill_mixed(out, z_CHW, best, chunk, rows, columns)
    return out


def _fill_mixed(out: Tensor, z_CHW: Tensor, best: Tensor, cells_K: Tensor, rows: Axis, columns: Axis) -> None:
    h, w = z_CHW.shape[1:]
    y, x = cells_K // (w + 1), cells_K % (w + 1)
    ends = [(y + down, x + right) for down in (0, 1) for right in (0, 1)]
    bests = torch.stack([best[end] for end in ends])  # 4 x K
    flat = z_CHW.reshape(len(z_CHW), -1)
    inside = [((at - 1).clamp_(0, h - 1) * w).add_((to - 1).clamp_(0, w - 1)) for at, to in ends]
    corners = torch.stack([flat[:, at] for at in inside])  # 4 x C x K
    alive = torch.ones(corners.shape[1:], dtype=torch.bool)
    for winner in bests.long():
        a, b, c, d = corners >= corners.gather(1, winner.expand(4, 1, -1))
        alive &= a | b | c | d

    count = alive.sum(0)
    order = count.argsort(descending=True)  # then those with another candidate left are always the first ones
    alive, corners, count = alive[:, order], corners[:, :, order], count[order]
    row, fy = rows.pixels_of(y[order])
    column, fx = columns.pixels_of(x[order])
    fx, fy = fx[:, None], fy[:, :, None]
    gx, gy = 1 - fx, 1 - fy

    def values(class_k: Tensor) -> Tensor:  # k x most rows x most columns, of a class for each of the first k cells
        k = len(class_k)
        a, b, c, d = corners[:, :, :k].gather(1, class_k.expand(4, 1, -1))[:, 0, :, None, None]
        left, right = torch.addcmul(a * gy[:k], c, fy[:k]), torch.addcmul(b * gy[:k], d, fy[:k])
        return torch.addcmul(left * gx[:k], right, fx[:k])

    classes = alive.T.nonzero()[:, 1]  # the candidates of the first cell, lowest first, then those of the second, ...
    first = count.cumsum(0) - count
    lowest = classes[first]
    index = lowest.to(torch.uint8)[:, None, None].expand(-1, fy.shape[1], fx.shape[2]).contiguous()
    most = values(lowest)
    for i in range(1, int(count[0])):
        next_one = classes[first[: int((count > i).sum())] + i]
        k = len(next_one)
        candidate = values(next_one)
        better = (candidate > most[:k]).view(torch.uint8)
        torch.maximum(index[:k], better.mul_(next_one.to(torch.uint8)[:, None, None]), out=index[:k])
        torch.maximum(most[:k], candidate, out=most[:k])
    pixel = (row * columns.pixels)[:, :, None] + column[:, None]
    out.view(-1).scatter_(0, pixel.flatten(), index.flatten())
