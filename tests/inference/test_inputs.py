"""Which picture becomes which file, and what is refused before anything is written."""

from __future__ import annotations

from pathlib import Path

import pytest

from swath import SwathError
from swath.inference.inputs import plan


@pytest.fixture
def tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in (
        "in/b.png",
        "in/a.JPG",
        "in/deep/er/c.jpeg",
        "in/notes.txt",
        "in/.hidden.png",
        "in/.git/d.png",
        "x.png",
    ):
        file = tmp_path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(b"")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def planned(inputs: list[str], write: tuple[str, ...] = ("labels",), out: str = "out") -> list[tuple[str, str]]:
    return [
        (job.picture.as_posix(), path.as_posix())
        for job in plan(inputs, Path(out), write)
        for path in job.outputs.values()
    ]


def test_a_folder_keeps_its_tree_and_hidden_things_stay_hidden(tree: Path) -> None:
    assert planned(["in"]) == [
        ("in/a.JPG", "out/a.png"),
        ("in/b.png", "out/b.png"),
        ("in/deep/er/c.jpeg", "out/deep/er/c.png"),
    ]


def test_inputs_keep_their_order_and_repeats_are_dropped(tree: Path) -> None:
    assert planned(["x.png", "in/b.png", "in", "x.png"]) == [
        ("x.png", "out/x.png"),
        ("in/b.png", "out/b.png"),
        ("in/a.JPG", "out/a.png"),
        ("in/deep/er/c.jpeg", "out/deep/er/c.png"),
    ]


@pytest.mark.parametrize("absolute", [False, True])
def test_patterns_keep_the_tree_below_their_first_wildcard(tree: Path, absolute: bool) -> None:
    prefix = f"{tree}/" if absolute else ""
    assert [out for _, out in planned([f"{prefix}in/**/*"])] == ["out/a.png", "out/b.png", "out/deep/er/c.png"]
    assert [out for _, out in planned([f"{prefix}in/d*/er/*.jpeg"])] == ["out/deep/er/c.png"]
    assert [out for _, out in planned([f"{prefix}*.png"])] == ["out/x.png"]


def test_a_file_whose_name_looks_like_a_pattern_is_that_file(tree: Path) -> None:
    (tree / "a[1].png").write_bytes(b"")
    assert planned(["a[1].png"]) == [("a[1].png", "out/a[1].png")]


def test_every_kind_of_output_has_its_name(tree: Path) -> None:
    assert [out for _, out in planned(["x.png"], ("labels", "overlay", "color"))] == [
        "out/x.png",
        "out/x_overlay.jpg",
        "out/x_color.png",
    ]


def test_two_pictures_for_one_file_are_refused_and_both_named(tree: Path) -> None:
    (tree / "in" / "b.jpg").write_bytes(b"")
    with pytest.raises(SwathError, match=r"in/b\.jpg and in/b\.png would both be written to out/b\.png"):
        planned(["in"])
    with pytest.raises(SwathError, match=r"in/a\.JPG and .*a\.png"):
        (tree / "a.png").write_bytes(b"")
        planned(["in/a.JPG", "a.png"])


def test_labels_of_one_picture_and_color_of_another_are_refused_too(tree: Path) -> None:
    (tree / "x_color.jpg").write_bytes(b"")
    assert len(planned(["x.png", "x_color.jpg"], ("labels", "overlay"))) == 4
    with pytest.raises(SwathError, match=r"out/x_color\.png"):
        planned(["x.png", "x_color.jpg"], ("labels", "color"))


def test_a_picture_is_never_overwritten_by_a_result(tree: Path) -> None:
    with pytest.raises(SwathError, match=r"x\.png: the result of x\.png would overwrite it"):
        planned(["x.png"], out=".")
    assert planned(["x.png"], ("overlay",), out=".") == [("x.png", "x_overlay.jpg")]


def test_results_of_an_earlier_run_are_no_pictures(tree: Path) -> None:
    done = tree / "in" / "out" / "a.png"
    done.parent.mkdir()
    done.write_bytes(b"")
    for given in ("in", "in/**/*"):
        assert [out for _, out in planned([given], out="in/out")] == [
            "in/out/a.png",
            "in/out/b.png",
            "in/out/deep/er/c.png",
        ]


@pytest.mark.parametrize(
    ("given", "said"), [("no.png", "no such file"), ("z*.png", "no picture matches"), ("empty", "holds no pictures")]
)
def test_nothing_to_do_is_a_mistake(tree: Path, given: str, said: str) -> None:
    (tree / "empty").mkdir()
    with pytest.raises(SwathError, match=said):
        planned([given])
