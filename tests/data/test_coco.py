"""COCO's polygons and run lengths, drawn as COCO draws them, and the label maps made of them."""

from __future__ import annotations

import json
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from swath import SwathError, load_card
from swath.data import coco, runs

# Polygons in pictures of 20 x 24 pixels, with the packed run lengths that pycocotools 2.0.11 makes of them.
DRAWN: list[tuple[list[list[float]], str]] = [
    ([[3, 2, 20, 4, 18, 17, 5, 15]], "n13a07I3M01O01O00000000000010O000M3Ic2"),
    ([[-5, -7.5, 30, 3.3, 12.25, 40, -3, 11]], "0a032NY;0gD0O1N1"),
    ([[2, 2, 9, 2, 9, 9, 2, 9], [6, 6, 22, 6, 22, 18, 6, 18]], "Z17=0000009G0004L000000000000000000000000R1"),
    ([[0.4, 0.6, 23.9, 0.1, 23.6, 19.9, 0.2, 19.7]], "1c0100000000X;"),
    ([[4, 4, 4, 15, 4.9, 15, 4.9, 4]], "d2;Q<"),
    ([[10.1, 3.3, 14.7, 16.1, 2.2, 8.8, 20.5, 8.8, 6.3, 16.1]], "U21c0001O005NLK0IO539MBO;0D1;40MEN:1500O10k2"),
    ([[100, 100, 120, 100, 120, 130]], "P?"),
]


def polygons(outline: list[list[float]], height: int, width: int) -> np.ndarray:
    canvas = np.zeros((width, height), bool)
    for polygon in outline:
        runs.draw(runs.polygon_turns(runs.corners(polygon), height, width), canvas)
    return canvas.T


def packed(text: str, height: int, width: int) -> np.ndarray:
    canvas = np.zeros((width, height), bool)
    runs.draw(runs.run_turns(np.array(runs.unpacked(text))), canvas)
    return canvas.T


@pytest.mark.parametrize(("outline", "text"), DRAWN)
def test_polygons_are_drawn_as_coco_draws_them(outline: list[list[float]], text: str) -> None:
    assert np.array_equal(polygons(outline, 20, 24), packed(text, 20, 24))


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_any_polygon_is_what_pycocotools_makes_of_it() -> None:
    mask = pytest.importorskip("pycocotools.mask")
    rng = np.random.default_rng(0)
    for _ in range(400):
        height, width = (int(side) for side in rng.integers(1, 70, 2))
        outline = []
        for _ in range(rng.integers(1, 4)):
            numbers = 2 * int(rng.integers(3, 12))
            fine = int(rng.integers(0, 4))  # whole, tenths and hundredths, where rounding decides, or anything
            drawn = rng.uniform(-0.5 * max(height, width), 1.5 * max(height, width), numbers)
            outline.append([float(value) for value in (np.round(drawn, fine) if fine < 3 else drawn)])
        theirs = mask.decode(mask.merge(mask.frPyObjects(outline, height, width)))
        assert np.array_equal(polygons(outline, height, width), theirs.astype(bool)), (height, width, outline)
        again = mask.encode(np.asfortranarray(theirs))["counts"].decode()
        assert np.array_equal(packed(again, height, width), theirs.astype(bool))


def square(x: float, y: float, side: float) -> list[list[float]]:
    return [[x, y, x + side, y, x + side, y + side, x, y + side]]


def instance(number: int, category: int, outline: Any, picture: int = 1, area: float = 2000) -> dict[str, Any]:
    return {"id": number, "image_id": picture, "category_id": category, "segmentation": outline, "area": area,
            "iscrowd": int(isinstance(outline, dict))}  # fmt: skip


def tree(root: Path, instances: list[dict[str, Any]], pictures: int = 1, text: str | None = None) -> Path:
    for number in range(1, pictures + 1):
        file = root / f"val2017/{number:012d}.jpg"
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.zeros((8, 10, 3), np.uint8)).save(file)
    told = {
        "info": {"a": ["]", {"b": "}"}]},
        "annotations": instances,
        "images": [{"id": n, "file_name": f"{n:012d}.jpg", "height": 8, "width": 10} for n in range(1, pictures + 1)],
        "categories": [{"id": 1, "name": "person"}],
    }
    file = root / "annotations/instances_val2017.json"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(told) if text is None else text)
    return root


def test_overlaps_are_ignored_and_other_categories_are_background(tmp_path: Path) -> None:
    crowd = {"size": [8, 10], "counts": [64, 16]}  # the last two columns
    root = tree(
        tmp_path,
        [
            instance(1, 1, square(0, 0, 4)),  # person
            instance(2, 18, square(2, 2, 4)),  # dog
            instance(3, 18, [*square(6, 0, 1), *square(6, 0, 2)]),  # one dog in two parts that overlap
            instance(4, 1, crowd),
            instance(5, 90, square(0, 0, 8)),  # a toothbrush
            instance(6, 20, []),
        ],
    )
    source = load_card("cocoseg21").open("val", root)
    labels = source.labels(0)
    wanted = np.zeros((8, 10), np.uint8)
    wanted[:4, :4], wanted[2:6, 2:6], wanted[2:4, 2:4] = 15, 12, 255
    wanted[:2, 6:8], wanted[:, 8:] = 12, 15
    assert np.array_equal(labels, wanted)
    again = pickle.loads(pickle.dumps(source))  # as a worker gets it
    assert np.array_equal(again.labels(0), wanted)


