"""Who looks on sees every picture once, with what was predicted for it and how surely."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F

import tiny
from swath import Segmenter, load_card
from swath.deploy import export
from swath.evaluation import PerPicture, Scored, evaluate
from swath.inference import Views


class Seen:
    def __init__(self, wants_confidence: bool):
        self.wants_confidence = wants_confidence
        self.pictures: list[Scored] = []

    def see(self, picture: Scored) -> None:
        self.pictures.append(picture)


@pytest.mark.parametrize("batch", [1, 2])
def test_sees_what_was_scored(tmp_path: Path, batch: int) -> None:
    source = load_card(tiny.dataset(tmp_path)).open("val")
    sure, plain = Seen(True), Seen(False)
    model = tiny.network()
    scores = evaluate(model, source, batch=batch, observers=[sure, plain])
    assert np.array_equal(scores.counts, evaluate(model, source, batch=batch).counts), "looking on changes nothing"
    assert [each.index for each in sure.pictures] == [0, 1, 2]
    for index, picture in enumerate(sure.pictures):
        assert picture.name == source.name(index)
        assert np.array_equal(picture.image, source.image(index))
        assert np.array_equal(picture.truth, source.labels(index))
        with torch.no_grad():
            full = model(model.preprocess(torch.from_numpy(source.image(index)).permute(2, 0, 1)[None]))
        best, labels = F.softmax(full, 1)[0].max(0)
        assert picture.confidence is not None and picture.confidence.dtype == np.float32
        assert np.abs(picture.confidence - best.numpy()).max() < 1e-5
        assert (picture.labels != labels.numpy()).mean() < 1e-3
    unseen = Seen(False)
    evaluate(model, source, observers=[unseen])
    assert all(each.confidence is None for each in unseen.pictures)


def test_averages_know_how_sure_they_are(tmp_path: Path) -> None:
    source = load_card(tiny.dataset(tmp_path)).open("val")
    seen = Seen(True)
    evaluate(Segmenter(tiny.network(), views=Views(flip=True)), source, observers=[seen])
    for picture in seen.pictures:
        assert picture.confidence is not None
        assert 1 / len(tiny.NAMES) <= picture.confidence.min() and picture.confidence.max() <= 1 + 1e-6


def test_a_file_that_answers_labels_does_not_know(tmp_path: Path) -> None:
    source = load_card(tiny.dataset(tmp_path)).open("val")
    export(tiny.network(), tmp_path / "inside.pt", "torchscript", finish="inside")
    segmenter, seen = Segmenter(tmp_path / "inside.pt"), Seen(True)
    assert not segmenter.gives_logits
    evaluate(segmenter, source, observers=[seen])
    assert [each.confidence for each in seen.pictures] == [None] * 3


def test_the_table_of_pictures_has_the_worst_first(tmp_path: Path) -> None:
    card = load_card(tiny.dataset(tmp_path))
    table = PerPicture(card)
    truth = np.zeros((4, 4), np.uint8)
    truth[2:] = 1
    half = truth.copy()
    half[2:, 2:] = 0
    nothing = np.full_like(truth, 255)
    made = [("good", truth, truth), ("nothing", truth, nothing), ("half", half, truth), ("bad", 1 - truth, truth)]
    for index, (name, labels, known) in enumerate(made):
        table.see(Scored(index, name, np.zeros((4, 4, 3), np.uint8), known, labels, None))
    table.write(tmp_path / "t.csv")
    rows = list(csv.DictReader((tmp_path / "t.csv").open()))
    assert [row["picture"] for row in rows] == ["bad", "half", "good", "nothing"]
    assert [row["miou"] for row in rows] == ["0.000000", "0.583333", "1.000000", ""]
    assert rows[1]["iou_ground"] == "0.666667" and rows[1]["iou_disc"] == "" and rows[1]["pixels"] == "16"
