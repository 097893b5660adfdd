"""Films and streams over HTTP, from a server on this machine: which is which, and what happens when they break off."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import islice
from pathlib import Path

import cv2
import pytest
from fakes import avi, number_of, numbered

from swath.inference.streams import open_source
from swath.inference.streams.capture import Live, Video
from swath.inference.streams.web import look


class Server(ThreadingHTTPServer):
    """Gives `data`. It hangs up after `cuts[n]` bytes of the n-th answer, or of every one by `always`."""

    daemon_threads = True
    data = b""
    kind = "application/octet-stream"
    ranges = False
    always: int | None = None

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.cuts: list[int] = []
        self.asked: list[str | None] = []

    def handle_error(self, *_: object) -> None:
        """Clients that hang up are no errors here."""

    def address(self, name: str) -> str:
        return f"http://127.0.0.1:{self.server_port}/{name}"


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        server, wanted = self.server, self.headers.get("Range")
        server.asked.append(wanted)
        start = int(wanted.split("=")[1].split("-")[0]) if server.ranges and wanted else 0
        self.send_response(206 if server.ranges and wanted else 200)
        self.send_header("Content-Type", server.kind)
        if not server.kind.startswith("multipart"):
            self.send_header("Content-Length", str(len(server.data) - start))
        if server.ranges and wanted:
            self.send_header("Content-Range", f"bytes {start}-{len(server.data) - 1}/{len(server.data)}")
        self.end_headers()
        most = server.always or (server.cuts.pop(0) if server.cuts else None)
        self.wfile.write(server.data[start:][:most])

    def log_message(self, *_: object) -> None:
        """Be silent."""


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as made:
        threading.Thread(target=made.serve_forever, args=(0.01,), daemon=True).start()
        yield made
        made.shutdown()


def jpegs(count: int, before: bytes = b"") -> bytes:
    return b"".join(before + cv2.imencode(".jpg", numbered(k))[1].tobytes() for k in range(count))


def numbers(source: Video | Live) -> list[int]:
    return [number_of(frame.image) for frame in source]


def test_a_film_that_tells_no_count_ends_at_its_end(server: Server) -> None:
    server.data = jpegs(30)
    source = open_source(server.address("clip.mjpeg"), patience=1.0)
    assert isinstance(source, Video) and numbers(source) == list(range(30))
    assert source.returns == 0 and not source.lost


def test_pictures_that_replace_one_another_are_a_stream(server: Server) -> None:
    server.kind = "multipart/x-mixed-replace; boundary=next"
    server.data = jpegs(30, b"\r\n--next\r\nContent-Type: image/jpeg\r\n\r\n")
    source = open_source(server.address("video.mjpg"))
    assert isinstance(source, Live) and source.live
    assert len(list(islice(source, 40))) == 40 and source.returns >= 1  # it dropped, and came back


@pytest.mark.parametrize("place", [0.3, 0.4, 0.55, 0.6])
def test_a_film_that_breaks_off_goes_on_at_the_next_frame(server: Server, tmp_path: Path, place: float) -> None:
    server.data = avi(tmp_path / "a.avi", 60).read_bytes()
    server.cuts = [int(place * len(server.data)), int(0.2 * len(server.data))]  # the second time even sooner
    source = open_source(server.address("a.avi?name=x"), patience=20.0)
    frames = list(source)
    assert [number_of(frame.image) for frame in frames] == [frame.number for frame in frames] == list(range(60))
    assert [frame.time for frame in frames] == pytest.approx([0.1 * k for k in range(60)])
    assert source.returns == 1 and not source.lost and source.broken == 0


def test_a_server_that_knows_places_is_asked_for_the_rest(server: Server, tmp_path: Path) -> None:
    server.data, server.ranges = avi(tmp_path / "a.avi", 60).read_bytes(), True
    server.always = len(server.data) * 2 // 5
    source = open_source(server.address("a.avi"), patience=1.0)
    assert numbers(source) == list(range(60)) and not source.lost
    assert f"bytes={server.always}-" in server.asked


def test_a_film_that_always_breaks_off_at_one_place_is_lost(server: Server, tmp_path: Path) -> None:
    server.data = avi(tmp_path / "a.avi", 60).read_bytes()
    server.always = len(server.data) // 2
    source = open_source(server.address("a.avi"), patience=20.0)
    found = numbers(source)
    assert found == list(range(len(found))) and 10 < len(found) < 50
    assert source.lost and source.broken == 60 - len(found)


def test_what_a_person_set_for_ffmpeg_is_left_alone(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENCV_FFMPEG_CAPTURE_OPTIONS", "user_agent;mine")
    server.data = jpegs(3)
    assert len(numbers(open_source(server.address("clip.mjpeg")))) == 3  # type: ignore[arg-type]


def test_passwords_are_not_shown_and_are_known_to_the_server(server: Server) -> None:
    server.data = jpegs(3)
    address = server.address("clip.mjpeg?channel=1&password=geheim").replace("http://", "http://u:geheim@")
    source = open_source(address)
    source.stop()
    assert source.name == server.address("clip.mjpeg?channel=1&password=***")
    answer = look(address)
    assert answer is not None and answer["Content-Length"] == str(len(server.data))
    assert look("http://127.0.0.1:1/none") is None
