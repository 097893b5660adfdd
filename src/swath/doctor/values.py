"""What labels hold that the card does not name: why, told from all of them together, and the line for the card."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from swath.cards.card import Card
from swath.cards.tables import IGNORE, LabelTable, unpack
from swath.data.pairs import Pair
from swath.doctor.examine import Probe
from swath.doctor.findings import Finding, shown
from swath.doctor.gather import Split
from swath.doctor.masks import Mask, Strange, color_words, swapped

_LONG = 160  # letters of a line that a person still wants to paste
# Where the card reads all labels wrongly, what classes there seem to be says nothing.
MISREAD = (
    "black-white",
    "stretched",
    "off-by-one",
    "instances",
    "swapped-colors",
    "colors-for-values",
    "values-for-colors",
)
_TEXTURES = {
    "soft": (
        "soft-edges",
        "make the labels again from the originals; resize labels by nearest neighbour, draw without anti-aliasing",
    ),
    "lossy": ("lossy-values", "export the labels again as PNG; a lossy format (JPEG, video) has changed their values"),
    "photograph": ("photograph", "are pictures and labels mixed up? see 'images' and 'labels' in the card"),
}


def label_findings(
    card: Card, split: Split, probes: Sequence[Probe], pairs: Sequence[Pair], root: Path
) -> list[Finding]:
    """What is wrong with the values of a split's labels."""
    table = split.reading.table
    probed = [(probe.again, pairs[probe.index].label, probe.mask) for probe in probes if probe.mask is not None]
    masks = [(path, mask) for _, path, mask in probed]
    together: Counter[int] = Counter()
    for _, mask in masks:
        if mask.by_color == table.by_color or table.by_color:
            together.update(mask.values)
    colors = Counter(value for _, mask in masks if mask.by_color for value in mask.values)
    cause, cure = _cause(together, table, card)
    findings: list[Finding] = []
    for again, path, mask in probed:
        if path is None or again:
            continue
        file = shown(path, root)
        if mask.by_color != table.by_color:
            findings.append(_other_form(split.name, file, mask, card, together, colors))
        elif mask.strange and (table.others is None or mask.texture):
            kind, advice = _TEXTURES.get(mask.texture, (cause, cure))
            level = "" if table.others is None else "warning"
            findings.append(Finding(kind, split.name, file, _named_not(mask, card, kind), advice, level))
        elif mask.soft_edges:
            message = "between two classes mostly lie pixels of a class with a number between theirs"
            findings.append(Finding("soft-edges", split.name, file, message, _TEXTURES["soft"][1], "warning"))
        elif mask.ignored and not mask.pixels.sum():
            message = "every pixel is ignored"
            findings.append(Finding("all-ignored", split.name, file, message, "leave it out, it teaches nothing"))
    return findings + _silent_masks(card, split, together, masks)


def _named_not(mask: Mask, card: Card, kind: str) -> str:
    first: Strange = mask.strange[0]
    what = f"color {color_words(first.value)}" if mask.by_color else f"value {first.value}"
    more = f" (and {mask.unnamed - 1:,} more without a name)" if mask.unnamed > 1 else ""
    said = f"{what} in {first.pixels:,} pixels, first at x {first.x}, y {first.y}{more}"
    if kind in ("soft-edges", "lossy-values"):
        where = "between those of their neighbours" if kind == "soft-edges" else "near those of the card"
        return f"{said}; they lie {where}"
    return said


