"""Which engine is fastest here: what was measured is remembered in the cache folder, and chosen from.

A measurement holds for networks of one shape (their weights do not matter for speed), one processor, one number of
threads and the versions that are installed; when any of them changes, nothing is known again.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import torch

from swath import __version__
from swath.errors import SwathError
from swath.files import atomic_write, cache_folder
from swath.inference.runtimes.engines import CONVERTED, ENGINES, WEIGHTS, absence, engine_name, present, version
from swath.networks import Network

Size = tuple[int, int]  # height, width

# torch.compile is chosen by name only: it takes its time again for each process and for other sizes of pictures.
AUTOMATIC = ("torch", "graphs", "onnxruntime", "openvino", "tensorrt")
_QUICK = 3.0  # seconds until its first answer that nobody minds
_NEAR = 1.0  # a measurement speaks for pictures of half to twice its pixels


@dataclass(frozen=True, kw_only=True)
class Figure:
    """How one engine did."""

    ms: float  # from pixels to labels, median
    start: float  # seconds from opening it to its first answer, in every process
    convert: float = 0.0  # seconds to make its file, once


@dataclass(frozen=True)
class Measurement:
    """Engines side by side on one network at one size."""

    size: Size
    figures: Mapping[str, Figure]

    def told(self, engine: str) -> str:
        """The choice and its reason, in a line."""
        mine = self.figures[engine]
        other = (
            "torch"
            if engine != "torch"
            else min(
                (name for name in self.figures if name != engine), key=lambda name: self.figures[name].ms, default=None
            )
        )
        against = (
            ""
            if other is None or other not in self.figures
            else (f" against {_ms(self.figures[other].ms)} of {'torch' if other == 'torch' else engine_name(other)}")
        )
        sooner = ", but starts sooner" if any(each.ms < mine.ms for each in self.figures.values()) else ""
        return f"{engine_name(engine)} (measured {_ms(mine.ms)}{against} at {self.size[1]}x{self.size[0]}{sooner})"


def remember(subject: Network | Path, device: str, measurement: Measurement) -> Path:
    """Keep it, in place of what is known of about this size."""
    folder = _folder()
    if folder is None:
        raise SwathError("there is no home folder to remember measurements in; set XDG_CACHE_HOME")
    path = folder / _name(subject, device)
    before = recall(subject, device, measurement.size)
    figures = dict(measurement.figures)
    for name, figure in figures.items():
        if before and name in before.figures and not figure.convert:  # its file was there already
            figures[name] = replace(figure, convert=before.figures[name].convert)
    others = [each for each in _read(path) if _distance(each.size, measurement.size) > _NEAR / 2]
    content = {
        "subject": subject.name,
        "machine": _machine(device),
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "measurements": [
            asdict(each) for each in (*others, Measurement(measurement.size, figures))
        ],  # the newest comes last
    }
    with atomic_write(path, "w") as file:
        json.dump(content, file, indent=1)
    return path


def recall(subject: Network | Path, device: str, size: Size | None = None) -> Measurement | None:
    """What is known of about this size; of no size in particular, the newest."""
    folder = _folder()
    if folder is None or not folder.is_dir():  # nothing was ever measured: do not even look at the machine
        return None
    known = _read(folder / _name(subject, device))
    if size is None:
        return known[-1] if known else None
    near = [each for each in known if _distance(each.size, size) <= _NEAR]
    return min(near, key=lambda each: _distance(each.size, size), default=None)


def choose(measurement: Measurement, subject: Network | Path, device: str, calls: int | None = None) -> str | None:
    """The engine that is done first with so many calls; without a number, the fastest of those that are ready and start
    at once, so that nobody waits who did not ask for it. None where none of them can be had now."""
    seconds = {}
    for name, figure in measurement.figures.items():
        ending = WEIGHTS if isinstance(subject, Network) else subject.suffix
        if name not in AUTOMATIC or absence(name, ending, device):
            continue
        is_ready = _ready(name, subject, device)
        if calls is not None:
            seconds[name] = figure.start + (0 if is_ready else figure.convert) + calls * figure.ms / 1000
        elif is_ready and figure.start <= _QUICK:
            seconds[name] = figure.ms / 1000
    return min(seconds, key=lambda name: seconds[name], default=None)


def chosen(subject: Network | Path, device: str, size: Size | None) -> str | None:
    """What `Segmenter(path)` runs where an engine was measured to be faster; None where nothing is known."""
    measurement = recall(subject, device, size)
    return choose(measurement, subject, device) if measurement else None


def candidates(subject: Network | Path, device: str) -> list[str]:
    """The engines that are here and may be chosen from."""
    ending = WEIGHTS if isinstance(subject, Network) else subject.suffix
    return [name for name in present(ending, device) if name in AUTOMATIC]


def _ready(name: str, subject: Network | Path, device: str) -> bool:
    if not isinstance(subject, Network) or name not in CONVERTED:
        return True
    from swath.inference.runtimes import converted

    return converted.ready(subject, CONVERTED[name], device)


def _folder() -> Path | None:
    try:
        return cache_folder() / "measured"
    except RuntimeError:  # no home folder, as for made-up users of containers
        return None


def _name(subject: Network | Path, device: str) -> str:
    key = json.dumps([_shape(subject), _machine(device)], sort_keys=True)
    return f"{hashlib.sha256(key.encode()).hexdigest()[:32]}.json"


def _shape(subject: Network | Path) -> str:
    """Equal where the same work is done: of a network its tensors' shapes, of a file all its bytes."""
    if isinstance(subject, Network):
        tensors = [(name, *tensor.shape) for name, tensor in subject.state_dict().items()]
        return hashlib.sha256(repr((subject.name, subject.quantised, tensors)).encode()).hexdigest()
    try:
        with subject.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise SwathError(f"{subject}: cannot be read ({error.strerror})") from error


def _machine(device: str) -> dict[str, object]:
    from swath.bench.manifest import device_name

    versions = {name: version(name) for name in ENGINES if not absence(name, ENGINES[name].opens[0], device)}
    threads = torch.get_num_threads() if device == "cpu" else None
    return {"device": device_name(device), "threads": threads, "swath": __version__, "versions": versions}


def _read(path: Path) -> list[Measurement]:
    """All of one subject on one machine; what is damaged is as good as nothing."""
    try:
        found = json.loads(path.read_text("utf-8"))["measurements"]
        return [
            Measurement(
                (int(each["size"][0]), int(each["size"][1])),
                {name: Figure(**figure) for name, figure in each["figures"].items()},
            )
            for each in found
        ]
    except (OSError, ValueError, KeyError, TypeError, IndexError, AttributeError):
        return []


def _distance(a: Size, b: Size) -> float:
    """Doublings of the number of pixels."""
    return abs(math.log2((a[0] * a[1]) / (b[0] * b[1])))


def _ms(value: float) -> str:
    return f"{value:.0f} ms" if value >= 10 else f"{value:.1f} ms"
