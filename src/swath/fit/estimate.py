"""How long something will take, from what was measured of other things: good enough to leave out what is hopeless."""

from __future__ import annotations

from statistics import median

from swath.fit.candidates import Group, Size, Trial, Way

# Of torch in float32, before anything is known of this machine: low, so that nothing is left out by a prejudice.
_PRIOR = {"float32": 0.6, "bfloat16": 0.6, "float16": 0.4, "int8": 0.35}


class Estimator:
    """Milliseconds grow with multiply-accumulates and with the values that layers write; how fast, the first networks
    tell. From then on every measurement corrects what is thought of its network and of its engine."""

    def __init__(self, size: Size, reference: Way):
        self.size = size
        self.reference = reference
        self.known: dict[Trial, float] = {}
        self._speed = (0.0, 0.0)  # milliseconds a multiply-accumulate, and a value

    def learn(self, trial: Trial, ms: float) -> None:
        self.known[trial] = ms
        self._speed = self._fitted()

    def ms(self, trial: Trial) -> float:
        """The measurement itself, where there is one."""
        if trial in self.known:
            return self.known[trial]
        near = [
            ms * _pixels(trial.group) / _pixels(other.group)
            for other, ms in self.known.items()
            if other.way == trial.way and other.group.subject is trial.group.subject
        ]
        if near:
            return median(near)
        plain = Trial(trial.group, self.reference)
        if trial != plain:
            return self.ms(plain) * self._factor(trial.way)
        return self._base(trial.group)

    def _base(self, group: Group) -> float:
        work, written = self._work(group)
        return self._speed[0] * work + self._speed[1] * written

    def _work(self, group: Group) -> tuple[float, float]:
        share = _pixels(group) / (self.size[0] * self.size[1])
        return group.subject.macs * share, group.subject.outputs * share

    def _factor(self, way: Way) -> float:
        """How long this way takes where the first one takes 1."""
        ratios = [
            ms / self.known[plain]
            for trial, ms in self.known.items()
            if trial.way == way and (plain := Trial(trial.group, self.reference)) in self.known
        ]
        return median(ratios) if ratios else _PRIOR[way.precision]

    def _fitted(self) -> tuple[float, float]:
        """Least squares of relative errors over what the first way took; neither speed may be below 0."""
        rows = [
            (work / ms, written / ms)
            for trial, ms in self.known.items()
            if trial.way == self.reference
            for work, written in [self._work(trial.group)]
        ]
        if not rows:
            return self._speed
        aa, bb = sum(a * a for a, _ in rows), sum(b * b for _, b in rows)
        ab, a1, b1 = sum(a * b for a, b in rows), sum(a for a, _ in rows), sum(b for _, b in rows)
        determinant = aa * bb - ab * ab
        if determinant > 1e-9 * aa * bb:
            x, y = (a1 * bb - b1 * ab) / determinant, (b1 * aa - a1 * ab) / determinant
            if x >= 0 and y >= 0:
                return x, y
        alone = [((a1 / aa, 0.0), _error(rows, a1 / aa, 0.0)), ((0.0, b1 / bb), _error(rows, 0.0, b1 / bb))]
        return min(alone, key=lambda each: each[1])[0]


def _error(rows: list[tuple[float, float]], x: float, y: float) -> float:
    return sum((a * x + b * y - 1) ** 2 for a, b in rows)


def _pixels(group: Group) -> int:
    return group.seen[0] * group.seen[1]
