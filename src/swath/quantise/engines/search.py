"""Which layers stay in float: the fewest of the most sensitive with which a budget of mIoU holds."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

Loss = Callable[[int], float]  # how many of the worst layers are in float -> points of mIoU lost


@dataclass
class Search:
    """What was tried, and what came of it. Losses are in points of mIoU."""

    budget: float
    kept: int = 0
    holds: bool = False
    tried: dict[int, float] = field(default_factory=dict)  # on the subset: layers in float -> loss
    checked: dict[int, float] = field(default_factory=dict)  # on the whole split

    @property
    def loss(self) -> float:
        return self.checked[self.kept]


def search(on_subset: Loss, on_whole: Loss, most: int, budget: float) -> Search:
    """Doubled until the budget holds on the subset, then halved in between; what is found must hold on the whole split,
    else more layers follow, half as many again each time. At most `most` layers; where that is not enough, the least
    loss that was met."""
    found = Search(budget)

    def holds(count: int) -> bool:
        if count not in found.tried:
            found.tried[count] = on_subset(count)
        return found.tried[count] <= budget

    count = _fewest(holds, most)
    while True:
        found.checked[count] = on_whole(count)
        found.holds = found.checked[count] <= budget
        if found.holds or count >= most:
            break
        count = min(most, count + max(1, count // 2))
    found.kept = count if found.holds else min(found.checked, key=lambda each: (found.checked[each], each))
    return found


def _fewest(holds: Callable[[int], bool], most: int) -> int:
    """The fewest layers that do, or `most`."""
    low, high = -1, 0  # the budget does not hold with `low`
    while not holds(high):
        if high >= most:
            return most
        low, high = high, min(most, max(1, 2 * high))
    while high - low > 1:
        middle = (low + high) // 2
        if holds(middle):
            high = middle
        else:
            low = middle
    return high
