"""Recipes as files: the ones in the package, a user's own, `extends:`, and what the command line changes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

import yaml

from swath.errors import SwathError, unknown
from swath.files import atomic_write
from swath.training.config import Recipe, Stage
from swath.training.fill import Words, as_plain, fill, merge, override

_CARD_KEYS = {"classes", "layouts", "images", "labels", "label_values", "label_colors", "generator"}
FOLDER = Path(__file__).with_name("recipes")
_OTHER_LENGTH = {"epochs": "iterations", "iterations": "epochs"}


def list_recipes() -> list[str]:
    """Names of the recipes in the package."""
    return sorted(path.stem for path in FOLDER.glob("*.yaml"))


def load_recipe(name: str | Path, overrides: Sequence[tuple[str, Sequence[str]]] = ()) -> Recipe:
    """A recipe by its name or the path of a YAML file, changed by (key, words) pairs as `--key words` gives them."""
    tree, path = _read(str(name), ())
    return fill(Recipe, changed(tree, overrides), str(path) if path.parent != FOLDER else path.name)


def changed(tree: Any, overrides: Sequence[tuple[str, Sequence[str]]]) -> Any:
    """The tree of a recipe with what the command line gives. A length that is given takes the place of the recipe's."""
    given = {full_key(key, tree): Words(tuple(words)) for key, words in overrides}
    for key, words in given.items():
        tree = override(tree, key, words)
        stage, _, last = key.rpartition(".")
        other = f"{stage}.{_OTHER_LENGTH.get(last)}"
        if stage.startswith("stages.") and last in _OTHER_LENGTH and other not in given and words.words != ("none",):
            tree = override(tree, other, Words(("none",)))
    return tree


def save_recipe(recipe: Recipe, path: str | Path, comment: str) -> None:
    """Write every key with its value, so that the file alone repeats the run."""
    with atomic_write(path, "w") as file:
        file.write(f"# {comment}\n" + recipe_text(recipe))


def recipe_text(recipe: Recipe) -> str:
    """The recipe as YAML, short lists in one line."""
    return yaml.dump(as_plain(recipe), Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=110)


def _read(name: str, seen: tuple[Path, ...]) -> tuple[Any, Path]:
    """The raw tree of a recipe, on top of the one that it extends."""
    path = _find(name, seen[-1].parent if seen else Path())
    if path in seen:
        raise SwathError(f"{path}: extends itself, by way of {seen[-1]}")
    try:
        tree = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise SwathError(f"{path}: is no readable YAML ({' '.join(str(error).split())})") from error
    except OSError as error:
        raise SwathError(f"{path}: cannot be read ({error.strerror})") from error
    if not isinstance(tree, Mapping):
        raise SwathError(f"{path}: holds no recipe; it should begin with keys such as `extends: streets`")
    if _CARD_KEYS & set(tree) and not {"stages", "network", "data"} & set(tree):  # a card: train on what it describes
        card = {"card": str(path)}
        tree = {"extends": "own", "name": tree.get("name", path.stem), "title": tree.get("title", ""), "data": card}
    if "extends" in tree:
        base, _ = _read(str(tree["extends"]), (*seen, path))
        change = {key: value for key, value in tree.items() if key != "extends"}
        try:
            tree = merge(base, {"name": path.stem, **change})
        except SwathError as error:
            raise SwathError(f"{path}: {error}") from error
    return tree, path


def _find(name: str, beside: Path) -> Path:
    if name in list_recipes():
        return FOLDER / f"{name}.yaml"
    if name.endswith((".yaml", ".yml")) or "/" in name:
        for path in (Path(name).expanduser(), beside / name):
            if path.is_file():
                return path.resolve()
        raise SwathError(f"{name}: no such recipe file; `swath recipes` lists those that come with swath")
    raise unknown("recipe", name, list_recipes())


def full_key(key: str, tree: Any) -> str:
    """`lr` stands for `stages.0.lr` where there is but one stage, and `data.split` for the split to learn from."""
    if key == "data.split" or key.endswith(".data.split"):
        return key.removesuffix("split") + "train"
    head = key.partition(".")[0]
    stages = tree.get("stages")
    of_recipe, of_stage = ([f.name for f in fields(kind)] for kind in (Recipe, Stage))
    if head in of_recipe:
        return key
    if head not in of_stage:
        raise SwathError(f"command line: {unknown('key', f'--{key}', [f'--{name}' for name in of_recipe + of_stage])}")
    if isinstance(stages, list) and len(stages) != 1:
        names = ", ".join(f"stages.{i}.{key}" for i in range(len(stages)))
        raise SwathError(f"command line: --{key} could mean any of {len(stages)} stages; say which: {names}")
    return f"stages.0.{key}"


class _Dumper(yaml.SafeDumper):
    """Block style for sections, one line for short lists, room between the sections of a recipe."""

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:
        super().increase_indent(flow, False)


def _list(dumper: yaml.SafeDumper, value: list[Any]) -> yaml.Node:
    return dumper.represent_sequence("tag:yaml.org,2002:seq", value, flow_style=not any(map(_is_section, value)))


def _is_section(value: Any) -> bool:
    return isinstance(value, Mapping)


_Dumper.add_representer(list, _list)
