"""From a split to scores: full resolution, streaming, without touching the network."""

from __future__ import annotations

import weakref
from pathlib import Path

import numpy as np
import pytest
import torch

import tiny
from swath import Segmenter, SwathError, load_card
from swath.evaluation import ConfusionMatrix, evaluate


class Made:
    """Pictures from nowhere, of two sizes; remembers how many are alive."""

    def __init__(self, card: object, count: int) -> None:
        self.card, self.count = card, count
        self.alive: weakref.WeakValueDictionary[int, np.ndarray] = weakref.WeakValueDictionary()
        self.most = 0

    def __len__(self) -> int:
        return self.count

    def size(self, index: int) -> tuple[int, int]:
        return 40 + index % 2, 50

    def name(self, index: int) -> str:
        return f"made/{index}"

    def image(self, index: int) -> np.ndarray:
        image = tiny.picture(index, *self.size(index))
        self.alive[id(image)] = image
        self.most = max(self.most, len(self.alive))
        return image

    def labels(self, index: int) -> np.ndarray:
        return tiny.labels(index, *self.size(index))


@pytest.fixture
def source(tmp_path: Path) -> Made:
    (tmp_path / "card.yaml").write_text(tiny.CARD)
    return Made(load_card(tmp_path / "card.yaml"), 7)


def expected(model: torch.nn.Module, source: Made) -> np.ndarray:
    """The whole way by hand, with full-size logits."""
    matrix = ConfusionMatrix(4)
    for index in range(len(source)):
        pixels = torch.from_numpy(source.image(index)).permute(2, 0, 1)[None]
        with torch.no_grad():
            prediction = model(model.preprocess(pixels)).argmax(1)[0].to(torch.uint8)
        matrix.update(source.labels(index), prediction)
    return matrix.counts


@pytest.mark.parametrize("batch", [1, 3, 50])
def test_scores_are_those_of_the_whole_way_by_hand(source: Made, batch: int) -> None:
    model = tiny.network()
    scores = evaluate(model, source, batch=batch)
    assert np.abs(scores.counts - expected(model, source)).sum() <= 4  # ties may fall either way
    assert scores.pixels == sum(int((source.labels(i) != 255).sum()) for i in range(7))
    assert scores.absent == [] or scores.absent == ["sky"]


def test_a_network_in_training_is_left_as_it_was(source: Made) -> None:
    model = tiny.network(aux=True).train()
    before = {name: (value.clone(), value.stride()) for name, value in model.state_dict().items()}
    evaluate(model, source)
    assert model.training
    for name, value in model.state_dict().items():
        assert torch.equal(value, before[name][0]) and value.stride() == before[name][1]


def test_no_more_than_two_batches_are_held(source: Made) -> None:
    source.count = 20
    evaluate(tiny.network(), source, batch=2)
    assert source.most <= 2 * 2 + 2  # this batch, the next one, and what the last round still names


def test_shows_its_progress_and_stops_at_the_limit(source: Made) -> None:
    seen = []
    scores = evaluate(
        tiny.network(),
        source,
        batch=2,
        limit=5,
        watch=lambda done, total, c: seen.append((done, total, c.counts.sum())),
    )
    assert [step[:2] for step in seen] == [(2, 5), (4, 5), (5, 5)]
    assert seen[-1][2] == scores.pixels


def test_classes_must_be_those_of_the_training(source: Made, tmp_path: Path) -> None:
    segmenter = Segmenter(tiny.weights(tmp_path / "w.safetensors"))
    assert evaluate(segmenter, source, limit=1).pixels
    source.card = load_card("streets")
    with pytest.raises(SwathError, match=r"w\.safetensors has 4 classes and the card streets 11"):
        evaluate(segmenter, source)
    (tmp_path / "other.yaml").write_text(tiny.CARD.replace("disc", "ball"))
    source.card = load_card(tmp_path / "other.yaml")
    with pytest.raises(SwathError, match=r"class 2 is 'disc' in .* and 'ball' in the card shapes"):
        evaluate(segmenter, source)


def test_a_label_without_a_name_names_its_picture(source: Made) -> None:
    source.labels = lambda index: np.full(source.size(index), 9, np.uint8)  # type: ignore[method-assign]
    with pytest.raises(SwathError, match="made/0: truth holds the label 9"):
        evaluate(tiny.network(), source)


def test_an_empty_split_is_refused(source: Made) -> None:
    source.count = 0
    with pytest.raises(SwathError, match="no picture"):
        evaluate(tiny.network(), source)
