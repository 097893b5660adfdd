"""Files of 8 bits, made in a minute: as `swath quantize` begins, without its search for layers that need more."""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from swath.cards import load_card
from swath.data import Source
from swath.errors import SwathError
from swath.fit.candidates import Size
from swath.fit.identity import identity
from swath.fit.memory import own_folder
from swath.inference import Segmenter, Views
from swath.inference.runtimes import converted
from swath.networks import Network
from swath.quantise.engines import files
from swath.quantise.engines.makers import engine_of, quantised
from swath.quantise.engines.pictures import Calibration, Part, spread
from swath.quantise.engines.processor import weight_range

_KEPT = 16  # files; the ones that were not used for longest go
_PICTURES = {True: 16, False: 2}  # to find ranges with; of untrained networks only the time counts


def file(network: Network, train: Source | None, size: Size) -> Path:
    """The network in 8 bits. `train`: where real ranges come from; without it, synthetic streets."""
    folder = own_folder()
    if folder is None:
        raise SwathError("there is no home folder to keep files of 8 bits in; set XDG_CACHE_HOME")
    part = _chosen(train)
    told = f"{converted.fingerprint(network)} {ranges(train, size)}"
    path = folder / f"{hashlib.sha256(told.encode()).hexdigest()[:32]}.onnx"
    if path.is_file():
        path.touch()
        return path
    plain = converted.prepare(network, ".onnx")
    segmenter = Segmenter(plain, engine="onnxruntime", views=Views(size=size))
    pictures = Calibration(part, segmenter, len(part), 0)
    for _ in pictures.check():
        pass
    weights = weight_range()
    with tempfile.TemporaryDirectory(prefix="swath-fit-") as between:
        graph = quantised(engine_of("onnxruntime"), network, plain, pictures, weights.reduced, Path(between))
    description = segmenter.description
    description = replace(description, meta=replace(description.meta, quantised="int8"))
    folder.mkdir(parents=True, exist_ok=True)
    temporary = path.with_suffix(".part")
    files.write(graph, description, temporary)
    temporary.replace(path)
    _tidy(sorted(folder.glob("*.onnx"), key=lambda each: each.stat().st_mtime))
    return path


def ranges(train: Source | None, size: Size) -> str:
    """Equal where the ranges of the numbers are: what they are found with."""
    part = _chosen(train)
    return f"{identity(part.source, part.chosen)} {size}"


def _chosen(train: Source | None) -> Part:
    source = train or load_card("streets").open("val")
    return Part(source, spread(len(source), _PICTURES[train is not None], np.random.default_rng(0)))


def _tidy(paths: Sequence[Path]) -> None:
    for old in paths[:-_KEPT]:
        old.unlink(missing_ok=True)