def _cause(values: Counter[int], table: LabelTable, card: Card) -> tuple[str, str]:
    """Why there are values without a name, and what to write into the card."""
    if table.by_color:
        return _color_cause(values, table, card)
    unnamed = sorted(value for value in values if value // table.divide not in table.ids)
    if not unnamed:
        return "unknown-value", ""
    n = card.num_classes
    present = sorted(values)
    if set(present) == {0, 255} and n == 2:
        return "black-white", "write " + _line({0: 0, 255: 1}, card)
    for divisor in (1000, 256):
        if max(unnamed) >= 256 and table.divide == 1 and all(value // divisor in table.ids for value in unnamed):
            return "instances", f"write 'label_divide: {divisor}'"
    if present == [0, 1] and n == 2:
        return "unknown-value", "write " + _line({0: 0, 1: 1}, card)
    stretched = _stretched(present, n)
    if stretched:
        return "stretched", "write " + _line(stretched, card)
    plain = {value: value for value in range(n)}
    begins = {value + 1: value for value in range(n)}
    if unnamed == [n] and table.ids.items() >= plain.items():
        extra = {255: IGNORE} if table.ids.get(255) == IGNORE else {}
        if 0 not in values:
            return "off-by-one", f"the values begin at 1: write {_line({0: IGNORE} | begins | extra, card)}"
        either = f"if {n} stands for 'not labelled': write {_line(plain | {n: IGNORE} | extra, card)}"
        return "unknown-value", f"{either}; if the values begin at 1: {_line({0: IGNORE} | begins | extra, card)}"
    if table.divide == 1 and len(unnamed) <= 32:
        line = _line(table.ids | dict.fromkeys(unnamed, IGNORE), card)
        return "unknown-value", f"name them, or ignore them: {line}"
    return "unknown-value", "name them in label_values, or write 'others: ignore' there"


def _stretched(present: list[int], classes: int) -> dict[int, int]:
    """Values like 0, 85, 170, 255 for 0, 1, 2, 3: made to be seen."""
    top = present[-1]
    for last in range(classes - 1, 0, -1):
        step = top / last
        if step >= 10 and all(abs(value / step - round(value / step)) * step <= 1 for value in present):
            ids = {value: round(value / step) for value in present}
            return ids if len(set(ids.values())) == len(ids) > 2 else {}
    return {}


def _color_cause(values: Counter[int], table: LabelTable, card: Card) -> tuple[str, str]:
    unnamed = [value for value, _ in values.most_common(32)]
    turned = [value for value in unnamed if swapped(value) in table.ids]
    if unnamed and 2 * len(turned) >= len(unnamed):
        return "swapped-colors", "the program that wrote them mixed up RGB and BGR; write them again"
    parts = [f"'{' '.join(map(str, unpack(value)))}: {_near(value, card)}'" for value in unnamed[:4]]
    return "unknown-color", f"name them under label_colors, as in {', '.join(parts)}"


def _near(value: int, card: Card) -> str:
    """The class whose color is nearly this one."""
    here = unpack(value)
    apart = {name: max(abs(a - b) for a, b in zip(here, color)) for name, color in zip(card.class_names, card.colors)}
    best = min(apart, key=lambda name: apart[name])
    return best if apart[best] <= 8 else "ignore"


def _other_form(split: str, file: str, mask: Mask, card: Card, values: Counter[int], colors: Counter[int]) -> Finding:
    """Colors where the card reads values, or the other way round."""
    if not mask.by_color:
        some = ", ".join(map(str, sorted(mask.values)[:6]))
        n = card.num_classes
        fits = max(values, default=0) < n
        line = "label_values: {" + ("0: " + card.class_names[0] if n == 1 else f"0-{n - 1}: in order") + "}"
        cure = f"write '{line}' in place of label_colors" if fits else "write label_values in place of label_colors"
        return Finding("values-for-colors", split, file, f"holds the values {some}, the card reads colors", cure)
    if mask.texture == "photograph":
        message = f"holds {mask.unnamed:,} colors; it is a photograph, or went through JPEG"
        return Finding("photograph", split, file, message, _TEXTURES["photograph"][1])
    known = {color: name for name, color in zip(card.class_names, card.colors)}
    others = [value for value, _ in colors.most_common(8) if unpack(value) not in known]
    entries = ", ".join(f"'{' '.join(map(str, unpack(value)))}': {_near(value, card)}" for value in others)
    said = ", ".join(color_words(value) for value in list(mask.values)[:3])
    cure = f"write label_colors: {{{entries}}} in place of label_values; classes are found by the card's own colors"
    return Finding("colors-for-values", split, file, f"holds colors such as {said}, the card reads values", cure)


def _silent_masks(
    card: Card, split: Split, values: Counter[int], masks: Sequence[tuple[Path | None, Mask]]
) -> list[Finding]:
    """Black and white masks whose white the card takes for 'ignored': nothing is unknown, and half is lost."""
    table = split.reading.table
    if table.by_color or card.num_classes != 2 or set(values) != {0, 255} or table.ids.get(255) != IGNORE:
        return []
    if any(mask.pixels[1] for _, mask in masks):
        return []
    message = f"all labels hold only 0 and 255, and the card ignores 255: '{card.class_names[1]}' never occurs"
    return [Finding("black-white", split.name, "", message, "write " + _line({0: 0, 255: 1}, card))]


def _line(ids: dict[int, int], card: Card) -> str:
    """A `label_values` line that says this; of a long one only what is new would be of use."""
    names = [*card.class_names, *["ignore"] * (IGNORE + 1 - card.num_classes)]
    parts: list[str] = []
    values = sorted(ids)
    at = 0
    while at < len(values):
        end = at
        order = ids[values[at]] == 0
        while end + 1 < len(values) and values[end + 1] == values[end] + 1:
            following = ids[values[end + 1]]
            if following != (ids[values[end]] + 1 if order else ids[values[at]]):
                break
            end += 1
        span = str(values[at]) if end == at else f"{values[at]}-{values[end]}"
        parts.append(f"{span}: {'in order' if order and end > at else names[ids[values[at]]]}")
        at = end + 1
    line = "label_values: {" + ", ".join(parts) + "}"
    if len(line) <= _LONG:
        return f"'{line}'"
    new = ", ".join(f"{value}: {names[train_id]}" for value, train_id in ids.items() if train_id == IGNORE)
    return f"'{new}' under label_values"
