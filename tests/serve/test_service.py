"""What a service answers: the right thing to good requests, one sentence to bad ones."""

from __future__ import annotations

import base64
import io
import re
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

import tiny

pytest.importorskip("starlette")
pytest.importorskip("uvicorn")

from serving import Running, form, png, running, until
from swath.data.runs import unpacked
from swath.inference import Views


@pytest.fixture(scope="module")
def service() -> Iterator[Running]:
    with running(megabytes=1, megapixels=1) as it:
        yield it


def labels_of(data: bytes) -> np.ndarray:
    picture = Image.open(io.BytesIO(data))
    assert picture.mode == "P"
    return np.array(picture)


def chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def bomb(width: int, height: int) -> bytes:
    """A small file that says it holds very many pixels."""
    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    pixels = zlib.compress(bytes(1 << 20))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")


def test_labels_are_those_of_the_segmenter(service: Running, tmp_path: Path) -> None:
    for seed, size in enumerate(((70, 90), (33, 17), (64, 128))):
        reply = service.segment(png(seed, *size))
        wanted = service.segmenter(tiny.picture(seed, *size))
        assert reply.status == 200 and reply.headers["content-type"] == "image/png"
        assert np.array_equal(labels_of(reply.body), wanted.labels)
        wanted.save(tmp_path / "same.png")
        assert reply.body == (tmp_path / "same.png").read_bytes()


def test_the_overlay_is_the_file_that_predict_writes(service: Running, tmp_path: Path) -> None:
    reply = service.segment(png(), "?format=overlay")
    service.segmenter(tiny.picture(0)).save_overlay(tmp_path / "same.jpg")
    assert reply.headers["content-type"] == "image/jpeg" and reply.body == (tmp_path / "same.jpg").read_bytes()


def test_json_formats_say_the_same(service: Running) -> None:
    wanted = service.segmenter(tiny.picture(0))
    rle = service.segment(png(), "?format=rle").json()
    assert (rle["width"], rle["height"]) == (90, 70)
    drawn = np.full(90 * 70, 255, np.uint8)
    for entry in rle["classes"]:
        assert entry["name"] == f"class {entry['id']}" and entry["segmentation"]["size"] == [70, 90]
        lengths = unpacked(entry["segmentation"]["counts"])
        mask = np.repeat(np.arange(len(lengths)) % 2 == 1, lengths)
        assert mask.sum() == entry["area"]
        drawn[mask] = entry["id"]
    assert np.array_equal(drawn.reshape(90, 70).T, wanted.labels)
    assert service.segment(png(), "?format=shares").json()["shares"] == wanted.shares()
    shapes = service.segment(png(), "?format=polygons")
    assert shapes.headers["content-type"] == "application/geo+json"
    kinds = [feature["properties"]["name"] for feature in shapes.json()["features"]]
    assert sorted(kinds) == sorted(wanted.shares()) and shapes.json()["type"] == "FeatureCollection"


@pytest.mark.parametrize(
    "accept, media",
    [
        ("*/*", "image/png"),
        ("text/html,image/webp,*/*;q=0.8", "image/png"),
        ("image/jpeg", "image/jpeg"),
        ("image/png;q=0.3, application/geo+json", "application/geo+json"),
        ("application/json", "application/json"),
        ("image/png;q=0, application/json;q=0.1", "application/json"),
    ],
)
def test_accept_chooses(service: Running, accept: str, media: str) -> None:
    assert service.segment(png(), Accept=accept).headers["content-type"] == media


def test_a_form_with_one_picture_is_as_the_bare_picture(service: Running) -> None:
    body, kind = form(("picture", "a.png", png()))
    assert service.segment(body, Content_Type=kind).body == service.segment(png()).body


def test_a_form_with_several_is_a_list_in_their_order(service: Running) -> None:
    sizes = [(70, 90), (40, 50), (70, 90), (40, 50)]
    body, kind = form(*(("picture", f"ü{seed}.png", png(seed, *size)) for seed, size in enumerate(sizes)))
    answers = service.segment(body, Content_Type=kind).json()
    assert [each["picture"] for each in answers] == ["ü0.png", "ü1.png", "ü2.png", "ü3.png"]
    for seed, (size, each) in enumerate(zip(sizes, answers)):
        wanted = service.segmenter(tiny.picture(seed, *size)).labels
        assert np.array_equal(labels_of(base64.b64decode(each["data"])), wanted)
    shares = service.segment(body, "?format=shares", Content_Type=kind).json()
    assert [each["height"] for each in shares] == [70, 40, 70, 40]


def test_pictures_are_turned_upright(service: Running) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    file = io.BytesIO()
    Image.fromarray(tiny.picture(0)).save(file, "PNG", exif=exif)
    upright = np.ascontiguousarray(np.rot90(tiny.picture(0), -1))
    found = labels_of(service.segment(file.getvalue()).body)
    assert np.array_equal(found, service.segmenter(upright).labels)


