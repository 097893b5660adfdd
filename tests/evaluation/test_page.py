"""The results page: what it counts is what it says it counts, and it holds everything that it shows."""

from __future__ import annotations

import gc
import re
import weakref
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

import tiny
from swath import load_card
from swath.cards import Card
from swath.evaluation import ConfusionMatrix, evaluate, metrics
from swath.evaluation.observers import Scored
from swath.evaluation.page import Page
from swath.evaluation.page.borders import EDGES, BorderCounts, distance_bins
from swath.evaluation.page.calibration import CalibrationCounts, totals
from swath.evaluation.page.segments import segments
from swath.evaluation.page.sizes import EDGES as SIZES
from swath.evaluation.page.sizes import SizeCounts

IGNORE = 255


@pytest.fixture
def card(tmp_path: Path) -> Card:
    (tmp_path / "card.yaml").write_text(tiny.CARD)
    return load_card(tmp_path / "card.yaml")


def scored(index: int, card: Card, confidence: bool = True) -> Scored:
    """A picture of blocks, its prediction moved by some pixels and speckled."""
    draw = np.random.default_rng(index)
    truth = tiny.labels(index)
    said = np.roll(np.where(truth == IGNORE, np.uint8(3), truth), (index % 4, 3), (0, 1))
    said = np.where(draw.random(truth.shape) < 0.05, draw.integers(0, 4, truth.shape), said).astype(np.uint8)
    sure = draw.uniform(0.25, 1, truth.shape).astype(np.float32) if confidence else None
    return Scored(index, f"p/{index}", tiny.picture(index), truth, said, sure)


def by_hand(labels: np.ndarray) -> list[tuple[int, frozenset[tuple[int, int]]]]:
    """Segments by flooding from pixel to pixel."""
    left = {(int(y), int(x)) for y, x in np.argwhere(labels != IGNORE)}
    found = []
    while left:
        first = min(left)
        value, edge, inside = labels[first], [first], {first}
        left.remove(first)
        while edge:
            y, x = edge.pop()
            for at in [(y + dy, x + dx) for dy in (-1, 0, 1) for dx in (-1, 0, 1)]:
                if at in left and labels[at] == value:
                    left.remove(at)
                    inside.add(at)
                    edge.append(at)
        found.append((int(value), frozenset(inside)))
    return found


def test_segments_are_what_flooding_finds() -> None:
    draw = np.random.default_rng(0)
    for trial in range(60):
        shape = tuple(draw.integers(1, 14, 2))
        labels = draw.choice(np.array([0, 1, 2, IGNORE], np.uint8), shape, p=[0.4, 0.3, 0.2, 0.1])
        if trial % 3 == 0:  # long bands and spirals rather than noise
            labels = np.repeat(np.repeat(labels, 3, 0), 2, 1)
        marks = draw.random(labels.shape) < 0.5
        found = segments(labels, marks)
        hand = by_hand(labels)
        expected = sorted((value, len(inside), sum(bool(marks[at]) for at in inside)) for value, inside in hand)
        assert sorted(zip(found.label.tolist(), found.pixels.tolist(), found.marked.tolist())) == expected


def test_segments_of_a_snake_and_of_a_comb_are_one() -> None:
    snake = np.ones((41, 40), np.uint8)
    snake[1::4, 1:] = 0
    snake[3::4, :-1] = 0
    comb = np.ones((30, 41), np.uint8)
    comb[:-1, 1::2] = 0
    for labels in (snake, comb, np.ascontiguousarray(comb[::-1]), np.ascontiguousarray(snake.T)):
        found = segments(labels, labels == 1)
        assert sum(found.label == 1) == 1 and found.marked.sum() == (labels == 1).sum()


def test_bins_of_size_add_up_to_the_ordinary_iou() -> None:
    draw = np.random.default_rng(1)
    sizes, matrix = SizeCounts(4), ConfusionMatrix(4)
    for index in range(6):
        truth = tiny.labels(index)
        said = np.where(draw.random(truth.shape) < 0.2, draw.integers(0, 4, truth.shape), np.roll(truth, 5, 1))
        said = np.where(truth == IGNORE, IGNORE, np.where(said == IGNORE, 0, said)).astype(np.uint8)
        sizes.update(truth, said, (truth == said) & (truth != IGNORE))
        matrix.update(truth, np.where(truth == IGNORE, 0, said).astype(np.uint8))
    hits, true, predicted = np.diag(matrix.counts), matrix.counts.sum(1), matrix.counts.sum(0)
    assert (sizes.right.sum(1) == hits).all()
    assert (sizes.true.sum(1) == true).all()
    assert ((sizes.true + sizes.false).sum(1) == true + predicted - hits).all()


