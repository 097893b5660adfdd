"""What each loss means, pixel by pixel in Python's floats: slow, and written without a look at the fast ones.

Predictions are arrays N x C x H x W (depth: one channel), labels N x H x W with 255 for ignored, metres with 0 for not
measured, weights a list or None.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
Weights = Sequence[float] | None


def softmax(scores: Sequence[float]) -> list[float]:
    top = max(scores)
    parts = [math.exp(s - top) for s in scores]
    return [part / math.fsum(parts) for part in parts]


def log_softmax(scores: Sequence[float]) -> list[float]:
    top = max(scores)
    total = top + math.log(math.fsum(math.exp(s - top) for s in scores))
    return [s - total for s in scores]


def places(labels: Array) -> Iterator[tuple[int, int, int]]:
    yield from ((n, y, x) for n, y, x in np.ndindex(*labels.shape) if labels[n, y, x] != 255)


def entropies(logits: Array, labels: Array) -> dict[tuple[int, int, int], float]:
    return {(n, y, x): -log_softmax(logits[n, :, y, x].tolist())[labels[n, y, x]] for n, y, x in places(labels)}


def weight(labels: Array, place: tuple[int, int, int], weights: Weights) -> float:
    return 1.0 if weights is None else weights[labels[place]]


def mean(values: Sequence[float], by: Sequence[float]) -> float:
    return math.fsum(v * w for v, w in zip(values, by)) / math.fsum(by) if math.fsum(by) else 0.0


def cross_entropy(
    logits: Array, labels: Array, weights: Weights, smoothing: float = 0.0, divide_by: str = "weights"
) -> float:
    total, by = 0.0, 0.0
    for n, y, x in places(labels):
        logs = log_softmax(logits[n, :, y, x].tolist())
        for c, log in enumerate(logs):
            wanted = (1 - smoothing) * (c == labels[n, y, x]) + smoothing / len(logs)
            total -= wanted * log * (1.0 if weights is None else weights[c])
        by += weight(labels, (n, y, x), weights if divide_by == "weights" else None)
    by = labels.size if divide_by == "all" else by
    return total / by if by else 0.0


def ohem(
    logits: Array,
    labels: Array,
    weights: Weights,
    threshold: float = 0.7,
    min_share: float = 0.05,
    min_pixels: int = 0,
) -> float:
    found = sorted(entropies(logits, labels).items(), key=lambda each: -each[1])
    least = max(1, math.floor(min_share * len(found) + 1e-9), min(min_pixels, len(found)))
    kept = [each for i, each in enumerate(found) if i < least or each[1] >= -math.log(threshold)]
    return mean([loss for _, loss in kept], [weight(labels, place, weights) for place, _ in kept])


def bootstrapped(
    logits: Array,
    labels: Array,
    weights: Weights,
    done: float,
    start: int = 512,
    least: int = 128,
    step: int = 512,
    power: float = 0.95,
) -> float:
    k = step * max(least, math.floor(start * (1 - done) ** power))
    losses = {place: loss * weight(labels, place, weights) for place, loss in entropies(logits, labels).items()}
    pictures = []
    for n in range(len(labels)):
        own = sorted((loss for place, loss in losses.items() if place[0] == n), reverse=True)[:k]
        if own:
            pictures.append(math.fsum(own) / len(own))
    return math.fsum(pictures) / max(1, len(pictures))


def focal(logits: Array, labels: Array, weights: Weights, gamma: float = 2.0, alpha: float = 0.25) -> float:
    found = entropies(logits, labels)
    values = [alpha * (1 - math.exp(-loss)) ** gamma * loss for loss in found.values()]
    return mean(values, [weight(labels, place, weights) for place in found])


def boundary_focal(logits: Array, labels: Array, weights: Weights, gamma: float = 0.5) -> float:
    found, edge = entropies(logits, labels), boundaries(labels)
    values = []
    for (n, y, x), loss in found.items():
        away = min((math.dist((y, x), other) for other in np.argwhere(edge[n])), default=math.inf)
        alpha = 8 if away < 16 else 4 if away < 64 else 2 if away < 128 else 1
        values.append(alpha * math.exp(gamma * (1 - math.exp(-loss))) * loss)
    return mean(values, [weight(labels, place, weights) for place in found])


def groups(labels: Array, per_picture: bool) -> list[list[tuple[int, int, int]]]:
    """Known pixels of the batch or of each picture that has any."""
    numbers = [[n] for n in range(len(labels))] if per_picture else [list(range(len(labels)))]
    found = [[place for place in places(labels) if place[0] in own] for own in numbers]
    return [each for each in found if each]


def over_classes(each: dict[int, float], weights: Weights) -> float:
    return mean(list(each.values()), [1.0 if weights is None else weights[c] for c in each])


def dice(
    logits: Array,
    labels: Array,
    weights: Weights,
    smooth: float = 1.0,
    classes: str = "all",
    per_picture: bool = False,
) -> float:
    rows = []
    for group in groups(labels, per_picture):
        each = {}
        for c in range(logits.shape[1]):
            p = [softmax(logits[n, :, y, x].tolist())[c] for n, y, x in group]
            true = [float(labels[place] == c) for place in group]
            if classes == "all" or any(true):
                hits = math.fsum(a * b for a, b in zip(p, true))
                each[c] = 1 - (2 * hits + smooth) / (math.fsum(p) + math.fsum(true) + smooth)
        rows.append(over_classes(each, weights))
    return math.fsum(rows) / max(1, len(rows))


def lovasz(
    logits: Array, labels: Array, weights: Weights, classes: str = "present", per_picture: bool = False
) -> float:
    """By the definition: pixels turn wrong from the worst on, each costs what 1 - IoU then grows by."""
    rows = []
    for group in groups(labels, per_picture):
        each = {}
        for c in range(logits.shape[1]):
            true = {place for place in group if labels[place] == c}
            if classes == "present" and not true:
                continue
            p = {(n, y, x): softmax(logits[n, :, y, x].tolist())[c] for n, y, x in group}
            errors = {place: 1 - p[place] if place in true else p[place] for place in group}
            wrong: set[tuple[int, int, int]] = set()
            before, total = 0.0, 0.0
            for place in sorted(group, key=lambda place: -errors[place]):
                wrong.add(place)
                now = len(wrong) / len(true | wrong)
                total += errors[place] * (now - before)
                before = now
            each[c] = total
        rows.append(over_classes(each, weights))
    return math.fsum(rows) / max(1, len(rows))


# Auxiliary outputs


def boundaries(labels: Array) -> Array:
    edge = np.zeros(labels.shape, bool)
    for n, y, x in places(labels):
        for dy, dx in ((0, 1), (0, -1), (1, 0), (-1, 0)):
            v, u = y + dy, x + dx
            if 0 <= v < labels.shape[1] and 0 <= u < labels.shape[2]:
                edge[n, y, x] |= labels[n, v, u] not in (255, labels[n, y, x])
    return edge


def widened(mask: Array, by: int) -> Array:
    wide = np.zeros_like(mask)
    for n, y, x in np.argwhere(mask):
        wide[n, max(0, y - by) : y + by + 1, max(0, x - by) : x + by + 1] = True
    return wide


def binary(score: float, target: float) -> float:
    return target * -log_softmax([0.0, score])[1] + (1 - target) * -log_softmax([0.0, score])[0]


def band(logits: Array, labels: Array) -> float:
    return cross_entropy(logits, np.where(widened(boundaries(labels), 5), labels, 255), None)


def boundary(logits: Array, labels: Array) -> float:
    near = widened(boundaries(labels), 1)
    known = list(places(labels))
    at = sum(bool(near[place]) for place in known)
    total = 0.0
    for n, y, x in known:
        share = (len(known) - at if near[n, y, x] else at) / len(known)
        total += share * binary(float(logits[n, 0, y, x]), float(near[n, y, x]))
    return total / max(1, len(known))


def detail_target(labels: Array) -> Array:
    count, height, width = labels.shape
    plane = np.where(labels == 255, 0, labels).astype(int)
    total = np.zeros(labels.shape)
    for stride, share in ((1, 0.6), (2, 0.3), (4, 0.1)):
        rows, columns = -(-height // stride), -(-width // stride)
        for n, y, x in np.ndindex(count, height, width):
            i, j = y * rows // height * stride, x * columns // width * stride  # the centre that stands for this pixel
            around = [(i + a, j + b) for a in (-1, 0, 1) for b in (-1, 0, 1) if (a, b) != (0, 0)]
            ring = sum(plane[n, v, u] for v, u in around if 0 <= v < height and 0 <= u < width)
            total[n, y, x] += share * (8 * plane[n, i, j] - ring > 0)
    return (total > 0.1) & ~widened(labels == 255, 1)


def detail(logits: Array, labels: Array) -> float:
    target = detail_target(labels)
    known = list(places(labels))
    if not known:
        return 0.0
    entropy = math.fsum(binary(float(logits[n, 0, y, x]), float(target[n, y, x])) for n, y, x in known) / len(known)
    pictures = []
    for n in range(len(labels)):
        own = [place for place in known if place[0] == n]
        guess = {place: softmax([0.0, float(logits[n, 0, place[1], place[2]])])[1] for place in own}
        hit = math.fsum(guess[place] * target[place] for place in own)
        both = math.fsum(guess.values()) + math.fsum(float(target[place]) for place in own)
        pictures.append(1 - (2 * hit + 1) / (both + 1) if own else 0.0)
    return entropy + math.fsum(pictures) / len(pictures)


def presence(logits: Array, labels: Array) -> float:
    pictures = []
    for scores, own in zip(logits[:, :, 0, 0], labels):
        if (own != 255).any():
            pictures.append(np.mean([binary(float(s), float((own == c).any())) for c, s in enumerate(scores)]))
    return float(np.mean(pictures)) if pictures else 0.0


# Depth


def differences(metres: Array, truth: Array) -> list[list[float]]:
    """Of each picture that has any."""
    each = [[float(m - t) for m, t in zip(a.ravel(), b.ravel()) if t > 0] for a, b in zip(metres, truth)]
    return [own for own in each if own]


def log_differences(metres: Array, truth: Array, floor: float) -> list[list[float]]:
    return differences(np.arcsinh(metres / (2 * floor)), np.arcsinh(truth / (2 * floor)))


def berhu(metres: Array, truth: Array, share: float = 0.2) -> float:
    off = [abs(d) for own in differences(metres, truth) for d in own]
    c = share * max(off, default=0)
    return sum(d if d <= c else (d * d + c * c) / (2 * c) for d in off) / max(1, len(off))


def scale_invariant(metres: Array, truth: Array, balance: float = 0.5, floor: float = 0.5) -> float:
    each = log_differences(metres, truth, floor)
    values = [np.mean(np.square(own)) - balance * np.mean(own) ** 2 for own in each]
    return float(np.mean(values)) if values else 0.0


def silog(metres: Array, truth: Array, balance: float = 0.85, floor: float = 0.5) -> float:
    off = np.array([d for own in log_differences(metres, truth, floor) for d in own])
    return 10 * math.sqrt(np.mean(off**2) - balance * np.mean(off) ** 2) if off.size else 0.0


def smooth_l1(metres: Array, truth: Array, beta: float = 1.0) -> float:
    off = [abs(d) for own in differences(metres, truth) for d in own]
    return math.fsum(d * d / (2 * beta) if d < beta else d - beta / 2 for d in off) / max(1, len(off))


def mean_difference(metres: Array, truth: Array, epsilon: float = 1e-3, power: float = 0.45) -> float:
    known = truth > 0
    off = metres[known].mean() - truth[known].mean() if known.any() else 0.0
    return float((off**2 + epsilon**2) ** power - epsilon ** (2 * power))


def error_variance(metres: Array, truth: Array) -> float:
    known = truth > 0
    return float(np.var(metres[known] - truth[known])) if known.any() else 0.0


# Distillation


def of_logits(logits: Array, teacher: Array, labels: Array, temperature: float) -> float:
    each = []
    for n, y, x in places(labels):
        own, wanted = (log_softmax((t[n, :, y, x] / temperature).tolist()) for t in (logits, teacher))
        each.append(math.fsum(math.exp(w) * (w - o) for o, w in zip(own, wanted)))
    return temperature**2 * math.fsum(each) / max(1, len(each))


def channel_wise(logits: Array, teacher: Array, labels: Array, temperature: float) -> float:
    each = []
    for group in groups(labels, per_picture=True):
        for c in range(logits.shape[1]):
            own, wanted = (
                log_softmax([float(t[n, c, y, x]) / temperature for n, y, x in group]) for t in (logits, teacher)
            )
            each.append(math.fsum(math.exp(w) * (w - o) for o, w in zip(own, wanted)))
    return temperature**2 * math.fsum(each) / max(1, len(each))
