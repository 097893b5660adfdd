"""The datasets' own definitions, to 1e-9: Cityscapes by its official evaluator, VOC and NYU by slow references."""

from __future__ import annotations

import contextlib
import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from swath import SwathError, load_card
from swath.evaluation import Scored, Scores, evaluate
from telling import IDS, Telling, blobs, cityscapes, picture


class Writer:
    """Keeps predictions as a submission does: raw ids."""

    wants_confidence = False

    def __init__(self, folder: Path):
        self.folder = folder
        self.files: list[str] = []

    def see(self, picture: Scored) -> None:
        file = self.folder / f"{picture.name.replace('/', '_')}.png"
        Image.fromarray(np.array(IDS, np.uint8)[picture.labels]).save(file)
        self.files.append(str(file))


def officially(predictions: list[str], truths: list[str], patch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What the official evaluator says."""
    patch.setattr(np, "in1d", np.isin, raising=False)  # which it uses, and NumPy has no more
    official = pytest.importorskip("cityscapesscripts.evaluation.evalPixelLevelSemanticLabeling")
    official.args.JSONOutput = False
    official.args.quiet = True
    with contextlib.redirect_stdout(io.StringIO()):
        answer: dict[str, Any] = official.evaluateImgLists(predictions, truths, official.args)
    return answer


def same(ours: dict[str, float | None], theirs: dict[str, float]) -> None:
    """Every name that we know, and of every name that they know a number."""
    assert {name for name, value in theirs.items() if not np.isnan(value)} == {
        name for name, value in ours.items() if value is not None
    }
    for name, value in ours.items():
        if value is not None:
            assert abs(theirs[name] - value) < 1e-9, name


@pytest.mark.parametrize(("seed", "absent"), [(0, ()), (1, (31, 33)), (2, (24, 25, 23, 28))])
def test_every_number_of_the_cityscapes_evaluator(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seed: int, absent: tuple[int, ...]
) -> None:
    truths = cityscapes(tmp_path, seed, absent)
    writer = Writer(tmp_path)
    source = load_card("cityscapes").open("val", tmp_path)
    scores = evaluate(Telling(19), source, instances=True, observers=[writer])
    theirs = officially(writer.files, truths, monkeypatch)
    same(dict(zip(scores.class_names, scores.class_iou)), theirs["classScores"])
    same(scores.category_iou, theirs["categoryScores"])
    assert scores.instances is not None
    same(scores.instances.class_iiou, theirs["classInstScores"])
    same(scores.instances.category_iiou, theirs["categoryInstScores"])
    for ours, name in (
        (scores.miou, "averageScoreClasses"),
        (scores.category_miou, "averageScoreCategories"),
        (scores.instances.mean_class_iiou, "averageScoreInstClasses"),
        (scores.instances.mean_category_iiou, "averageScoreInstCategories"),
    ):
        assert ours is not None and abs(theirs[name] - ours) < 1e-9, name


def test_without_instance_maps_iiou_says_what_is_missing(tmp_path: Path) -> None:
    cityscapes(tmp_path, 0, ())
    with pytest.raises(SwathError, match="card 'streets'"):
        evaluate(Telling(11), load_card("streets").open("val", count=1), instances=True)
    next(tmp_path.rglob("*instanceIds.png")).unlink()
    with pytest.raises(SwathError, match=r"instanceIds\.png"):
        evaluate(Telling(19), load_card("cityscapes").open("val", tmp_path), instances=True)


def pixel_by_pixel(truths: list[np.ndarray], said: list[np.ndarray], classes: int) -> np.ndarray:
    table = np.zeros((classes, classes))
    for truth, answer in zip(truths, said):
        for t, p in zip(truth.ravel().tolist(), answer.ravel().tolist()):
            if t != 255:
                table[t, p] += 1
    return table


def voc(root: Path) -> tuple[list[np.ndarray], list[np.ndarray]]:
    truths, said = [], []
    for number in range(3):
        draw = np.random.default_rng(number)
        truth = blobs(draw, [*range(18), 255], 40 + number, 50)
        answer = np.where(draw.random(truth.shape) < 0.7, truth % 21, blobs(draw, list(range(20)), *truth.shape))
        files = (("JPEGImages", ".jpg"), ("SegmentationClass", ".png"))
        for (folder, ending), array in zip(files, (picture(answer.astype(np.uint8)), truth)):
            (root / folder).mkdir(exist_ok=True)
            file = root / folder / f"{number}{ending}"
            Image.fromarray(array).save(file, "PNG")  # what a file is, its content says: JPEG would change values
        truths.append(truth)
        said.append(answer)
    (root / "ImageSets/Segmentation").mkdir(parents=True)
    (root / "ImageSets/Segmentation/val.txt").write_text("0\n1\n2\n")
    return truths, said


def test_vocs_definition(tmp_path: Path) -> None:
    """Development kit: IoU = TP / (truth + result - TP) in per cent, background is a class, void (255) is not counted;
    the accuracy of a class is TP / truth; classes that are nowhere have no number."""
    truths, said = voc(tmp_path)
    table = pixel_by_pixel(truths, said, 21)
    scores = evaluate(Telling(21), load_card("voc").open("val", tmp_path))
    assert np.array_equal(scores.counts, table)
    with np.errstate(invalid="ignore"):
        iou = 100 * np.diag(table) / (table.sum(1) + table.sum(0) - np.diag(table))
        accuracy = 100 * np.diag(table) / table.sum(1)
    assert scores.absent == ["tvmonitor"] and np.isnan(iou[20]) and not np.isnan(iou[:20]).any()
    agree(scores.class_iou, iou)
    agree(scores.class_accuracy, accuracy)
    agree([scores.miou, scores.mean_accuracy], [np.nanmean(iou), np.nanmean(accuracy)])
    agree([scores.pixel_accuracy], [100 * np.trace(table) / table.sum()])


def test_nyus_definition(tmp_path: Path) -> None:
    """Gupta et al. 2013, Long et al. 2015: pixel accuracy sum(n_ii) / sum(t_i), mean accuracy, mean IoU, and IoU
    weighted by t_i, the pixels of class i; n_ij pixels of class i are said to be of j."""
    truths, said, lines = [], [], []
    for number in range(3):
        draw = np.random.default_rng(number)
        truth = blobs(draw, [*range(40), 255], 36, 44, 120)
        answer = np.where(draw.random(truth.shape) < 0.6, truth % 40, blobs(draw, list(range(40)), 36, 44))
        Image.fromarray(picture(answer.astype(np.uint8))).save(tmp_path / f"{number}.png")
        Image.fromarray(truth).save(tmp_path / f"{number}_mask.png")
        lines.append(f"{number}.png\t{number}_mask.png")
        truths.append(truth)
        said.append(answer)
    (tmp_path / "val.nyu").write_text("\n".join(lines) + "\n")
    (tmp_path / "train.nyu").write_text(lines[0] + "\n")
    n = pixel_by_pixel(truths, said, 40)
    t = n.sum(1)
    iou = np.diag(n) / (t + n.sum(0) - np.diag(n))
    scores = evaluate(Telling(40), load_card("nyuv2").open("val", tmp_path))
    assert not scores.absent and (t > 0).all()
    agree([scores.pixel_accuracy, scores.mean_accuracy], [100 * np.trace(n) / t.sum(), 100 * (np.diag(n) / t).mean()])
    agree([scores.miou], [100 * iou.mean()])
    agree([scores.frequency_weighted_iou], [100 * (t * iou).sum() / t.sum()])


def agree(ours: list[float | None], theirs: Any) -> None:
    """Shares and percentages, to 1e-9; None is nan."""
    mine = np.array([np.nan if value is None else 100 * value for value in ours])
    np.testing.assert_allclose(mine, np.asarray(theirs, float), rtol=0, atol=1e-9)


def test_scores_of_the_tree_hold_every_pixel(tmp_path: Path) -> None:
    cityscapes(tmp_path, 3, ())
    source = load_card("cityscapes").open("val", tmp_path)
    scores: Scores = evaluate(Telling(19), source)
    assert scores.pixels == sum(int((source.labels(index) != 255).sum()) for index in range(4))
    assert scores.instances is None and scores.boundary is None