def test_size_by_hand() -> None:
    """A large segment wholly right, a small one missed, and as small a one where there is none."""
    truth, said = np.zeros((100, 100), np.uint8), np.zeros((100, 100), np.uint8)
    truth[10:60, 10:60] = said[10:60, 10:60] = 1  # 25 %
    truth[80:82, 10:12] = 1  # 0.04 %
    said[80:82, 50:52] = 1
    sizes = SizeCounts(2)
    sizes.update(truth, said, truth == said)
    large, small = len(SIZES), 2
    assert [row[1] for row in sizes.iou()] == [None, None, 0.0, None, None, 1.0]
    assert sizes.mean_recall()[small] == 0.0 and sizes.false[1].tolist() == [0, 0, 4, 0, 0, 0]
    assert sizes.found_share()[large] == 1.0 and sizes.found_share()[small] == 0.0
    assert sizes.found_share()[0] is None, "nothing is that small"


def test_distances_are_those_to_the_nearest_border() -> None:
    draw = np.random.default_rng(2)
    for _ in range(4):
        truth = np.kron(draw.choice(np.array([0, 1, IGNORE], np.uint8), (3, 4)), np.ones((23, 31), np.uint8))
        border = []
        for y, x in np.ndindex(truth.shape):
            beside = [(y + 1, x), (y - 1, x), (y, x + 1), (y, x - 1)]
            inside = [at for at in beside if 0 <= at[0] < truth.shape[0] and 0 <= at[1] < truth.shape[1]]
            if truth[y, x] != IGNORE and any(truth[at] not in (truth[y, x], IGNORE) for at in inside):
                border.append((y, x))
        bins = distance_bins(truth)
        if not border:
            assert (bins == len(EDGES)).all()
            continue
        points = np.argwhere(np.ones_like(truth))
        exact = 1 + np.sqrt(((points[:, None] - np.array(border)) ** 2).sum(-1)).min(1).reshape(truth.shape)
        unclear = np.min([np.abs(exact - edge) / edge for edge in EDGES], axis=0) < 0.03
        unclear &= np.isin(exact, EDGES, invert=True)
        assert (bins == np.searchsorted(EDGES, exact))[~unclear].mean() > 0.999
        assert (bins == 0).sum() == len(border)


def test_border_counts_are_the_confusion_matrix_in_parts(card: Card) -> None:
    borders, matrix = BorderCounts(4), ConfusionMatrix(4)
    for index in range(3):
        picture = scored(index, card)
        own = borders.update(picture.truth, np.where(picture.truth == IGNORE, IGNORE, picture.labels).astype(np.uint8))
        before = matrix.counts.copy()
        matrix.update(picture.truth, picture.labels)
        assert (own == matrix.counts - before).all()
    assert (borders.counts.sum(axis=2) == matrix.counts).all()
    near = borders.wrong()
    assert near[0] is not None and near[4] is not None and near[0] > near[4], "a moved picture is wrong at its borders"


def test_calibration_is_what_its_definition_says() -> None:
    draw = np.random.default_rng(3)
    said = draw.integers(0, 3, (90, 110)).astype(np.uint8)
    sure = draw.uniform(0, 1, said.shape).astype(np.float32)
    sure[0], sure[1] = 1.0, 0.0
    hit = draw.random(said.shape) < sure**2
    said[40:50] = IGNORE
    hit[40:50] = False
    known = said != IGNORE
    counts = CalibrationCounts(3)
    half = (slice(None), slice(0, 60)), (slice(None), slice(60, None))
    for part in half:
        counts.update(np.ascontiguousarray(said[part]), np.ascontiguousarray(sure[part]), hit[part])

    def ece(mask: np.ndarray) -> float:
        bins = np.minimum((sure[mask] * 15).astype(int), 14)
        gaps = [abs(hit[mask][bins == b].mean() - sure[mask][bins == b].mean()) * (bins == b).sum() for b in set(bins)]
        return sum(gaps) / mask.sum()

    assert counts.ece() == pytest.approx(ece(known), abs=1e-6)
    for index in range(3):
        assert counts.class_ece(index) == pytest.approx(ece(known & (said == index)), abs=1e-3)
    mean_sure, mean_right = totals(counts.bins())
    assert mean_sure == pytest.approx(sure[known].mean(), abs=1e-6)
    assert mean_right == pytest.approx(hit[known].mean(), abs=1e-9)
    assert sum(each.share for each in counts.bins()) == pytest.approx(1)


