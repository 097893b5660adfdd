"""`predict_archive`: an archive to results, all of it, exactly once."""

from __future__ import annotations

import csv
import io
import json
import secrets
from collections import Counter
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from time import perf_counter
from typing import Any

from swath.cluster import ledger, pipeline
from swath.cluster.kinds import KINDS, check_kind, plain, unique_name
from swath.cluster.listing import Listing, read_part, write_listing
from swath.cluster.machine import Trial, crew
from swath.cluster.places import Place, open_place
from swath.cluster.sources import Origin, entries, origin_of
from swath.cluster.worker import Job, Model
from swath.errors import SwathError, unknown
from swath.inference import Views
from swath.inference.runtimes import model_file
from swath.weights import weights_file

_FRUITLESS = 2  # passes in which no part was done, after which somebody has to look
_TRIED = 8  # pictures


@dataclass
class Outcome:
    """What became of an archive, in all runs together."""

    pictures: int  # in the archive
    done: int = 0
    bad: list[list[str]] = field(default_factory=list)  # name and reason
    shares: dict[str, float] = field(default_factory=dict)  # of all pixels, by class
    engines: list[str] = field(default_factory=list)
    seconds: float = 0.0  # of this run's passes
    now: int = 0  # pictures of this run


@dataclass(frozen=True)
class Step:
    """For whoever watches: pictures that are done, in all and of this run, and how many there are."""

    done: int
    now: int
    pictures: int
    bad: int


def predict_archive(
    weights: str | Path,
    source: str,
    out: str | Path,
    kind: str = "png",
    *,
    views: Views | None = None,
    engine: str | None = None,
    device: str = "cpu",
    unsure: float | str | None = None,
    batch: int | None = None,
    actors: int | None = None,
    each: int | None = None,
    address: str | None = None,
    retry: bool = False,
    tell: Callable[[str], None] = print,
    watch: Callable[[Step], None] | None = None,
) -> Outcome:
    """Segment every picture below a folder or an address, or of a list, on a Ray cluster; go on where an earlier call
    stopped. Pictures that cannot be segmented are listed in bad.csv; with `retry` they are tried again.

    `views`, `engine`, `device` (cpu or cuda) and `unsure` are the Segmenter's. `batch`, `actors` and `each` (pictures a
    part) follow from what is measured and counted. `address` is the cluster's (None: the one that runs here, or this
    machine alone).
    """
    if kind not in KINDS:
        raise unknown("output of --as", kind, KINDS)
    if device not in ("cpu", "cuda"):
        raise SwathError(f"device '{device}': on a cluster it is cpu or cuda; which GPU is Ray's business")
    path = weights_file(weights)
    model_file(path)  # or it says what is wrong, before anything is begun
    model, origin, place = Model.of(path), origin_of(source), open_place(str(out))
    views = views or Views(as_learnt=True)
    settings = {
        "model": model.digest,
        "source": origin.list or origin.root,
        "as": kind,
        "views": asdict(views),
        "unsure": unsure,
    }
    listing, done = _begun(place, origin, kind, json.loads(json.dumps(settings)), each, tell)
    if retry:
        for number in [number for number, part in done.items() if part.bad]:
            ledger.remove_marker(place, number)
            del done[number]
    seconds = 0.0
    before = _pictures(done)
    if len(done) < len(listing.ends):
        tell("connecting to Ray, and trying the model on a worker")
        with pipeline.connected(address) as ray:
            job = Job(model, engine, device, views, unsure, kind, origin.root, place.root, secrets.token_hex(8))
            run = _Run(ray, job, place, listing, done, before, tell, watch)
            try:
                seconds = run.passes(run.plan(batch), actors)
            finally:
                _write_bad(place, done)
    outcome = _outcome(listing, done)
    outcome.seconds, outcome.now = seconds, _pictures(done) - before
    _write_bad(place, done)
    place.write("summary.json", json.dumps({**asdict(outcome), "bad": len(outcome.bad)}, indent=2).encode() + b"\n")
    return outcome


