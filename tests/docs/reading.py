"""The pages as tests see them: code blocks, code within a line, headings, links."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
TOP = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md"]

_FENCE = re.compile(r"^( *)```([\w-]*)[^\n]*\n(.*?)^\1```[ ]*$", re.M | re.S)


@dataclass(frozen=True)
class Block:
    """A piece of code on a page."""

    page: str
    line: int
    language: str
    text: str

    def __str__(self) -> str:
        return f"{self.page}:{self.line}"


def pages() -> list[Path]:
    """Every Markdown page of the project that people read, and every notebook."""
    return [*TOP, *sorted(DOCS.rglob("*.md")), *sorted(DOCS.rglob("*.ipynb"))]


def text_of(page: Path) -> str:
    """A page as Markdown."""
    text = page.read_text("utf-8")
    if page.suffix != ".ipynb":
        return text
    cells = json.loads(text)["cells"]
    sources = [("".join(cell["source"]), cell["cell_type"]) for cell in cells]
    return "\n\n".join(f"```python\n{source}\n```" if kind == "code" else source for source, kind in sources)


def blocks(page: Path) -> Iterator[Block]:
    """The fenced code of a page, without the indentation that a list gives it."""
    text, name = text_of(page), page.relative_to(ROOT).as_posix()
    for found in _FENCE.finditer(text):
        indent = len(found[1])
        code = "\n".join(line[indent:] for line in found[3].split("\n"))
        yield Block(name, text.count("\n", 0, found.start()) + 2, found[2], code)


def prose(page: Path) -> str:
    """A page without its fenced code."""
    return _FENCE.sub("", text_of(page))


def spans(page: Path) -> Iterator[str]:
    """Code within a line."""
    for found in re.finditer(r"(?<!`)(`+)(?!`)(.+?)(?<!`)\1(?!`)", prose(page)):
        yield found[2].strip()


def commands(script: str) -> Iterator[list[str]]:
    """The words of each command of a shell script: comments, pipes, redirections and `&&` are taken apart."""
    for line in re.sub(r"\\\n\s*", " ", script).splitlines():
        lexer = shlex.shlex(line, posix=True, punctuation_chars="|>&;")
        lexer.whitespace_split = True
        words: list[str] = []
        for word in lexer:
            if word and set(word) <= set("|>&;"):
                if words:
                    yield words
                words = []
            else:
                words.append(word)
        if words:
            yield words


def swath_words(words: list[str]) -> list[str] | None:
    """What follows `swath` in a command, whichever launcher stands before it; None: it is another program."""
    if words[0] == "swath":
        return words[1:]
    if words[0] in ("torchrun", "python") and "-m" in words:
        place = words.index("-m")
        return words[place + 2 :] if words[place + 1] == "swath" else None
    return words[words.index("swath") + 1 :] if words[0] == "srun" else None
