"""What is measured, in what order, and what is not: on a made-up device whose times are known."""

from __future__ import annotations

import math
import shlex
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

import swath.fit.fitting as fit_module
import swath.fit.search as search_module
import tiny
from swath import SwathError
from swath.cli.main import build_parser, command_module
from swath.fit import Outcome, Settings, fit
from swath.fit.candidates import Group, Subject, Trial, Way
from swath.fit.measure import Bench
from swath.fit.outcome import Figure
from swath.fit.telling import enough, milliseconds, next_steps, nothing, proposal, summary
from swath.networks import model_info
from swath.training.auto import skeleton

SIZE = (512, 1024)
WAYS = [Way("torch", "float32"), Way("torch", "bfloat16"), Way("openvino", "float32"), Way("openvino", "int8")]
FACTORS = {WAYS[0]: 1.0, WAYS[1]: 0.7, WAYS[2]: 0.5, WAYS[3]: 0.3}
NAMES = ("contextnet14", "fastscnn", "stdc1_seg", "pidnet_s", "ddrnet23_slim", "regseg", "csfcn", "bisenetv2")


class Device:
    """Times by a rule; remembers what it was asked."""

    def __init__(self) -> None:
        self.asked: list[Trial] = []
        self.slow = 1.0
        self.date = ""  # of the figures; now

    def ms(self, trial: Trial) -> float:
        share = math.prod(trial.group.seen) / math.prod(SIZE)
        odd = 1.3 if trial.group.subject.network == "regseg" else 1.0  # nobody is quite as its numbers say
        work = trial.group.subject.macs * 2e-9 + trial.group.subject.outputs * 5e-8
        return self.slow * odd * share * work * FACTORS[trial.way]

    def time(
        self, _: Bench, trials: Sequence[Trial], seconds: float, least: int, most: int
    ) -> tuple[dict[Trial, Figure], dict[Trial, str]]:
        self.asked += trials
        able = [trial for trial in trials if trial.group.subject.network != "csfcn"]
        date = self.date or datetime.now(UTC).isoformat(timespec="seconds")
        figures = {t: Figure(p50=self.ms(t), p90=1.1 * self.ms(t), calls=most, date=date) for t in able}
        return figures, {t: "grid sampling is missing" for t in trials if t not in figures}


@pytest.fixture
def device(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Device]:
    made = Device()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(Bench, "time", lambda *words: made.time(*words))
    monkeypatch.setattr(fit_module, "ways", lambda *_: WAYS)

    def subjects(words: Sequence[str], *_: object) -> Iterator[tuple[str, Subject]]:
        for index, name in enumerate(words):
            yield (
                name,
                Subject(
                    word=name,
                    title=name,
                    network=model_info(name).name,
                    num_classes=19,
                    macs=(index + 1) * 4 * 10**9,
                    outputs=(len(words) - index) * 10**8,
                    parameters=10**6,
                    min_size=(32, 32),
                    key=name,
                ),
            )

    monkeypatch.setattr(fit_module, "subjects", subjects)
    yield made


def settings(latency: float, **more: object) -> Settings:
    return Settings(latency=latency, size=SIZE, words=NAMES, **more)  # type: ignore[arg-type]


@pytest.mark.parametrize("latency", [4.0, 8.0, 15.0, 40.0])
def test_the_proposal_is_the_best_there_is_and_what_is_hopeless_is_not_measured(device: Device, latency: float) -> None:
    found = fit(settings(latency))
    able = [
        (found.yardstick.of(row.trial.group, row.trial.way.precision), device.ms(row.trial))
        for row in found.rows
        if device.ms(row.trial) <= latency
    ]
    best = max((value for value, _ in able if value is not None), default=None)
    assert found.proposal is not None and found.proposal.value == pytest.approx(best)
    assert found.proposal.figure is not None and found.proposal.ms == device.ms(found.proposal.trial) <= latency
    calibrated = 3 * 2  # three networks, by what starts at once
    hopeless = [t for t in device.asked if device.ms(t) > 3 * latency]
    assert len(hopeless) <= calibrated + 4
    assert len(found.measured) < len(found.rows) and found.proposal.front and not found.out_of_time
    assert all("grid sampling" in why for why in found.failures.values())


def test_what_is_known_is_not_measured_again(device: Device) -> None:
    first = fit(settings(15.0))
    asked = len(device.asked)
    second = fit(settings(15.0))
    again = device.asked[asked:]
    assert all(trial.group.subject.network == "csfcn" for trial in again)  # which failed, and may not tomorrow
    assert proposal(second).startswith(proposal(first))
    device.slow = 2.0
    third = fit(settings(15.0, again=True))
    assert third.proposal is not None and third.proposal.ms == device.ms(third.proposal.trial)
    assert third.proposal.value < first.proposal.value  # type: ignore[operator, union-attr]


def test_old_figures_are_told_and_not_proposed_by(device: Device) -> None:
    device.date = "2024-02-03T04:05:06+00:00"
    first = fit(settings(15.0))
    assert "measured on 2024-02-03 04:05 UTC, --again measures anew" in proposal(first), "as though it were so"
    device.date = ""
    device.slow = 3.0  # since then the machine got busy
    asked = len(device.asked)
    second = fit(settings(15.0))
    assert second.proposal is not None and second.proposal.ms == device.ms(second.proposal.trial) <= 15.0
    assert device.asked[asked:] and "measured on" not in proposal(second)
    assert any("earlier runs, the oldest of 2024-02-03 04:05 UTC; --again" in line for line in summary(second))


