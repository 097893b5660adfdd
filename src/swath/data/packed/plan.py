"""What is to be packed: which pictures are already, which parts are to be written, and how large these become."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from swath.cards.card import Card
from swath.data.folder import FolderSource
from swath.data.packed.bands import FORMATS, Kind, encode, kind_of
from swath.data.packed.manifest import NAME, VERSION, Manifest, Origin, Part, Picture, Split, digest, read_manifest
from swath.data.packed.origin import Made, files_of, made_from, origin_of, with_digest
from swath.data.packed.part import ENDING, written
from swath.data.source import Source, read_parts, supplied
from swath.data.splits import own_splits
from swath.errors import SwathError, unknown

_AT_ONCE = 16  # headers and times of files are waited for, on a network disk
_SAMPLED = 4  # pictures that tell how far the others will shrink
# Pixels of a part: some 250 parts a split, so that every processor has its share and little is lost when it is stopped,
# but neither tiny files nor huge ones.
_PARTS, _SMALLEST, _LARGEST = 256, 1 << 22, 1 << 26

Told = Callable[[str, int, int], None]  # what is done, so many, of so many


@dataclass(frozen=True)
class Job:
    """A part to write: its file, and the pictures in it with the files that they come from."""

    file: str
    indices: tuple[int, ...]
    made: tuple[Made, ...]
    pixels: int


@dataclass(frozen=True)
class SplitPlan:
    """One split: `kept` are the pictures of parts that stay as they are, by index."""

    name: str
    source: Source
    packing: str
    kinds: Mapping[str, Kind]
    origin: Origin
    kept: Mapping[int, Picture]
    kept_parts: tuple[Part, ...]
    jobs: tuple[Job, ...]
    left_out: tuple[str, ...]  # maps that cannot be packed, and why

    def read(self, index: int) -> dict[str, NDArray[Any]]:
        """All that is packed of a picture."""
        return _read(self.source, index, self.kinds)

    def finished(self, out: Path) -> Split:
        """The split as it lies there, once every part is written."""
        parts, found = list(self.kept_parts), dict(self.kept)
        for job in self.jobs:
            done = written(out / job.file)
            if done is None:
                raise SwathError(f"{out / job.file}: has gone while the set was packed; run `swath pack` again")
            part, pictures = done
            found.update(zip(job.indices, (replace(each, part=len(parts)) for each in pictures)))
            parts.append(part)
        return Split(self.packing, self.kinds, self.origin, tuple(parts), tuple(found[i] for i in sorted(found)))


@dataclass(frozen=True)
class Plan:
    """What `swath pack` will do."""

    card: Card
    out: Path
    splits: tuple[SplitPlan, ...]
    old: Manifest | None
    missing: tuple[str, ...]  # splits whose files are not there
    todo: tuple[tuple[str, Job], ...] = field(default=())
    needed: int = 0  # bytes still to be written
    exact: bool = True  # whether `needed` is that, or an estimate

    @property
    def free(self) -> int:
        """Bytes free where it will be written."""
        there = next(each for each in (self.out, *self.out.absolute().parents) if each.is_dir())
        return shutil.disk_usage(there).free

    def check_room(self) -> None:
        """Refuse a disk that is too small, before an hour of writing ends on a full one."""
        margin = 1.01 if self.exact else 1.25
        if self.needed * margin > self.free:
            raise SwathError(
                f"{self.out}: needs {self.needed / 1e9:.1f} GB{'' if self.exact else ' or so'}, but only "
                f"{self.free / 1e9:.1f} GB are free there; choose another disk, fewer splits (--split train) or a "
                "smaller form (--format jpeg)"
            )


def plan_packing(
    card: Card,
    out: str | Path,
    root: str | Path | None = None,
    splits: Sequence[str] = (),
    layout: str | None = None,
    packing: str = "raw",
    told: Told | None = None,
) -> Plan:
    """Look at the source and at what is packed already. Without `splits`: train, val and test (or all), if there."""
    out = Path(out).expanduser()
    if packing not in FORMATS:
        raise unknown("format", packing, FORMATS)
    old = read_manifest(out) if (out / NAME).is_file() else None
    if old and (old.card, old.classes) != (card.name, tuple(card.class_names)):
        raise SwathError(f"{out}: holds card '{old.card}' with other classes or of another name; choose another folder")
    sources, missing = own_splits(card, root, splits, layout)
    for source in sources.values():
        if isinstance(source, FolderSource) and out.resolve() == source.root.resolve():
            raise SwathError(f"{out}: is the source itself; choose another folder to pack it into")
    plans = tuple(
        _plan_split(name, source, packing, out, old.splits.get(name) if old else None, told or _silent)
        for name, source in sources.items()
    )
    todo = tuple((each.name, job) for each in plans for job in each.jobs if written(out / job.file) is None)
    needed = sum(_bytes(each, [job for name, job in todo if name == each.name]) for each in plans)
    exact = all(kind.coding == "raw" for each in plans for kind in each.kinds.values())
    return Plan(card, out, plans, old, missing, todo, needed, exact)


def _plan_split(name: str, source: Source, packing: str, out: Path, old: Split | None, told: Told) -> SplitPlan:
    kinds, left_out = _kinds(source, packing)
    origin = origin_of(source)

    def look(index: int) -> Made:
        return made_from(files_of(source, index, kinds), origin.root)

    made = _each(look, range(len(source)), lambda done: told(f"{name}: files", done, len(source)))
    kept, kept_parts = _kept(source, made, packing, kinds, origin, old, out)
    rest = [index for index in range(len(source)) if index not in kept]
    sizes = dict(zip(rest, _each(source.size, rest, lambda done: told(f"{name}: sizes", done, len(rest)))))
    about = [VERSION, packing, {key: asdict(kind) for key, kind in kinds.items()}, origin.rules]
    about += [dict(origin.options), [each[3] for each in origin.shared]]
    safe = re.sub(r"[^\w-]", "_", name)
    jobs = []
    for group in _groups(sizes):
        key = digest([about, [[source.name(index), made[index].files] for index in group]])
        file = f"{safe}-{key}{ENDING}"
        pixels = sum(sizes[index][0] * sizes[index][1] for index in group)
        jobs.append(Job(file, tuple(group), tuple(made[index] for index in group), pixels))
    return SplitPlan(name, source, packing, kinds, origin, kept, kept_parts, tuple(jobs), left_out)


def _kinds(source: Source, packing: str) -> tuple[dict[str, Kind], tuple[str, ...]]:
    """What there is to pack, by the first picture; a map or an instance map without files is left out."""
    reading = source.reading if isinstance(source, FolderSource) else None
    names = ["image"] + (["labels"] if reading is None or reading.labelled else [])
    extra = [*supplied(source)] + (["instances"] if reading is not None and reading.instances else [])
    arrays, left_out = _read(source, 0, names), []
    for name in extra:
        try:
            arrays |= _read(source, 0, [name])
        except SwathError as error:
            left_out.append(f"{name} is left out: {error}")
    return {name: kind_of(name, array, packing) for name, array in arrays.items()}, tuple(left_out)


def _read(source: Source, index: int, names: Sequence[str] | Mapping[str, Kind]) -> dict[str, NDArray[Any]]:
    parts = read_parts(source, index, [name for name in names if name != "instances"])
    if "instances" in names:
        assert isinstance(source, FolderSource)
        parts["instances"] = source.instances(index)
    return parts


def _kept(
    source: Source,
    made: Sequence[Made],
    packing: str,
    kinds: Mapping[str, Kind],
    origin: Origin,
    old: Split | None,
    out: Path,
) -> tuple[dict[int, Picture], tuple[Part, ...]]:
    """Pictures in parts of which nothing has changed; only the times of their files are taken anew."""
    if old is None or (old.packing, old.kinds, old.origin.rules) != (packing, kinds, origin.rules):
        return {}, ()
    if old.origin.options != origin.options or [e[3] for e in old.origin.shared] != [e[3] for e in origin.shared]:
        return {}, ()
    index_of = {source.name(index): index for index in range(len(source))}

    def same(picture: Picture) -> bool:
        index = index_of.get(picture.name)
        return index is not None and made[index].fits(picture.files, Path(origin.root))

    stale = {each.part for each, sound in zip(old.pictures, _each(same, old.pictures)) if not sound}
    stale |= {number for number, part in enumerate(old.parts) if not _is_there(out / part.file, part.bytes)}
    staying = [number for number in range(len(old.parts)) if number not in stale]
    kept = {}
    for picture in old.pictures:
        if picture.part in stale:
            continue
        index = index_of[picture.name]
        files = tuple((*now, then[3]) for now, then in zip(made[index].files, picture.files))
        kept[index] = replace(picture, part=staying.index(picture.part), files=files)
    return kept, tuple(old.parts[number] for number in staying)


def _groups(sizes: Mapping[int, tuple[int, int]]) -> Iterator[list[int]]:
    """Pictures in their order, in parts that are closed once they are large enough: which pictures share a part depends
    on them alone, so a packing that was stopped finds its parts again."""
    total = sum(height * width for height, width in sizes.values())
    enough = min(max(total // _PARTS, _SMALLEST), _LARGEST)
    group: list[int] = []
    pixels = 0
    for index, (height, width) in sizes.items():
        group.append(index)
        pixels += height * width
        if pixels >= enough:
            yield group
            group, pixels = [], 0
    if group:
        yield group


def _bytes(plan: SplitPlan, jobs: Sequence[Job]) -> int:
    """Of parts that are to be written."""
    pixels = sum(job.pixels for job in jobs)
    if not pixels:
        return 0
    a_pixel = sum(kind.row_bytes(1) for kind in plan.kinds.values() if kind.coding == "raw")
    coded = {name: kind for name, kind in plan.kinds.items() if kind.coding != "raw"}
    if coded:
        indices = [index for job in jobs for index in job.indices]
        some = indices[:: -(-len(indices) // _SAMPLED)]
        arrays = [_read(plan.source, index, ["image", *coded]) for index in some]
        size = sum(len(band) for each in arrays for name in coded for band in encode(each[name], coded[name], name))
        a_pixel += size / sum(each["image"].shape[0] * each["image"].shape[1] for each in arrays)
    return int(pixels * a_pixel)


def described(job: Job, plan: SplitPlan) -> Iterator[tuple[int, tuple[tuple[str, int, int, str], ...]]]:
    """The pictures of a job with their files' digests; a file that changes while it is packed is refused."""
    for index, made in zip(job.indices, job.made):
        files = tuple(with_digest(each[0], plan.origin.root) for each in made.files)
        for now, planned in zip(files, made.files):
            if now[:3] != planned:
                path = Path(plan.origin.root, now[0])
                raise SwathError(f"{path}: has changed while it was packed; run it again when all files are written")
        yield index, files


def _is_there(path: Path, size: int) -> bool:
    return path.is_file() and path.stat().st_size == size


def _each(work: Callable[[Any], Any], items: Sequence[Any], told: Callable[[int], None] | None = None) -> list[Any]:
    """`work` of every item, many at once: it is the disk that is waited for."""
    results = []
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        for result in pool.map(work, items):
            results.append(result)
            if told:
                told(len(results))
    return results


def _silent(what: str, done: int, total: int) -> None:
    return None
