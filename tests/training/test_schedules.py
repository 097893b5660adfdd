"""Learning rates: their values where one can name them, and that nothing but the step decides."""

from __future__ import annotations

import math
from typing import Any

import pytest

from swath.data.windows import WindowSpec
from swath.errors import SwathError
from swath.training import Stage, load_recipe
from swath.training.checking import check_stages
from swath.training.schedules import check_warmup, factor
from swath.training.sources import open_stages

STEPS = 101


def stage(**keys: Any) -> Stage:
    return Stage(**{"iterations": STEPS, "window": WindowSpec(size=(8, 8)), "lr": 1.0, **keys})


@pytest.mark.parametrize("name", ["constant", "poly", "cosine", "onecycle"])
def test_warmup_rises_from_zero_and_ends_at_the_full_rate(name: str) -> None:
    one = stage(schedule=name, warmup=10)
    full = 1 / 25 if name == "onecycle" else 1  # its curve begins low
    assert [factor(one, step, STEPS) for step in (0, 5, 10)] == pytest.approx([0, 0.5 * full, full])


def test_values() -> None:
    assert {factor(stage(schedule="constant"), step, STEPS) for step in range(STEPS)} == {1.0}
    poly = stage(schedule="poly", power=0.9)
    assert factor(poly, 0, STEPS) == 1 and factor(poly, 50, STEPS) == pytest.approx(0.5**0.9)
    assert factor(poly, STEPS - 1, STEPS) == 0
    cosine = stage(schedule="cosine", floor=0.001)
    assert factor(cosine, 0, STEPS) == 1 and factor(cosine, 50, STEPS) == pytest.approx(0.5005)
    assert factor(cosine, STEPS - 1, STEPS) == pytest.approx(0.001)
    cycle = stage(schedule="onecycle", peak=0.3)
    assert factor(cycle, 0, STEPS) == pytest.approx(1 / 25) and factor(cycle, 30, STEPS) == pytest.approx(1)
    assert factor(cycle, STEPS - 1, STEPS) == pytest.approx(0)
    assert max(factor(cycle, step, STEPS) for step in range(STEPS)) == pytest.approx(1)


@pytest.mark.parametrize("name", ["poly", "cosine", "onecycle"])
def test_stages_share_one_schedule(name: str) -> None:
    """Stretches end where the next begins, and lie on the curve of the whole."""
    whole = stage(schedule=name, floor=0.01)
    first, second = stage(schedule=name, floor=0.01, span=(0, 0.4)), stage(schedule=name, floor=0.01, span=(0.4, 1))
    for step in range(41):
        assert factor(first, step, 41) == pytest.approx(factor(whole, step, STEPS))
    for step in range(61):
        assert factor(second, step, 61) == pytest.approx(factor(whole, 40 + step, STEPS))
    eased = stage(schedule=name, floor=0.01, span=(0.4, 1), warmup=10, warmup_from=0.1)
    assert factor(eased, 0, 71) == pytest.approx(0.1 * factor(whole, 40, STEPS))
    assert factor(eased, 10, 71) == pytest.approx(factor(whole, 40, STEPS))


def test_the_settings_of_contextnet() -> None:
    """1000 iterations from 0 to 3e-3, then half a cosine to a thousandth of it."""
    steps = 185_000
    one = stage(iterations=steps, schedule="cosine", warmup=1000, floor=1e-3, lr=3e-3)

    def rate(stage: Stage, step: int, steps: int) -> float:
        return stage.lr * factor(stage, step, steps)

    assert rate(one, 0, steps) == 0 and rate(one, 500, steps) == pytest.approx(1.5e-3)
    assert rate(one, 1000, steps) == 3e-3
    middle = 1000 + (steps - 1001) / 4
    share = (1 + math.cos(math.pi / 4)) / 2
    assert rate(one, round(middle), steps) == pytest.approx(3e-3 * (1e-3 + (1 - 1e-3) * share), rel=1e-4)
    assert rate(one, steps - 1, steps) == pytest.approx(3e-6)


