"""Batches, queues, deadlines, clients that leave or dawdle, and the end of a service."""

from __future__ import annotations

import contextlib
import socket
import time

import numpy as np
import pytest

import tiny

pytest.importorskip("starlette")
pytest.importorskip("uvicorn")

from serving import Held, aside, form, png, running, until
from swath.errors import SwathError
from swath.inference import Answer
from swath.serve.formats import png as as_png


def wanted(it: object, seed: int, height: int, width: int) -> bytes:
    return as_png(it.segmenter(tiny.picture(seed, height, width)))  # type: ignore[attr-defined]


def test_pictures_of_one_size_go_through_together_and_answers_find_their_askers() -> None:
    sizes = [(70, 90), (40, 50), (70, 90), (40, 50), (70, 90), (70, 90), (70, 90), (70, 90)]
    with running(batch=4, wait=0.05) as it:
        expected = [wanted(it, seed, *size) for seed, size in enumerate(sizes)]
        held = Held(it)
        first = aside(lambda: it.segment(png(99)))
        until(lambda: held.batches == [1])
        answers = [aside(lambda s=seed, z=size: it.segment(png(s, *z))) for seed, size in enumerate(sizes)]
        until(lambda: len(it.server.service.batcher.waiting) == len(sizes))
        assert it.metric("swath_queue_pictures ") == len(sizes)
        held.may.set()
        assert [answer().body for answer in answers] == expected and first().status == 200
        assert sorted(held.batches) == [1, 2, 2, 4]


def test_a_batch_holds_no_more_pixels_than_one_picture_may() -> None:
    with running(batch=8, wait=0.05, megapixels=1) as it:
        held = Held(it)
        held.may.set()
        body, kind = form(*[("picture", "a.png", png(seed, 500, 800)) for seed in range(5)])
        it.segment(body, "?format=shares", Content_Type=kind)
        assert sum(held.batches) == 5 and max(held.batches) <= 2


def test_a_full_queue_is_said_at_once() -> None:
    with running(queue=2, batch=1) as it:
        held = Held(it)
        answers = [aside(lambda: it.segment(png())) for _ in range(2)]
        until(lambda: it.server.service.pending == 2)
        began = time.monotonic()
        reply = it.segment(png())
        assert reply.status == 503 and reply.headers["retry-after"] == "1" and "try again" in reply.error
        assert time.monotonic() - began < 2
        held.may.set()
        assert [answer().status for answer in answers] == [200, 200]
        assert it.segment(png()).status == 200
        body, kind = form(*[("picture", "a", png())] * 3)
        assert it.segment(body, Content_Type=kind).status == 413


def test_who_waits_too_long_is_told_and_leaves_the_queue() -> None:
    with running(timeout=0.6, batch=1) as it:
        held = Held(it)
        answers = [aside(lambda s=seed: it.segment(png(s))) for seed in range(3)]
        assert [answer().status for answer in answers] == [504] * 3
        assert not it.server.service.batcher.waiting
        until(lambda: it.server.service.pending == 0)
        held.may.set()
        assert it.segment(png()).status == 200
        assert len(held.seen) == 2  # the one that was in the network, and the last


