"""Notices within moments that another process has ended, also while this one waits for it in the middle of a sum."""

from __future__ import annotations

import contextlib
import os
import secrets
import selectors
import socket
import threading
import weakref
from collections.abc import Callable
from typing import Any

from swath.errors import SwathError

GRACE = 10.0  # seconds in which a process that has lost another may end by itself
_CONNECT = 120.0
_OPEN: weakref.WeakSet[socket.socket] = weakref.WeakSet()


def _close_in_child() -> None:
    """Workers that load data are copies of a process: one that outlived it would make it look alive."""
    for each in list(_OPEN):
        with contextlib.suppress(OSError):
            os.close(each.detach())


os.register_at_fork(after_in_child=_close_in_child)


class Lookout:
    """A connection from each process to process 0, on which nothing is said until someone ends.

    The system closes the connections of a process that dies, whatever it dies of. Process 0 tells the others, and one
    process tells the person. Libraries below would notice too, some after half an hour, each with pages of its own.
    """

    def __init__(self, rank: int, world: int, address: str, told: Callable[[Any], Any]):
        self.rank, self.world = rank, world
        self.lost: int | None = None  # which process has ended before its time
        self.silent = False  # it has said itself why
        self.on_loss: Callable[[], None] = lambda: os._exit(1)
        self._noticed = threading.Event()
        self._left = False
        self._peers: dict[int, socket.socket] = {}
        if rank == 0:
            self._receive(world, told)
        else:
            port, token = told(None)
            self._peers[0] = _connect(address, port, f"{token} {rank}\n")
        for each in self._peers.values():
            _OPEN.add(each)
        threading.Thread(target=self._watch, daemon=True).start()

    def has_lost(self, seconds: float) -> bool:
        """Whether a process has ended before its time, or will have within so many seconds."""
        return self._noticed.wait(seconds)

    def leave(self, said: bool) -> None:
        """End in order, which alarms nobody, or (`said`) with an error of our own, which ends the others silently."""
        self._left = True
        for each in self._peers.values():
            _send(each, f"said {self.rank}\n" if said else "bye\n")
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)

    def _receive(self, world: int, told: Callable[[Any], Any]) -> None:
        """Process 0: let all others connect; strangers, who do not know the token, are hung up on."""
        token = secrets.token_hex(16)
        both = socket.has_dualstack_ipv6()
        family = socket.AF_INET6 if both else socket.AF_INET
        with socket.create_server(("", 0), family=family, dualstack_ipv6=both) as server:
            server.settimeout(_CONNECT)
            told((server.getsockname()[1], token))
            while len(self._peers) < world - 1:
                try:
                    peer, _ = server.accept()
                    peer.settimeout(_CONNECT)
                    words = _line(peer).split()
                except OSError as error:
                    raise SwathError(f"{world - 1 - len(self._peers)} processes do not answer ({error})") from error
                if len(words) == 2 and secrets.compare_digest(words[0], token):
                    self._peers[int(words[1])] = _lasting(peer)
                else:
                    peer.close()

    def _watch(self) -> None:
        with selectors.DefaultSelector() as selector:
            for rank, peer in self._peers.items():
                selector.register(peer, selectors.EVENT_READ, rank)
            while selector.get_map() and self.lost is None:
                for key, _ in selector.select():
                    if self._left:
                        return
                    try:
                        said = _line(key.fileobj).split()  # type: ignore[arg-type]
                    except OSError:
                        said = []
                    selector.unregister(key.fileobj)
                    if said != ["bye"]:
                        self._lose(*said) if said else self._lose("died", str(key.data))
                        return

    def _lose(self, how: str, rank: str) -> None:
        if self.rank == 0:
            for other, peer in self._peers.items():
                if other != int(rank):
                    _send(peer, f"{how} {rank}\n")
        self.lost, self.silent = int(rank), how == "said"
        self._noticed.set()
        threading.Event().wait(GRACE)
        self.on_loss()  # we are still here: the main thread hangs in a sum that will never come


def _line(peer: socket.socket) -> str:
    """A short line; nothing where the other side has gone."""
    data = b""
    while not data.endswith(b"\n") and len(data) < 100:
        piece = peer.recv(1)
        if not piece:
            return ""
        data += piece
    return data.decode(errors="replace")


def _send(peer: socket.socket, text: str) -> None:
    with contextlib.suppress(OSError):
        peer.sendall(text.encode())


def _connect(address: str, port: int, hello: str) -> socket.socket:
    try:
        peer = socket.create_connection((address, port), timeout=_CONNECT)
        peer.sendall(hello.encode())
    except OSError as error:
        raise SwathError(f"{address}:{port}, process 0, cannot be reached ({error}); is a firewall between?") from error
    return _lasting(peer)


def _lasting(peer: socket.socket) -> socket.socket:
    """No timeout of ours; the system asks now and then whether the other machine is still there, and gives up on it
    after a minute."""
    peer.settimeout(None)
    peer.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for option, value in (("TCP_KEEPIDLE", 30), ("TCP_KEEPINTVL", 10), ("TCP_KEEPCNT", 3)):
        if hasattr(socket, option):
            peer.setsockopt(socket.IPPROTO_TCP, getattr(socket, option), value)
    return peer
