"""The worst pictures: what is kept of each is small, and only as many are kept as are asked for."""

from __future__ import annotations

import heapq
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from swath.cards import Card
from swath.evaluation.metrics import mean, ratios
from swath.evaluation.observers import Scored
from swath.inference import Segmentation
from swath.report import image_uri

Bytes = npt.NDArray[np.uint8]
Counts = npt.NDArray[np.int64]

_WIDTH = 480  # of a thumbnail
_LOST = 3  # classes that are named
_RED = (220, 38, 38)


@dataclass(frozen=True, order=True)
class Bad:
    """A bad picture; the better one is the smaller, so that a heap drops it first."""

    badness: float
    late: int  # minus its index: of equals the first is kept
    name: str
    lost: str  # in words
    pictures: tuple[tuple[str, str], ...]  # (caption, data URI)

    @property
    def miou(self) -> float:
        return -self.badness


class Worst:
    """A heap of the worst so far."""

    def __init__(self, card: Card, count: int):
        self.card, self.count = card, count
        self._heap: list[Bad] = []

    def update(self, picture: Scored, counts: Counts) -> None:
        """Keep the picture if it is among the worst; `counts` is its confusion matrix."""
        true = counts.sum(axis=1)
        hits = np.diag(counts)
        ious = ratios(hits, np.where(true > 0, true + counts.sum(axis=0) - hits, 0))
        miou = mean(ious)
        if miou is None or not self.count:
            return
        rank = (-miou, -picture.index)
        if len(self._heap) == self.count and rank < (self._heap[0].badness, self._heap[0].late):
            return
        bad = Bad(*rank, picture.name, self._lost(counts), self._pictures(picture, counts))
        (heapq.heappush if len(self._heap) < self.count else heapq.heapreplace)(self._heap, bad)

    def ranked(self) -> list[Bad]:
        """The worst first."""
        return sorted(self._heap, reverse=True)

    def _lost(self, counts: Counts) -> str:
        """The confusions that cost most pixels."""
        wrong = counts.copy()
        np.fill_diagonal(wrong, 0)
        total = max(1, int(counts.sum()))
        names = self.card.class_names
        order = np.argsort(-wrong, axis=None, kind="stable")[:_LOST]
        told = [(*divmod(int(at), len(names)), wrong.flat[at] / total) for at in order if wrong.flat[at]]
        return "; ".join(f"{names[t]} taken for {names[p]} {_per_cent(share)}" for t, p, share in told)

    def _pictures(self, picture: Scored, counts: Counts) -> tuple[tuple[str, str], ...]:
        height, width = picture.truth.shape
        small = (min(width, _WIDTH), max(1, round(height * min(1, _WIDTH / width))))
        image = np.asarray(cv2.resize(picture.image, small, interpolation=cv2.INTER_AREA), np.uint8)
        maps = (picture.truth, picture.labels)
        truth, said = (np.asarray(cv2.resize(each, small, interpolation=cv2.INTER_NEAREST), np.uint8) for each in maps)
        right = 100 * np.trace(counts) / max(1, int(counts.sum()))
        shown = (
            ("picture", image),
            ("truth", self._tinted(truth, image)),
            ("prediction", self._tinted(said, image)),
            (f"red: wrong ({right:.1f} % right)", _difference(picture, image, small)),
        )
        return tuple((caption, image_uri(each)) for caption, each in shown)

    def _tinted(self, labels: Bytes, image: Bytes) -> Bytes:
        return Segmentation(labels, self.card.class_names, self.card.colors, image).overlay(0.6)


def _difference(picture: Scored, image: Bytes, small: tuple[int, int]) -> Bytes:
    """Pale grey, red by the share of wrong pixels: not a single one is lost where the picture is made smaller."""
    known = picture.truth != 255
    wrong = ((picture.truth != picture.labels) & known).view(np.uint8) * np.uint8(255)
    grey = 150 + cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)[..., None] * 0.4
    unknown = cv2.resize((~known).view(np.uint8) * np.uint8(255), small, interpolation=cv2.INTER_AREA)[..., None] / 255
    shares = np.sqrt(cv2.resize(wrong, small, interpolation=cv2.INTER_AREA)[..., None] / 255)
    base = grey * (1 - 0.5 * unknown)
    return np.asarray(base * (1 - shares) + np.array(_RED) * shares, np.uint8)


def _per_cent(share: float) -> str:
    return f"{100 * share:.1f} % of the picture"
