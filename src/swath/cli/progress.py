"""The bar of commands that go through several steps."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from swath.watching import Watch


@contextmanager
def watched() -> Iterator[Watch]:
    """A bar a step, with the time left; silent where nobody watches."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeRemainingColumn

    console = Console(stderr=True)
    columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    with Progress(
        *columns, TimeRemainingColumn(), console=console, disable=not console.is_terminal, transient=True
    ) as bar:
        task, current = bar.add_task("", total=None), ""

        def watch(what: str, done: int = 0, total: int | None = None) -> None:
            nonlocal task, current
            if what != current:
                bar.remove_task(task)
                task, current = bar.add_task(what, total=total), what
            bar.update(task, completed=done, total=total)

        yield watch
