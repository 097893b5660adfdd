"""One actor's work, a part at a time: read ahead, segment, write, and say at last that it is done."""

from __future__ import annotations

import hashlib
import tempfile
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
import numpy.typing as npt

from swath.cluster import ledger
from swath.cluster.kinds import KINDS, About
from swath.cluster.listing import Part, read_part
from swath.cluster.places import open_place
from swath.cluster.sources import Reader
from swath.data.images import decode_image
from swath.errors import SwathError
from swath.inference import Segmenter, Views
from swath.inference.ahead import ahead
from swath.inference.segmenter import Answer

Array = npt.NDArray[np.uint8]

_AS_USUAL = 2  # times that a part is begun like any other: machines die of other things than pictures
_FRUITLESS = 3  # further times, without a picture that is to blame, after which somebody has to look
_DEADLY = 2  # deaths of processes that tried nothing but one picture, after which it is left alone
_TO_WAIT_FOR = 16  # readers at least where pictures come over a network


@dataclass(frozen=True)
class Model:
    """A model's files by name: they travel to the actors, so that other machines need not have them."""

    name: str  # of the file to open, or of the folder of all
    folder: bool
    files: dict[str, bytes]

    @classmethod
    def of(cls, path: Path) -> Model:
        """A file with what belongs to it (an OpenVINO .xml has a .bin, an engine a description), or a bundle."""
        if path.is_dir():
            found = sorted(each for each in path.rglob("*") if each.is_file())
            return cls(path.name, True, {each.relative_to(path).as_posix(): _bytes(each) for each in found})
        beside = [path.with_suffix(".bin")] if path.suffix == ".xml" else [path.with_name(path.name + ".json")]
        return cls(path.name, False, {each.name: _bytes(each) for each in [path, *filter(Path.is_file, beside)]})

    @property
    def digest(self) -> str:
        """The same for the same bytes, whatever the files are called."""
        found = hashlib.sha256()
        for data in self.files.values():
            found.update(hashlib.sha256(data).digest())
        return found.hexdigest()[:32]

    def unpack(self, folder: Path) -> Path:
        for name, data in self.files.items():
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
        return folder if self.folder else folder / self.name


@dataclass(frozen=True)
class Job:
    """What all actors have to know."""

    model: Model
    engine: str | None
    device: str
    views: Views
    unsure: float | str | None
    kind: str
    root: str  # of the pictures
    out: str
    run: str  # a name of this call's own


class Worker:
    """The Segmenter, and where things come from and go to."""

    def __init__(self, job: Job, batch: int, threads: int, node: str = "") -> None:
        self.job, self.batch, self.node = job, batch, node
        self.segmenter = open_segmenter(job, threads)
        self.place = open_place(job.out)
        self.read = Reader(job.root)
        self.readers = max(2, threads, _TO_WAIT_FOR if "://" in job.root else 0)
        self.writers = ThreadPoolExecutor(max(2, threads), "swath-write")
        self.engine = f"{self.segmenter.runtime.engine} on {self.segmenter.runtime.device}"
        about = About(self.segmenter.class_names, self.segmenter.colors, self.engine, job.model.digest)
        self.kind = KINDS[job.kind](self.place, about)

    def part(self, part: Part) -> ledger.Done:
        """Do it, unless another did. Where processes died at it, one picture is tried after the other."""
        done = ledger.read_marker(self.place, part.number)
        if done is None:
            names = read_part(self.place, ledger.LISTING, part)
            trial = self._begun(part.number, names[0])
            careful = trial.begun > _AS_USUAL
            pictures = self._one_by_one(part.number, names, trial) if careful else self._read(names)
            done = _Part(self, 1 if careful else self.batch).run(part.number, pictures)
            ledger.write_marker(self.place, part.number, done)
            ledger.remove_trial(self.place, part.number)
        return done

    def _begun(self, number: int, first: str) -> ledger.Trial:
        """Note that the part is begun, and learn how often it was. A cluster begins lost parts again without end."""
        trial = ledger.read_trial(self.place, number)
        if trial.run != self.job.run:
            trial.run, trial.begun = self.job.run, 0
        if trial.at:
            trial.deaths[trial.at] = trial.deaths.get(trial.at, 0) + 1
            trial.at = None
        trial.begun += 1
        ledger.write_trial(self.place, number, trial)
        if trial.begun > _AS_USUAL + _FRUITLESS + sum(trial.deaths.values()):
            said = ledger.read_trouble(self.place).strip() or "its processes died without a word"
            raise SwathError(f"part {number} (from {first} on) could not be done in {trial.begun - 1} attempts: {said}")
        return trial

    def answers(self, pictures: list[Array]) -> list[Answer]:
        """What the Segmenter says; pixels that are not as sure as was asked for have no class."""
        unsure = self.job.unsure is not None
        answers = self.segmenter.answers(pictures, self.kind.sure or unsure)
        if not unsure:
            return answers
        results = map(self.segmenter.result, pictures, answers)
        return [Answer(result.labels, answer.confidence) for result, answer in zip(results, answers)]

    def _read(self, names: list[str]) -> Iterator[tuple[str, Array | str]]:
        for name, picture in ahead(self._picture, names, self.readers):
            yield name, picture()

    def _one_by_one(self, number: int, names: list[str], trial: ledger.Trial) -> Iterator[tuple[str, Array | str]]:
        """Each is noted before it is touched. After a death the note is still there."""
        for name in names:
            if trial.deaths.get(name, 0) >= _DEADLY:
                yield name, "the process died of it, twice: it is too large for this machine's memory, or harmful"
                continue
            trial.at = name
            ledger.write_trial(self.place, number, trial)
            yield name, self._picture(name)
        trial.at = None  # whatever happens now, it is not the last picture's doing
        ledger.write_trial(self.place, number, trial)

    def _picture(self, name: str) -> Array | str:
        """The picture, or why there is none."""
        try:
            return decode_image(self.read(name), name)
        except SwathError as error:
            return str(error)


