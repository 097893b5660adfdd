"""Which pictures and labels a split has, found without stopping at the first that is wrong."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from swath.cards.card import SPLIT_WORDS, Card, Reading
from swath.data.pairs import PICTURES, NotHere, Pair, files_below, fill, find_pairs, percent_of
from swath.doctor.findings import Finding, shown
from swath.doctor.lists import read_list
from swath.errors import SwathError, unknown


@dataclass
class Split:
    """A split as it lies on the disk; the files of a pair may be missing."""

    name: str
    reading: Reading
    pairs: list[Pair]
    findings: list[Finding] = field(default_factory=list)


def named_splits(card: Card, words: str) -> list[str]:
    """`train+val` and `trainval` as the card's names."""
    names: list[str] = []
    for word in words.split("+"):
        word = word.strip()
        declared = any(word == info.name or word in info.aliases for info in card.split_infos)
        parts = [word] if declared else SPLIT_WORDS.get(word, word).split("+")
        names += [card.split_info(part).name for part in parts]
    return list(dict.fromkeys(names))


def gather(
    card: Card, root: Path, words: str | None = None, layout: str | None = None
) -> tuple[list[Split], list[Finding]]:
    """The splits that are there (or those that are asked for), and what is wrong with the others."""
    names = named_splits(card, words) if words else card.splits
    preferred = (layout or card.layout or "").split()
    for word in preferred:
        if word not in card.layouts:
            raise unknown(f"layout of card '{card.name}'", word, card.layouts)
    found: list[Split] = []
    missing: dict[str, str] = {}
    for name in names:
        try:
            found.append(_best(card, name, root, preferred))
        except NotHere as error:
            missing[name] = str(error)
    if not found or (words and missing):
        raise SwathError(next(iter(missing.values())))
    return found, [_absence(name, said, found) for name, said in missing.items() if name in ("train", "val")]


def _absence(name: str, said: str, found: list[Split]) -> Finding:
    there = ", ".join(split.name for split in found)
    return Finding(
        "missing-split",
        name,
        "",
        f"only {there} is there; {said}",
        "a training needs both; one folder is divided by 'splits: {train: {percent: 0-90}, val: {percent: 90-100}}'",
    )


def _best(card: Card, name: str, root: Path, preferred: list[str]) -> Split:
    """The layout whose files are there, of those that are preferred or of all."""
    layouts = [card.layouts[word] for word in preferred] or list(card.layouts.values())
    readings = [splits[name] for splits in layouts if name in splits]
    candidates: list[Split] = []
    missing: list[NotHere] = []
    for read in (_strict, _tolerant):  # only where no layout fits as it should, one that fits badly is looked for
        for reading in readings:
            if any(reading is split.reading for split in candidates):
                continue
            try:
                candidates.append(read(card, reading, root))
            except NotHere as error:
                missing.append(error)
        if any(_complete(split) > 0.5 for split in candidates):
            break
    if not candidates:
        looked = "; ".join(f"{reading.layout}: {reading.files()}" for reading in readings)
        several = f"{root}: split '{name}' of card '{card.name}' is not there; looked for {looked}"
        raise NotHere(several if len(readings) > 1 else str(missing[0]))
    counted = [(_complete(split), split) for split in candidates]
    most = max(count for count, _ in counted)
    best = [split for count, split in counted if count == most]
    files = {frozenset((pair.image, pair.label) for pair in split.pairs) for split in best}
    if len(files) > 1 and not preferred:  # two ways to the same files are one
        fits = ", ".join(split.reading.layout for split in best)
        best[0].findings.append(
            Finding(
                "layouts",
                name,
                "",
                f"the files fit {len(best)} layouts of the card: {fits}; only {best[0].reading.layout} was examined",
                f"say which one is meant: --layout {best[0].reading.layout} here, data.layout in a recipe, "
                f"or 'layout: {best[0].reading.layout}' in a card that 'extends: {card.name}'",
            )
        )
    return best[0]


