"""From what a person names (pictures, folders, patterns) to a plan: which file is read, which files are written."""

from __future__ import annotations

import glob
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from swath.errors import SwathError

PICTURES = frozenset({".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".webp", ".ppm", ".pgm"})
# What can be written for a picture, and how its name ends.
OUTPUTS = {"labels": ".png", "overlay": "_overlay.jpg", "color": "_color.png"}


@dataclass(frozen=True)
class Job:
    """One picture and the files that come of it: kind -> path."""

    picture: Path
    outputs: dict[str, Path]


def plan(inputs: Iterable[str], out: Path, write: Sequence[str]) -> list[Job]:
    """Every picture of `inputs`, in their order, with its outputs under `out`. Refuses, before anything is written,
    two pictures that would become the same file and a picture that its own result would overwrite."""
    jobs: list[Job] = []
    taken: dict[str, Path] = {}  # output -> the picture it comes from
    seen: set[tuple[str, str]] = set()
    for picture, stem in (found for name in inputs for found in _find(name, out)):
        if (once := (_key(picture), str(stem))) in seen:
            continue  # named twice, say as a file and by its folder
        seen.add(once)
        outputs = {kind: out / stem.parent / (stem.name + OUTPUTS[kind]) for kind in write}
        for path in outputs.values():
            if other := taken.get(_key(path)):
                raise SwathError(
                    f"{other} and {picture} would both be written to {path}; rename one or choose two --out"
                )
            taken[_key(path)] = picture
        jobs.append(Job(picture, outputs))
    for job in jobs:
        if victim := taken.get(_key(job.picture)):
            raise SwathError(f"{job.picture}: the result of {victim} would overwrite it; choose another --out")
    return jobs


def _find(name: str, out: Path) -> list[tuple[Path, Path]]:
    """Pictures of one input, each with its path below it and without ending: where it goes under `out`."""
    path = Path(name)
    if path.is_dir():
        return _below(path, path, out, name)
    if path.exists():
        return [(path, Path(path.stem))]
    if glob.has_magic(name):
        return _matches(name, out)
    raise SwathError(f"{name}: no such file or folder")


def _below(folder: Path, root: Path, out: Path, name: str) -> list[tuple[Path, Path]]:
    found = []
    for parent, folders, files in os.walk(folder, onerror=_raise):
        # Results of an earlier run are no pictures to segment, and hidden folders are nobody's pictures.
        folders[:] = sorted(each for each in folders if not each.startswith(".") and not _same(Path(parent, each), out))
        found += [Path(parent, file) for file in sorted(files) if _is_picture(Path(file))]
    if not found:
        raise SwathError(f"{name}: holds no pictures ({', '.join(sorted(PICTURES))})")
    return [(each, each.relative_to(root).with_suffix("")) for each in found]


def _matches(pattern: str, out: Path) -> list[tuple[Path, Path]]:
    """Files that match a pattern; the tree below its first wildcard is kept."""
    parts = Path(pattern).parts
    root = Path(*parts[: next(i for i, part in enumerate(parts) if glob.has_magic(part))])
    found = []
    for match in sorted(root.glob(str(Path(pattern).relative_to(root)))):
        below = match.relative_to(root)
        hidden = any(part.startswith(".") for part in below.parts)
        if (
            _is_picture(match)
            and match.is_file()
            and not hidden
            and not any(_same(each, out) for each in match.parents)
        ):
            found.append((match, below.with_suffix("")))
    if not found:
        raise SwathError(f"{pattern}: no picture matches this pattern")
    return found


def _is_picture(path: Path) -> bool:
    return path.suffix.lower() in PICTURES and not path.name.startswith(".")


def _same(a: Path, b: Path) -> bool:
    return _key(a) == _key(b)


def _key(path: Path) -> str:
    return os.path.normcase(os.path.realpath(path))


def _raise(error: OSError) -> None:
    raise SwathError(f"{error.filename}: cannot be read ({error.strerror})") from error
