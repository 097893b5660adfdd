"""The parts of the doctor by themselves: balance, near-duplicates, lists, workers, the page."""

from __future__ import annotations

import os
import re
from pathlib import Path

import cv2
import healthy
import numpy as np
import pytest

from swath import SwathError, load_card
from swath.doctor import Balance, Finding, check, grouped
from swath.doctor.crew import probes
from swath.doctor.examine import Set
from swath.doctor.page import report
from swath.doctor.twins import fingerprint, role
from swath.training.class_weights import log_weights, median_weights

PIXELS, PICTURES = np.array([1000, 200, 50, 10]), np.array([10, 10, 5, 2])


def test_weights_are_those_of_enet_and_lightnet() -> None:
    balance = Balance(PIXELS, PICTURES)
    assert balance.weights("median") == pytest.approx([0.15, 0.75, 1.5, 3.0])
    assert balance.weights("log") == pytest.approx([1.6797072788, 6.0813296710, 17.2504886384, 36.2931584576])
    assert balance.yaml("median") == "class_weights: [0.15, 0.75, 1.5, 3]"


def test_weights_are_those_of_the_training() -> None:
    for pixels, pictures in ((PIXELS, PICTURES), (np.array([500, 0, 20]), np.array([4, 0, 2]))):
        balance = Balance(pixels, pictures)
        assert balance.weights("log") == pytest.approx(log_weights(pixels, pictures))
        assert balance.weights("median") == pytest.approx(median_weights(pixels, pictures))


def test_a_balance_of_nothing_has_weights() -> None:
    balance = Balance.empty(3)
    assert np.isfinite(balance.weights("log")).all() and np.isfinite(balance.weights("median")).all()
    assert balance.ignored_share == 0


def small(image: np.ndarray) -> np.ndarray:
    return cv2.resize(image, (32, 32), interpolation=cv2.INTER_AREA)


def bits(a: np.ndarray, b: np.ndarray) -> int:
    return int(np.unpackbits(fingerprint(small(a)) ^ fingerprint(small(b))).sum())


def test_fingerprints_know_copies_and_tell_others_apart() -> None:
    for seed in range(20):
        image = healthy.picture(seed, 120, 160)
        jpeg = cv2.imdecode(cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, 50])[1], cv2.IMREAD_COLOR)
        assert bits(image, jpeg) <= 6
        assert bits(image, cv2.resize(image, (80, 60), interpolation=cv2.INTER_AREA)) <= 6
        assert bits(image, (image * 0.7 + 20).astype(np.uint8)) <= 12
        assert bits(image, healthy.picture(seed + 100, 120, 160)) > 30


def test_a_split_is_compared_by_what_it_is_for() -> None:
    assert {role(name) for name in ("train", "train_extra", "trainaug", "train_noval", "train_coarse")} == {"train"}
    assert [role(name) for name in ("val", "val_coarse", "test", "trainval", "all")] == ["val", "val", "test", "", ""]


def test_splits_that_share_pictures_on_purpose_are_no_finding(tmp_path: Path) -> None:
    healthy.listed_ids(tmp_path)
    (tmp_path / "trainval.txt").write_text("".join(f"p{i}\n" for i in range(9)))
    text = (tmp_path / "card.yaml").read_text().replace("[train, val]", "[train, val, trainval]")
    diagnosis = check(load_card(healthy.card(tmp_path, text)))
    assert diagnosis.findings == []
    both = diagnosis.splits[0].balance.pixels + diagnosis.splits[1].balance.pixels
    assert (diagnosis.splits[2].balance.pixels == both).all()


def test_a_fault_in_shared_pictures_is_told_once(tmp_path: Path) -> None:
    healthy.listed_ids(tmp_path)
    (tmp_path / "trainval.txt").write_text("".join(f"p{i}\n" for i in range(9)))
    (tmp_path / "images/p2.jpg").write_bytes(b"")
    text = (tmp_path / "card.yaml").read_text().replace("[train, val]", "[train, val, trainval]")
    findings = check(load_card(healthy.card(tmp_path, text))).findings
    assert [(finding.kind, finding.split) for finding in findings] == [("empty-file", "train")]