def test_honest_confidence_has_no_error_and_unknown_has_none() -> None:
    draw = np.random.default_rng(4)
    sure = draw.uniform(0, 1, (500, 500)).astype(np.float32)
    counts = CalibrationCounts(2)
    assert counts.ece() is None and counts.bins() == []
    counts.update(np.zeros(sure.shape, np.uint8), sure, draw.random(sure.shape) < sure)
    assert (counts.ece() or 1) < 0.01
    assert counts.class_ece(1) is None, "never predicted"


def test_what_is_ignored_is_nowhere_counted(card: Card) -> None:
    first, second = Page(card), Page(card)
    for index in range(3):
        picture = scored(index, card)
        unknown = picture.truth == IGNORE
        assert picture.confidence is not None and unknown.any()
        labels, sure = picture.labels.copy(), picture.confidence.copy()
        labels[unknown], sure[unknown] = 1, 0.01
        first.see(picture)
        second.see(Scored(index, picture.name, picture.image, picture.truth, labels, sure))
    for name in ("true", "right", "false", "segments", "found"):
        assert (getattr(first.sizes, name) == getattr(second.sizes, name)).all()
    assert (first.borders.counts == second.borders.counts).all()
    assert first.calibration.ece() == second.calibration.ece()
    assert [bad.miou for bad in first.worst.ranked()] == [bad.miou for bad in second.worst.ranked()]


def test_keeps_the_worst_pictures_and_nothing_of_the_others(card: Card) -> None:
    page = Page(card, worst=3)
    mious, alive = [], []
    for index in range(12):
        picture = scored(index, card)
        if index % 2:  # some are better
            picture = Scored(index, picture.name, picture.image, picture.truth, picture.truth % 4, picture.confidence)
        page.see(picture)
        alive.append(weakref.ref(picture.image))
        matrix = ConfusionMatrix(4)
        matrix.update(picture.truth, picture.labels)
        hits, true, predicted = np.diag(matrix.counts), matrix.counts.sum(1), matrix.counts.sum(0)
        mious.append(float((hits / np.maximum(1, true + predicted - hits))[true > 0].mean()))
        del picture
    ranked = page.worst.ranked()
    assert [bad.name for bad in ranked] == [f"p/{at}" for at in np.argsort(mious, kind="stable")[:3]]
    assert [bad.miou for bad in ranked] == pytest.approx(sorted(mious)[:3])
    gc.collect()
    assert not any(reference() is not None for reference in alive)


def test_of_equals_the_first_is_kept_and_a_picture_without_truth_is_no_bad_one(card: Card) -> None:
    page = Page(card, worst=2)
    nothing = scored(0, card)
    page.see(Scored(0, "nothing", nothing.image, np.full_like(nothing.truth, IGNORE), nothing.labels, None))
    for index in range(1, 5):
        same = scored(1, card)
        page.see(Scored(index, f"same{index}", same.image, same.truth, same.labels, None))
    assert [bad.name for bad in page.worst.ranked()] == ["same1", "same2"]


