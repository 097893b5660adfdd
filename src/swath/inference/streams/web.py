"""What a server says about an address, which OpenCV does not hand on: whether it is a film or a stream without end."""

from __future__ import annotations

import ssl
from email.message import Message
from http.client import HTTPException
from urllib.parse import unquote, urlsplit
from urllib.request import (
    HTTPBasicAuthHandler,
    HTTPDigestAuthHandler,
    HTTPPasswordMgrWithDefaultRealm,
    HTTPSHandler,
    Request,
    build_opener,
)

from swath.inference.streams.names import VIDEOS, ending

_WAIT = 4.0  # seconds for an answer
_STREAMS = frozenset({".m3u8", ".mjpg", ".mjpeg", ""})  # cameras' addresses end in these, too
_HLS = ("application/vnd.apple.mpegurl", "application/x-mpegurl", "audio/mpegurl", "audio/x-mpegurl")


def is_web(address: str) -> bool:
    return address.lower().startswith(("http://", "https://"))


def may_be_film(address: str) -> bool:
    """By its scheme; what comes by rtsp:// and its like goes on without an end."""
    return is_web(address) or address.lower().startswith(("file://", "ftp://"))


def endless(address: str) -> bool:
    """Whether what has no known length there is a stream: pictures that replace one another, or HLS that still grows.
    Where a server does not answer a second question (cameras for one viewer do so), its address decides."""
    if ending(address) == ".m3u8" or not is_web(address):
        return is_web(address)
    headers = look(address)
    if headers is None:
        return ending(address) not in VIDEOS - _STREAMS
    kind = headers.get_content_type()
    return kind.startswith("multipart/") or kind in _HLS


def resumable(address: str) -> bool:
    """Whether a transfer that broke off goes on at its byte there, so that FFmpeg has seen to it."""
    headers = look(address) if is_web(address) else None
    return headers is not None and "Content-Range" in headers


def look(address: str) -> Message | None:
    """The headers that a server answers with; None when it does not."""
    try:
        parts = urlsplit(address)
        user, _, place = parts.netloc.rpartition("@")
        bare = parts._replace(netloc=place, fragment="").geturl()
        # FFmpeg checks no certificates unless it is told to, and cameras sign their own; only headers are read here.
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        passwords = HTTPPasswordMgrWithDefaultRealm()
        if user:
            known, _, password = user.partition(":")
            passwords.add_password(None, bare, unquote(known), unquote(password))
        opener = build_opener(
            HTTPSHandler(context=context), HTTPBasicAuthHandler(passwords), HTTPDigestAuthHandler(passwords)
        )
        asked = Request(bare, headers={"User-Agent": "swath", "Range": "bytes=0-"})  # FFmpeg asks so, too
        with opener.open(asked, timeout=_WAIT) as answer:
            headers: Message = answer.headers
            return headers
    except (OSError, ValueError, HTTPException):
        return None
