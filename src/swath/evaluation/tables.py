"""Scores as tables for a terminal."""

from __future__ import annotations

from rich import box
from rich.console import Console
from rich.table import Table

from swath.evaluation.boundary import BoundaryScores
from swath.evaluation.metrics import Score, Scores
from swath.evaluation.tasks import NUMBERS, TaskScores, in_words, numbers


def show(scores: Scores, title: str, console: Console | None = None) -> None:
    """Everything, for a person to read."""
    console = console or Console()
    console.print(title, style="bold", markup=False, soft_wrap=True)  # never cut: it is there to be copied
    console.print(_classes(scores))
    if scores.boundary:
        console.print(_boundaries(scores.boundary))
    for line in _means(scores):
        console.print(line, markup=False)


def show_tasks(scores: TaskScores, title: str, console: Console | None = None) -> None:
    """The numbers of every task: of the segmentation all, of the others what they are measured in."""
    console = console or Console()
    said = numbers(scores)
    for task, each in scores.items():
        if isinstance(each, Scores):
            show(each, f"{title}: {task}", console)
    for task in scores:
        told = [f"{name} {in_words(said[key], unit)}" for key, name, unit in NUMBERS.get(task, ())]
        if told:
            console.print("   ".join(told))


def percent(score: Score) -> str:
    """As the tables of this field print it."""
    return "absent" if score is None else f"{100 * score:.2f}"


def _classes(scores: Scores) -> Table:
    """One row a class, then one a category; the bars show the IoU."""
    table = Table(box=box.SIMPLE_HEAD)
    table.add_column("class")
    objects, boundary = scores.instances, scores.boundary
    middle = _middle(boundary) if boundary else 0
    headings = ["IoU", "iIoU"] if objects else ["IoU"]
    headings += ["accuracy", f"F {boundary.widths[middle]} px"] if boundary else ["accuracy"]
    for heading in (*headings, "pixels"):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("", no_wrap=True)
    truth = scores.counts.sum(axis=1)
    for index, (name, iou) in enumerate(zip(scores.class_names, scores.class_iou)):
        row = [name, percent(iou)]
        if objects:
            row.append(percent(objects.class_iiou[name]) if name in objects.class_iiou else "")
        row.append(percent(scores.class_accuracy[index]))
        if boundary:
            row.append(percent(boundary.class_f[middle][index]))
        table.add_row(*row, f"{truth[index]:,}", _bar(iou))
    if scores.category_iou:
        table.add_section()
    for name, iou in scores.category_iou.items():
        row = [f"({name})", percent(iou)]
        if objects:
            row.append(percent(objects.category_iiou[name]) if name in objects.category_iiou else "")
        row += [""] * (3 if boundary else 2)
        table.add_row(*row, _bar(iou))
    return table


def _boundaries(scores: BoundaryScores) -> Table:
    """One column a width."""
    table = Table(box=box.SIMPLE_HEAD, title="boundaries, mean over classes", title_justify="left")
    table.add_column("")
    for width in scores.widths:
        table.add_column(f"{width} px", justify="right")
    table.add_row("F within so many pixels", *map(percent, scores.mean_f))
    table.add_row("IoU in bands of so many pixels", *map(percent, scores.trimap_miou))
    return table


def _middle(scores: BoundaryScores) -> int:
    return (len(scores.widths) - 1) // 2


def _means(scores: Scores) -> list[str]:
    lines = [
        f"mIoU {percent(scores.miou)}   category mIoU {percent(scores.category_miou)}   "
        f"pixel accuracy {percent(scores.pixel_accuracy)}   mean accuracy {percent(scores.mean_accuracy)}   "
        f"frequency-weighted IoU {percent(scores.frequency_weighted_iou)}   Dice {percent(scores.mean_dice)}"
    ]
    if scores.instances:
        lines.append(
            f"iIoU {percent(scores.instances.mean_class_iiou)}   "
            f"category iIoU {percent(scores.instances.mean_category_iiou)}"
        )
    if scores.absent:
        lines.append(f"absent, and left out of the means: {', '.join(scores.absent)}")
    return lines


def _bar(score: Score) -> str:
    if score is None:
        return ""
    eighths = round(score * 20 * 8)
    rest: str = " ▏▎▍▌▋▊▉"[eighths % 8]
    return "█" * (eighths // 8) + rest.strip()