def test_times_are_rounded_to_where_they_still_do() -> None:
    for value, word in ((1.47, "1.5ms"), (0.31, "0.31ms"), (0.312, "0.32ms"), (0.0101, "0.011ms"), (34.2, "35ms")):
        assert enough(value) == word
    for value in (0.0004, 0.0472, 1.4, 9.99, 99.01, 100, 1234.5):
        read = command_module("fit")._latency(enough(value))
        assert value <= read <= 1.1 * value
    assert [milliseconds(each) for each in (0.001, 0.0123, 1.26, 250.4)] == ["0.001 ms", "0.012 ms", "1.3 ms", "250 ms"]


@pytest.mark.parametrize("way", ["onnxruntime", "openvino", "torch"])
@pytest.mark.parametrize("precision", ["float32", "int8", "bfloat16"])
def test_what_to_do_next_keeps_the_size_that_was_measured(
    device: Device, tmp_path: Path, way: str, precision: str
) -> None:
    found = fit(settings(8.0))
    assert found.proposal is not None
    weights = tiny.weights(tmp_path / "my own.safetensors")
    subject = replace(found.proposal.trial.group.subject, path=weights, word=str(weights))
    for seen, size in (((256, 512), "512x256"), (SIZE, "1024x512")):
        trial = Trial(Group(subject, seen), Way(way, precision))
        steps = next_steps(replace(found, proposal=replace(found.proposal, trial=trial)), "streets", None)
        for _, step in steps:
            if step.startswith("python: "):
                assert f"views=Views(size={seen})" in step
                continue
            _, command, *words = shlex.split(step)
            parsed = build_parser(command).parse_args(words)
            if command == "predict" or (command in ("export", "quantize") and seen != SIZE):
                assert parsed.size == seen and size in words
        labels = [what for what, _ in steps]
        if (way in ("onnxruntime", "openvino") and precision != "bfloat16") or precision == "int8":
            assert labels[-2:] == ["next", "then"] and "my own-" in steps[-1][1]
        else:
            assert labels[-1] == "next"


def test_a_damaged_memory_is_as_good_as_none(device: Device, tmp_path: Path) -> None:
    first = fit(settings(15.0))
    (file,) = (tmp_path / "swath" / "fit").glob("*.json")
    file.write_text("{")
    asked = len(device.asked)
    assert proposal(fit(settings(15.0))) == proposal(first) and len(device.asked) == 2 * asked


def test_it_ends_in_time_and_goes_on(device: Device, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [0.0]

    def slowly(*words: object) -> tuple[dict[Trial, Figure], dict[Trial, str]]:
        clock[0] += 20.0
        return device.time(*words)  # type: ignore[arg-type]

    monkeypatch.setattr(Bench, "time", slowly)
    monkeypatch.setattr(search_module, "monotonic", lambda: clock[0])
    monkeypatch.setattr(fit_module, "monotonic", lambda: clock[0])
    found = fit(settings(15.0, minutes=2.0))
    assert found.out_of_time and clock[0] <= 200
    clock[0] = 0.0
    rest: Outcome = fit(settings(15.0, minutes=60.0))
    assert not rest.out_of_time and len(rest.measured) > len(found.measured)
    assert rest.proposal is not None and found.proposal is not None
    assert (rest.proposal.value or 0) >= (found.proposal.value or 0)


def test_where_nothing_fits_the_fastest_is_measured_and_told(device: Device) -> None:
    found = fit(settings(0.05))
    assert found.proposal is None
    fastest = min((row for row in found.rows), key=lambda row: device.ms(row.trial))
    assert fastest.figure is not None
    said = nothing(found)
    assert said.startswith("nothing keeps 0.05 ms here; the fastest is ") and "--scales 0.25" in said
    assert f"{fastest.trial.group.subject.title} at 512x256" in said and "--latency" in said


def test_the_next_command_trains_what_was_proposed(device: Device) -> None:
    found = fit(settings(8.0))
    assert found.proposal is not None
    *_, (_, first) = next_steps(found, "my streets.yaml", "data")
    name, seen = found.proposal.trial.group.subject.network, found.proposal.trial.group.seen
    assert first.startswith(f"swath train auto --network {name} --card 'my streets.yaml' --data.root data")
    assert (f"--validation.size {seen[1]}x{seen[0]}" in first) == (seen != SIZE)


def test_the_next_command_is_understood(device: Device) -> None:
    found = fit(settings(8.0, scales=(0.5,)))
    *_, (_, first) = next_steps(found, "streets", None)
    assert "--validation.size 512x256" in first
    _, command, *words = shlex.split(first)
    recipe, _ = skeleton(command_module(command).parse(build_parser(command), words).overrides)
    assert found.proposal is not None and recipe.network == found.proposal.trial.group.subject.network
    assert recipe.validation.size == (256, 512)


def test_pictures_too_small_for_any_are_refused(device: Device) -> None:
    with pytest.raises(SwathError, match="--size 20x20: no network takes such pictures"):
        fit(Settings(latency=10, size=(20, 20), words=NAMES))
