"""Shards on a web server: ranges of bytes over connections that are kept, asked for again where that can help."""

from __future__ import annotations

import http.client
import os
import random
import ssl
import threading
import time
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException, HTTPResponse, HTTPSConnection
from typing import Any
from urllib.parse import quote, urljoin, urlsplit

from swath.errors import SwathError

TIMEOUT = 30.0  # seconds without a byte
TRIES = 8  # with the waits between them: about half a minute
_PASSING = (408, 425, 429, 500, 502, 503, 504)
_MOVED = (301, 302, 303, 307, 308)
_HINTS = {401: "it wants a login", 403: "it does not let you", 404: "there is no such file", 410: "it is gone"}


@dataclass(frozen=True)
class _Answer:
    status: int
    reason: str
    headers: http.client.HTTPMessage
    body: bytes


class Web:
    """Files below a URL. Every thread of every process has connections of its own."""

    def __init__(self, root: str) -> None:
        self.root = root.rstrip("/")
        self._mine = threading.local()

    def __getstate__(self) -> dict[str, Any]:
        return {"root": self.root}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__init__(state["root"])  # type: ignore[misc]

    def read(self, file: str, offset: int, length: int) -> bytes:
        """These bytes, all of them."""
        return self._ask(file, offset, length)

    def whole(self, file: str) -> bytes:
        """A whole file."""
        return self._ask(file, 0, None)

    def _ask(self, file: str, offset: int, length: int | None) -> bytes:
        url = f"{self.root}/{quote(file)}"
        trouble = ""
        for attempt in range(TRIES):
            told_to_wait = 0.0
            try:
                answer = self._get(url, None if length is None else f"bytes={offset}-{offset + length - 1}")
                if answer.status not in _PASSING:
                    return _checked(answer, url, offset, length)
                trouble = f"status {answer.status} {answer.reason}"
                told_to_wait = _seconds(answer.headers.get("Retry-After"))
            except ssl.SSLCertVerificationError as error:
                raise SwathError(f"{url}: its certificate is not trusted here ({error.verify_message})") from error
            except (OSError, HTTPException) as error:  # no connection, a connection lost, a time-out
                self._hang_up()
                trouble = " ".join(str(error).split()) or type(error).__name__
            if attempt + 1 < TRIES:
                _wait(max(told_to_wait, min(16.0, 0.25 * 2**attempt) * random.uniform(0.5, 1)))
        raise SwathError(f"{url}: no answer in {TRIES} tries ({trouble}); try later, or check the address")

    def _get(self, url: str, part: str | None) -> _Answer:
        """One request, and what it leads on to."""
        headers = {"Accept-Encoding": "identity", "User-Agent": "swath", **({"Range": part} if part else {})}
        for _ in range(5):
            where = urlsplit(url)
            connection = self._connection(where.scheme, where.netloc, url)
            connection.request("GET", (where.path or "/") + (f"?{where.query}" if where.query else ""), headers=headers)
            response = connection.getresponse()
            if part and response.status == 200:  # the whole shard is coming: hang up
                self._hang_up()
                return _answer(response, b"")
            body = response.read()
            if response.status not in _MOVED or not response.headers.get("Location"):
                return _answer(response, body)
            url = urljoin(url, response.headers["Location"])
        raise SwathError(f"{url}: leads on and on (more than 5 redirections)")

    def _connection(self, scheme: str, host: str, url: str) -> HTTPConnection:
        if getattr(self._mine, "process", 0) != os.getpid():  # a connection from before a fork is the parent's
            self._mine.process, self._mine.kept = os.getpid(), {}
        kept: dict[tuple[str, str], HTTPConnection] = self._mine.kept
        if (scheme, host) not in kept:
            if scheme not in ("http", "https") or not host:
                raise SwathError(f"{url}: is not the address of a web server")
            kept[scheme, host] = (HTTPSConnection if scheme == "https" else HTTPConnection)(host, timeout=TIMEOUT)
        return kept[scheme, host]

    def _hang_up(self) -> None:
        for connection in getattr(self._mine, "kept", {}).values():
            connection.close()


def _answer(response: HTTPResponse, body: bytes) -> _Answer:
    return _Answer(response.status, response.reason, response.headers, body)


def _checked(answer: _Answer, url: str, offset: int, length: int | None) -> bytes:
    """The bytes that were asked for, or why there are none."""
    if length is None and answer.status == 200:
        return answer.body
    if length is not None and answer.status == 200:
        raise SwathError(
            f"{url}: its server sends whole files only (status 200 where 206 was asked for), and shards are read by "
            "ranges of bytes; nginx, Apache, Caddy and object stores can do that, or copy the shards to a local folder"
        )
    if length is not None and answer.status == 206:
        begins = f"bytes {offset}-{offset + length - 1}/"
        if len(answer.body) != length or not answer.headers.get("Content-Range", "").startswith(begins):
            raise SwathError(f"{url}: is shorter than shards.json says, or its server answers with other bytes")
        return answer.body
    if answer.status == 416:
        raise SwathError(f"{url}: is shorter than shards.json says (status 416); it is cut off, upload it again")
    hint = _HINTS.get(answer.status, answer.reason)
    raise SwathError(f"{url}: status {answer.status} ({hint})")


def _seconds(header: str | None) -> float:
    """What a server asks to wait; a date, or hours, are not waited for."""
    return min(float(header), 60.0) if header and header.strip().isdigit() else 0.0


_wait = time.sleep
