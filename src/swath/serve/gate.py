"""What stands before every route: the token, one log line, counting, and an answer to whatever goes wrong."""

from __future__ import annotations

import asyncio
import hmac
import json
import logging
import sys
import time
from collections.abc import Callable
from time import perf_counter
from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from swath.serve.formats import as_json
from swath.serve.limits import Refused, busy
from swath.serve.metrics import Metrics

LOG = logging.getLogger("swath.serve")
OPEN = ("/", "/health", "/classes")  # to everyone; other paths want the token, where there is one
_KNOWN = (*OPEN, "/segment", "/metrics")
GONE = 499  # the client left before its answer: only the log and the metrics see it
_SAFE = [
    (b"x-content-type-options", b"nosniff"),
    (b"cache-control", b"no-store"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-resource-policy", b"same-origin"),
]

Line = Callable[[dict[str, Any]], None]


class Gate:
    def __init__(self, app: ASGIApp, metrics: Metrics, token: str | None, write: Line | None):
        self.app = app
        self.metrics = metrics
        self.token = token.encode() if token else None
        self.write = write
        self.in_flight = 0
        self.abandoned = 0  # requests that the end of the service cut off

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        began, status, sent = perf_counter(), 0, 0

        async def watched(message: Message) -> None:
            nonlocal status, sent
            if message["type"] == "http.response.start":
                status = message["status"]
                message = {**message, "headers": [*message["headers"], *_SAFE]}
            sent += len(message.get("body", b""))
            await send(message)

        told: dict[str, Any] = {}  # what the routes add to the log line
        scope["told"] = told
        self.in_flight += 1
        try:
            try:
                self._check_token(scope)
                await self.app(scope, receive, watched)
            except Refused as error:
                await refused(Request(scope), error)(scope, receive, watched)
            except asyncio.CancelledError:  # the time to finish is over
                if not status:
                    self.abandoned += 1
                    late = busy("the service was stopped before the answer")
                    await refused(Request(scope), late)(scope, receive, watched)
            except Exception:  # was answered by `failed`
                LOG.exception("a request failed: this is a mistake in swath")
        finally:
            self.in_flight -= 1
            seconds = perf_counter() - began
            path = scope["path"]
            self.metrics.request(path if path in _KNOWN else "other", status or GONE, seconds)
            if self.write:
                self.write(_entry(scope, status or GONE, seconds, sent) | told)

    def _check_token(self, scope: Scope) -> None:
        if self.token is None or scope["path"] in OPEN:
            return
        given = dict(scope["headers"]).get(b"authorization", b"")
        if not hmac.compare_digest(given, b"Bearer " + self.token):
            raise Refused(
                401, "a token is needed: send the header Authorization: Bearer TOKEN", {"WWW-Authenticate": "Bearer"}
            )


def refused(request: Request, error: Exception) -> Response:
    """One sentence in JSON; the log says it too."""
    assert isinstance(error, Refused)
    request.scope["told"]["error"] = error.sentence
    body = as_json({"error": error.sentence, "status": error.status})
    return Response(body, error.status, error.headers, "application/json")


def unknown(request: Request, error: Exception) -> Response:
    """What the router itself refuses: unknown paths, wrong methods."""
    assert isinstance(error, HTTPException)
    sentence = {
        404: "there is no such page; pictures go to POST /segment, and / explains the rest",
        405: "this page does not take that method; pictures go to POST /segment",
    }.get(error.status_code, error.detail)
    return refused(request, Refused(error.status_code, sentence, dict(error.headers or {})))


def gone(_: Request, __: Exception) -> Response:
    return Response(status_code=GONE)


def failed(request: Request, _: Exception) -> Response:
    return refused(request, Refused(500, "this went wrong inside the service; its log says more"))


ANSWERS = {Refused: refused, HTTPException: unknown, ClientDisconnect: gone, Exception: failed}


def _entry(scope: Scope, status: int, seconds: float, sent: int) -> dict[str, Any]:
    now = time.time()
    return {
        "time": time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(now)) + f".{int(now % 1 * 1000):03}Z",
        "client": (scope.get("client") or ["-"])[0],
        "method": scope["method"][:10],
        "path": scope.get("raw_path", b"").decode("latin-1")[:100],
        "status": status,
        "ms": round(seconds * 1000, 1),
        "out": sent,
    }


def text_line(entry: dict[str, Any]) -> None:
    """key=value pairs; what could be mistaken for several is quoted, so that no client writes lines of its own."""

    def word(value: Any) -> str:
        text = str(value)
        plain = text and text.isascii() and text.isprintable() and not set(text) & set(' "=')
        return text if plain else json.dumps(text)

    print(" ".join(f"{key}={word(value)}" for key, value in entry.items()), file=sys.stdout, flush=True)


def json_line(entry: dict[str, Any]) -> None:
    print(json.dumps(entry), file=sys.stdout, flush=True)
