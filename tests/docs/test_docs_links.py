"""Links between pages: every file and heading that is linked exists, and every page is reached from docs/index.md."""

from __future__ import annotations

import re
from pathlib import Path
from urllib.parse import unquote

import pytest
from reading import DOCS, ROOT, pages, prose, text_of

_LINK = re.compile(r"!?\[(?:[^\[\]]|\[[^\]]*\])*\]\(<?([^)\s>]+)>?(?:\s+\"[^\"]*\")?\)")
_TAG = re.compile(r"<(?:a|img)\s[^>]*?(?:href|src)=\"([^\"]+)\"")


def links(page: Path) -> list[str]:
    text = re.sub(r"(?<!`)(`+)(?!`).+?(?<!`)\1(?!`)", "", prose(page))
    return [*_LINK.findall(text), *_TAG.findall(text)]


def anchors(page: Path) -> set[str]:
    """As GitHub makes them of headings, and those that raw HTML sets."""
    text = re.sub(r"^ *```.*?^ *```", "", text_of(page), flags=re.M | re.S)
    found: set[str] = set()
    for heading in re.findall(r"^#{1,6} +(.+?) *$", text, re.M):
        plain = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).replace("`", "")
        slug = re.sub(r"[^\w\- ]", "", plain.lower()).replace(" ", "-")
        number = 0
        while (name := f"{slug}-{number}" if number else slug) in found:
            number += 1
        found.add(name)
    return found | set(re.findall(r"<a (?:id|name)=\"([^\"]+)\"", text))


def target(page: Path, link: str) -> tuple[Path, str]:
    path, _, anchor = link.partition("#")
    return ((page.parent / unquote(path)).resolve() if path else page), anchor


@pytest.mark.parametrize("page", pages(), ids=lambda page: page.relative_to(ROOT).as_posix())
def test_links_lead_somewhere(page: Path) -> None:
    broken = []
    for link in links(page):
        if re.match(r"[a-z]+:", link):
            assert link.startswith(("https://", "mailto:")), f"{page.name}: {link}"
            continue
        file, anchor = target(page, link)
        if not file.exists() or (anchor and file.suffix in (".md", ".ipynb") and anchor not in anchors(file)):
            broken.append(link)
    assert broken == []


def test_every_page_is_reached_from_the_table_of_contents() -> None:
    reached, waiting = set(), [DOCS / "index.md"]
    while waiting:
        page = waiting.pop()
        if page in reached or page.suffix not in (".md", ".ipynb") or not page.exists():
            continue
        reached.add(page)
        waiting += [target(page, link)[0] for link in links(page) if not re.match(r"[a-z]+:", link)]
    assert {page.relative_to(ROOT).as_posix() for page in set(pages()) - reached} == set()


def test_pictures_stay_small_together() -> None:
    images = [path for path in (DOCS / "images").rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in images) < 2_000_000
    shown = {target(page, link)[0] for page in pages() for link in links(page) if not re.match(r"[a-z]+:", link)}
    assert [path.name for path in images if path not in shown] == []