class _Part:
    """The pictures of one part on their way."""

    def __init__(self, worker: Worker, batch: int) -> None:
        self.worker, self.batch = worker, batch
        self.rows: list[Any] = []
        self.bad: list[list[str]] = []
        self.pixels = np.zeros(worker.segmenter.num_classes, np.int64)
        self.writing: deque[Future[Any]] = deque()
        self.unknown = ""  # what went wrong in the network, and is no mistake of a picture that swath knows

    def run(self, number: int, pictures: Iterator[tuple[str, Array | str]]) -> ledger.Done:
        began = perf_counter()
        waiting: list[tuple[str, Array]] = []
        readable = 0
        for name, picture in pictures:
            if isinstance(picture, str):
                self.bad.append([name, picture])
                continue
            readable += 1
            waiting.append((name, picture))
            if len(waiting) >= self.batch:
                self._segment(waiting)
                waiting = []
        self._segment(waiting)
        self._written(0)
        if self.unknown and readable > 1 and not self.rows:
            raise RuntimeError(self.unknown)  # not the pictures: the device
        self.worker.kind.part(number, self.rows)
        counts = dict(zip(self.worker.segmenter.class_names, self.pixels.tolist()))
        seconds = perf_counter() - began
        return ledger.Done(len(self.rows), self.bad, counts, seconds, self.worker.engine, self.worker.node)

    def _segment(self, group: list[tuple[str, Array]]) -> None:
        """A batch; where that fails, one by one, so that only what is to blame is lost."""
        if not group:
            return
        try:
            answers = self.worker.answers([picture for _, picture in group])
        except Exception as error:  # engines raise what they like, too little memory among it
            if len(group) > 1:
                for each in group:
                    self._segment([each])
                return
            said = " ".join(str(error).split())[:300] or type(error).__name__
            if not isinstance(error, SwathError):
                self.unknown = said = f"{type(error).__name__}: {said}"
            self.bad.append([group[0][0], said])
            return
        for (name, _), answer in zip(group, answers):
            pixels = np.bincount(answer.labels.ravel(), minlength=256)[: len(self.pixels)].astype(np.int64)
            self.pixels += pixels
            self.writing.append(self.worker.writers.submit(self.worker.kind.picture, name, answer, pixels))
        self._written(2 * self.batch)

    def _written(self, most: int) -> None:
        """Wait until no more than so many are still being written."""
        while len(self.writing) > most:
            self.rows.append(self.writing.popleft().result())


def open_segmenter(job: Job, threads: int) -> Segmenter:
    """The model that travelled here."""
    import cv2
    import torch

    torch.set_num_threads(threads)
    cv2.setNumThreads(threads)
    with tempfile.TemporaryDirectory(prefix="swath-model-") as folder:
        path = job.model.unpack(Path(folder))
        try:
            segmenter = Segmenter(path, job.device, engine=job.engine, views=job.views, unsure=job.unsure)
        except SwathError as error:
            raise SwathError(str(error).replace(str(path), job.model.name)) from error
    segmenter.name = job.model.name
    return segmenter


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise SwathError(f"{path}: cannot be read ({error.strerror or error})") from error
