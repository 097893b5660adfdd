"""How the pages become a site (`make docs-site`). Its source is the checkout, so that links work as on GitHub."""

from __future__ import annotations

import importlib
import json
import os
import re
import sys
from pathlib import Path
from typing import Any

from docutils import nodes
from myst_parser.parsers.sphinx_ import MystParser
from sphinx.application import Sphinx

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "src"))  # the reference is of this checkout, whatever is installed

from swath import __version__  # noqa: E402

project = "swath"
author = "the swath authors"
copyright = "the swath authors, Apache-2.0"
version = release = __version__

extensions = ["myst_parser", "sphinx.ext.autodoc"]
root_doc = "docs/index"
include_patterns = ["docs/**", "benchmarks/*.md", "README.md", "CONTRIBUTING.md", "CHANGELOG.md"]
exclude_patterns = [".*", "build", "site", "demo", "runs", "src", "tests", "docs/images"]
source_suffix = {".md": "markdown", ".ipynb": "notebook"}

myst_heading_anchors = 3
myst_enable_extensions = ["dollarmath"]
suppress_warnings = [
    "myst.header",  # a benchmark's page may begin its tables at a lower level
    "myst.xref_missing",  # `<a id>` in raw HTML, which docs/networks.md has; tests/docs checks every link and anchor
    "ref.python",  # Card and Segmenter are exported twice: as swath.Card, and where they live
]

autodoc_member_order = "bysource"
add_module_names = False

html_theme = "furo"
html_title = f"swath {__version__}"
html_static_path = ["static"]
html_css_files = ["swath.css"]
html_extra_path = ["static/top"]  # index.html, which leads from the top of the site to docs/index.html
html_copy_source = False
html_show_sphinx = False
pygments_style = "friendly"
pygments_dark_style = "github-dark"


class NotebookParser(MystParser):
    """A notebook as a page: its text, its code, and no more, as notebooks are kept without what they put out."""

    supported = ("notebook",)

    def parse(self, inputstring: str, document: nodes.document) -> None:
        super().parse(markdown(json.loads(inputstring)), document)


def markdown(notebook: dict[str, Any]) -> str:
    """The cells of a notebook as Markdown."""
    parts = []
    for cell in notebook["cells"]:
        text = "".join(cell["source"])
        parts.append(f"```python\n{text}\n```" if cell["cell_type"] == "code" else text)
    return "\n\n".join(parts)


def fill_in(app: Sphinx, page: str, source: list[str]) -> None:
    """What would only disturb a reader of the bare Markdown stands there as a comment, and is put in here."""
    text = source[0]
    if page in ("docs/index", "docs/api/index"):
        text += contents(text)
    if page == "docs/index":
        text += "\n\n```{toctree}\n:hidden:\n:glob:\n:caption: Measured\n\n/benchmarks/*\n```\n"
    text = text.replace("<!-- the commands -->", commands())
    source[0] = re.sub(r"<!-- reference: (\S+) -->", lambda found: reference(found[1]), text)


def contents(text: str) -> str:
    """The bar at the side: a part for each heading of a table of contents, with the pages it links to."""
    parts, seen = [], set()
    for heading, body in re.findall(r"^## (.+?)\n(.*?)(?=^## |\Z)", text, re.M | re.S):
        pages = [page for page in re.findall(r"\]\(([^)#:]+)\.(?:md|ipynb)\)", body) if page not in seen]
        seen.update(pages)
        lines = "\n".join(f"/docs/{page}" if "docs/" in page else page for page in pages)
        parts.append(f"\n\n```{{toctree}}\n:hidden:\n:caption: {heading}\n\n{lines}\n```\n")
    return "".join(parts)


def commands() -> str:
    """What `swath COMMAND --help` prints, for every command."""
    from swath.cli.main import COMMANDS, build_parser, command_module

    parts = []
    for command in COMMANDS:
        about = command_module(command).HELP
        parts.append(f"## swath {command}\n\n{about[0].upper()}{about[1:]}.\n")
        parts.append(f"```text\n{build_parser(command).format_help()}```\n")
    return "\n".join(parts)


def reference(name: str) -> str:
    """The public names of a module. They may be loaded lazily, so they are put in their place first."""
    module = importlib.import_module(name)
    for each in module.__all__:
        setattr(module, each, getattr(module, each))
    once = "   :no-index:\n" if name == "swath" else ""  # the same objects have their entry where they live
    return f"```{{eval-rst}}\n.. automodule:: {name}\n   :members:\n   :imported-members:\n{once}```"


def as_rst(app: Sphinx, what: str, name: str, thing: object, options: object, lines: list[str]) -> None:
    """Our docstrings are plain text with `code` in it; what reStructuredText would take for more is escaped."""
    pieces = re.split(r"`([^`]+)`", "\n".join(lines))
    pieces[::2] = [re.sub(r"([*|\\])|_\b", lambda found: "\\" + found[0], piece) for piece in pieces[::2]]
    pieces[1::2] = [f"``{piece}``" for piece in pieces[1::2]]
    lines[:] = "".join(pieces).split("\n")


def setup(app: Sphinx) -> None:
    os.environ["COLUMNS"] = "100"  # of the helps
    app.add_source_parser(NotebookParser)
    app.connect("source-read", fill_in)
    app.connect("autodoc-process-docstring", as_rst)
