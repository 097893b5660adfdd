"""`swath init-card`: folders of the usual forms get a card that opens; others are told why not."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from swath import SwathError, load_card
from swath.cards.sketch import write_card
from swath.cli.main import main

LAYOUTS = {
    "folders in splits": ("train/images/{}.jpg", "train/masks/{}.png"),
    "splits in folders": ("images/train/{}.png", "annotations/train/{}.png"),
    "camvid": ("train/{}.png", "trainannot/{}.png"),
    "camvid redistributed": ("train/{}.png", "train_labels/{}_L.png"),
    "cityscapes": ("leftImg8bit/train/ulm/{}_leftImg8bit.png", "gtFine/train/ulm/{}_gtFine_labelIds.png"),
    "codes": ("train/images/{}.png", "train/labels/{}_P.png"),
    "voc": ("train/JPEGImages/{}.jpg", "train/SegmentationClass/{}.png"),
    "mmseg": ("img_dir/train/{}.jpg", "ann_dir/train/{}.png"),
    "other words": ("training/image/{}.bmp", "training/GT/{}.bmp"),
}


def put(path: Path, array: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(array).save(path)


def fill(root: Path, image: str, label: str, count: int = 3, values: tuple[int, ...] = (0, 1, 2, 255)) -> None:
    for number in range(count):
        put(root / image.format(f"p{number}"), np.full((4, 8, 3), 50, np.uint8))
        put(root / label.format(f"p{number}"), np.array(values, np.uint8).repeat(32 // len(values)).reshape(4, 8))


@pytest.mark.parametrize("layout", sorted(LAYOUTS))
def test_usual_layouts_get_a_card_that_opens(tmp_path: Path, layout: str) -> None:
    image, label = LAYOUTS[layout]
    fill(tmp_path, image, label)
    fill(
        tmp_path,
        image.replace("training", "valid").replace("train", "val"),
        label.replace("training", "valid").replace("train", "val"),
        2,
    )
    write_card(tmp_path, tmp_path / "card.yaml")
    card = load_card(tmp_path / "card.yaml")
    assert card.class_names == ["class_0", "class_1", "class_2"]
    source = card.open("train")
    assert len(source) == 3 and len(card.open("val")) == 2
    assert np.unique(source.labels(0)).tolist() == [0, 1, 2, 255]


def test_counts_stand_in_the_card(tmp_path: Path) -> None:
    fill(tmp_path, *LAYOUTS["camvid"])
    made = write_card(tmp_path, tmp_path / "card.yaml")
    assert made.counts.pixels == {0: 24, 1: 24, 2: 24, 255: 24}
    text = (tmp_path / "card.yaml").read_text()
    assert "255: ignore  # 24 pixels (25.000 %)" in text and "train: {}  # 3 pictures" in text


def test_black_and_white_masks(tmp_path: Path) -> None:
    fill(tmp_path, *LAYOUTS["folders in splits"], values=(0, 255))
    write_card(tmp_path, tmp_path / "card.yaml")
    card = load_card(tmp_path / "card.yaml")
    assert card.class_names == ["background", "object"]
    assert np.unique(card.open("train").labels(0)).tolist() == [0, 1]


def test_colors_and_their_names(tmp_path: Path) -> None:
    fill(tmp_path, "images/{}.png", "labels/{}_L.png", 30)
    colors = np.zeros((4, 8, 3), np.uint8)
    colors[:2], colors[2] = (128, 64, 128), (64, 0, 128)
    for number in range(30):
        put(tmp_path / f"labels/p{number}_L.png", colors)
    (tmp_path / "label_colors.txt").write_text("128 64 128\tRoad\n64 0 128\t\tCar: big\n0 0 0\tVoid\n")
    write_card(tmp_path, tmp_path / "card.yaml")
    card = load_card(tmp_path / "card.yaml")
    assert sorted(card.class_names) == ["Car: big", "Road"]
    labels = card.open("train").labels(0)
    assert labels[0, 0] == card.class_names.index("Road") and labels[3, 0] == 255
    assert len(card.open("train")) + len(card.open("val")) == 30


def test_names_by_value(tmp_path: Path) -> None:
    fill(tmp_path, *LAYOUTS["codes"])
    (tmp_path / "codes.txt").write_text("Animal\nno\nVoid\n")
    write_card(tmp_path, tmp_path / "card.yaml")
    card = load_card(tmp_path / "card.yaml")
    assert card.class_names == ["Animal", "no"]
    assert np.unique(card.open("train").labels(0)).tolist() == [0, 1, 255]


def test_palette_colors_are_kept(tmp_path: Path) -> None:
    fill(tmp_path, *LAYOUTS["voc"])
    for number in range(3):
        picture = Image.fromarray(np.ones((4, 8), np.uint8))
        picture.putpalette([0, 0, 0, 10, 20, 30])
        picture.save(tmp_path / f"train/SegmentationClass/p{number}.png")
    write_card(tmp_path, tmp_path / "card.yaml")
    assert load_card(tmp_path / "card.yaml").colors == [(10, 20, 30)]


def test_pictures_without_label_are_reported_and_left_out(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    fill(tmp_path, *LAYOUTS["camvid"])
    put(tmp_path / "train/lonely.png", np.zeros((4, 8, 3), np.uint8))
    put(tmp_path / "trainannot/stray.png", np.zeros((4, 8), np.uint8))
    put(tmp_path / "test/t.png", np.zeros((4, 8, 3), np.uint8))
    assert main(["init-card", str(tmp_path)]) == 0
    out = capsys.readouterr().out
    assert "3 pictures with labels, 1 without (such as train/lonely.png)" in out
    assert "1 labels without a picture, such as trainannot/stray.png" in out
    card = load_card(tmp_path / "card.yaml")
    assert len(card.open("train")) == 3 and len(card.open("test")) == 1
    with pytest.raises(SwathError, match="has no labels"):
        card.open("test").labels(0)


def test_of_several_labels_the_ids_are_taken(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    image, label = LAYOUTS["cityscapes"]
    fill(tmp_path, image, label)
    fill(tmp_path, image, label.replace("labelIds", "labelTrainIds"))
    fill(tmp_path, image, label.replace("labelIds", "instanceIds"))
    assert main(["init-card", str(tmp_path)]) == 0
    out = capsys.readouterr().out
    assert "labels: gtFine/{split}/{id}_gtFine_labelIds.png" in out and "instanceIds.png would fit too" in out


def test_a_card_is_not_written_over(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    fill(tmp_path / "data", *LAYOUTS["camvid"])
    out = tmp_path / "cards" / "mine.yaml"
    assert main(["init-card", str(tmp_path / "data"), "--out", str(out)]) == 0
    out.write_text(out.read_text().replace("class_1", "road"))
    assert main(["init-card", str(tmp_path / "data"), "--out", str(out)]) == 2
    assert "--force" in capsys.readouterr().err and "road" in out.read_text()
    assert len(load_card(out).open("train")) == 3
    assert main(["init-card", str(tmp_path / "data"), "--out", str(out), "--force"]) == 0
    assert "road" not in out.read_text()


def test_folders_that_cannot_be_understood_are_refused(tmp_path: Path) -> None:
    with pytest.raises(SwathError, match="holds no pictures"):
        write_card(tmp_path, tmp_path / "card.yaml")
    with pytest.raises(SwathError, match="is no folder"):
        write_card(tmp_path / "none", tmp_path / "card.yaml")
    put(tmp_path / "a/1.png", np.zeros((2, 2, 3), np.uint8))
    with pytest.raises(SwathError, match="1 pictures and 0 labels"):
        write_card(tmp_path, tmp_path / "card.yaml")
    put(tmp_path / "labels/2.png", np.zeros((2, 2), np.uint8))
    with pytest.raises(SwathError, match="no label has the name of a picture"):
        write_card(tmp_path, tmp_path / "card.yaml")
    assert not (tmp_path / "card.yaml").exists()


def test_photographs_and_wrong_sizes_are_no_labels(tmp_path: Path) -> None:
    fill(tmp_path, *LAYOUTS["camvid"])
    put(tmp_path / "trainannot/p1.png", np.zeros((5, 8), np.uint8))
    with pytest.raises(SwathError, match=r"p1\.png: is 8 x 5 pixels"):
        write_card(tmp_path, tmp_path / "card.yaml")
    noise = np.random.default_rng(0).integers(0, 256, (60, 80, 3), np.uint8)
    for number in range(3):
        put(tmp_path / f"train/p{number}.png", noise)
        put(tmp_path / f"trainannot/p{number}.png", noise)
    with pytest.raises(SwathError, match="photographs"):
        write_card(tmp_path, tmp_path / "card.yaml")


def test_cards_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["cards"]) == 0
    assert "cityscapes" in capsys.readouterr().out
    assert main(["cards", "deepdrive"]) == 0
    assert "motorcycle" in capsys.readouterr().out
    assert main(["cards", "--json"]) == 0
    assert '"name": "voc"' in capsys.readouterr().out
    assert main(["cards", "cityscpaes"]) == 2
    assert "did you mean 'cityscapes'" in capsys.readouterr().err
