"""Graphs as files that say what they are."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

from swath.errors import SwathError
from swath.files import make_folder, write_error
from swath.inference.description import KEY, Description
from swath.quantise.engines.graph import Model


def read(path: Path) -> Model:
    import onnx

    return onnx.load(str(path))


def write(model: Model, description: Description, path: Path) -> None:
    """A graph as a .onnx file."""
    import onnx

    del model.metadata_props[:]
    onnx.helper.set_model_props(model, {KEY: description.as_json()})
    for node in model.graph.node:
        del node.metadata_props[:]  # names of this machine's files
    onnx.save(model, str(path))


def write_openvino(source: Path, description: Description, path: Path) -> None:
    """A .onnx file as OpenVINO's .xml; its .bin lies beside it."""
    from swath.deploy import openvino

    openvino.from_onnx(source, description, path)


def parts(path: Path) -> list[Path]:
    """The files of a model, the one to open last."""
    return [path.with_suffix(".bin"), path] if path.suffix == ".xml" else [path]


def size(path: Path) -> int:
    """Bytes of a model."""
    return sum(each.stat().st_size for each in parts(path))


def check_place(out: Path, ending: str) -> None:
    """Refuse, before the work, a name that does not fit and a place where nothing can be written."""
    if out.suffix != ending:
        raise SwathError(f"{out}: this engine's file ends in {ending}; name it {out.with_suffix(ending).name}")
    if out.is_dir():
        raise SwathError(f"{out}: is a folder; give the name of a file")
    make_folder(out.parent)
    try:
        handle, name = tempfile.mkstemp(prefix=f".{out.stem}.", dir=out.parent)
        os.close(handle)
        Path(name).unlink()
    except OSError as error:
        raise write_error(out, error) from error


def put(path: Path, out: Path) -> None:
    """Copy a model to where a person wants it: the old one is there, or the whole new one."""
    from swath.deploy.folders import new_files

    with new_files(out) as temporary:
        for mine, theirs in zip(parts(path), parts(temporary)):
            shutil.copyfile(mine, theirs)
