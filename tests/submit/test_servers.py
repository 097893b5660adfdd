"""What servers are asked for: values by the datasets' own tables, names by their own scripts."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from swath import SwathError, list_cards, load_card
from swath.submit import SERVERS, server_of


@pytest.mark.parametrize("name", SERVERS)
def test_values_read_as_labels_give_the_classes_back(name: str) -> None:
    server = SERVERS[name]
    for card_name in server.cards:
        card = load_card(card_name)
        raw = server.table(card)[: card.num_classes]
        assert len(set(raw.tolist())) == card.num_classes
        truth = load_card(server.names_card)
        reading = next(iter(next(iter(truth.layouts.values())).values()))
        read = reading.table.apply(raw[None])[0]
        assert [truth.class_names[index] for index in read] == card.class_names


def test_cityscapes_values_are_the_official_ids() -> None:
    labels = pytest.importorskip("cityscapesscripts.helpers.labels").labels
    server = SERVERS["cityscapes"]
    assert server.values() == {label.name: label.id for label in labels if label.id >= 0}
    assert server.scored() == {label.name: label.id for label in labels if not label.ignoreInEval}
    table = server.table(load_card("cityscapes"))
    assert [int(table[label.trainId]) for label in labels if not label.ignoreInEval] == list(server.scored().values())


def test_what_is_known_of_the_others() -> None:
    assert SERVERS["ade20k"].table(load_card("ade20k"))[:150].tolist() == list(range(1, 151))
    assert SERVERS["bdd100k"].table(load_card("bdd100k"))[:19].tolist() == list(range(19))
    assert SERVERS["voc"].table(load_card("voc"))[:21].tolist() == list(range(21))
    assert SERVERS["mapillary"].table(load_card("mapillary"))[:65].tolist() == list(range(65))


@pytest.mark.parametrize(
    ("server", "picture", "file"),
    [
        ("cityscapes", "berlin/berlin_000000_000019", "berlin_000000_000019_labelIds.png"),
        ("ade20k", "ADE_test_00000001", "ADE_test_00000001.png"),
        ("bdd100k", "cabc30fc-e7726578", "cabc30fc-e7726578.png"),
        ("mapillary", "KYDNewfFShzSVSIeeek3oA", "KYDNewfFShzSVSIeeek3oA.png"),
        ("voc", "2008_000006", "results/VOC2012/Segmentation/comp6_test_cls/2008_000006.png"),
        ("voc-comp5", "2008_000006", "results/VOC2012/Segmentation/comp5_test_cls/2008_000006.png"),
    ],
)
def test_names_lead_back_to_their_pictures(server: str, picture: str, file: str) -> None:
    known = SERVERS[server]
    assert known.file_name(picture) == file
    assert known.picture_of(file) == Path(picture).name
    assert re.fullmatch(known.picture, Path(picture).name)


def test_the_official_script_finds_files_by_these_names(tmp_path: Path) -> None:
    script = pytest.importorskip("cityscapesscripts.evaluation.evalPixelLevelSemanticLabeling")
    pictures = ["berlin_000000_000019", "mainz_000001_009999"]
    for picture in pictures:
        (tmp_path / SERVERS["cityscapes"].file_name(picture)).touch()
    arguments = script.args
    arguments.predictionPath, arguments.predictionWalk = str(tmp_path), None
    for picture in pictures:
        found = script.getPrediction(arguments, f"/gt/{picture}_gtFine_labelIds.png")
        assert Path(found) == tmp_path / SERVERS["cityscapes"].file_name(picture)


def test_every_shipped_card_has_a_server_or_a_reason() -> None:
    without = []
    for name in list_cards():
        card = load_card(name)
        try:
            assert card.name in server_of(card).cards
        except SwathError as error:
            without.append(name)
            assert str(error).startswith(f"card '{card.name}'")
    for name in ("camvid", "nyuv2", "pascal-context", "person-part", "streets", "kitti6"):
        with pytest.raises(SwathError, match=f"card '{name}' has no test server: "):
            server_of(load_card(name))
    assert not {"cityscapes", "ade20k", "bdd100k", "mapillary", "voc"} & set(without)


def test_a_card_of_ones_own_names_its_server(tmp_path: Path) -> None:
    (tmp_path / "own.yaml").write_text("extends: cityscapes\nname: own\n")
    own = load_card(tmp_path / "own.yaml")
    with pytest.raises(SwathError, match="no test server is known for it; name one with --server: cityscapes"):
        server_of(own)
    assert server_of(own, "cityscapes").name == "cityscapes"
    with pytest.raises(SwathError, match="unknown server 'cityscape'; did you mean 'cityscapes'"):
        server_of(own, "cityscape")
    with pytest.raises(SwathError, match="does not know the class 'Sky'"):
        SERVERS["cityscapes"].table(load_card("streets"))


def test_void_classes_keep_their_ids() -> None:
    card = load_card("cityscapes34")
    assert SERVERS["cityscapes"].table(card)[:34].tolist() == list(range(34))
    assert np.count_nonzero(SERVERS["cityscapes"].table(load_card("cityscapes"))) == 19
