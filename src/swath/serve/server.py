"""The process: its socket, clients that are too slow, signals, and an end at which nothing is lost."""

from __future__ import annotations

import asyncio
import ctypes
import logging
import os
import signal
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from time import monotonic
from types import FrameType
from typing import Any

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from swath.errors import SwathError
from swath.inference import Segmenter
from swath.serve.app import Service
from swath.serve.gate import Line
from swath.serve.limits import Limits
from swath.serve.metrics import Metrics

_M_ARENA_MAX = -8  # of <malloc.h>
_TRIM = 50  # tenths of a second
_HEADER = 16 << 10  # bytes of a request's header


def bind(host: str, port: int) -> socket.socket:
    """A socket that listens; port 0 is a free one."""
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
        return socket.create_server(address[:2], family=family, backlog=1024)
    except OSError as error:
        raise SwathError(
            f"--host {host} --port {port}: cannot listen there ({error.strerror or error}); choose another"
        ) from error


class Server(uvicorn.Server):
    """Runs a service until it is told to stop; `stop()` may come from any thread."""

    def __init__(self, service: Service, listening: socket.socket, write: Line | None = None):
        self.service = service
        self.listening = listening
        self.libc = _libc()
        limits = service.limits
        self.gate = service.app(write)
        super().__init__(
            uvicorn.Config(
                self.gate,
                http=_protocol(limits, service.metrics),
                loop="asyncio",
                ws="none",
                lifespan="on",
                log_config=None,
                access_log=False,
                proxy_headers=False,
                server_header=False,
                h11_max_incomplete_event_size=_HEADER,
                timeout_graceful_shutdown=limits.grace,  # type: ignore[arg-type]  # given to asyncio as it is
            )
        )
        # uvicorn warns of every malformed request: whoever sends them must not fill the log.
        logging.getLogger("uvicorn.error").setLevel(logging.CRITICAL)

    @property
    def address(self) -> str:
        host, port = self.listening.getsockname()[:2]
        return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"

    def serve_until_stopped(self) -> bool:
        """Whether everybody was answered who had asked."""
        self.run([self.listening])
        return self.service.batcher.close(1.0) and not self.gate.abandoned

    async def on_tick(self, counter: int) -> bool:
        """Ten times a second. Pictures of many sizes leave holes in the heap, which grows unless they are returned."""
        if self.libc and counter % _TRIM == _TRIM - 1:
            asyncio.get_running_loop().run_in_executor(self.service.codecs, self.libc.malloc_trim, 0)
        return await super().on_tick(counter)

    def stop(self) -> None:
        self.service.draining = True
        self.should_exit = True

    @contextmanager
    def capture_signals(self) -> Iterator[None]:  # type: ignore[override]
        """As uvicorn's, but that signals are not raised again: being told to stop is no failure."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before = {each: signal.signal(each, self._on_signal) for each in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _on_signal(self, number: int, _: FrameType | None) -> None:
        if self.should_exit and number == signal.SIGINT:
            self.force_exit = True  # Ctrl-C twice: now
        self.stop()


def _protocol(limits: Limits, metrics: Metrics) -> type[asyncio.Protocol]:
    """uvicorn waits for ever for the rest of a header, and for clients that do not take their answer: this does not."""

    class Guarded(H11Protocol):
        def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
            super().connection_made(transport)
            self.since = monotonic()  # the last time that something had got further
            self.unsent = 0
            self.look: asyncio.TimerHandle | None = None
            if len(self.connections) > limits.connections:
                self._cut("too many")
            else:
                self._look_later()

        def connection_lost(self, exc: Exception | None) -> None:
            if self.look:
                self.look.cancel()
            super().connection_lost(exc)

        def _look_later(self) -> None:
            self.look = self.loop.call_later(limits.head / 5, self._look)

        def _look(self) -> None:
            unsent = self.transport.get_write_buffer_size()
            working = self.cycle is not None and not self.cycle.response_complete
            if (unsent and unsent < self.unsent) or (working and not unsent) or unsent > self.unsent:
                self.since = monotonic()
            self.unsent = unsent
            if monotonic() - self.since > limits.head:
                self._cut("answer not taken" if unsent else "no request")
            else:
                self._look_later()

        def _cut(self, reason: str) -> None:
            metrics.connection_cut(reason)
            self.transport.abort()

    return Guarded


def _libc() -> ctypes.CDLL | None:
    """glibc, where it is what gives us memory."""
    with suppress(OSError):
        libc = ctypes.CDLL("libc.so.6")
        return libc if hasattr(libc, "malloc_trim") and hasattr(libc, "mallopt") else None
    return None


def serve(
    segmenter: Segmenter,
    host: str,
    port: int,
    limits: Limits,
    token: str | None = None,
    write: Line | None = None,
    ready: Callable[[Server], Any] = lambda server: None,
) -> int:
    """Serve until SIGTERM or Ctrl-C; the exit status: 0 when everybody was answered who had asked."""
    if libc := _libc():
        libc.mallopt(_M_ARENA_MAX, 1)  # one heap for all threads: each would keep what its largest picture left
    listening = bind(host, port)
    server = Server(Service(segmenter, limits, token), listening, write)
    ready(server)
    if server.serve_until_stopped():
        return 0
    print(f"swath: stopped after --grace {limits.grace:g} seconds; some requests were not answered", file=sys.stderr)
    sys.stdout.flush()
    sys.stderr.flush()
    if server.service.batcher.thread.is_alive():
        os._exit(1)  # the network's thread cannot be interrupted, and Python would not end around it
    return 1
