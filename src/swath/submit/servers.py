"""What the test servers of the benchmarks take: names, folders, kinds of pictures and values.

Where it is known from: Cityscapes from its own evaluation script and the organisers' answers; PASCAL VOC 2012 from
what its users report of it and of what its server has refused; ADE20K from the readme of its development kit; BDD100K
from its documentation; Mapillary Vistas from the organisers' answers and the traces of its server, which looks for
`<picture>.png` at the top of the archive.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from pathlib import PurePosixPath
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from swath.cards import Card, load_card
from swath.errors import SwathError, unknown

Archive = Literal["zip", "tar.gz"]


@dataclass(frozen=True, kw_only=True)
class Server:
    """What one server takes."""

    name: str
    title: str
    cards: tuple[str, ...]  # shipped cards of its pictures; the first has the classes that are scored
    names_card: str  # the card whose labels say which value stands for which class
    archive: Archive = "zip"
    folders: tuple[str, ...] = ("",)  # in which pictures may lie; the first is written
    anywhere: bool = False  # any folder is searched
    ending: str = ".png"  # after the picture's name
    free: str = ""  # a pattern of pictures' names, where anything may stand between the name and .png
    picture: str  # a pattern that its test pictures' names fit, and others do not
    palette: bool = False  # PNG with a palette; else grey
    size: tuple[int, int] | None = None  # height, width, where all are of one
    others: tuple[int, ...] = ()  # values that are taken but never scored
    mistakes: tuple[tuple[str, range], ...] = ()  # values that come of a known mistake, with its name
    remark: str = ""

    def file_name(self, picture: str) -> str:
        """Where the labels of a picture lie in the archive."""
        return str(PurePosixPath(self.folders[0]) / (PurePosixPath(picture).name + self.ending))

    def picture_of(self, file: str) -> str | None:
        """The picture that a file of the archive says it belongs to; whether there is one is not looked at."""
        name = PurePosixPath(file).name
        if not self.free:
            return name.removesuffix(self.ending) if name.endswith(self.ending) else None
        found = re.match(self.free, name)
        return found[0] if found and name.endswith(".png") else None

    def values(self) -> dict[str, int]:
        """The value of each class, by its name."""
        return values_of(load_card(self.names_card))

    def scored(self) -> dict[str, int]:
        """Of these, the ones that count."""
        known = self.values()
        return {name: known[name] for name in load_card(self.cards[0]).class_names}

    def table(self, card: Card) -> NDArray[np.uint8]:
        """256 values by the card's train ids."""
        known = self.values()
        strange = [name for name in card.class_names if name not in known]
        if strange:
            raise SwathError(
                f"card '{card.name}': {self.title} does not know the class '{strange[0]}'"
                f"{f' (nor {len(strange) - 1} others)' if strange[1:] else ''}; its classes are those of the card "
                f"'{self.cards[0]}'"
            )
        table = np.zeros(256, np.uint8)
        table[: card.num_classes] = [known[name] for name in card.class_names]
        return table


def values_of(card: Card) -> dict[str, int]:
    """The value that stands for each class in the labels of a card; where there are several, the lowest."""
    reading = next(iter(next(iter(card.layouts.values())).values()))
    by_class: dict[int, int] = {}
    for value, train_id in sorted(reading.table.ids.items(), reverse=True):
        by_class[train_id] = value
    return {name: by_class[index] for index, name in enumerate(card.class_names)}


_VOC = Server(
    name="voc",
    title="the server of PASCAL VOC 2012",
    cards=("voc",),
    names_card="voc",
    archive="tar.gz",
    folders=("results/VOC2012/Segmentation/comp6_test_cls", "results/VOC2012/Segmentation/comp5_test_cls"),
    picture=r"20\d\d_\d{6}",
    palette=True,
    remark="comp6 is for networks that have seen other data too (ImageNet, SBD); --server voc-comp5 for those that "
    "have not.",
)
SERVERS = {
    server.name: server
    for server in (
        Server(
            name="cityscapes",
            title="the server of Cityscapes",
            cards=("cityscapes", "cityscapes34", "cityscapes-color", "cityscapes-trainids"),
            names_card="cityscapes34",
            anywhere=True,
            ending="_labelIds.png",
            free=r"[A-Za-z-]+_\d{6}_\d{6}",
            picture=r"(?:berlin|bielefeld|bonn|leverkusen|mainz|munich)_\d{6}_\d{6}",
            size=(1024, 2048),
            mistakes=(("train ids (0 to 18), the server wants label ids (7 road to 33 bicycle)", range(19)),),
        ),
        Server(
            name="ade20k",
            title="the server of the ADE20K scene parsing benchmark",
            cards=("ade20k",),
            names_card="ade20k",
            picture=r"ADE_test_\d{8}",
            others=(0,),
            mistakes=(("train ids (0 to 149), the server wants 1 (wall) to 150 (flag)", range(150)),),
        ),
        Server(
            name="bdd100k",
            title="the server of BDD100K semantic segmentation",
            cards=("bdd100k",),
            names_card="bdd100k",
            folders=("", "*"),
            picture=r"[0-9a-f]{8}-[0-9a-f]{8}",
            mistakes=(("Cityscapes' label ids, the server wants train ids (0 road to 18 bicycle)", range(7, 34)),),
            remark="its documentation asks for a folder of masks, and does not say whether the folder itself stands in "
            "the zip; here the masks stand at its top.",
        ),
        Server(
            name="mapillary",
            title="the server of Mapillary Vistas (semantic segmentation, version 1)",
            cards=("mapillary", "mapillary66", "mapillary-instances"),
            names_card="mapillary66",
            picture=r"[\w-]{22}",
        ),
        _VOC,
        replace(_VOC, name="voc-comp5", folders=_VOC.folders[::-1], remark=""),
    )
}

# Shipped cards without a server, by the beginning of their names.
_WITHOUT = {
    "camvid": "CamVid's test labels are public; score them with `swath evaluate --split test`",
    "coco": "COCO's server takes instances in JSON, not label maps",
    "kitti": "KITTI's server takes Cityscapes' label ids for pictures that this card does not name",
    "nyuv2": "NYUv2's test labels are public; score them with `swath evaluate --split test`",
    "pascal-context": "PASCAL-Context has no test server; papers report its split val",
    "person-part": "PASCAL-Person-Part has no test server; papers report its split val",
    "sbd": "SBD has no test server; networks trained on it are submitted to PASCAL VOC's (card voc)",
    "streets": "the streets are made up here; score them with `swath evaluate`",
}


def server_of(card: Card, named: str | None = None) -> Server:
    """The server that `named` names, or else the one that scores the pictures of a card."""
    if named is not None:
        if named not in SERVERS:
            raise unknown("server", named, SERVERS)
        return SERVERS[named]
    for server in SERVERS.values():
        if card.name in server.cards and card.builtin:
            return server
    reason = next((text for start, text in _WITHOUT.items() if card.builtin and card.name.startswith(start)), None)
    if reason:
        raise SwathError(f"card '{card.name}' has no test server: {reason}")
    known = ", ".join(SERVERS)
    raise SwathError(f"card '{card.name}': no test server is known for it; name one with --server: {known}")
