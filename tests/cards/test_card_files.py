"""Cards written by people: short ones work, wrong ones are refused with the line and the nearest right word."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from swath import SwathError, load_card

BOTTLES = """\
name: bottles
classes: {background: [0, 0, 0], bottle: [220, 20, 60]}
images: "{split}/images/{id}.jpg"
labels: "{split}/masks/{id}.png"
label_values: {0: background, 255: bottle}
"""


def written(tmp_path: Path, text: str, name: str = "card.yaml") -> Path:
    path = tmp_path / name
    path.write_text(text, encoding="utf-8")
    return path


def picture(path: Path, array: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(array).save(path)


def bottles(tmp_path: Path, names: tuple[str, ...] = ("train/1", "train/deep/2", "val/3")) -> Path:
    for name in names:
        split, rest = name.split("/", 1)
        picture(tmp_path / split / "images" / f"{rest}.jpg", np.full((8, 12, 3), 99, np.uint8))
        picture(tmp_path / split / "masks" / f"{rest}.png", np.eye(8, 12, dtype=np.uint8) * 255)
    return written(tmp_path, BOTTLES)


def test_a_short_card_reads_a_folder(tmp_path: Path) -> None:
    card = load_card(bottles(tmp_path))
    assert (card.num_classes, card.class_names, card.ignore_index) == (2, ["background", "bottle"], 255)
    assert card.palette().shape == (256, 3) and card.palette()[1].tolist() == [220, 20, 60]
    train = card.open("train")
    assert [train.name(i) for i in range(len(train))] == ["1", "deep/2"]
    assert train.size(0) == (8, 12) and train.image(0).shape == (8, 12, 3)
    assert np.array_equal(train.labels(1), np.eye(8, 12, dtype=np.uint8))


def test_splits_join_and_have_other_names(tmp_path: Path) -> None:
    card = load_card(bottles(tmp_path))
    both = card.open("train+val")
    assert [both.name(i) for i in range(len(both))] == ["1", "deep/2", "3"]
    assert len(card.open("validation")) == 1 and len(card.open("trainval")) == 3
    with pytest.raises(IndexError):
        both.name(3)
    with pytest.raises(SwathError, match="twice"):
        card.open("val+valid")
    with pytest.raises(SwathError, match="did you mean 'train'"):
        card.open("trian")


def test_yaml_words_are_only_words(tmp_path: Path) -> None:
    text = 'name: odd\nclasses: {no: [0, 0, 0], on: "#ff0010", 12:30: 1 2 3, "null": }\nimages: "{split}/{id}.png"\n'
    card = load_card(
        written(tmp_path, text + 'labels: "{split}_l/{id}.png"\nlabel_values: {0: no, 1: on, 2-9: ignore}')
    )
    assert card.class_names == ["no", "on", "12:30", "null"]
    assert card.colors[1:3] == [(255, 0, 16), (1, 2, 3)]


def test_a_list_of_names_gets_colors(tmp_path: Path) -> None:
    text = BOTTLES.replace("{background: [0, 0, 0], bottle: [220, 20, 60]}", "[background, bottle]")
    assert load_card(written(tmp_path, text)).colors == [(0, 0, 0), (128, 0, 0)]


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("images:", "image:", r"card\.yaml:3 .*'image'; did you mean 'images'"),
        ("bottle}", "botle}", r"card\.yaml:5 .*'botle' is no class.* did you mean 'bottle'"),
        ("[220, 20, 60]", "[220, 20]", r"card\.yaml:2 .*red, green, blue"),
        ("[220, 20, 60]", "[220, 20, 256]", r"card\.yaml:2 .*from 0 to 255, not 256"),
        ("[220, 20, 60]", "'#12345'", r"card\.yaml:2 .*no color"),
        ("{split}/masks/{id}.png", "{split}/masks/{ids}.png", r"card\.yaml:4 .*\{ids\}.*did you mean '\{id\}'"),
        ("{split}/masks/{id}.png", "{split}/masks/all.png", r"card\.yaml:4 .*must hold \{id\}"),
        ("name: bottles", "title: bottles", "has no 'name'"),
        ("name: bottles", "name: a/b", r"card\.yaml:1 .*must consist"),
        ('labels: "{split}/masks/{id}.png"\n', "", "'labels' is missing"),
        ("255: bottle", "256-70000: bottle", r"card\.yaml:5 .*at most 65535"),
        ("255: bottle", "-1: bottle", r"card\.yaml:5 .*'-1'"),
        ("255: bottle", "0-3: bottle", r"card\.yaml:5 .*value 0 stands here twice"),
        ("255: bottle", "0: bottle", "stands here twice"),
        ("255: bottle", "1-3: in order", "3 values for 2 classes"),
        ("{split}/", "", "'all'|same pictures"),
        ("bottle: [220", "ignore: [220", "has a meaning of its own"),
        ("label_values: {", "label_values: {{", r"card\.yaml:\d+"),
        ("label_values: {0: background, 255: bottle}", "label_values: [1, 2]", "'key: value' pairs"),
        ("label_values: {0", "label_colors: {0 0 0: bottle}\nlabel_values: {0", "cannot stand beside"),
        ("name: bottles", "name: bottles\nsplits: {train: {lists: a.txt}}", "did you mean 'list'"),
        ("name: bottles", "name: bottles\nextends: cityscpaes", "did you mean 'cityscapes'"),
        ("name: bottles", "name: &a bottles\ntitle: !!python/object:os.system x", ""),
    ],
)
def test_wrong_cards_are_refused(tmp_path: Path, old: str, new: str, said: str) -> None:
    assert old in BOTTLES
    path = written(tmp_path, BOTTLES.replace(old, new))
    if old == "{split}/":  # without {split} there is one split, all
        assert load_card(path).splits == ["all"]
        return
    if "python/object" in new:  # a tag is not obeyed: the value is a text
        assert load_card(path).title == "x"
        return
    with pytest.raises(SwathError, match=said) as caught:
        load_card(path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("text", ["", "- a\n- b\n", "a: &x [*x]\n", "a: {b: [\n", "\t", "name: 'x", "{" * 3000])
def test_what_is_no_card_is_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(SwathError, match=r"card\.yaml"):
        load_card(written(tmp_path, text))


def test_aliases_of_aliases_do_not_swell(tmp_path: Path) -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 9)]
    with pytest.raises(SwathError, match="more than 100,000 values"):
        load_card(written(tmp_path, "\n".join(lines)))


def test_binary_missing_and_folder_are_refused(tmp_path: Path) -> None:
    (tmp_path / "b.yaml").write_bytes(b"\xff\xfe\x00name")
    with pytest.raises(SwathError, match="not UTF-8"):
        load_card(tmp_path / "b.yaml")
    with pytest.raises(SwathError, match="no such card"):
        load_card(tmp_path / "none.yaml")
    with pytest.raises(SwathError, match="init-card"):
        load_card(tmp_path)
    with pytest.raises(SwathError, match="did you mean 'camvid'"):
        load_card("camvd")


def test_an_image_without_label_is_an_error(tmp_path: Path) -> None:
    path = bottles(tmp_path)
    (tmp_path / "train/masks/1.png").rename(tmp_path / "train/masks/1_.png")
    with pytest.raises(
        SwathError, match=r"masks/1\.png: there is no such label.*\(1 of 2.*nearest.*1_\.png.*card\.yaml:3"
    ):
        load_card(path).open("train")


def test_sizes_that_differ_are_an_error(tmp_path: Path) -> None:
    card = load_card(bottles(tmp_path))
    picture(tmp_path / "train/masks/1.png", np.zeros((12, 8), np.uint8))
    with pytest.raises(SwathError, match=r"masks/1\.png: is 8 x 12 pixels.*is 12 x 8"):
        card.open("train").labels(0)
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (8, 12)).save(tmp_path / "train/images/1.jpg", exif=exif)
    with pytest.raises(SwathError, match="EXIF"):
        card.open("train").labels(0)


def test_an_unnamed_value_names_file_and_line(tmp_path: Path) -> None:
    card = load_card(bottles(tmp_path))
    picture(tmp_path / "val/masks/3.png", np.full((8, 12), 7, np.uint8))
    with pytest.raises(SwathError, match=r"masks/3\.png: value 7 in 96 pixels, first at x 0, y 0.*card\.yaml:5"):
        card.open("val").labels(0)


def test_stray_files_and_links_do_no_harm(tmp_path: Path) -> None:
    card = load_card(bottles(tmp_path))
    for name in ("notes.txt", "._1.jpg", ".DS_Store", "x.JPEG"):
        (tmp_path / "train/images" / name).write_text("x")
    (tmp_path / "train/images/loop").symlink_to(tmp_path / "train/images")
    picture(tmp_path / "train/masks/9.png", np.zeros((2, 2), np.uint8))
    source = card.open("train")
    assert len(source) == 2
    assert [path.name for path in source.stray_labels()] == ["9.png"]


def test_labels_none_is_for_prediction(tmp_path: Path) -> None:
    bottles(tmp_path, ("train/1", "test/5"))
    text = BOTTLES + "splits: {train: {}, test: {labels: none}}\n"
    source = load_card(written(tmp_path, text)).open("test")
    assert source.image(0).shape == (8, 12, 3)
    with pytest.raises(SwathError, match="has no labels"):
        source.labels(0)


def test_where_the_root_comes_from(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bottles(tmp_path / "data" / "bottles")
    apart = written(tmp_path, BOTTLES)
    with pytest.raises(SwathError, match="no such folder"):
        load_card(apart).open("train")
    assert len(load_card(apart).open("train", tmp_path / "data" / "bottles")) == 2
    monkeypatch.setenv("SWATH_DATA", str(tmp_path / "data"))
    assert len(load_card(apart).open("train")) == 2
    monkeypatch.delenv("SWATH_DATA")
    assert len(load_card(written(tmp_path, BOTTLES + "root: data/bottles\n")).open("train")) == 2
    with pytest.raises(SwathError, match="SWATH_DATA"):
        load_card("cityscapes").open("val")
    with pytest.raises(SwathError, match="is no folder"):
        load_card(apart).open("train", tmp_path / "nowhere")


@pytest.mark.parametrize("line", ["{i}\t{l}", "{i} {l}", "/far/away/{i}\t/far/away/{l}", "{i}   {l}  "])
def test_lists_of_pairs(tmp_path: Path, line: str) -> None:
    bottles(tmp_path)
    rows = [
        line.replace("{i}", f"train/images/{n}.jpg").replace("{l}", f"train/masks/{n}.png") for n in ("deep/2", "1")
    ]
    (tmp_path / "train.txt").write_text("\ufeff" + "\r\n".join(rows) + "\r\n\r\n", encoding="utf-8")
    text = "\n".join(BOTTLES.splitlines()[:2] + BOTTLES.splitlines()[4:])
    card = load_card(written(tmp_path, text + '\nlist: "{split}.txt"\nlist_prefix: /far/away/\n'))
    source = card.open("train")
    assert [source.name(i) for i in range(2)] == ["train/images/deep/2", "train/images/1"]
    assert source.labels(0).max() == 1
    with pytest.raises(SwathError, match="no such list"):
        card.open("val")


def test_lists_of_ids_and_their_mistakes(tmp_path: Path) -> None:
    bottles(tmp_path)
    card = load_card(written(tmp_path, BOTTLES + 'list: "{split}.txt"\nlist_line: "{id}.jpg"\n'))
    (tmp_path / "train.txt").write_text("deep/2.jpg\n")
    assert [card.open("train").name(i) for i in range(1)] == ["deep/2"]
    (tmp_path / "train.txt").write_text("deep/2.jpg\n1.png\n")
    with pytest.raises(SwathError, match=r"train\.txt:2: '1\.png' is not of the form"):
        card.open("train")
    (tmp_path / "train.txt").write_text("../../secret.jpg\n")
    with pytest.raises(SwathError, match="must stay within"):
        card.open("train")
    (tmp_path / "train.txt").write_text("1.jpg\n7.jpg\n")
    with pytest.raises(SwathError, match=r"7\.jpg: there is no such picture \(1 of 2"):
        card.open("train")


LISTED = "\n".join(BOTTLES.splitlines()[:2] + BOTTLES.splitlines()[4:]) + "\nlist: train.txt\nsplits: [train]\n"


@pytest.mark.parametrize("before", ["/home/ann/bottles/", "C:\\ann\\", "/"])
def test_a_list_from_another_machine_is_understood_and_announced(tmp_path: Path, before: str) -> None:
    bottles(tmp_path)
    paths = [[f"train/images/{n}.jpg", f"train/masks/{n}.png"] for n in ("1", "deep/2")]
    if "C:" in before:
        paths = [[path.replace("/", "\\") for path in row] for row in paths]
    (tmp_path / "train.txt").write_text("\n".join("\t".join(before + path for path in row) for row in paths))
    said: list[str] = []
    ear = logging.Handler()
    ear.emit = lambda record: said.append(record.getMessage())  # type: ignore[method-assign]
    logging.getLogger("swath").addHandler(ear)
    try:
        source = load_card(written(tmp_path, LISTED)).open("train")
    finally:
        logging.getLogger("swath").removeHandler(ear)
    assert [source.name(i) for i in range(2)] == ["train/images/1", "train/images/deep/2"]
    assert source.labels(1).max() == 1
    beginning = "/ann/" if "C:" in before else before
    assert said == [f"{tmp_path / 'train.txt'}: paths begin with '{beginning}'; what follows was found in {tmp_path}"]


def test_what_a_list_from_another_machine_means_is_not_guessed(tmp_path: Path) -> None:
    bottles(tmp_path)
    card = written(tmp_path, LISTED)
    rows = ["/far/train/images/1.jpg /far/train/masks/1.png", "/near/train/images/deep/2.jpg /far/train/masks/2.png"]
    (tmp_path / "train.txt").write_text("\n".join(rows))
    with pytest.raises(SwathError, match=r"train\.txt:2: '/near/.*does not begin with '/far/'"):
        load_card(card).open("train")
    (tmp_path / "train.txt").write_text("/far/train/pictures/1.jpg /far/train/masks/1.png\n")
    with pytest.raises(SwathError, match=r"train\.txt:1: /far/.*nor does its end.*list_prefix"):
        load_card(card).open("train")
    picture(tmp_path / "1.jpg", np.zeros((8, 12, 3), np.uint8))
    (tmp_path / "train.txt").write_text(rows[0])
    with pytest.raises(SwathError, match=r"train\.txt:1: .*both end like it.*list_prefix"):
        load_card(card).open("train")


def test_ids_except_and_percent_divide_one_folder(tmp_path: Path) -> None:
    for number in range(40):
        picture(tmp_path / f"images/{number}.png", np.zeros((2, 2, 3), np.uint8))
        picture(tmp_path / f"labels/{number}.png", np.zeros((2, 2), np.uint8))
    head = 'name: x\nclasses: [a, b]\nimages: "images/{id}.png"\nlabels: "labels/{id}.png"\n'

    def names(card: Path, split: str) -> set[str]:
        source = load_card(card).open(split)
        return {source.name(i) for i in range(len(source))}

    card = written(tmp_path, head + "splits: {val: {ids: 3 7 12}, train: {except: [val]}}\n")
    assert names(card, "val") == {"3", "7", "12"} and len(names(card, "train")) == 37
    card = written(tmp_path, head + "splits: {train: {percent: 0-70}, val: {percent: 70-100}}\n")
    train, val = names(card, "train"), names(card, "val")
    assert not train & val and len(train | val) == 40 and 20 <= len(train) <= 36
    with pytest.raises(SwathError, match="same pictures"):
        load_card(written(tmp_path, head + "splits: [train, val]\n"))


def test_any_suffix_and_labels_beside_pictures(tmp_path: Path) -> None:
    picture(tmp_path / "a.jpg", np.zeros((2, 2, 3), np.uint8))
    picture(tmp_path / "b.PNG", np.zeros((2, 2, 3), np.uint8))
    for name in "ab":
        picture(tmp_path / f"{name}_mask.png", np.zeros((2, 2), np.uint8))
    card = written(tmp_path, 'name: x\nclasses: [a, b]\nimages: "{id}.*"\nlabels: "{id}_mask.png"\n')
    source = load_card(card).open("all")
    assert [source.name(i) for i in range(len(source))] == ["a", "b"]
    picture(tmp_path / "a.bmp", np.zeros((2, 2, 3), np.uint8))
    with pytest.raises(SwathError, match="has the id 'a', as has"):
        load_card(card).open("all")


def test_colors_and_what_stands_for_a_class(tmp_path: Path) -> None:
    text = BOTTLES.replace(
        "label_values: {0: background, 255: bottle}", "label_colors: {9 9 9: ignore, '#010203': bottle}"
    )
    bottles(tmp_path)
    label = np.zeros((8, 12, 3), np.uint8)
    label[0] = 9
    label[1] = (1, 2, 3)
    picture(tmp_path / "val/masks/3.png", label)
    card = load_card(written(tmp_path, text))
    assert card.open("val").labels(0)[:3, 0].tolist() == [255, 1, 0]
    with pytest.raises(SwathError, match=r"stands for ignore too"):
        load_card(written(tmp_path, text.replace("9 9 9", "0 0 0")))


def test_extending_a_shipped_card(tmp_path: Path) -> None:
    text = "extends: cityscapes\nname: mine\nroot: here\nlabels: '{split}/{id}.png'\nsplits: [train]\n"
    card = load_card(written(tmp_path, text))
    assert card.num_classes == 19 and card.splits == ["train"] and card.aliases == ()
    assert card.layouts["default"]["train"].table.ids[7] == 0
    with pytest.raises(SwathError, match="circle"):
        load_card(written(tmp_path, "extends: card.yaml\nname: x\n"))


def two_layouts(root: Path) -> str:
    """A card whose files lie there in both of its layouts; the labels of the second are all 0."""
    bottles(root)
    picture(root / "train/other/1.png", np.zeros((8, 12), np.uint8))
    picture(root / "train/other/deep/2.png", np.zeros((8, 12), np.uint8))
    layouts = 'layouts: {one: {labels: "{split}/masks/{id}.png"}, two: {labels: "{split}/other/{id}.png"}}\n'
    return BOTTLES.replace('labels: "{split}/masks/{id}.png"\n', "") + layouts


def test_two_layouts_that_fit_are_not_guessed(tmp_path: Path) -> None:
    text = two_layouts(tmp_path)
    card = load_card(written(tmp_path, text))
    with pytest.raises(SwathError, match=r"fits 2 layouts.*one, two"):
        card.open("train")
    assert card.open("train", layout="two").labels(0).max() == 0
    assert load_card(written(tmp_path, text + "layout: one\n")).open("train").labels(0).max() == 1
    with pytest.raises(SwathError, match="did you mean 'two'"):
        card.open("train", layout="tow")


def test_a_card_says_which_layout_it_prefers(tmp_path: Path) -> None:
    card = load_card(written(tmp_path, two_layouts(tmp_path) + "layout: [two, one]\n"))
    assert card.open("train").labels(0).max() == 0
    assert card.open("val").labels(0).max() == 1  # two has no labels there
    with pytest.raises(SwathError, match="did you mean 'two'"):
        load_card(written(tmp_path, two_layouts(tmp_path) + "layout: [one, tow]\n"))


def test_two_layouts_to_the_same_files_are_one(tmp_path: Path) -> None:
    bottles(tmp_path)
    (tmp_path / "train.txt").write_text("deep/2\n1\n")
    text = BOTTLES + 'splits: [train]\nlayouts: {listed: {list: "{split}.txt"}, found: {}}\n'
    assert load_card(written(tmp_path, text)).open("train").name(0) == "deep/2"
    (tmp_path / "train.txt").write_text("1\n")
    with pytest.raises(SwathError, match=r"fits 2 layouts.*listed, found"):
        load_card(written(tmp_path, text)).open("train")


def test_the_archives_own_folder_may_stand_around_the_data(tmp_path: Path) -> None:
    bottles(tmp_path / "data" / "bottles-1.0")
    card = load_card(written(tmp_path, BOTTLES + "inside: [bottles-2.0, bottles-1.0]\n"))
    assert len(card.open("train", tmp_path / "data")) == len(card.open("train", tmp_path / "data/bottles-1.0")) == 2