def test_overlap_within_a_class_and_of_three(tmp_path: Path) -> None:
    root = tree(tmp_path, [instance(n, 1, square(n, 0, 3)) for n in (0, 1, 2)])
    assert load_card("cocoseg21").open("val", root).labels(0)[0].tolist() == [15, 255, 255, 255, 15, 0, 0, 0, 0, 0]


def test_pictures_are_chosen_by_area(tmp_path: Path) -> None:
    areas = [instance(1, 1, square(0, 0, 3), 1, 1000), instance(2, 1, square(0, 0, 3), 2, 600)]
    areas += [instance(3, 3, square(4, 0, 3), 2, 401), instance(4, 90, square(0, 0, 3), 3, 9e9)]
    root = tree(tmp_path, areas, pictures=4)
    card = load_card("cocoseg21")
    source = card.open("val", root)
    assert [source.name(i) for i in range(len(source))] == ["000000000002"]
    assert len(card.open("val_all", root)) == 4 and not card.open("val_all", root).labels(3).any()


@pytest.mark.parametrize("piece", [1, 7, 64, 1000])
def test_the_file_is_read_in_pieces(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, piece: int) -> None:
    root = tree(tmp_path, [instance(n, 1, square(n, 0, 1), 1 + n % 3) for n in range(9)], pictures=3)
    file = root / "annotations/instances_val2017.json"
    file.write_text(json.dumps(json.loads(file.read_text()), indent=1))
    monkeypatch.setattr(coco, "_PIECE", piece)
    source = load_card("cocoseg21").open("val", root)
    assert [source.labels(i)[0].tolist()[:9] for i in range(3)] == [[15, 0, 0] * 3, [0, 15, 0] * 3, [0, 0, 15] * 3]


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"segmentation": [[0, 0, 5, 5]]}, "annotations: 7: is not of COCO's form.*three corners"),
        ({"segmentation": {"size": [8, 10], "counts": [9]}}, "do not fill"),
        ({"segmentation": "none"}, "not of COCO's form"),
        ({"image_id": 99}, "instances of picture 99"),
        ({"area": "big"}, "annotations: 7: is not of COCO's form"),
        ({"category_id": [1]}, "annotations: 7: is not of COCO's form"),
    ],
)
def test_wrong_instances_are_refused(tmp_path: Path, wrong: dict[str, Any], said: str) -> None:
    root = tree(tmp_path, [{**instance(7, 1, square(0, 0, 3)), **wrong}])
    with pytest.raises(SwathError, match=said):
        load_card("cocoseg21").open("val", root)


def test_wrong_sizes_and_far_corners_are_refused_when_drawn(tmp_path: Path) -> None:
    card = load_card("cocoseg21")
    root = tree(tmp_path / "a", [instance(1, 1, {"size": [10, 8], "counts": [0, 80]})])
    with pytest.raises(SwathError, match="is 10 x 8 pixels, a mask in it 8 x 10"):
        card.open("val", root).labels(0)
    root = tree(tmp_path / "b", [instance(1, 1, square(0, 0, 1e9))])
    with pytest.raises(SwathError, match="65,536 pixels away"):
        card.open("val", root).labels(0)
    root = tree(tmp_path / "c", [instance(1, 1, square(0, 0, 3))])
    Image.fromarray(np.zeros((9, 10, 3), np.uint8)).save(root / "val2017/000000000001.jpg")
    with pytest.raises(SwathError, match="picture 000000000001: is 10 x 8 pixels, but its picture"):
        card.open("val", root).labels(0)


@pytest.mark.parametrize("text", ["", "[]", "{", '{"images": [', '{"images": [{"id": 1', '{"images" [1]}', '{"a": nu}'])
def test_what_is_no_json_is_refused(tmp_path: Path, text: str) -> None:
    root = tree(tmp_path, [], text=text)
    with pytest.raises(SwathError, match=r"instances_val2017\.json: is not JSON, or cut off"):
        load_card("cocoseg21").open("val", root)


def test_a_file_that_changed_is_read_again(tmp_path: Path) -> None:
    root = tree(tmp_path, [instance(1, 1, square(0, 0, 3))])
    card = load_card("cocoseg21")
    assert card.open("val", root).labels(0)[0, 0] == 15
    tree(tmp_path, [instance(1, 18, square(0, 0, 3), area=3000.5)])
    assert card.open("val", root).labels(0)[0, 0] == 12
