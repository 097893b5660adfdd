"""What a person sees while a run goes on: a bar in a terminal, plain lines in a file or a pipe."""

from __future__ import annotations

import contextlib
import time
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn


class Display:
    """Lines go to the screen and to the run's log.txt; the bar stays below them. Without a log nothing is shown."""

    def __init__(self, log: Path | None, console: Console | None = None):
        self.console = console or Console(highlight=False, soft_wrap=True, quiet=log is None)
        self.log = log
        self._progress: Progress | None = None
        self._task: TaskID | None = None
        self.pace = Pace()

    def line(self, text: str) -> None:
        """Print a line, and keep it."""
        if not self.log:
            return
        self.console.print(text, markup=False)
        with contextlib.suppress(OSError), self.log.open("a", encoding="utf-8") as file:
            file.write(text + "\n")  # on a full disk the next checkpoint says so, and how to go on

    def start(self, done: int, total: int) -> None:
        """Begin to count a stage."""
        self.stop()
        self.pace = Pace(done, total)
        if self.log and self.console.is_terminal:
            text = TextColumn("{task.description}  {task.fields[detail]}")  # fits into 80 columns
            self._progress = Progress(BarColumn(10), text, console=self.console, transient=True)
            self._task = self._progress.add_task("", total=total, completed=done, detail="")
            self._progress.start()

    def show(self, title: str, done: int, detail: str) -> None:
        """Move the bar."""
        if self._progress and self._task is not None:
            self._progress.update(self._task, description=title, completed=done, detail=detail)

    def stop(self) -> None:
        """Take the bar away."""
        if self._progress:
            self._progress.stop()
            self._progress = None


class Pace:
    """How fast a stage goes: pictures a second, the share of the time spent waiting for data, the time left."""

    def __init__(self, done: int = 0, total: int = 0):
        self._first, self.done, self.total = done, done, total
        self._began = time.monotonic()
        self.training = self.waiting = 0.0
        self.images = 0

    def step(self, waited: float, took: float, images: int) -> None:
        """One more iteration, `took` seconds in all, `waited` of them for data."""
        self.done += 1
        self.waiting += waited
        self.training += took
        self.images += images

    def __str__(self) -> str:
        speed = self.images / self.training if self.training else 0.0
        wait = self.waiting / self.training if self.training else 0.0
        left = f"  {duration(self.left())} left" if self.done < self.total else ""
        return f"{speed:.1f} images/s  waiting {wait:.0%}{left}"

    def left(self) -> float:
        """Seconds to go, if everything (validations too) goes on as until now."""
        done = self.done - self._first
        return (time.monotonic() - self._began) / done * (self.total - self.done) if done else 0.0


def counted(number: int, what: str) -> str:
    """1 thread, 2 threads, no threads."""
    return f"{number or 'no'} {what}{'' if number == 1 else 's'}"


def duration(seconds: float) -> str:
    """5 s, 3:20 min, 2:05 h or 3.1 days."""
    if seconds < 60:
        return f"{seconds:.0f} s"
    if seconds < 3600:
        return f"{int(seconds // 60)}:{int(seconds % 60):02d} min"
    if seconds < 48 * 3600:
        return f"{int(seconds // 3600)}:{int(seconds % 3600 // 60):02d} h"
    return f"{seconds / 86400:.1f} days"
