"""From a request to the files in it, all of them held in memory and none of them trusted."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from email.message import Message
from email.parser import HeaderParser

from starlette.requests import Request

from swath.serve.limits import Limits, Refused, busy

FIELD = "picture"
MOST_PARTS = 64
_MOST_HEADER = 4096  # bytes, of a part
_PLAIN = ("application/octet-stream", "")

Files = list[tuple[str, bytes]]  # name for complaints, content


class Room:
    """Bytes of all bodies that are being read or worked on, counted as they come and not as their headers say."""

    def __init__(self, total: int):
        self.total = total
        self.used = 0

    @contextmanager
    def guest(self) -> Iterator[_Guest]:
        guest = _Guest(self)
        try:
            yield guest
        finally:
            self.used -= guest.bytes


class _Guest:
    def __init__(self, room: Room):
        self.room = room
        self.bytes = 0

    def add(self, count: int) -> None:
        if self.room.used + count > self.room.total:
            raise busy("too many uploads at once")
        self.room.used += count
        self.bytes += count


def check_head(request: Request, limits: Limits) -> None:
    """What the header alone shows to be wrong is refused before a byte of the body is read."""
    media = _media(request)
    if not (media.startswith("image/") or media == "multipart/form-data" or media in _PLAIN):
        raise Refused(415, f"send a picture (Content-Type: image/...) or a form (multipart/form-data, field '{FIELD}')")
    if request.headers.get("content-encoding", "identity").lower() != "identity":
        raise Refused(415, "send the body as it is, without Content-Encoding; pictures are compressed already")
    declared = request.headers.get("content-length", "")
    if declared.isdecimal() and int(declared) > limits.body:
        raise _too_large(limits)


async def read_body(request: Request, limits: Limits, guest: _Guest) -> bytes:
    """The whole body; given up as soon as it is too large, whatever was declared."""
    body = bytearray()
    async for chunk in request.stream():
        if len(body) + len(chunk) > limits.body:
            raise _too_large(limits)
        guest.add(len(chunk))
        body += chunk
    if not body:
        raise Refused(400, "the request is empty; send a picture as its body")
    return bytes(body)


def files(request: Request, body: bytes) -> tuple[Files, bool]:
    """The pictures of a body, and whether they came in a form."""
    if _media(request) != "multipart/form-data":
        return [("picture", body)], False
    kind = Message()
    kind["content-type"] = request.headers["content-type"]
    boundary = kind.get_boundary("")
    if not 0 < len(boundary) <= 70 or not boundary.isascii():
        raise Refused(400, "the form's Content-Type names no boundary")
    found = _parts(body, boundary.encode())
    if not found:
        raise Refused(400, f"the form holds no picture; put it into a field named '{FIELD}'")
    return found, True


def _parts(body: bytes, boundary: bytes) -> Files:
    """The fields of a multipart form (RFC 7578), all of which must be pictures. The body is whole, so that the parts
    are found by one search; a parser for streams goes through a hostile body byte by byte."""
    _, *parts = (b"\r\n" + body).split(b"\r\n--" + boundary, MOST_PARTS + 1)
    if not parts:
        raise Refused(400, "the form does not hold the boundary that its Content-Type names")
    if not any(part.startswith(b"--") for part in parts):
        if len(parts) > MOST_PARTS:
            raise Refused(413, f"more than {MOST_PARTS} fields in one form; send several requests")
        raise Refused(400, "the form is cut off (its last boundary is missing)")
    found: Files = []
    for part in parts:
        if part.startswith(b"--"):
            break
        head, blank, content = part.partition(b"\r\n\r\n")
        if not blank or len(head) > _MOST_HEADER:
            raise Refused(400, "the form is not well-formed multipart/form-data")
        headers = HeaderParser().parsestr(head.strip().decode("utf-8", "replace"))
        if headers.get_param("name", header="content-disposition") != FIELD:
            raise Refused(400, f"the form has a field that is not '{FIELD}'; all pictures go into fields of that name")
        if not content:
            raise Refused(400, f"a field '{FIELD}' of the form is empty; choose a file")
        found.append((_file_name(headers.get_filename("")) or f"picture {len(found) + 1}", content))
    return found


def _file_name(name: str) -> str:
    """What a client calls its file, fit to be said back to it."""
    name = name.replace("\\", "/").rpartition("/")[2]
    return "".join(letter for letter in name if letter.isprintable())[:80].strip()


def _media(request: Request) -> str:
    return request.headers.get("content-type", "").partition(";")[0].strip().lower()


def _too_large(limits: Limits) -> Refused:
    return Refused(413, f"the request is larger than {limits.megabytes} MB, the most that is taken here")
