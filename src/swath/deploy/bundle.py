"""A bundle: an exported file in a folder with all that a device needs to run it and to prove that it runs right."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from torch import Tensor

from swath import __version__
from swath.deploy.device import readme, script
from swath.deploy.exporter import FORMATS, check_request, export
from swath.deploy.folders import new_folder
from swath.deploy.graph import Precision
from swath.deploy.verify import Report, Truth
from swath.errors import SwathError
from swath.inference.description import Description, Finish
from swath.networks import Network

LIST = "bundle.json"  # what the folder holds, and by which it is known
VERSION = 1
VECTORS = "vectors"


def bundle(
    model: Network | str | Path,
    folder: str | Path,
    to: str,
    *,
    finish: Finish = "outside",
    size: tuple[int, int] | None = None,
    precision: Precision = "fp32",
    pictures: Iterable[tuple[str, Tensor]] = (),
) -> Report:
    """Export a network, or a file of weights, into a folder; the arguments are those of `export`. The files of an older
    bundle there are replaced when the new one is whole; other files stay."""
    network = model if isinstance(model, Network) else _load(Path(model))
    check_request(network, to, finish, precision)
    folder = Path(folder)
    with new_folder(folder, LIST, "bundle", files_of) as new:
        path = new / f"model{FORMATS[to]}"
        vectors = Vectors(new / VECTORS)
        report = export(
            network, path, to, finish=finish, size=size, precision=precision, pictures=pictures, witness=vectors.add
        )
        about = _about(network, to, finish, size, precision)
        (new / "README.txt").write_text(readme(about), "utf-8")
        (new / "verify.py").write_text(script(about), "utf-8")
        about["vectors"] = vectors.listed
        about["files"] = {
            each.relative_to(new).as_posix(): sha256(each) for each in sorted(new.rglob("*")) if each.is_file()
        }
        (new / LIST).write_text(json.dumps(about, indent=1), "utf-8")
    return Report(str(folder), report.checks)


def files_of(folder: Path) -> set[str]:
    """The files of a folder that are the bundle's."""
    return {*dict(json.loads((folder / LIST).read_text("utf-8"))["files"]), LIST}


def sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


class Vectors:
    """Pictures with the original's labels. Each as PNG to look at, and as bytes for readers without a decoder:
    `picture` H x W x C, `labels` H x W, `sure` H x W (0: another label is as right there). `limit` is the share of
    pixels that may differ where the original was sure."""

    def __init__(self, folder: Path):
        self.folder = folder
        self.listed: list[dict[str, Any]] = []
        folder.mkdir()

    def add(self, truth: Truth) -> None:
        """One more; batches were for the exporting machine, devices see one picture at a time."""
        if len(truth.pixels) > 1:
            return
        picture = truth.pixels[0].numpy()
        labels = truth.labels[0].numpy().astype(np.uint8)
        stem = f"{len(self.listed):02}-{re.sub(r'[^a-z0-9]+', '-', truth.name.lower()).strip('-') or 'picture'}"[:48]
        entry: dict[str, Any] = {"name": truth.name, "size": list(labels.shape), "limit": truth.limits.wrong}
        for key, content in (
            ("picture", picture),
            ("labels", labels),
            ("sure", truth.sure[0].numpy().astype(np.uint8)),
        ):
            entry[key] = f"{VECTORS}/{stem}.{key}.bin"
            (self.folder / f"{stem}.{key}.bin").write_bytes(np.ascontiguousarray(content).tobytes())
        _write_png(self.folder / f"{stem}.picture.png", picture)
        _write_png(self.folder / f"{stem}.labels.png", labels)
        self.listed.append(entry)


def _write_png(path: Path, pixels: npt.NDArray[np.uint8]) -> None:
    """Grey, RGB, or RGB and one more; pictures of other channels have no PNG."""
    import cv2

    channels = 1 if pixels.ndim == 2 else pixels.shape[2]
    if channels not in (1, 3, 4):
        return
    codes = {3: cv2.COLOR_RGB2BGR, 4: cv2.COLOR_RGBA2BGRA}
    encoded = cv2.imencode(".png", cv2.cvtColor(pixels, codes[channels]) if channels > 1 else pixels)[1]
    path.write_bytes(encoded.tobytes())


def _load(path: Path) -> Network:
    from swath.weights import load_weights

    if path.suffix != ".safetensors":
        raise SwathError(f"{path}: only .safetensors weights can be exported; exported files cannot be exported again")
    return load_weights(path)


def _about(
    network: Network, to: str, finish: Finish, size: tuple[int, int] | None, precision: Precision
) -> dict[str, Any]:
    """All that a device needs to know; `preprocess` is for information, it happens inside."""
    description = Description.of(network)
    meta = description.meta
    return {
        "bundle": VERSION,
        "swath": __version__,
        "format": to,
        "model": f"model{FORMATS[to]}",
        "finish": finish,
        "precision": meta.quantised or precision,
        "shape": None if size is None else list(size),
        "network": meta.network,
        "dataset": meta.dataset,
        "score": meta.score,
        "classes": meta.classes,
        "colors": [list(color) for color in meta.colors],
        "channels": description.channels,
        "stride": description.stride,
        "align_corners": description.align_corners,
        "multiple": description.multiple,
        "min_size": list(description.min_size),
        "short_side": None if size else description.learnt_side,
        "preprocess": meta.preprocesses["image"],
    }