@pytest.mark.parametrize("name", ["constant", "poly", "cosine", "onecycle"])
@pytest.mark.parametrize("steps", [1, 2, 3, 50])
def test_always_a_rate(name: str, steps: int) -> None:
    for peak in (0.0, 0.3, 1.0):
        one = stage(schedule=name, peak=peak)
        assert all(0 <= factor(one, step, steps) <= 1 for step in range(steps))


def test_a_warmup_that_never_ends_is_refused() -> None:
    with pytest.raises(
        SwathError, match="has 20 iterations and a warmup of 1000; give a shorter one, such as --warmup 2"
    ):
        check_warmup(stage(warmup=1000), 20)
    check_warmup(stage(warmup=19), 20)


def test_in_a_recipe_of_several_stages_the_one_meant_is_named() -> None:
    pytest.importorskip("torch_pruning")
    short = {"epochs": "none", "iterations": "3", "warmup": "0"}
    keys = [(f"stages.{number}.{key}", [value]) for number in range(4) for key, value in short.items()]
    keys.append(("stages.2.warmup", ["9"]))
    recipe = load_recipe("streets-compressed", keys)
    with pytest.raises(SwathError, match=r"such as --stages\.2\.warmup 0"):
        check_stages(recipe, open_stages(recipe))


def test_sgdr() -> None:
    """Spec lightnet.md, section 11: a first period of 20 iterations, t from 1."""
    one = stage(schedule="sgdr", period=2)
    wanted = {
        1: 0.9938441703,
        10: 0.5,
        20: 0,
        21: 0.9984586669,
        40: 0.5,
        60: 0,
        61: 0.9996145181,
        140: 0,
        141: 0.9999036202,
    }
    for t, value in wanted.items():
        assert factor(one, t - 1, 1000, an_epoch=10) == pytest.approx(value, abs=1e-10), t


@pytest.mark.parametrize(
    ("cycle", "wanted"),
    [
        ("triangular", [0.001, 0.0035, 0.006, 0.0035, 0.001, 0.006, 0.006]),
        ("triangular2", [0.001, 0.0035, 0.006, 0.0035, 0.001, 0.0035, 0.00225]),
        ("exp_range", [0.001, 0.0033780141, 0.0055239607, 0.0031516085, 0.001, 0.0047035352, 0.0040318947]),
    ],
)
def test_cyclical(cycle: str, wanted: list[float]) -> None:
    """The same section: 1e-3 to 6e-3, half a cycle of 100 iterations."""
    one = stage(schedule="cyclical", cycle=cycle, period=4, lr=6e-3, floor=1 / 6, gamma=0.999)
    found = [one.lr * factor(one, t, 1000, an_epoch=25) for t in (0, 50, 100, 150, 200, 300, 500)]
    assert found == pytest.approx(wanted, abs=1e-10)


def test_steps_and_warmup_before_cycles() -> None:
    one = stage(schedule="steps", period=2, drop=0.5)
    assert [factor(one, step, 100, an_epoch=5) for step in (0, 9, 10, 19, 20)] == [1, 1, 0.5, 0.5, 0.25]
    late = stage(schedule="steps", period=2, drop=0.5, warmup=4)
    assert [factor(late, step, 100, an_epoch=5) for step in (0, 2, 4, 9, 10)] == [0, 0.5, 1, 1, 0.5]


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"schedule": "sgdr"}, "need a period"),
        ({"schedule": "poly", "period": 3}, "the others have none"),
        ({"schedule": "steps", "period": 0}, "must be above 0"),
        ({"schedule": "steps", "period": 3, "span": (0, 0.5)}, "goes by its period"),
        ({"span": (0.5, 0.5)}, "0 <= from < to <= 1"),
        ({"ema": 0.9, "swa": 1.0}, "take one"),
    ],
)
def test_contradictions_are_refused(keys: dict[str, Any], message: str) -> None:
    with pytest.raises(SwathError, match=message):
        stage(**keys)
