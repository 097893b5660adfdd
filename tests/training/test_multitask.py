"""Image and flow in; classes, depth and motion out: from the maps of the streets to a run that can be resumed."""

from __future__ import annotations

import csv
import math
import os
import signal
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

import cv2
import numpy as np
import pytest
import torch
from torch import Tensor

import swath
from swath.cards import load_card
from swath.data import Windows, WindowSpec
from swath.data.source import read_parts
from swath.data.streets import render, source
from swath.data.windows import place
from swath.errors import SwathError
from swath.evaluation import ConfusionMatrix, DepthScores, Scores, evaluate_tasks, metrics
from swath.evaluation.tasks import DepthErrors, Predictor
from swath.inference import Segmenter
from swath.networks import create_model
from swath.report import depth_picture, depth_range
from swath.training import Stage, checkpoint, load_recipe, loop, resume, start
from swath.training.losses import DEPTH_LOSSES, make_depth_loss, make_loss
from swath.training.sources import Cached
from swath.training.tasks import StageLoss
from swath.weights import read_meta

Overrides = Sequence[tuple[str, Sequence[str]]]

STARTS = [torch.tensor(-math.log(weight)).item() for weight in (1.0, 2.0, 0.5)]  # of the recipe's log variances

SHORT = [
    ("epochs", ["none"]),
    ("iterations", ["3"]),
    ("validation.iterations", ["2"]),
    ("batch", ["2"]),
    ("window.size", ["64x64"]),
    ("threads", ["1"]),
    ("device", ["cpu"]),
    ("samples", ["1"]),
    ("log_every", ["1"]),
    ("tensorboard", ["false"]),
    ("data.workers", ["0"]),
    ("task_weights", ["learned"]),
    *(
        (f"data.{split}_options.{key}", [value])
        for split in ("train", "val")
        for key, value in (("count", "2"), ("size", "96x64"))
    ),
]


def train(out: Path, *more: tuple[str, Sequence[str]]) -> int:
    return start("streets-multitask", [*SHORT, *more], out=out)


def streets(**options: Any) -> Any:
    return load_card("streets").open("train", **{"count": 4, "size": (64, 96), **options})


# Maps and windows