def scans(count: int) -> bytes:
    data = bytes(cv2.imencode(".jpg", tiny.picture(0))[1].tobytes())
    return data[:-2] + b"\xff\xda" * count + data[-2:]


ONE = form(("picture", "a.png", png()))
BAD = {
    "nothing": (b"", {}, 400, "is empty"),
    "garbage": (b"garbage" * 99, {}, 415, "not a picture"),
    "cut off": (png()[:500], {}, 400, "cut off"),
    "damaged": (png()[:300] + b"\0" * 200 + png()[500:], {}, 400, "damaged"),
    "too many pixels": (bomb(1001, 1000), {}, 413, "1 megapixels"),
    "a bomb": (bomb(60000, 60000), {}, 413, "1 megapixels"),
    "fewer pixels than said": (bomb(900, 900), {}, 400, "cut"),
    "very many scans": (scans(300), {}, 400, "scans"),
    "an animation": (None, {}, 400, "several pictures"),
    "text": (b"hello", {"Content_Type": "text/plain"}, 415, "Content-Type: image/"),
    "packed": (png(), {"Content_Encoding": "gzip"}, 415, "Content-Encoding"),
    "nothing acceptable": (png(), {"Accept": "text/plain"}, 406, "Accept"),
    "no boundary": (ONE[0], {"Content_Type": "multipart/form-data"}, 400, "boundary"),
    "wrong boundary": (ONE[0], {"Content_Type": "multipart/form-data; boundary=q"}, 400, "form"),
    "half a form": (ONE[0][:-9], {"Content_Type": ONE[1]}, 400, "cut off"),
    "wrong field": (form(("file", "a.png", png()))[0], {"Content_Type": ONE[1]}, 400, "'picture'"),
    "a field without headers": (b"--xyz\r\nx\r\n--xyz--", {"Content_Type": ONE[1]}, 400, "well-formed"),
    "half a boundary": (b"\r\n--xy" * 99999, {"Content_Type": ONE[1]}, 400, "does not hold"),
    "empty field": (form(("picture", "", b""))[0], {"Content_Type": ONE[1]}, 400, "choose a file"),
    "no field": (b"--xyz--\r\n", {"Content_Type": ONE[1]}, 400, "no picture"),
    "many fields": (form(*[("picture", "a", b"x")] * 65)[0], {"Content_Type": ONE[1]}, 413, "several requests"),
    "one of two": (
        form(("picture", "a.png", png()), ("picture", "../../b.png", b"?"))[0],
        {"Content_Type": ONE[1]},
        415,
        "b.png: is not",
    ),
}


@pytest.mark.parametrize("what", BAD)
def test_bad_requests_get_one_clear_sentence(service: Running, what: str) -> None:
    body, headers, status, sentence = BAD[what]
    if body is None:
        file = io.BytesIO()
        frames = [Image.fromarray(tiny.picture(seed)) for seed in range(2)]
        frames[0].save(file, "GIF", save_all=True, append_images=frames[1:])
        body = file.getvalue()
    reply = service.segment(body, **headers)
    assert reply.status == status and sentence in reply.error
    assert "/" not in re.sub(r"image/\.\.\.|multipart/form-data|image/\w+|application/[\w+]+", "", reply.error)
    assert "0x" not in reply.error and "object" not in reply.error
    assert service.segment(png()).status == 200


def test_unknown_formats_pages_and_methods(service: Running) -> None:
    assert "polygons?" in service.segment(png(), "?format=polygon").error
    assert service.ask("GET", "/nix").status == 404
    reply = service.ask("GET", "/segment")
    assert reply.status == 405 and reply.headers["allow"] == "POST" and "POST /segment" in reply.error
    assert service.ask("POST", "/health").status == 405


def test_bodies_are_bounded_whatever_their_header_says(service: Running) -> None:
    reply = service.ask("POST", "/segment", b"x" * (1 << 20) + b"x", Content_Type="image/png")
    assert reply.status == 413 and "larger than 1 MB" in reply.error
    with service.socket() as raw:  # nothing but a promise
        raw.sendall(b"POST /segment HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999\r\n\r\n")
        assert b" 413 " in raw.recv(9999)
    with service.socket() as raw:  # no promise at all
        raw.sendall(b"POST /segment HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n")
        for _ in range(17):
            raw.sendall(b"10000\r\n" + bytes(1 << 16) + b"\r\n")
        assert b" 413 " in raw.recv(9999)


def test_what_is_not_http_is_refused(service: Running) -> None:
    for words in (b"hello\r\n\r\n", b"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: -5\r\n\r\n", b"\x16\x03\x01" * 99):
        with service.socket() as raw:
            raw.sendall(words)
            assert b" 400 " in raw.recv(9999)
    with service.socket() as raw:
        raw.sendall(b"GET / HTTP/1.1\r\nHost: x\r\nA: " + b"a" * (1 << 16))
        assert raw.recv(9999).split()[1:2] == [b"400"]


