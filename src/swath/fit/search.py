"""In what order things are measured, and what is not measured at all."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from time import monotonic

from swath.fit.candidates import Group, Trial, Way
from swath.fit.estimate import Estimator
from swath.fit.measure import Bench, shown
from swath.fit.memory import Memory
from swath.fit.outcome import Figure, Settings
from swath.fit.value import Yardstick, by_capacity
from swath.watching import Watch

_NEAR = 1.5  # times the budget: what is estimated to be slower is not measured
_BEATEN = 0.75  # of an estimate: who is as good and takes no longer than that makes it needless
_LOOK = (1.5, 5, 14)  # seconds, and calls at least and at most, of a first measurement
_SURE = (8.0, 15, 60)  # and of the ones that are told as a prediction
_FRESH = 3600  # seconds that a figure is good enough to be proposed by: tomorrow the machine does other things
_CONTENDERS = 5  # that are measured so, at most
_FOR_SEARCH = 0.75  # of the time; the rest is for scores, and for measuring the best once more


@dataclass
class Search:
    """What is known so far."""

    settings: Settings
    groups: Sequence[Group]
    ways: Sequence[Way]
    bench: Bench
    memory: Memory
    yardstick: Yardstick
    watch: Watch
    began: float
    figures: dict[Trial, Figure] = field(default_factory=dict)
    failures: dict[Trial, str] = field(default_factory=dict)
    visited: set[Trial] = field(default_factory=set)  # by this run
    out_of_time: bool = False

    def __post_init__(self) -> None:
        self.estimator = Estimator(self.settings.size, self.ways[0])
        self._capacity = by_capacity(self.settings.size)
        self._slowest = 0.0  # seconds that a visit with a conversion took
        for group in self.groups:
            for trial in self.trials(group):
                figure = self.memory.figure(trial, self.settings.size, self.settings.stage)
                if figure is not None:
                    self.figures[trial] = figure
                    self.estimator.learn(trial, figure.p50)

    def trials(self, group: Group) -> list[Trial]:
        """Weights that were trained with 8 bits keep them."""
        ways = [way for way in self.ways if way.precision == "float32"] if group.subject.quantised else self.ways
        return [Trial(group, way) for way in ways]

    def value(self, trial: Trial) -> float | None:
        return self.yardstick.of(trial.group, trial.way.precision)

    def calibrate(self) -> None:
        """A light, a middling and a heavy network on small pictures, by all that starts at once."""
        of_one = groupby(self.groups, lambda group: group.subject.title)
        smallest = [min(each, key=lambda group: group.seen) for _, each in of_one]
        ordered = sorted(smallest, key=lambda group: group.gmacs(self.settings.size))
        chosen = list(dict.fromkeys((ordered[0], ordered[len(ordered) // 3], ordered[2 * len(ordered) // 3])))
        for done, group in enumerate(chosen):
            self.watch(f"how fast is this device? {_who(group)}", done, len(chosen))
            # the first way is what the others are estimated from, wherever it is quick to start
            self._visit([t for t in self._open(group) if not t.way.converts or t.way == self.ways[0]])

    def look(self) -> None:
        """What may keep the budget or nearly does, the best first: by engines that start at once, then by those that
        need a file made, for whom the best few are enough."""
        for converts in (False, True):
            done = 0
            while plan := self._plan(converts):
                if not self._has_time(_FOR_SEARCH, self._slowest if converts else 0.0):
                    self.out_of_time = True
                    break
                group, trials = plan[0]
                what = "converting and measuring" if converts else "measuring"
                self.watch(f"{what} {_who(group)}", done, done + len(plan))
                start = monotonic()
                self._visit(trials)
                done += 1
                if converts:
                    self._slowest = max(self._slowest, monotonic() - start)
        if not any(figure.p50 <= self.settings.latency for figure in self.figures.values()):
            self._fastest()

    def score(self, known: Callable[[Trial], bool], find: Callable[[Trial], None]) -> None:
        """Ask for the worth of all that nearly keeps the budget, the largest first."""
        near = [trial for trial in self.figures if self.figures[trial].p50 <= 1.25 * self.settings.latency]
        near = [trial for trial in near if trial.group.subject.path is not None]
        near.sort(key=lambda trial: (-self._rank(trial.group)[1], self.figures[trial].p50))
        todo = [trial for trial in near if not known(trial)]
        asked: dict[tuple[Group, str], Trial] = {}
        for trial in todo:
            asked.setdefault((trial.group, trial.way.precision), trial)
        for done, trial in enumerate(asked.values()):
            if done and not self._has_time(0.95):
                self.out_of_time = True
                return
            self.watch(f"scoring {_who(trial.group)}, {trial.way.precision}", done, len(asked))
            find(trial)
            self.memory.write()

    def make_sure(self) -> None:
        """Measure the best for longer and alone, as it will run, until the best of all is one that was. What is known
        from another day is looked at first: if the machine is slower now, much of it no longer fits."""
        left = _CONTENDERS
        while left:
            able = [t for t in self.figures if self.value(t) is not None and self._may_fit(t)]
            best = min(able, key=lambda t: (-(self.value(t) or 0), self.figures[t].p50), default=None)
            if best is None or self._is_sure(best):
                return
            if self._is_fresh(best):
                left -= 1
                self.watch(f"measuring {_who(best.group)} for longer")
                self._visit([best], _SURE)
            elif self._has_time(1.0):
                self.watch(f"measuring {_who(best.group)} again")
                self._visit([best])
            else:
                self.out_of_time = True
                return
            if best in self.failures:  # it ran once
                del self.figures[best]

    def _is_sure(self, trial: Trial) -> bool:
        return self.figures[trial].calls >= _SURE[1] and self._is_fresh(trial)

    def _is_fresh(self, trial: Trial) -> bool:
        return trial in self.visited or self.figures[trial].seconds_old() < _FRESH

    def _may_fit(self, trial: Trial) -> bool:
        """What was only looked at may be a little faster than it seemed."""
        air = 1.0 if self._is_sure(trial) else 1.1
        return self.figures[trial].p50 <= air * self.settings.latency

    def _plan(self, converts: bool) -> list[tuple[Group, list[Trial]]]:
        """What is worth a measurement now, the best first."""
        found = []
        for group in self.groups:
            trials = [t for t in self._open(group) if t.way.converts == converts]
            worth = [t for t in trials if self._worth(t)]
            if worth:  # what one conversion serves is measured together: that teaches most for the time
                found.append((group, trials if converts else worth))
        return sorted(found, key=lambda each: self._rank(each[0]), reverse=True)

    def _worth(self, trial: Trial) -> bool:
        estimate = self.estimator.ms(trial)
        if estimate > _NEAR * self.settings.latency:
            return False
        own = [each for each in self.figures if each.group == trial.group]
        if trial.way.converts and any(self.figures[each].p50 <= estimate for each in own):
            return False
        value = self.value(trial)
        if value is None:
            return True
        for other, figure in self.figures.items():
            worth = self.value(other)
            if worth is not None and worth >= value and figure.p50 <= _BEATEN * estimate:
                return False
        return True

    def _rank(self, group: Group) -> tuple[bool, float]:
        """By the yardstick; by capacity where that is not known yet."""
        value = self.yardstick.of(group, "float32")
        if value is not None and self.yardstick.kind != "scored":
            return True, value
        return group.subject.path is not None, self._capacity.of(group, "float32") or 0.0

    def _fastest(self) -> None:
        """Nothing keeps the budget: what comes nearest is said from a measurement."""
        trials = [trial for group in self.groups for trial in self._open(group)]
        if trials:
            group = min(trials, key=self.estimator.ms).group
            self.watch(f"measuring the fastest, {_who(group)}")
            self._visit(self._open(group))

    def _open(self, group: Group) -> list[Trial]:
        return [each for each in self.trials(group) if each not in self.figures and each not in self.failures]

    def _visit(self, trials: Sequence[Trial], how: tuple[float, int, int] = _LOOK) -> None:
        if not trials:
            return
        found, failures = self.bench.time(trials, *how)
        self.failures.update(failures)
        self.visited.update(found)
        for trial, figure in found.items():
            self.figures[trial] = figure
            self.estimator.learn(trial, figure.p50)
            self.memory.keep(trial, self.settings.size, self.settings.stage, figure)
        self.memory.write()

    def _has_time(self, share: float, needed: float = 0.0) -> bool:
        return monotonic() - self.began + needed < 60 * self.settings.minutes * share

    def all_trials(self) -> Iterator[Trial]:
        for group in self.groups:
            yield from self.trials(group)


def _who(group: Group) -> str:
    return f"{group.subject.title} at {shown(group.seen)}"
