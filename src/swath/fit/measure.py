"""Opening configurations, and timing those of one network side by side."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path

import torch

from swath.bench.run import street
from swath.bench.timing import Latency, in_turns
from swath.bench.typical import Typical
from swath.data import Source
from swath.errors import SwathError
from swath.fit import int8
from swath.fit.candidates import Size, Subject, Trial
from swath.fit.outcome import Figure, Settings
from swath.inference import Segmenter, Views
from swath.networks import Network


class Bench:
    """Keeps the network that was built last: what is measured of one network comes together."""

    def __init__(self, settings: Settings, train: Source | None):
        self.settings = settings
        self.train = train  # where ranges of 8 bits come from
        self._last: tuple[Subject, Network] | None = None

    def network(self, subject: Subject) -> Network:
        if self._last is None or self._last[0] is not subject:
            self._last = (subject, subject.build())
        return self._last[1]

    def model(self, trial: Trial) -> Network | Path:
        """What the engine is given."""
        network = self.network(trial.group.subject)
        if trial.way.precision == "int8":
            return int8.file(network, self.train if trial.group.subject.path else None, self.settings.size)
        return network

    def open(self, trial: Trial) -> Segmenter:
        seen, way = trial.group.seen, trial.way
        dtype = "float32" if way.precision == "int8" else way.precision
        segmenter = Segmenter(
            self.model(trial), self.settings.device, engine=way.engine, dtype=dtype, views=Views(size=seen)
        )
        if trial.group.subject.path is None:
            segmenter.runtime = Typical(segmenter.runtime)
        return segmenter

    def time(
        self, trials: Sequence[Trial], seconds: float, least: int, most: int
    ) -> tuple[dict[Trial, Figure], dict[Trial, str]]:
        """Figures of trials in turns, and why some cannot run; about so many seconds for each."""
        calls: dict[Trial, Callable[[], object]] = {}
        failures: dict[Trial, str] = {}
        for trial in trials:
            try:
                calls[trial] = self._call(self.open(trial))
                calls[trial]()
            except (SwathError, RuntimeError) as error:  # torch's own, of a precision it lacks
                calls.pop(trial, None)
                failures[trial] = next(iter(str(error).splitlines()), type(error).__name__)
        if not calls:
            return {}, failures
        device = self.settings.device
        once = [times[0] for times in in_turns(list(calls.values()), 1, 0, device)]
        count = int(max(least, min(most, 1000 * seconds * len(calls) / sum(once))))
        date = datetime.now(UTC).isoformat(timespec="seconds")
        found = {}
        for trial, times in zip(calls, in_turns(list(calls.values()), count, 1, device)):
            latency = Latency.of(times)
            found[trial] = Figure(p50=latency.p50, p90=latency.p90, calls=count, date=date)
        return found, failures

    def _call(self, segmenter: Segmenter) -> Callable[[], object]:
        """As `swath benchmark` has it (bench/run.py)."""
        pixels = torch.from_numpy(street(self.settings.size, segmenter.description.channels)[None])
        if self.settings.stage == "mask":
            return lambda: segmenter.labels(pixels).cpu()
        resident = segmenter.prepare(pixels).to(self.settings.device)
        return lambda: segmenter.runtime.run(resident)


def shown(size: Size) -> str:
    """As people write it."""
    return f"{size[1]}x{size[0]}"
