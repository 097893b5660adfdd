"""`swath models`: a table that fits a terminal, one network in full, JSON."""

from __future__ import annotations

import json

import pytest

from swath.cli.main import main
from swath.networks import list_models


def test_the_table_fits_120_columns_one_line_a_network(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "120")
    pattern = "*lite*"  # the longest names and claims
    assert main(["models", pattern]) == 0
    head, *rows = [line for line in capsys.readouterr().out.splitlines() if line.strip()]
    assert all(len(line) <= 120 and "…" not in line for line in (head, *rows))
    assert [row.split()[0].rstrip("*") for row in rows if not row.startswith("* ")] == list_models(pattern)


def test_one_network_in_full_also_by_the_name_its_authors_gave_it(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["models", "RF-LW-ResNet-50"]) == 0
    shown = capsys.readouterr().out
    assert shown.startswith("rf_lw_resnet50\n")
    for part in ("27,352,915", "78.5 mIoU on voc val", "https://arxiv.org/abs/1810.03272", "625x468"):
        assert part in shown


def test_json_has_measured_and_claimed_side_by_side(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["models", "pidnet_?", "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert [row["name"] for row in rows] == ["pidnet_s", "pidnet_m", "pidnet_l"]
    small = rows[0]
    assert small["macs"] == 47_194_226_688 and small["claims"]["gmacs"] == 47.6 and small["size"] == "2048x1024"
    assert {"recipes", "weights", "licence", "convolution_weights"} <= set(small)


def test_a_pattern_without_a_network_is_a_mistake(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["models", "contextnet99"]) == 2
    assert "did you mean 'contextnet" in capsys.readouterr().err
