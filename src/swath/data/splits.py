"""The splits of a dataset's own files, to be written in another form."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from swath.cards.card import Card
from swath.data.pairs import NotHere
from swath.data.source import Source
from swath.errors import SwathError

_USUAL = ("train", "val", "test")
_FORMS = {"pack.json": "is packed", "shards.json": "holds shards"}


def own_splits(
    card: Card, root: str | Path | None, splits: Sequence[str], layout: str | None
) -> tuple[dict[str, Source], tuple[str, ...]]:
    """The named splits (without names: train, val and test, or all) that are there, and the names of the others."""
    if root is not None or not card.generator:
        folder = card.find_root(root)
        for form in ("pack.json", "shards.json"):
            if (folder / form).is_file():
                raise SwathError(f"{folder}: {_FORMS[form]} already; give the folder of the dataset's own files")
    named = [card.split_info(name).name for name in splits]
    wanted = named or [name for name in card.splits if name in _USUAL] or card.splits
    found: dict[str, Source] = {}
    missing: dict[str, NotHere] = {}
    for name in wanted:
        try:
            found[name] = card.open(name, root, layout=layout)
        except NotHere as error:
            if named:
                raise
            missing[name] = error
    if not found:
        raise next(iter(missing.values()))
    return found, tuple(missing)
