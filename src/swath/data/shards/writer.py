"""Writing shards: whole ones or none, so that an interrupted writing goes on with the shard that it stood at."""

from __future__ import annotations

import contextlib
import json
import shutil
import tarfile
import zlib
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path, PurePosixPath
from typing import IO, Any

from swath.cards.card import Card
from swath.data.shards.index import NAME, Index, Split, parse_index
from swath.data.shards.plan import SHARD_BYTES, Files, Plan, SplitPlan, picture_files, plan_shards
from swath.errors import SwathError
from swath.files import atomic_path, atomic_write, make_folder

Row = list[Any]


def write_shards(
    card: Card,
    splits: Sequence[str],
    root: str | Path | None,
    out: str | Path,
    *,
    layout: str | None = None,
    maps: Sequence[str] = (),
    shard_bytes: int = SHARD_BYTES,
    jobs: int = 1,
    announce: Callable[[Plan], None] | None = None,
    told: Callable[[int, int], None] | None = None,
    **options: Any,
) -> Path:
    """Write splits of a card as shards into the folder `out`, and give the path of their index, shards.json.

    Shards that are there and would be the same are kept: run it again after an interruption, or to add a split.
    `announce` gets the plan before anything is written, `told` (pictures done, of how many) on the way.
    """
    folder = make_folder(out)
    index = _earlier(folder, card)
    plan = plan_shards(card, splits, root, layout=layout, maps=maps, shard_bytes=shard_bytes, **options)
    if announce:
        announce(plan)
    steps = [(split, *step) for split in plan.splits for step in split.shard_files()]
    there = {file: _there(folder / file, made_from) for _, file, _, made_from in steps}
    _check_room(folder, plan, sum(len(rows) for rows in there.values() if rows is not None))
    new = {split.name: Split(split.rules, split.maps, split.parts) for split in plan.splits}
    done = 0
    with ThreadPoolExecutor(max(jobs, 1)) as pool:
        for split, file, pictures, made_from in steps:
            rows = there[file]
            if rows is None:
                rows = []
                for row in _write(folder / file, split, pictures, pool, 2 * jobs):
                    rows.append(row)
                    if told:
                        told(done + len(rows), plan.pictures)
                size = (folder / file).stat().st_size
                _write_text(_beside(folder / file), json.dumps({"made_from": made_from, "bytes": size, "rows": rows}))
            done += len(rows)
            if told:
                told(done, plan.pictures)
            into = new[split.name]
            into.rows += [[name, len(into.shards), *numbers] for name, *numbers in rows]
            into.shards.append(file)
    before = {file for split in index.splits.values() for file in split.shards}
    index.splits.update(new)
    _write_text(folder / NAME, index.to_json())
    for file in before - {file for split in index.splits.values() for file in split.shards}:
        (folder / file).unlink(missing_ok=True)  # of a split that has fewer shards now
        _beside(folder / file).unlink(missing_ok=True)
    return folder / NAME


def _earlier(folder: Path, card: Card) -> Index:
    """The index of what the folder holds already; of another card's it is refused."""
    path = folder / NAME
    if not path.exists():
        return Index(card.name, card.class_names)
    index = parse_index(path.read_bytes(), str(path))
    if (index.card, index.classes) != (card.name, card.class_names):
        raise SwathError(f"{folder}: holds shards of card '{index.card}' with other classes; choose another folder")
    return index


def _beside(shard: Path) -> Path:
    """What a shard holds, so that writing can go on before there is an index of them all."""
    return shard.with_suffix(".json")


def _there(shard: Path, made_from: str) -> list[Row] | None:
    """The rows of a shard that is there and would be written the same again."""
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
        told = json.loads(_beside(shard).read_bytes())
        if told["made_from"] == made_from and told["bytes"] == shard.stat().st_size:
            rows: list[Row] = told["rows"]
            return rows
    return None


def _check_room(folder: Path, plan: Plan, there: int) -> None:
    needed, free = plan.bytes * (plan.pictures - there) / plan.pictures, shutil.disk_usage(folder).free
    if needed > free:
        raise SwathError(
            f"{folder}: the shards need about {needed / 1e9:.1f} GB, {free / 1e9:.1f} GB are free on that disk; "
            "choose a folder on another one"
        )


def _write(shard: Path, split: SplitPlan, pictures: range, pool: ThreadPoolExecutor, ahead: int) -> Iterator[Row]:
    """Write one shard; its rows, as they come: [name, height, width, then offset, length, CRC of each part]."""
    keys: set[str] = set()
    with atomic_path(shard) as temporary, temporary.open("wb") as tar:
        for index, files in _in_order(split, pictures, pool, ahead):
            name, size = split.source.name(index), split.source.size(index)
            key = _key(name.removesuffix(files["image"][0]), index, keys)
            row: Row = [name, *size]
            for part in split.parts:
                suffix, data = files[part]
                row += [_add(tar, key + suffix, data), len(data), zlib.crc32(data)]
            told = {"name": name, "split": split.name, "height": size[0], "width": size[1]}
            _add(tar, f"{key}.json", json.dumps(told, ensure_ascii=False).encode())
            yield row
        tar.write(bytes(2 * tarfile.BLOCKSIZE))


def _in_order(split: SplitPlan, pictures: range, pool: ThreadPoolExecutor, ahead: int) -> Iterator[tuple[int, Files]]:
    """The files of the pictures, made by several threads: decoders let others run meanwhile."""
    waiting: deque[tuple[int, Future[Files]]] = deque()
    try:
        for index in pictures:
            waiting.append((index, pool.submit(picture_files, split, index)))
            if len(waiting) > ahead:
                number, future = waiting.popleft()
                yield number, future.result()
        for number, future in waiting:
            yield number, future.result()
    finally:
        for _, future in waiting:
            future.cancel()


def _key(name: str, index: int, taken: set[str]) -> str:
    """What the files of a picture begin with. Readers of such tars end a key at the first dot of the file's name."""
    path = PurePosixPath(name)
    key = str(path.with_name(path.name.replace(".", "_")))
    if key in taken:
        key = f"{key}-{index}"
    taken.add(key)
    return key


def _add(tar: IO[bytes], name: str, data: bytes) -> int:
    """Append a file to a tar, always the same for the same data; where its bytes begin."""
    info = tarfile.TarInfo(name)
    info.size = len(data)
    tar.write(info.tobuf(tarfile.GNU_FORMAT))
    offset = tar.tell()
    tar.write(data)
    tar.write(bytes(-len(data) % tarfile.BLOCKSIZE))
    return offset


def _write_text(path: Path, text: str) -> None:
    with atomic_write(path, "w") as file:
        file.write(text)
