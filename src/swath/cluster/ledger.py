"""What is done of an archive, kept beside the results: what the run is, a marker for each part, and notes on deaths.

A marker is written after everything that it stands for. The folder's name begins with an underscore, so that readers of
Parquet datasets leave it out.
"""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

from swath.cluster.listing import Listing
from swath.cluster.places import Place
from swath.errors import SwathError

FOLDER = "_swath"
LISTING = f"{FOLDER}/listing.txt"
_RUN = f"{FOLDER}/run.json"
_FORMAT = {"format": "swath archive", "version": 1}
_AT_ONCE = 16  # requests; an object store answers each after tens of milliseconds


@dataclass(frozen=True)
class Done:
    """What became of a part."""

    pictures: int  # that are in the output
    bad: list[list[str]]  # name and reason of the others
    pixels: dict[str, int]  # of each class
    seconds: float
    engine: str
    node: str  # the machine's name, and Ray's for it


@dataclass
class Trial:
    """How often a part was begun, and what its pictures did to the processes that tried them one by one."""

    run: str = ""
    begun: int = 0  # in that run
    at: str | None = None
    deaths: dict[str, int] = field(default_factory=dict)


def read_run(place: Place) -> tuple[dict[str, Any], Listing] | None:
    """The settings and the listing of the run that was begun here."""
    data = place.read(_RUN)
    if data is None:
        return None
    try:
        told = json.loads(data)
        if {key: told[key] for key in _FORMAT} == _FORMAT:
            return told["settings"], Listing(told["pictures"], told["each"], told["ends"])
    except (ValueError, KeyError, TypeError):
        pass
    raise SwathError(f"{place.root}/{_RUN}: is not readable by this swath; choose another --out")


def write_run(place: Place, settings: dict[str, Any], listing: Listing) -> None:
    told = {**_FORMAT, "settings": settings, **vars(listing)}
    place.write(_RUN, json.dumps(told).encode())


def refuse_others(place: Place, begun: dict[str, Any], settings: dict[str, Any]) -> None:
    """What is there was made otherwise, and must not be mixed."""
    for key, now in settings.items():
        before = begun.get(key)
        if before != now:
            raise SwathError(
                f"{place.root}: was begun with {key} {_short(before)}, this is {_short(now)}; what is there is kept: "
                "choose another --out, or the same model and settings"
            )


def markers(place: Place, numbers: list[int] | None = None) -> dict[int, Done]:
    """Every part that is done."""
    if numbers is None:
        names = place.names(f"{FOLDER}/done")
        numbers = [int(name[:-5]) for name in names if name.endswith(".json") and name[:-5].isdigit()]
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        found = pool.map(lambda number: read_marker(place, number), numbers)
        return {number: done for number, done in zip(numbers, found) if done}


def read_marker(place: Place, number: int) -> Done | None:
    data = place.read(_file("done", number))
    try:
        return Done(**json.loads(data)) if data is not None else None
    except (ValueError, TypeError):
        return None  # not ours, or damaged by others: the part is done again


def write_marker(place: Place, number: int, done: Done) -> None:
    place.write(_file("done", number), json.dumps(vars(done)).encode())


def remove_marker(place: Place, number: int) -> None:
    """The part is done again; what its pictures did to processes is forgotten as well."""
    remove_trial(place, number)
    place.remove(_file("done", number))


def read_trial(place: Place, number: int) -> Trial:
    data = place.read(_file("trial", number))
    return Trial(**json.loads(data)) if data is not None else Trial()


def write_trial(place: Place, number: int, trial: Trial) -> None:
    place.write(_file("trial", number), json.dumps(vars(trial)).encode())


def remove_trial(place: Place, number: int) -> None:
    place.remove(_file("trial", number))


def write_trouble(place: Place, text: str) -> None:
    """Why an actor gave up, for whoever has to say it; the last one is enough."""
    place.write(f"{FOLDER}/trouble.txt", text.encode("utf-8", "replace"))


def read_trouble(place: Place) -> str:
    return (place.read(f"{FOLDER}/trouble.txt") or b"").decode("utf-8", "replace")


def _file(kind: str, number: int) -> str:
    return f"{FOLDER}/{kind}/{number:07d}.json"


def _short(value: object) -> str:
    text = str(value) if isinstance(value, str) else json.dumps(value)
    return text if len(text) <= 60 else text[:57] + "..."