def test_what_is_not_sure_enough_is_a_class_of_its_own_in_every_format() -> None:
    with running(unsure=0.376) as it:
        result = it.segmenter(tiny.picture(0))
        share = result.shares()["unsure"]
        assert 0.05 < share < 0.95
        assert it.ask("GET", "/classes").json()["classes"][-1] == {
            "id": 255,
            "name": "unsure",
            "color": [255, 255, 255],
        }
        assert it.segment(png(), "?format=shares").json()["shares"]["unsure"] == share
        assert np.array_equal(labels_of(it.segment(png()).body), result.labels)
        rle = {entry["id"]: entry for entry in it.segment(png(), "?format=rle").json()["classes"]}
        assert rle[255]["name"] == "unsure" and rle[255]["area"] == round(share * result.labels.size)
        outlines = it.segment(png(), "?format=polygons").json()["features"]
        assert {"id": 255, "name": "unsure"} in [each["properties"] for each in outlines]


def test_a_thin_picture_is_refused_before_it_fills_the_memory() -> None:
    with running(views=Views(short_side=64)) as it:
        assert it.segment(png(0, 1, 60_000)).status == 422
        assert np.array_equal(labels_of(it.segment(png()).body), it.segmenter(tiny.picture(0)).labels)


def test_health_classes_and_metrics(service: Running) -> None:
    health = service.ask("GET", "/health").json()
    assert health["live"] and health["ready"] and health["pictures"] == 0
    classes = service.ask("GET", "/classes").json()["classes"]
    assert classes[0] == {"id": 0, "name": "class 0", "color": list(service.segmenter.colors[0])} and len(classes) == 4
    before = service.metric('swath_requests_total{path="/segment",status="200"}')
    service.segment(png())
    assert service.metric('swath_requests_total{path="/segment",status="200"}') == before + 1
    assert service.metric("process_resident_memory_bytes") > 1 << 20


def test_metrics_are_well_formed(service: Running) -> None:
    service.ask("GET", '/a"b%0A{}')
    text = service.ask("GET", "/metrics").body.decode()
    sample = re.compile(r'[a-z_]+(\{([a-z]+="[^"\n]*")(,[a-z]+="[^"\n]*")*\})? [0-9.e+-]+')
    lines = text.removesuffix("\n").split("\n")
    assert all(sample.fullmatch(line) for line in lines if not line.startswith("#"))
    named = {line.split()[2] for line in lines if line.startswith("# TYPE")}
    samples = {re.sub(r"_(bucket|sum|count)$", "", line.split("{")[0].split()[0]) for line in lines if line[0] != "#"}
    assert samples <= named
    counts = [int(line.split()[-1]) for line in lines if line.startswith('swath_stage_seconds_bucket{stage="total"')]
    assert counts == sorted(counts) and len(counts) == 15 and "other" in text


def test_the_page_runs_only_what_it_brings(service: Running) -> None:
    import hashlib

    reply = service.ask("GET", "/")
    page, policy = reply.body.decode(), reply.headers["content-security-policy"]
    for tag in ("style", "script"):
        (inside,) = re.findall(f"<{tag}>(.*?)</{tag}>", page, re.S)
        digest = base64.b64encode(hashlib.sha256(inside.encode()).digest()).decode()
        assert f"{tag}-src 'sha256-{digest}'" in policy
    assert "default-src 'none'" in policy and "unsafe" not in policy
    assert " style=" not in page and "http" not in page.replace("http-equiv", "") and "onclick" not in page


def test_a_log_line_cannot_be_forged(service: Running, capsys: pytest.CaptureFixture[str]) -> None:
    from swath.serve.gate import json_line, text_line

    service.log.clear()
    service.ask("GET", "/x%0Atime=1")
    body, kind = form(("picture", "a.png status=200\n", b"?"))
    service.segment(body, Content_Type=kind)
    until(lambda: len(service.log) == 2)  # written after the answer
    assert {entry["status"] for entry in service.log} == {404, 415}
    for entry in service.log:
        text_line(entry)
        json_line(entry)
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 4 and all(line.startswith(("time=", "{")) for line in lines)
    assert all('error="' in line for line in lines[::2])


def test_a_token_is_asked_for() -> None:
    with running(token="secret") as it:
        assert it.segment(png()).status == 401
        for wrong in ("Bearer Secret", "secret", "Bearer secret2", "Bearer \xff"):
            assert it.segment(png(), Authorization=wrong).status == 401
        reply = it.segment(png(), Authorization="Bearer secret")
        assert reply.status == 200 and it.ask("GET", "/metrics").status == 401
        assert it.ask("GET", "/health").status == 200 and b"password" in it.ask("GET", "/").body
