"""The diagnosis as a person reads it in a terminal."""

from __future__ import annotations

from rich import box
from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from swath.doctor.balance import Balance
from swath.doctor.diagnosis import Diagnosis, SplitFacts
from swath.doctor.findings import Group, grouped

_FILES = 4  # of a group that are named
_SIGNS = {"error": ("✖", "bold red"), "warning": ("▲", "yellow"), "note": ("·", "cyan")}


def show(diagnosis: Diagnosis, console: Console) -> None:
    """Splits, class balance, findings with the worst first, and the verdict."""
    console.print(_splits(diagnosis))
    if balanced := [split for split in diagnosis.splits if split.balance.pixels.any()]:
        console.print(_balance(diagnosis, balanced))
    groups = grouped(diagnosis.findings)
    for group in groups:
        _findings(group, console)
    console.print(_verdict(diagnosis, groups))


def sizes_in_words(split: SplitFacts) -> str:
    """`480 x 360`, or how many sizes there are and their range."""
    if not split.sizes:
        return "-"
    if len(split.sizes) == 1:
        height, width = next(iter(split.sizes))
        return f"{width} x {height}"
    by_area = sorted(split.sizes, key=lambda size: size[0] * size[1])
    (low, narrow), (high, wide) = by_area[0], by_area[-1]
    return f"{len(split.sizes)} sizes, {narrow} x {low} to {wide} x {high}"


def _splits(diagnosis: Diagnosis) -> Table:
    title = f"{diagnosis.card.name} in {diagnosis.root}"
    table = Table(box=box.SIMPLE_HEAD, title=Text(title, "bold"), title_justify="left")
    table.add_column("split", no_wrap=True)
    table.add_column("layout", no_wrap=True)
    for heading in ("pictures", "examined", "labels", "ignored"):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("size")
    for split in diagnosis.splits:
        balance = split.balance
        table.add_row(
            split.name,
            split.reading.layout,
            f"{split.pictures:,}",
            f"{len(split.pairs):,}",
            f"{balance.labels:,}",
            f"{100 * balance.ignored_share:.1f} %" if balance.labels else "-",
            sizes_in_words(split),
        )
    return table


def _balance(diagnosis: Diagnosis, splits: list[SplitFacts]) -> Table:
    """The first split in full, of the others the shares: those of train and val should be alike."""
    first, *others = splits
    balance = first.balance
    table = Table(box=box.SIMPLE_HEAD, title=f"class balance, and weights from {first.name}", title_justify="left")
    table.add_column("class")
    table.add_column(first.name, justify="right", no_wrap=True)
    table.add_column("", no_wrap=True, min_width=16)
    for heading in ("pictures", "log", "median", *(split.name for split in others)):
        table.add_column(heading, justify="right", no_wrap=True)
    most = float(balance.shares.max())
    weights = zip(balance.weights("log"), balance.weights("median"))
    for index, (info, (log, median)) in enumerate(zip(diagnosis.card.classes, weights)):
        name = Text("■ ", "rgb({},{},{})".format(*info.color)).append(info.name, "default")
        bar = _bar(balance.shares[index] / most)
        shares = [_percent(split.balance, index) for split in splits]
        pictures = f"{balance.pictures[index]:,}"
        table.add_row(name, shares[0], bar, pictures, f"{log:.2f}", f"{median:.3g}", *shares[1:])
    return table


def _percent(balance: Balance, index: int) -> Text:
    share = balance.shares[index]
    if not share:
        return Text("never", "yellow")
    return Text(f"{100 * share:.2f} %" if share >= 0.0001 else "< 0.01 %")


def _bar(share: float) -> str:
    eighths = round(share * 16 * 8)
    return "█" * (eighths // 8) + " ▏▎▍▌▋▊▉"[eighths % 8].strip()


def _findings(group: Group, console: Console) -> None:
    sign, style = _SIGNS[group.level]
    count = f" ({len(group.findings):,})" if len(group.findings) > 1 else ""
    title = Text(f"{sign} {group.level} ", style).append(f"{group.split}: {group.title}{count}", "bold default")
    console.print(title)
    for finding in group.findings[:_FILES]:
        line = Text(finding.file + ("  " if finding.file else ""), "cyan").append(finding.message, "default")
        console.print(Padding(line, (0, 0, 0, 4), expand=False))
    if len(group.findings) > _FILES:
        console.print(Padding(Text(f"… and {len(group.findings) - _FILES:,} more", "dim"), (0, 0, 0, 4), expand=False))
    for advice in group.advices[:2]:
        console.print(Padding(Text("→ ", "green").append(advice, "default"), (0, 0, 0, 4), expand=False))
    console.print()


def _verdict(diagnosis: Diagnosis, groups: list[Group]) -> Text:
    pace = diagnosis.examined / max(diagnosis.seconds, 1e-9)
    looked = f"{diagnosis.examined:,} pictures in {diagnosis.seconds:.1f} s ({pace:.0f} a second)"
    counts = {level: sum(len(group.findings) for group in groups if group.level == level) for level in _SIGNS}
    said = [f"{count:,} {level}{'s' * (count > 1)}" for level, count in counts.items() if count]
    if not groups:
        return Text("✔ nothing wrong ", "bold green").append(f"in {looked}", "default")
    if diagnosis.fit:
        return Text("✔ a training may start", "bold green").append(f": {', '.join(said)} in {looked}", "default")
    return Text("✖ a training should not start", "bold red").append(f": {', '.join(said)} in {looked}", "default")
