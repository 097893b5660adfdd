"""docs/networks.md and its drawings, from the registry, the families' docstrings and what is measured."""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Iterable
from pathlib import Path

from swath.catalogue.drawing import draw
from swath.catalogue.entry import CLASSES, Entry, entries
from swath.catalogue.notes import NOTES
from swath.catalogue.trace import trace
from swath.files import atomic_write
from swath.networks import create_model, list_models
from swath.networks.registry import FAMILIES
from swath.networks.shapes import ShapesOnly

_IMAGES = "images/networks"
_HEAD = f"""# The networks

Every network that `swath.create_model` and `swath train` know by name, {{count}} in {{families}} families.
`python -m swath.catalogue` writes this page from the networks themselves; `swath models` prints the same in a terminal.

- **parameters, GMACs**: counted here, for {CLASSES} classes, up to the logits at the native stride, for a picture of
  `at`. What the authors publish stands in brackets; they may count another way, which the notes say.
- **mIoU, FPS**: what the authors publish, in percent and frames a second. Weights that swath ships and their measured
  scores are named where there are any.
- **Drawings**: time runs to the right, maps get smaller downwards (1/8: an eighth of the picture's sides); `+`, `×` and
  `‖` add, multiply and concatenate. Names are those of the modules in the code; auxiliary heads, which only training
  runs, are left out.
"""


def write_page(folder: Path) -> list[Path]:
    """Write networks.md and the drawings into a `docs` folder; returns the files."""
    files = {folder / "networks.md": page_text(entries(list_models()))}
    files |= {folder / _IMAGES / f"{family}.svg": drawing(family) for family in FAMILIES}
    for path, text in files.items():
        with atomic_write(path, "w") as file:
            file.write(text)
    return list(files)


def drawing(family: str) -> str:
    """The SVG of a family's first network, or of the one that its note names."""
    note = NOTES[family]
    with ShapesOnly():
        model = create_model(note.drawn)
    return draw(trace(model), f"{note.title}: {note.drawn}")


def page_text(rows: Iterable[Entry]) -> str:
    """The page in Markdown."""
    by_family: dict[str, list[Entry]] = {}
    for entry in rows:
        by_family.setdefault(entry.info.family, []).append(entry)
    count = sum(map(len, by_family.values()))
    parts = [_HEAD.format(count=count, families=len(by_family))]
    parts.append(" · ".join(f"[{NOTES[family].title}](#{family})" for family in by_family) + "\n")
    parts += [_section(family, members) for family, members in by_family.items()]
    return "\n".join(parts)


def _section(family: str, members: list[Entry]) -> str:
    note = NOTES[family]
    first, *others = _docstring(family)
    papers = list(dict.fromkeys(entry.info.paper for entry in members))
    lines = [
        f'<a id="{family}"></a>\n\n## {note.title}\n',
        f"*{first}*\n",
        f"{note.text}\n",
        f"![How the branches of {note.drawn} join]({_IMAGES}/{family}.svg)\n",
        *(f"{paragraph}\n" for paragraph in others),
        "Papers: " + ", ".join(f"<{paper}>" for paper in papers) + f". Code: `src/swath/networks/{family}.py`.\n",
        "| network | year | stride | M parameters | GMACs | at | mIoU by its authors | FPS by its authors |",
        "|---|---:|---:|---:|---:|---|---|---|",
        *(_row(entry) for entry in members),
    ]
    remarks = [remark for entry in members for remark in _remarks(entry)]
    return "\n".join([*lines, "", *remarks, ""] if remarks else [*lines, ""])


def _docstring(family: str) -> list[str]:
    text = inspect.getdoc(importlib.import_module(f"swath.networks.{family}")) or ""
    return [paragraph.replace("\n", " ") for paragraph in text.split("\n\n")]


def beside(measured: float, claimed: float | None, digits: int) -> str:
    """`27.35 (27)`: ours, and the authors' in brackets."""
    return f"{measured:.{digits}f}" + (f" ({claimed:g})" if claimed is not None else "")


def _row(entry: Entry) -> str:
    info, claims = entry.info, entry.info.claims
    cells = [
        f"`{info.name}`",
        str(info.year),
        str(info.stride),
        beside(entry.parameters / 1e6, claims.params_m, 2),
        beside(entry.macs / 1e9, claims.gmacs, 2),
        f"{info.size[1]}x{info.size[0]}",
        "<br>".join(f"{value:g} {name}" for name, value in claims.miou.items()),
        "<br>".join(f"{value:g} {name}" for name, value in claims.fps.items()),
    ]
    return "| " + " | ".join(cells) + " |"


def _remarks(entry: Entry) -> list[str]:
    info = entry.info
    said = []
    if info.claims.note:
        said.append(f"{info.claims.note}.")
    if info.licence:
        said.append(f"Licence: {info.licence}.")
    if info.aliases:
        said.append("Also called " + ", ".join(info.aliases) + ".")
    if entry.recipes:
        said.append("Recipes: " + ", ".join(f"`{name}`" for name in entry.recipes) + ".")
    for each in entry.weights:
        score = f", {each.score['miou']:.1%} mIoU" if isinstance(each.score.get("miou"), float) else ""
        said.append(f"Weights in the package: `{each.name}` ({each.dataset}{score}).")
    return [f"- `{info.name}`: {' '.join(said)}"] if said else []
