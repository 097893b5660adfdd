"""Recipes from YAML and the command line: what fits gets its type, what does not is refused by name."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import pytest

from swath.errors import SwathError
from swath.training import list_recipes, load_recipe
from swath.training.fill import Words, as_plain, fill, merge, override
from swath.training.recipe_files import recipe_text, save_recipe


@dataclass(kw_only=True, slots=True)
class Part:
    rate: float = 0.1
    size: tuple[int, int] = (1, 2)
    names: list[str] = field(default_factory=list)
    kind: Literal["red", "green"] = "red"
    limit: int | None = None
    on: bool = False
    free: dict[str, Any] = field(default_factory=dict)


@dataclass(kw_only=True, slots=True)
class Whole:
    name: str
    parts: list[Part] = field(default_factory=list)


def part(**keys: Any) -> Part:
    return fill(Part, keys, "file.yaml")


def typed(*words: str) -> Words:
    return Words(words)


@pytest.mark.parametrize(
    ("key", "raw", "value"),
    [
        ("rate", "1e-3", 1e-3),  # a string in YAML 1.1
        ("rate", 1, 1.0),
        ("rate", typed("1e-3"), 1e-3),
        ("limit", "1e3", 1000),
        ("limit", 5.0, 5),
        ("limit", None, None),
        ("limit", "none", None),
        ("limit", typed("none"), None),
        ("limit", typed("12345678901234567"), 12345678901234567),
        ("size", [300, 600], (300, 600)),
        ("size", "600x300", (300, 600)),
        ("size", typed("600x300"), (300, 600)),
        ("size", typed("300", "600"), (300, 600)),
        ("size", typed("[300,600]"), (300, 600)),
        ("size", typed("[300, 600]"), (300, 600)),
        ("names", "one", ["one"]),
        ("names", typed("one", "two"), ["one", "two"]),
        ("names", typed("[one,two]"), ["one", "two"]),
        ("kind", "green", "green"),
        ("on", typed(), True),
        ("on", typed("no"), False),
        ("on", "yes", True),
        ("free", {"size": typed("64x32"), "count": typed("3"), "list": typed("1", "2")}, None),
    ],
)
def test_values_become_their_type(key: str, raw: Any, value: Any) -> None:
    got = getattr(part(**{key: raw}), key)
    if key == "free":
        value = {"size": [32, 64], "count": 3, "list": [1, 2]}
    assert got == value and type(got) is type(value)


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"rat": 1}, "file.yaml: unknown key 'rat'; did you mean 'rate'?"),
        ({"rat": typed("1")}, "command line: unknown key 'rat'; did you mean 'rate'?"),
        ({"rate": "fast"}, "file.yaml: rate: 'fast' is not a number"),
        ({"rate": typed("1", "2")}, "command line: rate: '1 2' is not one value"),
        ({"rate": True}, "file.yaml: rate: 'True' is not a number"),
        ({"limit": 1.5}, "file.yaml: limit: '1.5' is not a whole number"),
        ({"limit": "inf"}, "file.yaml: limit: 'inf' is not a whole number"),
        ({"size": [1]}, "file.yaml: size: '[1]' is not two whole numbers (height, width) or WIDTHxHEIGHT"),
        ({"size": typed("a", "b")}, "command line: size.0: 'a' is not a whole number"),
        ({"kind": "gren"}, "file.yaml: kind: unknown choice 'gren'; did you mean 'green'?"),
        ({"on": 1}, "file.yaml: on: '1' is not true or false"),
        ({"names": {"a": 1}}, "file.yaml: names: '{'a': 1}' is not a list"),
    ],
)
def test_what_does_not_fit_is_named(keys: dict[str, Any], message: str) -> None:
    with pytest.raises(SwathError) as error:
        part(**keys)
    assert str(error.value) == message


def test_missing_key_and_wrong_section() -> None:
    with pytest.raises(SwathError, match=r"file\.yaml: 'name' is missing; give it there or as --name"):
        fill(Whole, {}, "file.yaml")
    with pytest.raises(
        SwathError, match=r"command line: parts.0: '3' is not a section with keys, such as --parts.0.rate"
    ):
        fill(Whole, {"name": "x", "parts": [typed("3")]}, "file.yaml")


def test_override_reaches_into_lists_and_leaves_the_original_alone() -> None:
    tree = {"name": "x", "parts": [{"rate": 1}, {"rate": 2}]}
    changed = override(tree, "parts.1.rate", typed("5"))
    assert [p.rate for p in fill(Whole, changed, "f").parts] == [1, 5]
    assert tree == {"name": "x", "parts": [{"rate": 1}, {"rate": 2}]}
    with pytest.raises(SwathError, match=r"--parts.2: there are 2 parts, counted from 0"):
        override(tree, "parts.2.rate", typed("5"))


def test_merge() -> None:
    base = {"a": {"b": 1, "c": 2}, "list": [{"x": 1}, {"x": 2}]}
    assert merge(base, {"a": {"c": 3}, "list": {1: {"y": 5}}}) == {
        "a": {"b": 1, "c": 3},
        "list": [{"x": 1}, {"x": 2, "y": 5}],
    }
    assert merge(base, {"list": [{"z": 1}]})["list"] == [{"z": 1}]
    with pytest.raises(SwathError, match="no entry of a list of 2"):
        merge(base, {"list": {2: {}}})


@pytest.mark.parametrize("name", list_recipes())
def test_shipped_recipes_are_whole_and_reproduce_themselves(name: str, tmp_path: Path) -> None:
    recipe = load_recipe(name)
    assert recipe.name == name and recipe.title
    save_recipe(recipe, tmp_path / "config.yaml", "a comment")
    again = load_recipe(tmp_path / "config.yaml")
    assert as_plain(again) == as_plain(recipe)
    assert recipe_text(again) == recipe_text(recipe)


def test_the_settings_of_the_contextnet_recipes() -> None:
    """Section 4.1 of the specification, line by line."""
    for name, network, card in (
        ("contextnet14-cityscapes", "contextnet14", "cityscapes"),
        ("contextnet14-bdd100k", "contextnet14", "bdd100k"),
        ("contextnet12-camvid", "contextnet12", "camvid"),
    ):
        recipe = load_recipe(name)
        (stage,) = recipe.stages
        assert (recipe.network, recipe.data.card) == (network, card)
        assert (stage.optimiser, stage.lr, stage.weight_decay, stage.decay_skips) == ("adamw", 3e-3, 1e-5, [])
        assert (stage.betas, stage.epochs, stage.batch) == ((0.9, 0.999), 1000, 16)
        assert (stage.schedule, stage.warmup, stage.floor) == ("cosine", 1000, 1e-3)
        assert (stage.loss, stage.loss_options) == ("ohem", {"threshold": 0.7, "min_share": 0.05})
        assert (stage.window.scale, stage.window.flip, stage.window.jitter) == ((0.5, 2.0), 0.5, 0.5)
        assert (stage.window.hue, stage.window.hsv) == (0, (20, 30, 20))
        assert stage.window.size == ((352, 480) if card == "camvid" else (512, 768))


def test_extends_and_command_line(tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text("extends: streets\nstages: {0: {lr: 1e-3, window: {flip: 0}}}\nseed: 7\n")
    recipe = load_recipe(tmp_path / "mine.yaml", [("epochs", ["2"]), ("data.train_options.count", ["8"])])
    (stage,), base = recipe.stages, load_recipe("streets")
    assert (recipe.name, recipe.seed, stage.lr, stage.epochs, stage.window.flip) == ("mine", 7, 1e-3, 2, 0)
    assert stage.window.size == base.stages[0].window.size and recipe.data.train_options["count"] == 8


def test_a_length_that_is_given_takes_the_place_of_the_recipes() -> None:
    assert load_recipe("streets").stages[0].epochs
    (stage,) = load_recipe("streets", [("iterations", ["7"])]).stages
    assert (stage.epochs, stage.iterations) == (None, 7)
    (stage,) = load_recipe("streets", [("iterations", ["none"])]).stages
    assert stage.epochs and stage.iterations is None
    with pytest.raises(SwathError, match="either epochs or iterations"):
        load_recipe("streets", [("iterations", ["7"]), ("epochs", ["7"])])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("extends: street", "unknown recipe 'street'; did you mean 'streets'"),
        ("extends: mine.yaml", "extends itself"),
        ("extends: streets\nlr: 3", "mine.yaml: unknown key 'lr'"),
        ("extends: streets\nstages: []", "stages is empty"),
        ("extends: streets\nstages: {0: {epochs: 2, iterations: 5}}", "either epochs or iterations"),
        ("extends: streets\nstages: {1: {epochs: 2}}", "no entry of a list of 1"),
        ("extends: streets\nstages: {0: {nesterov: true}}", "nesterov needs optimiser sgd"),
        ("extends: streets\nstages: {0: {window: {scale: [2, 1]}}}", "stages.0.window: window scale"),
        ("[1, 2]", "holds no recipe"),
        ("a: [", "is no readable YAML"),
    ],
)
def test_mistakes_in_a_file(text: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(text)
    with pytest.raises(SwathError) as error:
        load_recipe(path)
    assert message in str(error.value) and "\n" not in str(error.value)


def test_mistakes_on_the_command_line(tmp_path: Path) -> None:
    def message(key: str, *words: str, name: str = "streets") -> str:
        with pytest.raises(SwathError) as error:
            load_recipe(name, [(key, words)])
        return str(error.value)

    assert "unknown key '--epoch'; did you mean '--epochs'" in message("epoch", "3")
    assert "unknown key 'data.rot'; did you mean 'data.root'" in message("data.rot", "3")
    assert message("lr", "fast") == "command line: stages.0.lr: 'fast' is not a number"
    two = tmp_path / "two.yaml"
    two.write_text(
        "name: two\nnetwork: contextnet14\nstages:\n"
        "  - {epochs: 1, lr: 1, window: {size: 8x8}}\n  - {epochs: 1, lr: 1, window: {size: 8x8}}\n"
    )
    assert "say which: stages.0.lr, stages.1.lr" in message("lr", "1", name=str(two))
    assert load_recipe(two, [("stages.1.lr", ["3"])]).stages[1].lr == 3


def test_a_card_in_place_of_a_recipe(shapes: Path) -> None:
    recipe = load_recipe(shapes / "card.yaml")
    assert (recipe.name, recipe.data.card) == ("shapes", str((shapes / "card.yaml").resolve()))
    assert recipe.stages[0].lr == load_recipe("own").stages[0].lr