def test_a_client_that_leaves_is_not_computed_for() -> None:
    with running(batch=1) as it:
        held = Held(it)
        first = aside(lambda: it.segment(png()))
        until(lambda: held.batches == [1])
        leaving = it.socket()
        body = png(1)
        leaving.sendall(b"POST /segment HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
        until(lambda: it.server.service.pending == 2)
        leaving.close()
        until(lambda: it.server.service.pending == 1)
        held.may.set()
        assert first().status == 200
        until(lambda: {200, 499} <= {entry["status"] for entry in it.log})  # whichever is told first
        assert len(held.seen) == 1


def test_half_a_body_and_then_nothing() -> None:
    with running(timeout=0.5) as it:
        with it.socket() as raw:
            raw.sendall(b"POST /segment HTTP/1.1\r\nHost: x\r\nContent-Length: 5000\r\n\r\nabc")
            assert b" 408 " in raw.recv(9999)
        gone = it.socket()
        gone.sendall(b"POST /segment HTTP/1.1\r\nHost: x\r\nContent-Length: 5000\r\n\r\nabc")
        gone.close()
        until(lambda: it.server.service.room.used == 0)
        assert it.segment(png()).status == 200


def test_slow_headers_and_silent_connections_are_cut() -> None:
    with running(head=0.5) as it:
        silent, drip = it.socket(), it.socket()
        drip.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n")
        began = time.monotonic()
        with pytest.raises(OSError):
            while time.monotonic() - began < 10:
                drip.sendall(b"A: b\r\n")
                time.sleep(0.05)
        assert time.monotonic() - began < 5
        assert silent.recv(1) == b""
        assert it.metric('swath_connections_cut_total{reason="no request"}') == 2
        drip.close()
        silent.close()


def test_who_does_not_take_the_answer_is_cut() -> None:
    with running(head=0.5) as it, socket.socket() as raw:
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        raw.connect(("127.0.0.1", it.port))
        raw.settimeout(20)
        asked = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n" * 3000  # answers of 30 MB
        with contextlib.suppress(OSError):
            raw.sendall(asked)
        until(lambda: it.metric('swath_connections_cut_total{reason="answer not taken"}') == 1)
        assert it.ask("GET", "/health").status == 200


def test_too_many_connections() -> None:
    with running(connections=3) as it:
        others = [it.socket() for _ in range(3)]
        until(lambda: len(it.server.server_state.connections) == 3)
        with it.socket() as raw:
            assert raw.recv(1) == b""
        for each in others:
            each.close()
        until(lambda: not it.server.server_state.connections)
        assert it.ask("GET", "/health").status == 200


def test_uploads_together_are_bounded() -> None:
    with running(megabytes=1) as it:
        uploads = [it.socket() for _ in range(17)]
        for raw in uploads:
            raw.sendall(b"POST /segment HTTP/1.1\r\nHost: x\r\nContent-Length: 1048576\r\n\r\n" + bytes(1 << 20)[:-1])
        until(lambda: any(entry["status"] == 503 for entry in it.log))
        assert it.server.service.room.used <= 16 << 20
        for raw in uploads:
            raw.close()
        until(lambda: it.server.service.room.used == 0)


def test_one_bad_picture_does_not_spoil_its_batch() -> None:
    """An engine that takes one picture at a time, and not all of them."""
    with running(batch=8, wait=0.2) as it:
        expected = [wanted(it, seed, 70, 90) for seed in range(4)]
        own = it.segmenter.answers

        def picky(images: list[np.ndarray], confidence: bool) -> list[Answer]:
            if len(images) > 1:
                raise RuntimeError("one at a time")
            if images[0].shape != (70, 90, 3):
                raise SwathError("/secret/model.onnx: takes 70 x 90")
            return own(images, confidence)

        it.segmenter.answers = picky  # type: ignore[method-assign]
        answers = [aside(lambda s=seed: it.segment(png(s))) for seed in range(4)]
        assert [answer().body for answer in answers] == expected
        reply = it.segment(png(0, 20, 30))
        assert reply.status == 422 and "30 x 20" in reply.error and "secret" not in reply.error


def test_a_mistake_of_ours_is_500_without_a_traceback(caplog: pytest.LogCaptureFixture) -> None:
    with running() as it:
        it.segmenter.answers = lambda images, confidence: 1 / 0  # type: ignore[method-assign, return-value]
        reply = it.segment(png())
        assert reply.status == 500 and "ZeroDivision" not in reply.error
        assert it.ask("GET", "/health").status == 200


def test_what_is_under_way_is_answered_before_the_end() -> None:
    with running(batch=2) as it:
        expected = wanted(it, 0, 70, 90)
        held = Held(it)
        answers = [aside(lambda: it.segment(png())) for _ in range(5)]
        until(lambda: it.server.service.pending == 5)
        it.server.stop()
        until(lambda: it.server.service.draining)
        time.sleep(0.4)
        with pytest.raises(OSError):
            it.socket()
        held.may.set()
        assert [answer().body for answer in answers] == [expected] * 5
        assert it.server.gate.abandoned == 0


def test_the_end_does_not_wait_for_ever() -> None:
    with running(grace=0.5) as it:
        held = Held(it)
        answer = aside(lambda: it.segment(png()))
        until(lambda: held.batches == [1])
        it.server.stop()
        reply = answer()
        assert reply.status == 503 and "stopped" in reply.error
        assert it.server.gate.abandoned == 1
        held.may.set()