def test_every_bad_line_of_a_list_is_told_and_the_others_are_read(tmp_path: Path) -> None:
    card = load_card(healthy.listed_files(tmp_path))
    lines = (tmp_path / "train.txt").read_text().splitlines()
    wrong = [lines[0], "one", *lines[1:4], "three words here", *lines[4:], "/data/blobs/no.png /data/blobs/no.png"]
    (tmp_path / "train.txt").write_text("\n".join(wrong))
    diagnosis = check(card)
    told = [finding.file for finding in diagnosis.findings]
    assert sorted(told) == ["no.png", "train.txt:2", "train.txt:6"]
    assert len(diagnosis.splits[0].pairs) == 6


def test_missing_pictures_of_outlines_are_told(tmp_path: Path) -> None:
    card = load_card(healthy.outlines(tmp_path))
    (tmp_path / "train/p0.jpg").unlink()
    healthy.write(tmp_path / "train/p1.jpg", healthy.picture(1, 60, 64))
    findings = check(card).findings
    assert {finding.kind for finding in findings} == {"missing-picture", "label-mode"}
    assert any("64 x 48" in finding.message and "64 x 60" in finding.message for finding in findings)


def test_groups_have_the_worst_first() -> None:
    findings = [Finding("alpha", "val", "a", ""), Finding("grey", "val", "b", "", "x"), Finding("size", "val", "c", "")]
    groups = grouped([*findings, Finding("grey", "val", "d", "", "x"), Finding("grey", "train", "e", "", "y")])
    assert [(group.kind, group.split, len(group.findings)) for group in groups] == [
        ("size", "val", 1),
        ("grey", "val", 2),
        ("grey", "train", 1),
        ("alpha", "val", 1),
    ]
    assert groups[1].advices == ["x"]


class _Killer:
    """Ends the process that unpacks it, as a full memory does."""

    def __reduce__(self) -> tuple[object, tuple[int]]:
        return os._exit, (1,)


def test_a_killed_worker_is_told_in_words(tmp_path: Path) -> None:
    card = load_card(healthy.folders(tmp_path))
    with pytest.raises(SwathError, match="--jobs 1"):
        list(probes(Set(card, tmp_path, {}), [("train", 0, _Killer())], 1))  # type: ignore[list-item]


def test_the_page_holds_everything_and_escapes_names(tmp_path: Path) -> None:
    card = load_card(healthy.folders(tmp_path))
    for kind in ("images", "labels"):
        (tmp_path / "train" / kind / "p1.png").rename(tmp_path / "train" / kind / "<b>&.png")
    healthy.write(tmp_path / "train/images/<b>&.png", healthy.picture(1) // 200)
    healthy.write(tmp_path / "val/images/p1.png", healthy.picture(2))
    text = report(check(card))
    assert "&lt;b&gt;&amp;.png" in text and "<b>&" not in text
    for words in ("is all black", "copy of train/images/p2.png", "Class balance of train", "Class weights from train",
                  "Contact sheet", "The same in two splits", "64 x 48"):  # fmt: skip
        assert words in text
    assert not re.search(r'(src|href)="(?!data:)', text)
    assert text.count("<figure>") == 9 + 2 + 1  # sheet, twins, the black one


@pytest.mark.parametrize("jobs", [1, 3])
def test_findings_do_not_depend_on_the_number_of_workers(jobs: int, tmp_path: Path) -> None:
    card = load_card(healthy.one_folder(tmp_path, "splits: {train: {percent: 0-70}, val: {percent: 70-100}}\n", 40))
    for index in (3, 17, 31):
        healthy.write(tmp_path / "labels" / f"p{index}.png", np.full((48, 64), 9, np.uint8))
    told: list[tuple[int, int, int]] = []
    diagnosis = check(card, jobs=jobs, told=lambda *word: told.append(word))
    named = sorted(finding.file for finding in diagnosis.findings)
    assert named == ["labels/p17.png", "labels/p3.png", "labels/p31.png"]
    assert told[0] == (0, 40, 0) and told[-1] == (40, 40, 3) and len(told) == 41


def test_a_layout_can_be_chosen(tmp_path: Path) -> None:
    healthy.folders(tmp_path)
    layouts = "".join(
        f'  {name}:\n    images: "{{split}}/images/{{id}}.png"\n    labels: "{{split}}/{name}/{{id}}.png"\n'
        for name in ("masks", "labels")
    )
    card = load_card(healthy.card(tmp_path, healthy.HEAD + healthy.VALUES + "layouts:\n" + layouts))
    assert [split.reading.layout for split in check(card, split="train+val").splits] == ["labels", "labels"]
    chosen = check(card, split="train", layout="masks")
    assert {finding.kind for finding in chosen.findings} == {"missing-label"} and len(chosen.findings) == 6
