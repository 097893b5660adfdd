"""A run as a whole: its folder, its stages, its ends, and the mistakes that are found before it begins."""

from __future__ import annotations

import csv
import errno
import html.parser
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

import swath
from swath.errors import SwathError
from swath.networks import create_model
from swath.training import checkpoint, progress, resume, start
from swath.training.display import Pace, counted
from swath.weights import read_meta

Overrides = Sequence[tuple[str, Sequence[str]]]


def train(shapes: Path, out: Path, *overrides: tuple[str, Sequence[str]]) -> int:
    return start(str(shapes / "tiny.yaml"), [("epochs", ["1"]), *overrides], out=out)


@pytest.fixture(scope="module")
def finished(shapes: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    run = tmp_path_factory.mktemp("runs") / "one"
    assert train(shapes, run, ("epochs", ["2"])) == 0
    return run


def test_the_run_folder(finished: Path) -> None:
    assert {path.name for path in finished.iterdir()} == {
        "config.yaml",
        "log.txt",
        "steps.csv",
        "metrics.csv",
        "best.safetensors",
        "last.safetensors",
        "report.html",
        "checkpoints",
    }
    rows = list(csv.DictReader((finished / "metrics.csv").open()))
    assert [(row["epoch"], row["step"]) for row in rows] == [("1.0", "3"), ("2.0", "6")]
    assert {"lr", "loss", "miou", "pixel_accuracy", "iou_ground", "iou_box", "iou_disc"} <= set(rows[0])
    steps = list(csv.DictReader((finished / "steps.csv").open()))
    assert [int(row["step"]) for row in steps] == [2, 3, 4, 6]


def test_weights_say_where_they_come_from(finished: Path) -> None:
    meta = read_meta(finished / "last.safetensors")
    assert (meta.network, meta.classes, meta.dataset, meta.recipe) == (
        "contextnet14_160",
        ["ground", "box", "disc"],
        "shapes",
        "tiny",
    )
    last = list(csv.DictReader((finished / "metrics.csv").open()))[-1]
    assert meta.score["miou"] == float(last["miou"]) and meta.score["split"] == "val"
    assert meta.score["train"] == "train", "on these it may not be judged"
    assert swath.load(finished / "best.safetensors")(torch.zeros(1, 3, 64, 96)).shape == (1, 3, 64, 96)


def test_config_alone_repeats_the_run(finished: Path, tmp_path: Path) -> None:
    config = yaml.safe_load((finished / "config.yaml").read_text())
    assert config["device"] == "cpu" and config["threads"] == 1 and config["data"]["workers"] == 0
    assert start(str(finished / "config.yaml"), out=tmp_path / "again") == 0
    assert (tmp_path / "again/last.safetensors").read_bytes() == (finished / "last.safetensors").read_bytes()
    assert (tmp_path / "again/config.yaml").read_text() == (finished / "config.yaml").read_text()


def test_the_report_needs_nothing_else(finished: Path) -> None:
    text = (finished / "report.html").read_text()
    needed: list[str] = []

    class Reader(html.parser.HTMLParser):
        def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
            needed.extend(value or "" for key, value in attrs if key in ("src", "href"))

    Reader().feed(text)
    assert len(needed) == 4 and all(each.startswith("data:image/") for each in needed)
    assert text.count("<svg") == 4 and "nothing measured" not in text
    for name in ("ground", "box", "disc"):
        assert name in text


def test_the_report_is_written_after_each_epoch(shapes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also after those without a validation: the curves go on, below the scores that there are."""
    pages: list[str] = []
    inner = progress.write_report

    def write(path: Path, *given: Any) -> None:
        inner(path, *given)
        pages.append(path.read_text())

    monkeypatch.setattr(progress, "write_report", write)
    assert train(shapes, tmp_path / "run", ("epochs", ["4"]), ("validation.epochs", ["2"])) == 0
    assert len(pages) == 4 and "no validation yet" in pages[0] and "nothing measured" in pages[0]
    for number, page in enumerate(pages, 1):
        assert "contextnet14_160 on Shapes" in page and (f">{number}<" in page or number % 2), "epochs"
        assert ("mIoU now" in page) == ("data:image/" in page) == (number > 1)


def test_the_pace_and_what_is_counted() -> None:
    pace = Pace(2, 5)
    pace.step(waited=0.5, took=2.0, images=8)
    pace.step(waited=0.5, took=2.0, images=8)
    assert re.fullmatch(r"4\.0 images/s  waiting 25%  \S+ s left", str(pace))
    pace.step(waited=0.0, took=4.0, images=8)
    assert str(pace) == "3.0 images/s  waiting 12%", "nothing is left"
    assert [counted(number, "worker") for number in (0, 1, 2)] == ["no workers", "1 worker", "2 workers"]


def test_the_end_says_what_to_type_next(finished: Path) -> None:
    log = (finished / "log.txt").read_text()
    best = finished / "best.safetensors"
    for command in (f"swath evaluate {best}", f"swath predict {best} PICTURES", f"swath export {best} --to onnx"):
        assert command in log


def test_a_run_is_not_overwritten_by_accident(shapes: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    assert train(shapes, run) == 0
    (run / "notes.txt").write_text("mine")
    with pytest.raises(SwathError, match=r"holds a run already; go on with it .*--resume.*--out.*--overwrite"):
        train(shapes, run)
    assert start(str(shapes / "tiny.yaml"), [("epochs", ["1"]), ("seed", ["2"])], out=run, overwrite=True) == 0
    assert yaml.safe_load((run / "config.yaml").read_text())["seed"] == 2
    assert (run / "notes.txt").read_text() == "mine", "only what a run writes is removed"


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        ([("loss", ["dise"])], "unknown loss 'dise'"),
        ([("network", ["contextnet15"])], "unknown network 'contextnet15'; did you mean"),
        ([("network_options.aux_head", ["true"])], "unknown option of contextnet14_160 'aux_head'"),
        ([("data.card", ["cityscape"])], "unknown card 'cityscape'; did you mean 'cityscapes'"),
        ([("data.root", ["/no/such/folder"])], "/no/such/folder: is no folder"),
        ([("data.train", ["trian"])], "unknown split of card 'shapes' 'trian'"),
        ([("data.train_options.count", ["3"])], "card 'shapes' reads files and takes no 'count'"),
        ([("batch", ["50"])], "fewer than one batch of 50"),
        ([("warmup", ["50"])], "a warmup of 50"),
        ([("freeze", ["contxt"])], "did you mean 'context'"),
        ([("init", ["nothing.safetensors"])], "nothing.safetensors: no such file"),
        ([("class_weights", ["1", "2"])], "2 numbers for the 3 classes"),
        ([("device", ["cuda:77"])], "device 'cuda:77' cannot be used"),
        ([("device", ["gpu"])], "device 'gpu' cannot be used"),
    ],
)
def test_mistakes_are_found_before_anything_is_written(
    overrides: Overrides, message: str, shapes: Path, tmp_path: Path
) -> None:
    with pytest.raises(SwathError) as error:
        train(shapes, tmp_path / "run", *overrides)
    assert message in str(error.value) and "\n" not in str(error.value)
    assert not (tmp_path / "run").exists()


def test_resume_refuses_what_would_make_another_run(finished: Path, tmp_path: Path) -> None:
    with pytest.raises(SwathError, match="--lr would make another run"):
        resume(finished, [("lr", ["1"])])
    with pytest.raises(SwathError, match="holds no run"):
        resume(tmp_path)


def test_a_loss_that_is_no_number_stops_before_the_step_and_names_the_pictures(shapes: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    with pytest.raises(SwathError) as error:
        train(shapes, run, ("lr", ["1e30"]), ("clip", ["none"]), ("checkpoint_iterations", ["1"]))
    assert "the loss of iteration 2 is nan; stopped before the optimiser's step" in str(error.value)
    named = str(error.value).split("Pictures of the batch: ")[1].split(". `swath")[0].split(", ")
    assert len(named) == 4 and all(Path(shapes / f"train/images/{name}.png").exists() for name in named)
    state, _ = checkpoint.newest_checkpoint(run / "checkpoints")
    assert state is not None and state["position"]["total"] == 1, "the state after the bad step was never saved"


def test_early_stop(shapes: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = tmp_path / "run"
    train(
        shapes, run, ("epochs", ["6"]), ("validation.patience", ["1"]), ("lr", ["0"]), ("ema", ["none"]), ("freeze", [])
    )
    rows = list(csv.DictReader((run / "metrics.csv").open()))
    assert len(rows) < 6 and float(rows[-1]["miou"]) <= float(rows[-2]["miou"])
    assert "the stage ends early" in capsys.readouterr().out
    assert (run / "last.safetensors").exists()


def test_validation_by_iterations_and_at_the_end(shapes: Path, tmp_path: Path) -> None:
    train(shapes, tmp_path / "run", ("epochs", ["none"]), ("iterations", ["5"]), ("validation.iterations", ["2"]))
    rows = list(csv.DictReader((tmp_path / "run/metrics.csv").open()))
    assert [row["step"] for row in rows] == ["2", "4", "5"]


def two_stages(shapes: Path, tmp_path: Path, **second: object) -> Path:
    recipe = yaml.safe_load((shapes / "tiny.yaml").read_text())
    first = {**recipe["stages"][0], "epochs": 1, "name": "first"}
    recipe["stages"] = [first, {**first, "name": "second", **second}]
    path = tmp_path / "two.yaml"
    path.write_text(yaml.safe_dump(recipe))
    return path


def test_stages_follow_each_other_and_frozen_parts_stay(shapes: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    path = two_stages(shapes, tmp_path, freeze=["context"], ema=None, channels_last=False, optimiser="sgd")
    assert start(path, out=run) == 0
    rows = list(csv.DictReader((run / "metrics.csv").open()))
    assert [(row["stage"], row["step"]) for row in rows] == [("first", "3"), ("second", "6")]
    first = next(p for p in checkpoint.checkpoints(run / "checkpoints") if p.name == "step-000000006.pt")
    assert checkpoint.read_sealed(first)["position"]["stage"] == 1

    init = tmp_path / "init"
    assert (
        train(shapes, init, ("init", [str(run / "last.safetensors")]), ("freeze", ["context"]), ("ema", ["none"])) == 0
    )
    before, after = (swath.load(folder / "last.safetensors").state_dict() for folder in (run, init))
    frozen = [name for name in before if name.startswith("context.")]
    assert frozen and all(torch.equal(before[name], after[name]) for name in frozen), "statistics too"
    assert not torch.equal(before["detail.0.0.weight"], after["detail.0.0.weight"])


def test_init_from_another_network_is_refused(shapes: Path, tmp_path: Path) -> None:
    path = tmp_path / "other.safetensors"
    swath.save(path, create_model("contextnet14_500", num_classes=3), classes=list("abc"), colors=[(0, 0, 0)] * 3)
    with pytest.raises(SwathError, match="holds weights of contextnet14_500, this run trains contextnet14_160"):
        train(shapes, tmp_path / "run", ("init", [str(path)]))


def test_auxiliary_heads_train_and_are_saved(shapes: Path, tmp_path: Path) -> None:
    assert train(shapes, tmp_path / "run", ("network_options.aux", ["true"])) == 0
    loaded = swath.load(tmp_path / "run/best.safetensors")
    assert len(loaded.aux_heads) == 2


def test_bfloat16_and_tensorboard(shapes: Path, tmp_path: Path) -> None:
    pytest.importorskip("tensorboard")
    assert (
        train(
            shapes,
            tmp_path / "run",
            ("amp", ["true"]),
            ("tensorboard", ["true"]),
            ("iterations", ["2"]),
            ("epochs", ["none"]),
        )
        == 0
    )
    assert list((tmp_path / "run/tensorboard").glob("events*"))


def test_a_full_disk_says_how_to_go_on(shapes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = tmp_path / "run"
    inner = Path.replace

    def replace(self: Path, target: Path) -> Path:
        if Path(target).name == "step-000000003.pt":
            raise OSError(errno.ENOSPC, "No space left on device")
        return inner(self, target)

    monkeypatch.setattr(Path, "replace", replace)
    with pytest.raises(SwathError, match=r"no room left on the disk.*go on with: swath train --resume"):
        train(shapes, run)
    monkeypatch.undo()
    assert [p.name for p in (run / "checkpoints").iterdir()] == ["step-000000002.pt"]
    assert resume(run) == 0