def _begun(
    place: Place, origin: Origin, kind: str, settings: dict[str, Any], each: int | None, tell: Callable[[str], None]
) -> tuple[Listing, dict[int, ledger.Done]]:
    """The run that is there, if it is this one; else a new one, with its listing."""
    done, begun = ledger.markers(place), ledger.read_run(place)
    if done:
        if begun is None:
            raise SwathError(f"{place.root}: has parts of a run, but not what the run was; choose another --out")
        ledger.refuse_others(place, begun[0], settings)
        ledger.refuse_others(place, {"pictures a part": begun[1].each}, {"pictures a part": each or begun[1].each})
    if begun and begun[0] == settings and each in (None, begun[1].each):
        tell(f"{origin.named}: {begun[1].pictures:,} pictures, {_pictures(done):,} of them done before")
        tell("(as it was listed when this run began: what has come since needs a run of its own, with another --out)")
        return begun[1], done
    try:
        listing = write_listing(
            entries(origin, place.root), place, ledger.LISTING, lambda name: unique_name(kind, name), each=each
        )
    except SwathError as error:
        raise SwathError(f"{origin.named}: {error}" if str(error) == "holds no pictures" else str(error)) from None
    ledger.write_run(place, settings, listing)
    tell(f"{origin.named}: {listing.pictures:,} pictures in {len(listing.ends):,} parts of up to {listing.each}")
    return listing, {}


@dataclass
class _Run:
    """What is left of an archive, on a cluster."""

    ray: Any
    job: Job
    place: Place
    listing: Listing
    done: dict[int, ledger.Done]
    before: int  # pictures
    tell: Callable[[str], None]
    watch: Callable[[Step], None] | None
    shared: Any = None  # the job, where actors find it

    @property
    def left(self) -> list[int]:
        return [number for number in range(len(self.listing.ends)) if number not in self.done]

    def plan(self, batch: int | None) -> Trial:
        """What is seen when a worker tries the model on some of the pictures."""
        left = self.left
        some = sorted({left[i * len(left) // _TRIED] for i in range(_TRIED)})
        names = [read_part(self.place, ledger.LISTING, self.listing.part(number))[0] for number in some]
        self.shared = self.ray.put(self.job)
        trial = pipeline.tried_out(self.ray, self.shared, self.job.device, names, batch)
        check_kind(self.job.kind, trial.class_names)
        gpus = sum(node.gpus for node in pipeline.nodes(self.ray))
        if gpus and self.job.device == "cpu":
            self.tell(f"this cluster has {gpus:g} GPU{'s' * (gpus != 1)}: --device cuda uses them")
        return trial

    def passes(self, trial: Trial, actors: int | None) -> float:
        """Until nothing is left; gives the seconds that took."""
        began = perf_counter()
        turn = fruitless = 0
        while left := self.left:
            team = crew(pipeline.nodes(self.ray), trial, actors, self.job.device == "cuda")
            many = f"{team.actors} actor{'s' * (team.actors != 1)}"
            if turn == 0:
                threads = f"{team.threads} thread{'s' * (team.threads != 1)}"
                self.tell(f"{many} of {threads} ({team.why}), batches of {trial.batch} ({trial.why}); {trial.engine}")
            else:
                self.tell(f"{len(left)} parts were lost on their way; again, with {many}")
            self._step()
            for came in pipeline.run_pass(self.ray, self.shared, trial.batch, team, self.listing, left):
                if came.done is None:
                    raise SwathError(f"{came.error}; what is done is kept, the same command goes on")
                self.done[came.number] = came.done
                self._step()
            self.done.update(ledger.markers(self.place, self.left))  # done, and then its actor died
            self._step()
            fruitless = fruitless + 1 if len(self.left) == len(left) else 0
            turn += 1
            if fruitless >= _FRUITLESS:
                said = ledger.read_trouble(self.place).strip().replace("\n", " ") or "their actors died without a word"
                raise SwathError(f"{len(left)} parts could not be done in {turn} passes: {said[-600:]}")
        return perf_counter() - began

    def _step(self) -> None:
        if self.watch:
            pictures = _pictures(self.done)
            bad = sum(len(part.bad) for part in self.done.values())
            self.watch(Step(pictures, pictures - self.before, self.listing.pictures, bad))


def _pictures(done: dict[int, ledger.Done]) -> int:
    """Those that are settled, good or bad."""
    return sum(part.pictures + len(part.bad) for part in done.values())


def _outcome(listing: Listing, done: dict[int, ledger.Done]) -> Outcome:
    pixels: Counter[str] = Counter()
    for part in done.values():
        pixels.update(part.pixels)
    whole = pixels.total() or 1
    return Outcome(
        listing.pictures,
        sum(part.pictures for part in done.values()),
        [pair for number in sorted(done) for pair in done[number].bad],
        {name: count / whole for name, count in pixels.most_common() if count},
        sorted({part.engine for part in done.values()}),
    )


def _write_bad(place: Place, done: dict[int, ledger.Done]) -> None:
    """The list of pictures that are not in the output."""
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow(["name", "reason"])
    table.writerows([plain(name), reason] for number in sorted(done) for name, reason in done[number].bad)
    place.write("bad.csv", text.getvalue().encode())
