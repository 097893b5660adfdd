"""Bundles prove themselves on any machine, and damaged or hostile ones are refused."""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from small import small

import tiny
from swath import Segmenter, SwathError, finish, save
from swath.cli.main import main
from swath.deploy import FORMATS, bundle, device, exporter, recheck
from swath.inference.description import Description

# Runs verify.py where neither swath nor anything but numpy and the engine can be imported.
ALONE = """
import runpy, sys
for name in ("swath", "PIL", "cv2", "yaml", "rich", "safetensors", *sys.argv[2:]):
    sys.modules[name] = None
runpy.run_path(sys.argv[1], run_name="__main__")
"""


def alone(folder: Path, *blocked: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-I", "-c", ALONE, str(folder / "verify.py"), *blocked]
    return subprocess.run(command, cwd=folder.parent, capture_output=True, text=True, timeout=300)


def need_onnx() -> None:
    pytest.importorskip("onnxscript", reason="it writes ONNX")
    pytest.importorskip("onnxruntime", reason="it runs ONNX")


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.weights(tmp_path_factory.mktemp("weights") / "w.safetensors")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    need_onnx()
    folder = tmp_path_factory.mktemp("bundles") / "small-onnx"
    mine = torch.from_numpy(tiny.picture(9, 41, 67))[None]
    bundle(small(), folder, "onnx", pictures=[("Mine (1).png", mine)])
    return folder


@pytest.fixture
def copied(made: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(made, tmp_path / "copy"))


def change(folder: Path, how: Callable[[dict[str, Any]], object]) -> None:
    about = json.loads((folder / "bundle.json").read_text())
    how(about)
    (folder / "bundle.json").write_text(json.dumps(about))


def rehash(folder: Path, name: str) -> None:
    digest = hashlib.sha256((folder / name).read_bytes()).hexdigest()
    change(folder, lambda about: about["files"].update({name: digest}))


def test_holds_what_a_device_needs(made: Path) -> None:
    about = json.loads((made / "bundle.json").read_text())
    assert (about["format"], about["model"], about["precision"], about["finish"]) == (
        "onnx", "model.onnx", "fp32", "outside",
    )  # fmt: skip
    assert about["classes"] == [f"class {i}" for i in range(4)] and len(about["colors"]) == 4
    assert about["short_side"] is None
    assert (about["stride"], about["multiple"], about["min_size"], about["channels"]) == (4, 4, [8, 8], 3)
    files = {each.relative_to(made).as_posix() for each in made.rglob("*") if each.is_file()}
    assert files == {*about["files"], "bundle.json"} and {"verify.py", "README.txt", "model.onnx"} <= files
    names = [each["name"] for each in about["vectors"]]
    assert {"street 0", "Mine (1).png", "black", "odd size", "smallest size"} <= set(names)
    text = "".join((made / name).read_text() for name in ("bundle.json", "README.txt", "verify.py"))
    assert str(made.parent) not in text and "from_numpy" not in text and 'Path("model.onnx")' in text


def test_pictures_and_labels_are_the_same_as_png_and_as_bytes(made: Path) -> None:
    about = json.loads((made / "bundle.json").read_text())
    original = Segmenter(small(), optimise=False)
    for each in about["vectors"]:
        height, width = each["size"]
        picture = np.fromfile(made / each["picture"], np.uint8).reshape(height, width, 3)
        labels = np.fromfile(made / each["labels"], np.uint8).reshape(height, width)
        sure = np.fromfile(made / each["sure"], np.uint8).reshape(height, width)
        png = cv2.imread(str(made / each["picture"].replace(".bin", ".png")), cv2.IMREAD_COLOR_RGB)
        assert (png == picture).all()
        assert (cv2.imread(str(made / each["labels"].replace(".bin", ".png")), cv2.IMREAD_UNCHANGED) == labels).all()
        assert ((original(picture).labels != labels) & (sure > 0)).sum() == 0
        assert sure.mean() > 0.98 or each["name"] in ("black", "white")


def test_each_format_is_tried_by_its_own_engine(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not by the one that was measured to be the fastest here."""
    from swath.inference import fastest

    monkeypatch.setattr(fastest, "chosen", lambda *asked: "openvino")
    assert recheck(made).engine.startswith("ONNX Runtime")
    opened = []
    monkeypatch.setattr(
        exporter, "Segmenter", lambda *a, **more: opened.append(more.get("engine")) or Segmenter(*a, **more)
    )
    exporter.export(small(), tmp_path / "m.onnx", "onnx")
    assert opened == ["onnxruntime", None]


def test_says_at_which_size_things_were_learnt(tmp_path: Path) -> None:
    network = small()
    network.meta = replace(Description.of(network).meta, notes={"short_side": 48})
    bundle(network, tmp_path / "b", "torchscript")
    about = json.loads((tmp_path / "b" / "bundle.json").read_text())
    assert about["short_side"] == 48
    assert "\nResize pictures to 48 pixels on the shorter side" in (tmp_path / "b" / "README.txt").read_text()
    assert recheck(tmp_path / "b").passed  # its pictures are seen as they are
    bundle(network, tmp_path / "fixed", "torchscript", size=(64, 96))
    assert json.loads((tmp_path / "fixed" / "bundle.json").read_text())["short_side"] is None
    assert "Resize" not in (tmp_path / "fixed" / "README.txt").read_text()


def test_verify_prints_pictures_and_classes(made: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["verify", str(made)]) == 0
    said = capfd.readouterr()
    for word in ("ONNX Runtime", "Mine (1).png", "67x41", "class 3", "0.0000%", "agrees with the original"):
        assert word in said.out
    assert said.err == ""
    assert main(["verify", str(made), "--json"]) == 0
    told = json.loads(capfd.readouterr().out)
    assert told["passed"] and told["classes"]["class 0"]["differ"] == 0 and len(told["pictures"]) >= 10


def test_other_labels_are_found_by_class_and_by_picture(copied: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """A fault on purpose: a hundredth of a picture's pixels are expected to be of class 3."""
    entry = json.loads((copied / "bundle.json").read_text())["vectors"][0]
    labels = np.fromfile(copied / entry["labels"], np.uint8)
    turned = np.flatnonzero((labels != 3) & (np.fromfile(copied / entry["sure"], np.uint8) > 0))[: labels.size // 100]
    labels[turned] = 3
    labels.tofile(copied / entry["labels"])
    rehash(copied, entry["labels"])
    verdict = recheck(copied)
    assert not verdict.passed and [each.name for each in verdict.pictures if not each.passed] == ["street 0"]
    assert verdict.pictures[0].wrong == len(turned)
    assert verdict.classes["class 3"][1] == len(turned) and verdict.classes["class 0"][1] == 0
    assert main(["verify", str(copied)]) == 1
    assert "failed: 1 of" in capfd.readouterr().out
    assert alone(copied).returncode == 1


def test_ties_are_nobodys_mistake(copied: Path) -> None:
    entry = json.loads((copied / "bundle.json").read_text())["vectors"][0]
    for key, value in (("labels", 3), ("sure", 0)):
        content = np.fromfile(copied / entry[key], np.uint8)
        content[:2000] = value
        content.tofile(copied / entry[key])
        rehash(copied, entry[key])
    verdict = recheck(copied)
    assert verdict.passed and verdict.pictures[0].differ > verdict.pictures[0].wrong == 0


def test_the_script_needs_neither_swath_nor_torch(made: Path) -> None:
    done = alone(made, "torch")
    assert done.returncode == 0, done.stderr
    assert "Mine (1).png" in done.stdout and "agrees with the original" in done.stdout


def test_the_script_refuses_a_tampered_model(copied: Path) -> None:
    content = bytearray((copied / "model.onnx").read_bytes())
    content[len(content) // 2] ^= 1
    (copied / "model.onnx").write_bytes(content)
    done = alone(copied, "torch")
    assert done.returncode == 1 and "model.onnx: is missing, or is not as it was exported" in done.stderr
    with pytest.raises(SwathError, match=r"model\.onnx: is not the file that was exported"):
        recheck(copied)


@pytest.mark.parametrize(("to", "how"), [("openvino", "inside"), ("torchscript", "outside")])
def test_other_engines_have_their_script(tmp_path: Path, to: str, how: str) -> None:
    if to == "openvino":
        need_onnx()
        pytest.importorskip("openvino", reason="it reads and writes its own files")
    folder = tmp_path / "b"
    bundle(small(align_corners=True), folder, to, finish=how, size=(32, 48))
    assert recheck(folder).passed
    done = alone(folder)
    assert done.returncode == 0, done.stderr
    assert "48x32" in done.stdout and "32x48" not in done.stdout


def told_of(to: str, finish: str, align_corners: bool = False) -> dict[str, Any]:
    return {"format": to, "finish": finish, "align_corners": align_corners}


@pytest.mark.parametrize("to", sorted(FORMATS))
@pytest.mark.parametrize(("how", "most"), [("outside", 30), ("inside", 23)])
def test_every_script_is_python_and_short(to: str, how: str, most: int) -> None:
    text = device.script(told_of(to, how))
    compile(text, "verify.py", "exec")
    loading = len(device.DEVICES[to].load.splitlines())
    lines = [line for line in text.splitlines() if line]
    assert len(lines) <= most + loading and max(map(len, lines)) <= 120
    assert not any(word in text for word in ("LOAD", "NEEDS", "OUTPUT", "KIND", "ENLARGE", "LABELS", "AT\n", "swath"))


@pytest.mark.parametrize("align_corners", [False, True])
def test_the_scripts_finish_is_ours(align_corners: bool) -> None:
    text = device.script(told_of("onnx", "outside", align_corners))
    space: dict[str, Any] = {"np": np}
    exec(text[text.index("def enlarge") : text.index("failed =")], space)
    draw = np.random.default_rng(0)
    for h, w, height, width in ((1, 1, 7, 5), (4, 6, 32, 48), (5, 3, 33, 17), (2, 9, 2, 9), (7, 8, 5, 100)):
        logits = draw.normal(size=(6, h, w)).astype(np.float32)
        mine = space["enlarge"](space["enlarge"](logits, width), height).argmax(0)
        ours = finish.labels(torch.from_numpy(logits)[None], (height, width), align_corners)[0].numpy()
        assert (mine != ours).mean() <= 0.005


def test_replaces_an_older_bundle_and_nothing_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "b"
    bundle(small(), folder, "torchscript", size=(16, 16))
    first = (folder / "bundle.json").read_bytes()
    bundle(small(classes=3), folder, "torchscript", size=(16, 16))
    second = (folder / "bundle.json").read_bytes()
    assert first != second
    (folder / "notes.txt").write_text("mine")
    from swath.deploy import torchscript

    def full(*arguments: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(torchscript, "write", full)
    with pytest.raises(SwathError, match="no room left"):
        bundle(small(), folder, "torchscript", size=(16, 16))
    assert (folder / "bundle.json").read_bytes() == second and [each.name for each in tmp_path.iterdir()] == ["b"]
    assert recheck(folder).passed and (folder / "notes.txt").read_text() == "mine"
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("years of work")
    with pytest.raises(SwathError, match="holds other things than a bundle"):
        bundle(small(), tmp_path / "mine", "torchscript")


def drop(name: str) -> Callable[[Path], object]:
    return lambda folder: (folder / name).unlink()


def told(how: Callable[[dict[str, Any]], object]) -> Callable[[Path], object]:
    return lambda folder: change(folder, how)


def written(text: str) -> Callable[[Path], object]:
    return lambda folder: (folder / "bundle.json").write_text(text)


def linked(folder: Path) -> None:
    outside = folder.parent / "outside.onnx"
    shutil.move(folder / "model.onnx", outside)
    (folder / "model.onnx").symlink_to(outside)


HOSTILE: list[tuple[str, Callable[[Path], object]]] = [
    ("holds no bundle.json", drop("bundle.json")),
    ("model.onnx: is missing", drop("model.onnx")),
    ("verify.py: is missing", drop("verify.py")),
    ("is a link", linked),
    ("is not what swath writes", written("[]")),
    ("is not what swath writes", written("{")),
    ("is not what swath writes", written("\x00\xff")),
    ("is not what swath writes", written("[" * 100_000)),
    ("bundle is missing", written('{"name": "foreign", "version": "1.0"}')),
    ("is of version 99", told(lambda about: about.update(bundle=99))),
    ("the format 'exe' is unknown", told(lambda about: about.update(format="exe"))),
    ("files is a list", told(lambda about: about.update(files=[]))),
    ("the limit 7.0 is no share", told(lambda about: about["vectors"][0].update(limit=7.0))),
    ("has no pictures", told(lambda about: about.update(vectors=[]))),
    ("'verify.py' is no file of onnx", told(lambda about: about.update(model="verify.py"))),
    ("'model.xml' is not among its files", told(lambda about: about.update(model="model.xml"))),
    ("names '../x'", told(lambda about: about["files"].update({"../x": ""}))),
    ("names '/etc/passwd'", told(lambda about: about["files"].update({"/etc/passwd": ""}))),
    ("names 'C:", told(lambda about: about["files"].update({"C:\\x": ""}))),
    ("'../a' is not among", told(lambda about: about["vectors"][0].update(labels="../a"))),
    ("do not fit its size", told(lambda about: about["vectors"][0].update(size=[1 << 40, 1 << 40]))),
    ("do not fit its size", told(lambda about: about["vectors"][0].update(size=[0, "x"]))),
    ("names 3", told(lambda about: about.update(classes=about["classes"][:3]))),
]


@pytest.mark.parametrize(("said", "harm"), HOSTILE, ids=[f"{i}-{said}" for i, (said, _) in enumerate(HOSTILE)])
def test_hostile_bundles_are_refused_in_one_line(
    copied: Path, said: str, harm: Callable[[Path], object], capsys: pytest.CaptureFixture[str]
) -> None:
    harm(copied)
    assert main(["verify", str(copied)]) == 2
    lines = capsys.readouterr().err.strip().splitlines()
    assert len(lines) == 1 and said in lines[0]


def test_only_folders_are_bundles(made: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for path in (made / "model.onnx", made / "none", made / "vectors"):
        assert main(["verify", str(path)]) == 2
        assert "is no bundle" in capsys.readouterr().err


def test_weights_become_a_bundle_that_other_commands_take(weights: Path, tmp_path: Path) -> None:
    bundle(weights, tmp_path / "b", "torchscript", size=(64, 96))
    picture = tiny.picture(2, 64, 96)
    assert (Segmenter(tmp_path / "b")(picture).labels == Segmenter(weights)(picture).labels).mean() > 0.999
    with pytest.raises(SwathError, match="exported files cannot be exported again"):
        bundle(tmp_path / "b" / "model.pt", tmp_path / "c", "onnx")
    save(tmp_path / "s.safetensors", tiny.network(), classes=tiny.NAMES, colors=tiny.COLORS)
    with pytest.raises(SwathError, match="unknown export format"):
        bundle(tmp_path / "s.safetensors", tmp_path / "c", "web")
    assert sorted(each.name for each in tmp_path.iterdir()) == ["b", "s.safetensors"]