def _complete(split: Split) -> float:
    """The share of the pairs whose files are there, told from some of them."""
    some = split.pairs[:: max(1, len(split.pairs) // 200)]
    there = sum(pair.image.exists() and (pair.label is None or pair.label.exists()) for pair in some)
    return there / max(1, len(some))


def _strict(card: Card, reading: Reading, root: Path) -> Split:
    """As a training would find them."""
    try:
        return Split(reading.split, reading, find_pairs(card, reading, root))
    except NotHere:
        raise
    except (SwathError, UnicodeError) as error:
        raise NotHere(str(error)) from error


def _tolerant(card: Card, reading: Reading, root: Path) -> Split:
    if reading.list_file is not None:
        pairs, findings = read_list(card, reading, root)
        return Split(reading.split, reading, pairs, findings)
    if reading.coco is not None:
        from swath.data.coco import read_annotations

        try:
            return _by_name(reading, root, read_annotations(reading, root).names(reading.min_area))
        except NotHere:
            raise
        except SwathError as error:
            return Split(reading.split, reading, [], [_unreadable(reading, error)])
    if reading.ids is not None:
        return _by_name(reading, root, reading.ids)
    return _by_walking(card, reading, root)


def _by_name(reading: Reading, root: Path, names: Sequence[str]) -> Split:
    """Pictures that the card or a file names one by one."""
    pattern, labels = reading.images or "", reading.labels
    pairs = [
        Pair(
            name,
            fill(pattern, reading.folder, root, name),
            fill(labels, reading.folder, root, name) if labels is not None else None,
        )
        for name in names
    ]
    if not any(pair.image.exists() for pair in pairs):
        looked = pattern.replace("{split}", reading.folder)
        raise NotHere(f"{root}: none of the {len(pairs)} pictures of split '{reading.split}' is there ({looked})")
    low, high = reading.percent
    return Split(reading.split, reading, [pair for pair in pairs if low <= percent_of(pair.name) < high])


def _by_walking(card: Card, reading: Reading, root: Path) -> Split:
    """A pattern ending in `.*` finds two files of one id: each suffix by itself then, and the first of them counts."""
    pattern = reading.images or ""
    try:
        return Split(reading.split, reading, find_pairs(card, reading, root))
    except NotHere:
        raise
    except UnicodeError:
        message = "holds file names that are not UTF-8, by which no share of the pictures can be drawn"
        return Split(reading.split, reading, [], [Finding("bad-name", reading.split, "", message, "rename them")])
    except SwathError as error:
        if not pattern.endswith(".*"):
            return Split(reading.split, reading, [], [_unreadable(reading, error)])
    suffixes = sorted({path.suffix for path in files_below(root) if path.suffix.lower() in PICTURES})
    split = Split(reading.split, reading, [])
    first: dict[str, Pair] = {}
    for suffix in suffixes:
        try:
            pairs = find_pairs(card, replace(reading, images=pattern[:-2] + suffix), root)
        except NotHere:
            continue
        except SwathError as error:
            return Split(reading.split, reading, [], [_unreadable(reading, error)])
        for pair in pairs:
            if pair.name in first:
                message = f"has the id '{pair.name}', as has {shown(first[pair.name].image, root)}"
                split.findings.append(
                    Finding("same-id", reading.split, shown(pair.image, root), message, "remove one of them")
                )
            first.setdefault(pair.name, pair)
    labels = {pair.label for pair in first.values()}
    split.pairs = [first[name] for name in sorted(first) if first[name].image not in labels]
    return split


def _unreadable(reading: Reading, error: SwathError) -> Finding:
    return Finding("unreadable-split", reading.split, "", str(error), f"see {reading.where}")


def double(split: Split, root: Path) -> list[Finding]:
    """Pictures that stand in a split twice."""
    times = Counter(pair.image for pair in split.pairs)
    return [
        Finding("listed-twice", split.name, shown(path, root), f"stands {count} times in the list", "name it once")
        for path, count in times.items()
        if count > 1
    ]
