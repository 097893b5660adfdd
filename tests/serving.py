"""A service on a free port, in a thread of the tests, and a client that can behave badly."""

from __future__ import annotations

import http.client
import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import cv2
import numpy as np

import tiny
from swath import Segmenter
from swath.inference import Answer, Views
from swath.serve.app import Service
from swath.serve.limits import Limits
from swath.serve.server import Server, bind


@dataclass
class Reply:
    status: int
    headers: http.client.HTTPMessage
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def error(self) -> str:
        told = self.json()
        assert set(told) == {"error", "status"} and told["status"] == self.status
        assert "\n" not in told["error"] and "Traceback" not in told["error"]
        return str(told["error"])


@dataclass
class Running:
    server: Server
    port: int
    segmenter: Segmenter
    log: list[dict[str, Any]] = field(default_factory=list)

    def ask(self, method: str, path: str, body: bytes | None = None, **headers: str) -> Reply:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        try:
            connection.request(method, path, body, {name.replace("_", "-"): text for name, text in headers.items()})
            answer = connection.getresponse()
            return Reply(answer.status, answer.headers, answer.read())
        finally:
            connection.close()

    def segment(self, body: bytes, query: str = "", **headers: str) -> Reply:
        return self.ask("POST", f"/segment{query}", body, **{"Content_Type": "image/png", **headers})

    def socket(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), timeout=20)

    def metric(self, name: str) -> float:
        lines = self.ask("GET", "/metrics").body.decode().splitlines()
        return sum(float(line.rsplit(" ", 1)[1]) for line in lines if line.startswith(name))


@contextmanager
def running(
    token: str | None = None, unsure: float | None = None, views: Views | None = None, **limits: float
) -> Iterator[Running]:
    listening = bind("127.0.0.1", 0)
    segmenter = Segmenter(tiny.network(), unsure=unsure, views=views)
    service = Service(segmenter, Limits(**{"head": 1.0, "timeout": 20, "grace": 5, **limits}), token)
    log: list[dict[str, Any]] = []
    server = Server(service, listening, log.append)
    thread = threading.Thread(target=server.serve_until_stopped, daemon=True)
    thread.start()
    until(lambda: server.started)
    try:
        yield Running(server, listening.getsockname()[1], segmenter, log)
    finally:
        server.stop()
        thread.join(10)
        assert not thread.is_alive()


class Held:
    """A network that answers only when it may."""

    def __init__(self, running: Running):
        self.may = threading.Event()
        self.batches: list[int] = []
        self.seen: list[np.ndarray] = []
        own = running.segmenter.answers

        def answers(images: list[np.ndarray], confidence: bool) -> list[Answer]:
            self.batches.append(len(images))
            self.seen += images
            assert self.may.wait(20)
            return own(images, confidence)

        running.segmenter.answers = answers  # type: ignore[method-assign]


def aside(work: Callable[[], Any]) -> Callable[[], Any]:
    """Start it in a thread; call the result to have its answer."""
    found: list[Any] = []
    thread = threading.Thread(target=lambda: found.append(work()), daemon=True)
    thread.start()

    def answer() -> Any:
        thread.join(30)
        return found[0]

    return answer


def until(true: Callable[[], Any], seconds: float = 20) -> None:
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.01)


def png(seed: int = 0, height: int = 70, width: int = 90) -> bytes:
    return bytes(cv2.imencode(".png", tiny.picture(seed, height, width)[:, :, ::-1])[1].tobytes())


def form(*parts: tuple[str, str, bytes], boundary: str = "xyz") -> tuple[bytes, str]:
    """A multipart body of (field, file name, content), and its Content-Type."""
    body = b"".join(
        f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"; filename="{file}"\r\n'
        f"Content-Type: image/png\r\n\r\n".encode()
        + content
        + b"\r\n"
        for name, file, content in parts
    )
    return body + f"--{boundary}--\r\n".encode(), f"multipart/form-data; boundary={boundary}"
