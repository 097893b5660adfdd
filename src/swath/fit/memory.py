"""What was measured before, on this device with these versions, in the cache folder: a run can be stopped and gone on
with, and the next budget costs nothing."""

from __future__ import annotations

import contextlib
import hashlib
import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from swath.errors import SwathError
from swath.files import atomic_write, cache_folder
from swath.fit.candidates import Size, Trial
from swath.fit.outcome import Figure

_MACHINE = ("device", "cpu", "threads", "versions")


class Memory:
    """One file a device and set of versions; what is damaged is as good as nothing."""

    def __init__(self, manifest: dict[str, Any], again: bool = False):
        self.machine = {key: manifest[key] for key in _MACHINE}
        self.again = again  # only what this run has measured counts
        self._figures: dict[str, dict[str, Any]] = {}
        self._scores: dict[str, float] = {}
        key = hashlib.sha256(json.dumps(self.machine, sort_keys=True).encode()).hexdigest()[:32]
        folder = own_folder()
        self._path = folder / f"{key}.json" if folder else None
        if not again:
            self._figures, self._scores = self._read()

    def figure(self, trial: Trial, size: Size, stage: str) -> Figure | None:
        told = self._figures.get(_name(trial, size, stage))
        return Figure(**told) if told else None

    def keep(self, trial: Trial, size: Size, stage: str, figure: Figure) -> None:
        self._figures[_name(trial, size, stage)] = asdict(figure)

    def score(self, name: str) -> float | None:
        return self._scores.get(name)

    def keep_score(self, name: str, value: float) -> None:
        self._scores[name] = value

    def write(self) -> None:
        """Beside what another run may have written meanwhile. A folder that is full or closed costs only the memory."""
        if self._path is None:
            return
        figures, scores = self._read()
        told = {
            "machine": self.machine,
            "figures": {**figures, **self._figures},
            "scores": {**scores, **self._scores},
        }
        with contextlib.suppress(SwathError), atomic_write(self._path, "w") as file:
            json.dump(told, file, indent=1)

    def _read(self) -> tuple[dict[str, dict[str, Any]], dict[str, float]]:
        try:
            assert self._path is not None
            told = json.loads(self._path.read_text("utf-8"))
            figures = {str(name): asdict(Figure(**each)) for name, each in told["figures"].items()}
            return figures, {str(name): float(each) for name, each in told["scores"].items()}
        except (OSError, ValueError, KeyError, TypeError, AttributeError, AssertionError):
            return {}, {}


def own_folder() -> Path | None:
    """None where the user has no home, as made-up users of containers."""
    try:
        return cache_folder() / "fit"
    except RuntimeError:
        return None


def _name(trial: Trial, size: Size, stage: str) -> str:
    seen, way = trial.group.seen, trial.way
    shown = f"{size[1]}x{size[0]} as {seen[1]}x{seen[0]}"
    return f"{trial.group.subject.key} {shown} {way.engine} {way.precision} {stage}"
