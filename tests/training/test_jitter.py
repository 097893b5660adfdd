"""Colors on a device: the same pictures, the same training, to the bit, as where the loader paints them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from torch import Tensor

import swath
from swath.cards import load_card
from swath.data import WindowSpec
from swath.data.colors import MATRIX, SHIFTS, draw, paint
from swath.data.windows import planes
from swath.training import load_recipe
from swath.training.graphs import Graph
from swath.training.jitter import mixed, recolored, shifted
from swath.training.replay import Replayed, replay, write_replay
from swath.training.sources import open_stages
from swath.training.stage import StageRun
from swath.training.tasks import build_network
from waiting import NoWaiting

JITTER = ["brightness", "contrast", "saturation", "hue"]
DEVICES = ["cpu", pytest.param("cuda", marks=pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU"))]


def pictures(spec: WindowSpec, count: int = 5, size: tuple[int, int] = (45, 70)) -> tuple[dict[str, Tensor], Tensor]:
    """A batch with its numbers, and the same batch painted by the loader."""
    rng = np.random.default_rng(0)
    images = [rng.integers(0, 256, (*size, 3), dtype=np.uint8) for _ in range(count)]
    images[1][:] = images[1][..., :1]  # greys
    images[2][:] = (255, 0, 0)
    drawn = [draw(image, spec, rng) for image in images]
    done = [planes(paint(image, colors)) for image, colors in zip(images, drawn)]
    batch = {name: torch.from_numpy(np.stack([colors[name] for colors in drawn])) for name in drawn[0]}
    batch["image"] = torch.from_numpy(np.stack([planes(image) for image in images]))
    return batch, torch.from_numpy(np.stack(done))


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("most", [0.2, 0.5, 1.0])
def test_a_matrix_gives_the_loaders_bytes(most: float, device: str) -> None:
    spec = WindowSpec((8, 8), jitter=0.8, **{name: min(most, 0.5) if name == "hue" else most for name in JITTER})
    batch, wanted = pictures(spec, count=30)
    seen = recolored({name: each.to(device) for name, each in batch.items()})
    assert set(seen) == {"image"} and seen["image"].dtype == torch.float32
    assert torch.equal(seen["image"].cpu(), wanted.float())


@pytest.mark.parametrize("device", DEVICES)
def test_all_bytes_survive_a_matrix_that_changes_nothing(device: str) -> None:
    every = torch.arange(256, device=device).repeat(3).reshape(1, 3, 16, 16).float()
    assert torch.equal(mixed(every, torch.eye(3, 4, device=device)[None]), every)


@pytest.mark.parametrize("device", DEVICES)
def test_shifts_differ_from_opencv_by_one_at_most(device: str) -> None:
    batch, wanted = pictures(WindowSpec((8, 8), jitter=0.8, hsv=(90, 120, 120)), count=30, size=(64, 96))
    got = shifted(batch["image"].float().to(device), batch[SHIFTS].to(device)).cpu()
    off = (got - wanted).abs()
    assert off.max() <= 1 and (off > 0).float().mean() < 0.1
    still = ~batch[SHIFTS].any(1)
    assert still.any() and torch.equal(got[still], batch["image"][still].float())


@pytest.mark.parametrize("device", DEVICES)
def test_shifts_are_exact(device: str) -> None:
    """There by OpenCV's own HSV bytes, back in whole numbers: 256 greens and blues by some reds, and some shifts."""
    grid = np.arange(256, dtype=np.uint8)
    for red, shifts in zip(range(0, 256, 17), np.random.default_rng(0).integers(-60, 60, (16, 3))):
        image = np.stack(np.broadcast_arrays(np.uint8(red), grid[:, None], grid[None]), -1).copy()
        hue, *others = np.moveaxis(cv2.cvtColor(image, cv2.COLOR_RGB2HSV).astype(np.int64), -1, 0)
        saturation, value = (np.clip(each + add, 0, 255) for each, add in zip(others, shifts[1:]))
        away = ((hue + shifts[0] + turn) % 180 for turn in (150, 90, 30))  # from where a color is whole, 60 degrees on
        lacks = [np.clip(np.minimum(each, 120 - each), 0, 30) for each in away]
        wanted = np.stack([value * (30 * 255 - saturation * each) // (30 * 255) for each in lacks])
        add = torch.from_numpy(shifts.astype(np.float32))[None].to(device)
        got = shifted(torch.from_numpy(planes(image))[None].float().to(device), add)[0].cpu()
        assert np.array_equal(got.numpy(), wanted)


def test_shifts_and_matrix_follow_each_other() -> None:
    spec = WindowSpec((8, 8), hsv=(20, 30, 20), brightness=0.2, contrast=0.2)
    batch, wanted = pictures(spec, size=(64, 96))
    off = (recolored(batch)["image"] - wanted).abs()
    assert off.max() <= 2 and off.mean() < 0.1


def test_a_painted_batch_stays_as_it_is() -> None:
    batch = {"image": torch.zeros(1, 3, 4, 4, dtype=torch.uint8)}
    assert recolored(batch) is batch


def stage_run(shapes: Path, overrides: Sequence[tuple[str, Sequence[str]]], paint: bool) -> StageRun:
    window = [(f"window.{name}", ["0.3"]) for name in JITTER]
    recipe = load_recipe(str(shapes / "tiny.yaml"), [*window, *overrides])
    ((source, _),) = open_stages(recipe)
    torch.manual_seed(0)
    run = StageRun(recipe, 0, build_network(recipe, source.card, 0), source, torch.device("cpu"), load=True)
    run.stream.windows.paint = paint
    return run


def trained(run: StageRun, steps: int = 3) -> dict[str, Tensor]:
    for step, part in enumerate(run.stream.batches(0, steps)):
        assert (MATRIX in part) != run.stream.windows.paint
        with NoWaiting(constants=step == 0):
            run.optimiser.set_rate(run.factor(step))
            run.learn([part], step)
            run.optimiser.step()
    return run.model.state_dict()


@pytest.mark.parametrize("workers", ["0", "2"])
def test_a_training_is_the_same_to_the_bit(shapes: Path, workers: str) -> None:
    here, there = (trained(stage_run(shapes, [("data.workers", [workers])], paint)) for paint in (True, False))
    assert all(torch.equal(here[name], there[name]) for name in here)


def test_a_network_with_more_inputs(shapes: Path) -> None:
    """Only the picture is painted: flow and depth are none."""
    options = {name: ["64x64"] for name in ("data.train_options.size", "data.val_options.size", "window.size")}
    options |= {"data.train_options.count": ["4"], "data.val_options.count": ["4"], "batch": ["2"], "warmup": ["0"]}
    recipe = load_recipe("streets-multitask", [*options.items(), ("data.workers", ["0"]), ("device", ["cpu"])])
    ((source, _),) = open_stages(recipe)
    losses = []
    for paint_here in (True, False):
        torch.manual_seed(0)
        run = StageRun(recipe, 0, build_network(recipe, source.card, 0), source, torch.device("cpu"), load=True)
        run.stream.windows.paint = paint_here
        losses.append(run.learn([next(run.stream.batches(0, 1))], 0))
    assert torch.equal(*losses)


def test_a_teacher_sees_what_the_network_sees(shapes: Path, tmp_path: Path) -> None:
    card, teacher = load_card(shapes / "card.yaml"), tmp_path / "teacher.safetensors"
    torch.manual_seed(1)
    swath.save(teacher, swath.create_model("enet", num_classes=3), classes=card.class_names, colors=card.colors)
    given = [("distill.teacher", [str(teacher)])]
    here, there = (trained(stage_run(shapes, given, paint), steps=1) for paint in (True, False))
    assert all(torch.equal(here[name], there[name]) for name in here)


def test_a_graph_takes_the_numbers_of_each_batch(shapes: Path) -> None:
    """They stand in its memory, as the pictures do: a device that captures nothing, and repeats the work."""

    class Repeats:
        def warm_up(self, work):  # type: ignore[no-untyped-def]
            work()

        def capture(self, work):  # type: ignore[no-untyped-def]
            place = torch.zeros(())
            return place, lambda: place.copy_(work())

    def losses(graphs: bool) -> list[float]:
        run = stage_run(shapes, [], paint=False)
        if graphs:
            run.graph = Graph(run._pass, run.whole, Repeats())  # type: ignore[arg-type]
        return [float(run.learn([part], 0)) for part in run.stream.batches(0, 3)]

    assert losses(True) == losses(False)


@pytest.mark.parametrize("paint", [True, False])
def test_a_replayed_iteration_is_the_same(shapes: Path, tmp_path: Path, paint: bool) -> None:
    """With the numbers in the file, wherever the colors were changed."""
    run = stage_run(shapes, [], paint)
    part = next(run.stream.batches(0, 1))
    recipe = load_recipe(str(shapes / "tiny.yaml"), [])
    write_replay(tmp_path / "replay.pt", recipe, run, 0, Replayed.of(run, 1, 0, part), ["a"] * 4, 14)
    loss = run.learn([part], 0)
    outcome = replay(tmp_path / "replay.pt")
    assert (outcome.loss, outcome.gradient) == (float(loss), float(run.gradient()))