def test_streets_supply_maps_and_are_drawn_once(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: list[int] = []

    def counted(*rest: Any, **more: Any) -> Any:
        drawn.append(1)
        return render(*rest, **more)

    monkeypatch.setattr(source, "render", counted)
    made = streets()
    parts = read_parts(made, 2, ("image", "labels", *made.maps))
    assert len(drawn) == 1
    street = render(made.seed, 2, (64, 96), want="all")
    assert street.depth is not None
    for name in ("image", "labels", "flow", "motion"):
        assert np.array_equal(parts[name], getattr(street, name))
    assert np.array_equal(parts["depth"] == 0, parts["labels"] == 0), "the sky has no depth"
    assert np.array_equal(parts["depth"][parts["depth"] > 0], street.depth[np.isfinite(street.depth)])
    assert {name: 1 if parts[name].ndim == 2 else parts[name].shape[2] for name in made.maps} == made.maps


class Blocks:
    """Each block of 16 x 16 pixels has a number k: label k, depth k + 1, motion k % 2, flow (k, -2 k)."""

    card = None
    maps: ClassVar = {"depth": 1, "flow": 2, "motion": 1}

    def __init__(self) -> None:
        numbers = np.random.default_rng(0).integers(0, 11, (8, 12), np.uint8)
        self.k = np.repeat(np.repeat(numbers, 16, 0), 16, 1)

    def __len__(self) -> int:
        return 1

    def size(self, index: int) -> tuple[int, int]:
        return self.k.shape

    def image(self, index: int) -> np.ndarray:
        return np.repeat(self.k[..., None] * 20, 3, 2)

    def labels(self, index: int) -> np.ndarray:
        return self.k

    def map(self, index: int, name: str) -> np.ndarray:
        k = self.k.astype(np.float32)
        return {"depth": k + 1, "flow": np.stack([k, -2 * k], 2), "motion": self.k % 2}[name]


def test_maps_stay_with_their_picture() -> None:
    blocks = Blocks()
    spec = WindowSpec((64, 80), scale=(0.4, 2.5))
    mirrored = set()
    for epoch in range(40):
        got = Windows(blocks, spec, seed=7, maps=("depth", "flow", "motion"))[epoch, 0]
        where = place(*blocks.k.shape, spec, np.random.default_rng((7, epoch, 0)))
        mirrored.add(where.mirrored)
        labels, inside = got["labels"], got["labels"] != 255
        assert {name: got[name].dtype.name for name in got if name != "index"} == {
            "image": "uint8", "labels": "uint8", "depth": "float32", "flow": "float32", "motion": "uint8",
        }  # fmt: skip
        assert got["flow"].shape == (2, 64, 80) and got["depth"].shape == got["motion"].shape == (64, 80)
        assert np.allclose(got["depth"][inside] * where.scale, labels[inside] + 1.0, rtol=1e-5)
        assert np.array_equal(got["motion"][inside], labels[inside] % 2)
        assert (got["depth"][~inside] == 0).all() and (got["motion"][~inside] == 255).all()
        assert (got["flow"][:, ~inside] == 0).all()
        around = np.ones((5, 5), np.uint8)  # flow is interpolated, so it is exact within a block only
        within = inside & (cv2.dilate(labels, around) == cv2.erode(labels, around))
        assert within.mean() > 0.03
        flow, k = got["flow"][:, within], labels[within].astype(float)
        wide = where.width / (where.columns.stop - where.columns.start) * (-1 if where.mirrored else 1)
        tall = where.height / (where.rows.stop - where.rows.start)
        assert np.allclose(flow[0], k * wide, atol=1e-4) and np.allclose(flow[1], -2 * k * tall, atol=1e-4)
    assert mirrored == {True, False}


def test_windows_with_maps_depend_on_seed_epoch_and_index_alone() -> None:
    spec = WindowSpec((32, 48), brightness=0.2)
    maps = ("flow", "depth")
    one, other = Windows(streets(), spec, 3, maps), Windows(streets(), spec, 3, maps)
    other[0, 1]
    for name, part in one[5, 2].items():
        assert np.array_equal(part, other[5, 2][name])
    plain = Windows(streets(), spec, 3)[5, 2]
    assert all(np.array_equal(plain[name], one[5, 2][name]) for name in ("image", "labels"))


def test_a_cache_and_joined_splits_have_the_maps() -> None:
    made = streets()
    cached = Cached(made, 1, maps=("depth", "flow"))
    both = load_card("streets").open("train+val", count=4, size=(64, 96))
    assert dict(cached.maps) == {"depth": 1, "flow": 2} and dict(both.maps) == made.maps  # type: ignore[attr-defined]
    for name in cached.maps:
        wanted = made.map(1, name)
        assert np.array_equal(cached.map(1, name), wanted)
        assert np.array_equal(both.map(1, name), wanted)  # type: ignore[attr-defined]
        assert not np.array_equal(both.map(5, name), wanted)  # type: ignore[attr-defined]


# Losses


def depths(seed: int, missing: float = 0.3) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    truth = 60 * torch.rand(3, 5, 6, generator=generator) ** 2 + 0.3
    metres = truth * (0.5 + torch.rand(3, 5, 6, generator=generator)) - 2.0  # some of them negative
    truth[torch.rand(3, 5, 6, generator=generator) < missing] = 0
    truth[1] = 0  # one picture without any
    return metres[:, None], truth


def measured_pairs(metres: Tensor, truth: Tensor) -> list[tuple[float, float]]:
    return [(m, t) for m, t in zip(metres.double().flatten().tolist(), truth.double().flatten().tolist()) if t > 0]


@pytest.mark.parametrize("share", [0.2, 0.9, 1.0])
def test_berhu(share: float) -> None:
    for seed in range(5):
        metres, truth = depths(seed)
        off = [abs(m - t) for m, t in measured_pairs(metres, truth)]
        c = share * max(off)
        wanted = sum(d if d <= c else (d * d + c * c) / (2 * c) for d in off) / len(off)
        assert float(make_depth_loss("berhu", {"share": share})([metres], truth)) == pytest.approx(wanted, rel=1e-5)


@pytest.mark.parametrize(("balance", "floor"), [(0.5, 1.0), (1.0, 0.2), (0.0, 1.0)])
def test_scale_invariant(balance: float, floor: float) -> None:
    def log(x: float) -> float:
        return math.asinh(x / (2 * floor))

    assert log(40 * floor) == pytest.approx(math.log(40), rel=1e-3)

    for seed in range(5):
        metres, truth = depths(seed)
        pictures = []
        for m, t in zip(metres, truth):
            off = [log(a) - log(b) for a, b in measured_pairs(m, t)]
            if off:
                n = len(off)
                pictures.append(sum(d * d for d in off) / n - balance * (sum(off) / n) ** 2)
        wanted = sum(pictures) / len(pictures)
        got = make_depth_loss("scale-invariant", {"balance": balance, "floor": floor})([metres], truth)
        assert float(got) == pytest.approx(wanted, rel=1e-4)


@pytest.mark.parametrize("name", DEPTH_LOSSES)
def test_depth_losses_learn_from_measured_pixels_only_and_from_negative_answers_too(name: str) -> None:
    metres, truth = depths(0)
    metres.requires_grad_()
    make_depth_loss(name, {})([metres], truth).backward()
    assert metres.grad is not None and metres.grad.isfinite().all()
    assert torch.equal(metres.grad[:, 0] != 0, truth > 0)
    if name not in ("mean-difference", "error-variance"):  # these look at all pixels together
        assert (metres.grad[:, 0][(truth > 0) & (metres[:, 0] < 0)] < 0).all()


@pytest.mark.parametrize("name", DEPTH_LOSSES)
def test_nothing_measured_or_nothing_wrong(name: str) -> None:
    metres, truth = depths(1)
    for target in (torch.zeros_like(truth), metres.detach()[:, 0].clamp(min=0)):
        values = metres.detach().clone().requires_grad_()
        loss = make_depth_loss(name, {})([values], target)
        loss.backward()
        assert loss.item() == pytest.approx(0, abs=1e-9)
        assert values.grad is not None and values.grad.isfinite().all()
        if not target.any():
            assert not values.grad.any()


def test_mistakes_in_depth_losses() -> None:
    with pytest.raises(SwathError, match="unknown loss of depth 'berhuu'; did you mean 'berhu'"):
        make_depth_loss("berhuu", {})
    with pytest.raises(SwathError, match="unknown option of the loss 'berhu' 'balance'"):
        make_depth_loss("berhu", {"balance": 0.5})
    with pytest.raises(SwathError, match=r"share of 'berhu' is 0, it must be a number between 0 and 1, not 0"):
        make_depth_loss("berhu", {"share": 0})


# Weights of tasks


def stage(task_weights: str) -> Stage:
    changes = [("task_weights", [task_weights]), ("tasks.depth.weight", ["0.25"]), ("tasks.motion.weight", ["0.5"])]
    return load_recipe("streets-multitask", changes).stages[0]


def example() -> tuple[dict[str, list[Tensor]], dict[str, Tensor]]:
    generator = torch.Generator().manual_seed(0)
    sizes = {"segmentation": 11, "depth": 1, "motion": 2}
    outputs = {name: [torch.randn(3, n, 5, 6, generator=generator)] for name, n in sizes.items()}
    labels = torch.randint(0, 11, (3, 5, 6), generator=generator, dtype=torch.uint8)
    return outputs, {"labels": labels, "motion": labels % 2, "depth": depths(0)[1]}


@pytest.mark.parametrize("task_weights", ["fixed", "learned"])
def test_the_sum_of_the_tasks(task_weights: str) -> None:
    model = create_model("deeplabv3plus_lite_mobilenetv2", 11, tasks={"segmentation": 11, "depth": 1, "motion": 2})
    recipe = stage(task_weights)
    recipe.tasks["segmentation"].class_weights = "none"
    loss = StageLoss(recipe, model, streets(), torch.device("cpu"))
    outputs, batch = example()
    each = {
        "segmentation": make_loss("cross-entropy", {})(outputs["segmentation"], batch["labels"]),
        "depth": make_depth_loss("scale-invariant", {})(outputs["depth"], batch["depth"]),
        "motion": make_loss("cross-entropy", {})(outputs["motion"], batch["motion"]),
    }
    fixed = {"segmentation": 1.0, "depth": 0.25, "motion": 0.5}
    assert loss.weights() == pytest.approx(fixed)
    if task_weights == "fixed":
        assert not list(loss.parameters())
        assert float(loss(outputs, batch)) == pytest.approx(sum(fixed[n] * float(each[n]) for n in fixed))
        return
    for moved in (0.0, 0.7):
        with torch.no_grad():
            for s in loss.parameters():
                s.add_(moved)
        s = {name: value.item() for name, value in loss.log_variances.items()}
        kind = {"segmentation": 1, "depth": 2, "motion": 1}
        wanted = sum(math.exp(-s[n]) * float(each[n]) / kind[n] + s[n] / 2 for n in s)
        assert loss(outputs, batch).item() == pytest.approx(wanted, rel=1e-5)
    loss(outputs, {**batch, "depth": torch.zeros(3, 5, 6)}).backward()
    gradients = {name: float(s.grad) for name, s in loss.log_variances.items()}
    assert gradients["depth"] == 0 and gradients["motion"] != 0


# Scores


def test_depth_errors() -> None:
    rng = np.random.default_rng(0)
    errors, off, relative = DepthErrors(), [], []
    assert errors.scores() == DepthScores(None, None, 0)
    for _ in range(3):
        truth = rng.uniform(1, 50, (7, 9)).astype(np.float32)
        truth[rng.random((7, 9)) < 0.4] = 0
        metres = rng.uniform(0, 50, (7, 9)).astype(np.float32)
        errors.update(truth, metres)
        pairs = [(float(m), float(t)) for m, t in zip(metres.ravel(), truth.ravel()) if t > 0]
        off += [(m - t) ** 2 for m, t in pairs]
        relative += [abs(m - t) / t for m, t in pairs]
    scores = errors.scores()
    assert scores.rmse == pytest.approx(math.sqrt(math.fsum(off) / len(off)), rel=1e-12)
    assert scores.abs_rel == pytest.approx(math.fsum(relative) / len(off), rel=1e-12)
    assert scores.pixels == len(off)


def test_evaluate_tasks_is_the_sum_over_pictures() -> None:
    inputs, tasks = {"flow": 2, "image": 3}, {"depth": 1, "segmentation": 11, "motion": 2}
    torch.manual_seed(0)
    model = create_model("deeplabv3plus_lite_mobilenetv2", 11, inputs=inputs, tasks=tasks).train()
    made = streets(size=(50, 70))
    scores = evaluate_tasks(model, made)
    assert model.training and list(scores) == list(tasks)
    confusion, errors = ConfusionMatrix(11), DepthErrors()
    for i in range(len(made)):
        flow = torch.from_numpy(made.map(i, "flow")).permute(2, 0, 1)[None] / 16
        image = (torch.from_numpy(made.image(i)).permute(2, 0, 1)[None].float() - 128) / 64
        with torch.inference_mode():
            answers = model.eval()(flow, image)
        confusion.update(made.labels(i), answers["segmentation"].argmax(1)[0].to(torch.uint8).numpy())
        errors.update(made.map(i, "depth"), answers["depth"][0, 0].abs().numpy())
    wanted = metrics(confusion.counts, made.card)
    main, depth, motion = scores["segmentation"], scores["depth"], scores["motion"]
    assert isinstance(main, Scores) and isinstance(depth, DepthScores) and isinstance(motion, Scores)
    assert main.miou == pytest.approx(wanted.miou, abs=1e-3) and main.category_iou.keys() == wanted.category_iou.keys()
    assert depth.rmse == pytest.approx(errors.scores().rmse, rel=1e-5)
    assert motion.class_names == ["still", "moving"] and motion.pixels == 4 * 50 * 70


def test_depth_as_a_picture() -> None:
    metres = np.array([[0.0, 2.0, 20.0, 200.0]], np.float32)
    picture = depth_picture(metres, 2, 200)
    assert picture.shape == (1, 4, 3) and picture.dtype == np.uint8
    assert picture[0, 0].tolist() == [128, 128, 128]
    brightness = picture[0, 1:].astype(int).sum(1)
    assert brightness[0] > brightness[1] > brightness[2] and picture[0, 1, 0] > picture[0, 1, 2]
    assert depth_range(np.zeros((2, 2), np.float32)) == (1.0, 100.0)
    near, far = depth_range(np.array([0, 0, 5, 5], np.float32))
    assert near == 5 and far > 5


# Whole runs


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    run = tmp_path_factory.mktemp("runs") / "whole"
    assert train(run) == 0
    return run


def test_a_run(finished: Path) -> None:
    rows = list(csv.DictReader((finished / "metrics.csv").open()))
    assert [row["step"] for row in rows] == ["2", "3"]
    assert list(rows[0])[-4:] == ["iou_Bicyclist", "depth_rmse", "depth_abs_rel", "motion_miou"]
    assert all(float(row["depth_rmse"]) > 0 and 0 <= float(row["motion_miou"]) <= 1 for row in rows)
    meta = read_meta(finished / "last.safetensors")
    assert meta.score["depth_rmse"] == float(rows[-1]["depth_rmse"])
    best = max(rows, key=lambda row: float(row["miou"]))
    assert read_meta(finished / "best.safetensors").score["miou"] == float(best["miou"]), "the main task chooses"
    log = (finished / "log.txt").read_text()
    assert "depth RMSE" in log and "motion mIoU" in log and "weights segmentation" in log
    assert f'swath.load("{finished / "best.safetensors"}")' in log and "swath evaluate" not in log
    report = (finished / "report.html").read_text()
    assert report.count('<img src="data:image/') == 8 and report.count("<svg") == 5
    for words in ("depth: truth", "depth: prediction", "motion: truth", "motion: prediction", "depth RMSE"):
        assert words in report


def test_its_weights_can_be_used(finished: Path) -> None:
    model = swath.load(finished / "best.safetensors")
    assert model.tasks == {"segmentation": 11, "depth": 1, "motion": 2} and list(model.inputs) == ["image", "flow"]
    made = streets(size=(70, 90))
    answers = Predictor(model)(read_parts(made, 0, ("image", "flow")))
    assert {task: (each.shape, each.dtype.name) for task, each in answers.items()} == {
        "segmentation": ((70, 90), "uint8"), "depth": ((70, 90), "float32"), "motion": ((70, 90), "uint8"),
    }  # fmt: skip
    with pytest.raises(SwathError, match="takes image and flow and answers segmentation and depth and motion"):
        Segmenter(finished / "best.safetensors")


def test_stopped_and_resumed_it_ends_with_the_same_bits(
    finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = tmp_path / "run"
    inner, seen = loop.Finite.see, []

    def see(self: loop.Finite, *rest: Any) -> None:
        seen.append(1)
        if len(seen) == 1:
            os.kill(os.getpid(), signal.SIGTERM)
        inner(self, *rest)

    monkeypatch.setattr(loop.Finite, "see", see)
    assert train(run) == 128 + signal.SIGTERM
    state, _ = checkpoint.newest_checkpoint(run / "checkpoints")
    assert state is not None and state["position"]["total"] == 1 and len(state["criterion"]) == 3
    assert resume(run) == 0
    for name in ("last.safetensors", "best.safetensors", "metrics.csv", "steps.csv"):
        assert (run / name).read_bytes() == (finished / name).read_bytes()
    ends = [checkpoint.newest_checkpoint(each / "checkpoints")[0] for each in (run, finished)]
    weights = [each["criterion"] for each in ends if each]
    assert all(torch.equal(weights[0][name], weights[1][name]) for name in weights[1])
    assert all(float(s) != start for s, start in zip(weights[0].values(), STARTS)), "they were trained"


def test_pictures_alone_and_fixed_weights(tmp_path: Path) -> None:
    """Another family, one input, two tasks, a cache, and the options of a task."""
    recipe = tmp_path / "two.yaml"
    recipe.write_text(
        "name: two\nnetwork: rf_lw_mtl_mobilenetv2\n"
        "data: {cache: true, train_options: {count: 2, size: 96x64}, val_options: {count: 1, size: 96x64}}\n"
        "stages:\n- {iterations: 1, batch: 2, lr: 0.001, window: {size: 64x64}, tasks: {segmentation: {loss: ohem},\n"
        "    depth: {loss: berhu, weight: 0.1, loss_options: {share: 0.3}}}}\n"
        "threads: 1\ndevice: cpu\ntensorboard: false\nsamples: 1\n"
    )
    assert start(str(recipe), out=tmp_path / "run") == 0
    (row,) = csv.DictReader((tmp_path / "run/metrics.csv").open())
    assert float(row["depth_rmse"]) > 0 and "motion_miou" not in row
    assert "swath predict" in (tmp_path / "run/log.txt").read_text()


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        ([("data.card", ["CARD"])], "takes 'flow', which the card shapes does not supply, only pictures and labels"),
        ([("network_options.inputs.flow", ["3"])], "takes 'flow' with 3 channels, the card streets supplies 2"),
        ([("network_options.inputs.lidar", ["1"])], "takes 'lidar', which the card streets does not supply"),
        ([("network_options.tasks.motion", ["3"])], "answers 'motion' with 3 channels, the card streets needs 2"),
        ([("network_options.tasks.normals", ["3"])], "learns the task 'normals', which the card streets does not"),
        ([("tasks.deph.loss", ["berhu"])], "unknown task of deeplabv3plus_lite_mobilenetv2 'deph'; did you mean"),
        ([("tasks", [])], "tasks: '' is not a section with keys"),
        ([("tasks.depth.loss", ["cross-entropy"])], "unknown loss of depth 'cross-entropy'"),
        ([("tasks.depth.class_weights", ["log"])], "depth has no classes"),
        ([("tasks.motion.class_weights", ["1"])], "1 numbers for the 2 classes of streets; give one each"),
        ([("tasks.depth.wieght", ["1"])], "unknown key 'stages.0.tasks.depth.wieght'"),
        ([("tasks.depth.weight", ["-1"])], "weight is -1.0, it must be 0 or more"),
        ([("tasks.depth.weight", ["0"])], "tasks.depth.weight is 0.0; learned weights begin at it"),
        ([("loss", ["ohem"])], "stand in each of the tasks"),
        ([("task_weights", ["learnt"])], "unknown choice 'learnt'; did you mean 'learned'"),
    ],
)
def test_mistakes_are_found_before_anything_is_written(
    overrides: Overrides, message: str, shapes: Path, tmp_path: Path
) -> None:
    given = [(key, [word.replace("CARD", str(shapes / "card.yaml")) for word in words]) for key, words in overrides]
    settings = [each for each in SHORT if "_options" not in each[0]] if given[0][0] == "data.card" else SHORT
    if given[0][0] == "data.card":
        given += [(f"data.{split}_options", ["{}"]) for split in ("train", "val")]
        given += [("network_options.tasks", ["{segmentation: 3, depth: 1, motion: 2}"])]
    with pytest.raises(SwathError) as error:
        start("streets-multitask", [*settings, *given], out=tmp_path / "run")
    assert message in str(error.value) and "\n" not in str(error.value)
    assert not (tmp_path / "run").exists()


def test_a_network_of_several_tasks_needs_the_section(tmp_path: Path) -> None:
    options = [("network", ["rf_lw_mtl_mobilenetv2"]), ("data.train_options.count", ["8"])]
    with pytest.raises(SwathError, match=r"tasks has no 'segmentation'; say how it is trained, such as --tasks\.segm"):
        start("streets", options, out=tmp_path / "run")
    with pytest.raises(SwathError, match="learned needs tasks"):
        start("streets", [("task_weights", ["learned"])], out=tmp_path / "run")
