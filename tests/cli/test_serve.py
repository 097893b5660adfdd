"""`swath serve` as a process: it starts, answers, logs, and ends well when it is told to."""

from __future__ import annotations

import builtins
import http.client
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import cv2
import pytest

import tiny
from swath.cli.main import main


@contextmanager
def started(folder: Path, *words: str, **environment: str) -> Iterator[tuple[subprocess.Popen[str], int]]:
    tiny.weights(folder / "w.safetensors")
    command = [sys.executable, "-m", "swath", "serve", "w.safetensors", "--port", "0", "--threads", "1", *words]
    process = subprocess.Popen(
        command,
        cwd=folder,
        env={**os.environ, "OMP_NUM_THREADS": "1", **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        greeting = process.stderr.readline()
        assert "4 classes" in greeting, greeting + process.stderr.read()
        yield process, int(re.search(r":(\d+) ", greeting)[1])
    finally:
        process.kill()
        process.communicate()


def ask(port: int, method: str, path: str, body: bytes | None = None, **headers: str) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    connection.request(method, path, body, headers)
    answer = connection.getresponse()
    return answer.status, answer.read()


def test_it_answers_logs_and_ends_with_0_when_it_is_told_to(tmp_path: Path) -> None:
    pytest.importorskip("starlette")
    pytest.importorskip("uvicorn")
    picture = bytes(cv2.imencode(".png", tiny.picture(0))[1].tobytes())
    with started(tmp_path, "--log", "json", "--grace", "10", SWATH_TOKEN="pass") as (process, port):
        assert ask(port, "POST", "/segment", picture)[0] == 401
        assert ask(port, "POST", "/segment?format=shares", picture, Authorization="Bearer pass")[0] == 200
        # A request that is half there when the signal comes is still answered.
        late = socket.create_connection(("127.0.0.1", port), timeout=30)
        head = f"POST /segment HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer pass\r\nContent-Length: {len(picture)}"
        late.sendall(head.encode() + b"\r\n\r\n" + picture[:100])
        while b"swath_requests_in_flight 2" not in ask(port, "GET", "/metrics", Authorization="Bearer pass")[1]:
            pass
        process.send_signal(signal.SIGTERM)
        threading.Timer(0.5, lambda: late.sendall(picture[100:])).start()
        assert late.recv(9999).startswith(b"HTTP/1.1 200")
        late.close()
        out, err = process.communicate(timeout=20)
        assert process.returncode == 0 and "Traceback" not in err
        lines = [json.loads(line) for line in out.splitlines()]
        asked = [(each["status"], each.get("format")) for each in lines if each["path"].startswith("/segment")]
        assert asked == [(401, None), (200, "shares"), (200, "png")]


def test_mistakes_are_told_before_anything_listens(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("starlette")
    pytest.importorskip("uvicorn")
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("SWATH_TOKEN", raising=False)
    weights = str(tiny.weights(tmp_path / "w.safetensors"))
    with socket.create_server(("127.0.0.1", 0)) as taken:
        for words, told in (
            ([weights, "--port", str(taken.getsockname()[1])], "cannot listen there"),
            ([weights, "--port", "70000"], "from 0 to 65535"),
            ([weights, "--batch", "0"], "1 or more"),
            ([weights, "--token", "a b"], "without blanks"),
            (["nix.safetensors"], "no such file"),
        ):
            assert said(["serve", *words]).count(told) == 1, words


def said(words: list[str]) -> str:
    import contextlib
    import io

    stderr = io.StringIO()
    with contextlib.redirect_stderr(stderr):
        assert main(words) == 2
    assert stderr.getvalue().count("\n") == 1
    return stderr.getvalue()


@pytest.mark.parametrize("missing", ["starlette", "uvicorn"])
def test_a_missing_package_is_named(missing: str, monkeypatch: pytest.MonkeyPatch) -> None:
    own = builtins.__import__

    def without(name: str, *rest: object) -> object:
        if name == missing:
            raise ModuleNotFoundError(f"No module named '{name}'", name=name)
        return own(name, *rest)

    for name in [name for name in sys.modules if name.split(".")[0] == missing]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setattr(builtins, "__import__", without)
    line = said(["serve", "w.safetensors"])
    assert "pip install 'swath[serve]'" in line and ("starlette" in line or missing in line)
