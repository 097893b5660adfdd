"""Weights of classes by the rules of the specs, with their figures."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from swath.cards import load_card
from swath.data.windows import WindowSpec
from swath.errors import SwathError
from swath.training import Stage
from swath.training.class_weights import WEIGHTS, class_weights, count

PIXELS, PICTURES = np.array([1000, 200, 50, 10]), np.array([10, 10, 5, 2])


def stage(**keys: Any) -> Stage:
    return Stage(iterations=10, window=WindowSpec(size=(32, 32)), lr=0.1, **keys)


@pytest.mark.parametrize(
    ("rule", "wanted"),
    [
        ("log", [1.6797072788, 6.0813296710, 17.2504886384, 36.2931584576]),
        ("median", [0.15, 0.75, 1.5, 3.0]),
        ("inverse", [0.315, 1.575, 6.3, 31.5]),
    ],
)
def test_the_rules(rule: str, wanted: list[float]) -> None:
    assert WEIGHTS[rule](PIXELS, PICTURES).tolist() == pytest.approx(wanted, rel=1e-10)
    with_absent = WEIGHTS[rule](np.append(PIXELS, 0), np.append(PICTURES, 0))
    assert np.isfinite(with_absent).all() and with_absent[-1] == with_absent.max()
    if rule == "median":
        assert with_absent.tolist() == pytest.approx([*wanted, 3.0]), "an absent class moves no median"


@pytest.mark.parametrize("rule", ["median", "inverse"])
def test_a_data_set_is_counted(shapes: Path, rule: Any) -> None:
    source = load_card(shapes / "card.yaml").open("train")
    pixels, pictures = count(source)
    labels = [source.labels(i) for i in range(len(source))]
    assert pixels.tolist() == [sum(int((each == c).sum()) for each in labels) for c in range(3)]
    assert pictures.tolist() == [sum(bool((each == c).any()) for each in labels) for c in range(3)]
    weights = class_weights(stage(class_weights=rule), source)
    assert weights is not None
    assert weights.tolist() == pytest.approx(WEIGHTS[rule](pixels, pictures).tolist(), rel=1e-6)


def test_a_share_needs_weights() -> None:
    assert stage(class_weights="log", class_weight_share=0.2).class_weight_share == 0.2
    with pytest.raises(SwathError, match=r"class_weight_share is 0\.2, but class_weights is none"):
        stage(class_weight_share=0.2)
    with pytest.raises(SwathError, match=r"class_weight_share is 1\.5, it must lie between 0 and 1"):
        stage(class_weights="log", class_weight_share=1.5)