class Checked(HTMLParser):
    """Tags that match, and what would be fetched."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.fetched: list[str] = []
        self.images: list[dict[str, str | None]] = []
        self.titles: list[str] = []

    def handle_starttag(self, tag: str, pairs: list[tuple[str, str | None]]) -> None:
        attributes = dict(pairs)
        self.fetched += [value or "" for key, value in pairs if key in ("src", "href", "srcset", "xlink:href")]
        if tag == "img":
            self.images.append(attributes)
        if tag not in ("img", "meta", "br"):
            self.open.append(tag)

    def handle_startendtag(self, tag: str, pairs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, pairs)
        self.handle_endtag(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] == "h2":
            self.titles.append(data)


def written(page: Page, matrix: ConfusionMatrix, path: Path, **facts: str) -> tuple[str, Checked]:
    page.write(path, metrics(matrix.counts, page.card), facts)
    text = path.read_text(encoding="utf-8")
    checked = Checked()
    checked.feed(text)
    assert not checked.open
    return text, checked


def test_the_page_holds_all_that_it_shows(card: Card, tmp_path: Path) -> None:
    page, matrix = Page(card, worst=2), ConfusionMatrix(4)
    for index in range(4):
        picture = scored(index, card)
        page.see(picture)
        matrix.update(picture.truth, picture.labels)
    facts = {"weights": "runs/<a>/best.safetensors", "split": "val", "date": "today & now"}
    text, checked = written(page, matrix, tmp_path / "new" / "p.html", **facts)
    assert all(each.startswith("data:image/") for each in checked.fetched) and len(checked.images) == 2 * 4
    assert all(image["alt"] for image in checked.images)
    assert "<script" not in text and "@import" not in text and "url(" not in text
    assert set(re.findall(r"https?://[^\s\"']+", text)) <= {"http://www.w3.org/2000/svg"}
    assert "&lt;a&gt;" in text and "<a>" not in text and "today &amp; now" in text
    for title in ("Classes", "Categories", "Worst pictures", "Confusion", "Largest confusions", "Confidence"):
        assert title in checked.titles
    for title in ("Confidence by class", "Near borders and far from them", "Classes near borders", "Classes by size"):
        assert title in checked.titles
    assert text.count('class="defined"') == len(checked.titles), "every section says what its numbers are"
    scores = metrics(matrix.counts, card)
    assert f"{100 * (scores.miou or 0):.1f} %" in text
    assert "prefers-color-scheme: dark" in text and "@media print" in text


def test_confusions_are_told_in_words(card: Card, tmp_path: Path) -> None:
    truth = np.zeros((40, 40), np.uint8)
    truth[:20] = 1
    said = truth.copy()
    said[:5] = 2  # a quarter of box
    said[20:22] = 1  # 10 % of ground, which are 80 of 680 that are said to be box
    image = np.zeros((40, 40, 3), np.uint8)
    page, matrix = Page(card), ConfusionMatrix(4)
    page.see(Scored(0, "one", image, truth, said, None))
    matrix.update(truth, said)
    text, _ = written(page, matrix, tmp_path / "p.html")
    assert "box is taken for disc: 25 % of box's pixels <small>(200 pixels, 100.0 % of all" in text
    assert "ground is taken for box: 10 % of ground's pixels <small>(80 pixels, 11.8 % of all" in text
    assert text.index("<li>box is taken for disc") < text.index("<li>ground is taken for box")
    assert "box taken for disc 12.5 % of the picture" in text
    assert "Absent, and left out of all means: sky." in text
    assert "Not known" in text, "nobody said how sure it is"


@pytest.mark.parametrize("shape", [(1, 1), (1, 7), (9, 1), (3, 2000)])
def test_odd_pictures(card: Card, tmp_path: Path, shape: tuple[int, int]) -> None:
    truth = np.zeros(shape, np.uint8)
    picture = Scored(0, "odd", np.zeros((*shape, 3), np.uint8), truth, truth, np.ones(shape, np.float32))
    page, matrix = Page(card), ConfusionMatrix(4)
    page.see(picture)
    matrix.update(truth, truth)
    text, _ = written(page, matrix, tmp_path / "p.html")
    assert "1 picture," in text and "100.0 %" in text


def test_nothing_but_ignored_pixels(card: Card, tmp_path: Path) -> None:
    nothing = np.full((8, 9), IGNORE, np.uint8)
    page = Page(card)
    page.see(Scored(0, "empty", np.zeros((8, 9, 3), np.uint8), nothing, nothing * 0, np.ones((8, 9), np.float32)))
    text, checked = written(page, ConfusionMatrix(4), tmp_path / "p.html")
    assert "absent" in text and not checked.images


def test_many_classes_stay_readable(tmp_path: Path) -> None:
    names = "\n".join(f"  kind {i}: [{i}, {255 - i}, 90]" for i in range(150))
    (tmp_path / "many.yaml").write_text(f"name: many\nclasses:\n{names}\nimages: a/{{id}}.png\nlabels: b/{{id}}.png\n")
    many = load_card(tmp_path / "many.yaml")
    draw = np.random.default_rng(5)
    truth = np.kron(draw.integers(0, 149, (8, 10)).astype(np.uint8), np.ones((12, 12), np.uint8))
    said = np.roll(truth, 5, 1)
    page, matrix = Page(many), ConfusionMatrix(150)
    page.see(Scored(0, "one", np.zeros((*truth.shape, 3), np.uint8), truth, said, None))
    matrix.update(truth, said)
    text, _ = written(page, matrix, tmp_path / "p.html")
    assert len(text) < 2_000_000
    assert text.count("<li>") > 12, "more confusions in words where the picture of them is small"


def test_sees_what_evaluate_sees(card: Card, tmp_path: Path) -> None:
    source = load_card(tiny.dataset(tmp_path / "data")).open("val")
    page = Page(source.card)
    scores = evaluate(tiny.network(), source, observers=[page])
    assert (page.borders.counts.sum(axis=2) == scores.counts).all()
    assert page.calibration.pixels.sum() == scores.pixels and page.calibration.right.sum() == np.trace(scores.counts)
    bins = page.calibration.bins()
    assert all(each.low - 1e-6 <= each.confidence <= each.high + 1e-6 for each in bins)
    page.write(tmp_path / "p.html", scores, {"weights": "w"})
    assert len(page.worst.ranked()) == 3
