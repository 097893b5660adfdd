"""The notebooks, run cell by cell on made-up data, and what they show.

There is no kernel in this: a notebook is a list of pieces of Python, of which the value of a last expression is shown.
To run them in order in one namespace is what Jupyter does with these pages, which have no magic commands; nbclient with
ipykernel would add some 30 packages, a process and sockets a notebook to find the same mistakes.
"""

from __future__ import annotations

import ast
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from reading import DOCS

NOTEBOOKS = sorted((DOCS / "notebooks").glob("*.ipynb"))


def run(notebook: dict[str, Any], name: str) -> list[Any]:
    """What each code cell shows: the value of its last line, or None."""
    namespace: dict[str, Any] = {"__name__": "__main__"}
    shown = []
    for number, cell in enumerate(notebook["cells"]):
        if cell["cell_type"] != "code":
            continue
        tree = ast.parse("".join(cell["source"]))
        last = tree.body.pop() if isinstance(tree.body[-1], ast.Expr) else None
        where = f"{name}, cell {number}"
        exec(compile(tree, where, "exec"), namespace)
        shown.append(eval(compile(ast.Expression(last.value), where, "eval"), namespace) if last else None)
    return shown


def load(path: Path) -> dict[str, Any]:
    return json.loads(path.read_text("utf-8"))


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_it_runs_and_shows_pictures(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SWATH_NOTEBOOKS", "made-up")
    monkeypatch.syspath_prepend(str(path.parent))
    monkeypatch.chdir(tmp_path)
    shown = run(load(path), path.name)
    pictures = [each for each in shown if isinstance(each, Image.Image)]
    assert pictures, "a notebook that shows no picture"
    for picture in pictures:
        pixels = np.asarray(picture.convert("RGB"))
        assert len(np.unique(pixels.reshape(-1, 3), axis=0)) > 4, "an empty picture"
    if path.stem in ("voc", "person_part", "context", "nyu"):
        (grid,) = pictures
        assert grid.width == 3 * 328 + 8  # picture, truth and one network, side by side
        assert shown[-1] and all(re.fullmatch(r"\d+\.\d%", score) for score in shown[-1].values())


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_it_is_kept_clean(path: Path) -> None:
    notebook = load(path)
    assert (notebook["nbformat"], notebook["nbformat_minor"]) == (4, 5)
    identifiers = [cell["id"] for cell in notebook["cells"]]
    assert len(set(identifiers)) == len(identifiers)
    for cell in notebook["cells"]:
        assert cell["cell_type"] in ("markdown", "code") and cell["metadata"] == {}
        if cell["cell_type"] == "code":
            assert cell["outputs"] == [] and cell["execution_count"] is None
            assert not re.search(r"^\s*[%!]", "".join(cell["source"]), re.M), "a magic command is no Python"
    assert notebook["cells"][0]["cell_type"] == "markdown" and notebook["cells"][0]["source"][0].startswith("# ")


@pytest.mark.parametrize("name", ["voc", "person_part", "context", "nyu", "own_pictures", "videos"])
def test_without_the_variable_nothing_is_made_up(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SWATH_NOTEBOOKS", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    with pytest.raises((Exception, SystemExit)):
        run(load(DOCS / "notebooks" / f"{name}.ipynb"), name)
    assert list(tmp_path.iterdir()) == []
