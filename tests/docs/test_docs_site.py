"""The site is built without a warning, and holds what the bare pages leave to it: every command, every public name.

A build takes half a minute, so it is made by `make docs-site` and, as a test, only among all tests (`make test-all`).
"""

from __future__ import annotations

import importlib
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from reading import DOCS, ROOT

from swath.cli.main import COMMANDS

REFERENCES = [
    (page, name)
    for page in sorted((DOCS / "api").glob("*.md"))
    for name in re.findall(r"<!-- reference: (\S+) -->", page.read_text("utf-8"))
]


def test_the_reference_covers_the_package() -> None:
    named = {name for _, name in REFERENCES}
    folders = {path.parent.name for path in (ROOT / "src/swath").glob("*/__init__.py")}
    inner = {"cli", "catalogue", "serve", "cluster", "robustness", "fit"}  # commands, of which the pages tell
    assert {name.split(".")[1] for name in named if "." in name} >= folders - inner


@pytest.mark.parametrize(("page", "name"), REFERENCES, ids=lambda each: each if isinstance(each, str) else each.stem)
def test_public_names_are_explained(page: Path, name: str) -> None:
    module = importlib.import_module(name)
    for each in module.__all__:
        thing = getattr(module, each)
        if callable(thing) and getattr(thing, "__module__", "").startswith("swath"):
            assert (thing.__doc__ or "").strip(), f"{name}.{each} has no docstring, so {page.name} leaves it out"


@pytest.mark.skipif(not os.environ.get("SWATH_TEST_ALL"), reason="half a minute; SWATH_TEST_ALL=1 runs it")
def test_the_site(tmp_path: Path) -> None:
    pytest.importorskip("sphinx", reason="pip install 'swath[docs]'")
    site = tmp_path / "site"
    words = ["-m", "sphinx", "-b", "html", "-W", "--keep-going", "-q", "-d", str(tmp_path / "trees"), "-c", "docs"]
    built = subprocess.run([sys.executable, *words, ".", str(site)], cwd=ROOT, capture_output=True, text=True)
    assert built.returncode == 0, built.stderr
    commands = (site / "docs" / "commands.html").read_text("utf-8")
    assert all(f"usage: swath {command}" in commands for command in COMMANDS if command != "train")
    assert "Segmenter" in (site / "docs" / "api" / "inference.html").read_text("utf-8")
    assert "url=docs/index.html" in (site / "index.html").read_text("utf-8")
    for page in site.rglob("*.html"):  # it must work where there is no network
        loaded = re.findall(r"<(?:script|img|iframe)[^>]+src=\"(https?:[^\"]+)\"", page.read_text("utf-8"))
        styles = re.findall(r"<link[^>]+rel=\"stylesheet\"[^>]+href=\"(https?:[^\"]+)\"", page.read_text("utf-8"))
        assert loaded + styles == [], page.name
