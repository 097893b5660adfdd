"""The routes: what becomes of a request between its header and its answer."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray
from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route

from swath import __version__
from swath.errors import SwathError
from swath.inference import Segmentation, Segmenter
from swath.inference.segmentation import UNSURE, unsure_color
from swath.serve import formats, pictures, upload
from swath.serve.batcher import Batcher, Budget
from swath.serve.gate import ANSWERS, Gate, Line
from swath.serve.limits import Limits, Refused, busy
from swath.serve.metrics import Metrics
from swath.serve.page import help_page

T = TypeVar("T")


@dataclass(frozen=True)
class _File:
    name: str
    data: bytes
    pixels: int


class Service:
    """Everything that requests share."""

    def __init__(self, segmenter: Segmenter, limits: Limits, token: str | None = None):
        if segmenter.description.channels != 3:
            raise SwathError(f"{segmenter.name}: takes {segmenter.description.channels} channels; a service needs RGB")
        self.segmenter = segmenter
        self.limits = limits
        self.token = token
        runtime = segmenter.runtime
        self.facts = {
            "version": __version__,
            "model": Path(segmenter.name).name,  # where it lies is nobody's business
            "engine": runtime.engine,
            "device": runtime.device,
        }
        self.pending = 0  # pictures under way
        self.draining = False
        self.metrics = Metrics(self.facts)
        self.batcher = Batcher(segmenter, limits, self.metrics)
        self.room = upload.Room(limits.bodies)
        self.budget = Budget(limits.decoded)
        self.codecs = ThreadPoolExecutor(min(4, os.cpu_count() or 1), thread_name_prefix="codec")
        self.page, self.policy = help_page(self.facts, segmenter.class_names, segmenter.colors, limits, bool(token))

    def app(self, write: Line | None) -> Gate:
        """The ASGI application."""

        @asynccontextmanager
        async def lifespan(_: Starlette) -> AsyncIterator[None]:
            yield
            self.codecs.shutdown(wait=False, cancel_futures=True)

        routes = [
            Route("/", self.help),
            Route("/health", self.health),
            Route("/classes", self.classes),
            Route("/metrics", self.show_metrics),
            Route("/segment", self.segment, methods=["POST"]),
        ]
        gate = Gate(
            Starlette(routes=routes, lifespan=lifespan, exception_handlers=ANSWERS),
            self.metrics,
            self.token,
            write,
        )
        self.metrics.gauges |= {
            "swath_requests_in_flight": ("requests that are not answered yet", lambda: gate.in_flight),
            "swath_pictures_under_way": ("pictures between reading and answer", lambda: self.pending),
            "swath_queue_pictures": ("pictures that wait for the network", lambda: len(self.batcher.waiting)),
        }
        return gate

    async def help(self, _: Request) -> Response:
        headers = {"Content-Security-Policy": self.policy}
        return Response(self.page, media_type="text/html; charset=utf-8", headers=headers)

    async def health(self, _: Request) -> Response:
        """200 where pictures are taken."""
        ready = self.batcher.thread.is_alive() and not self.draining
        state = {"live": True, "ready": ready, "pictures": self.pending, **self.facts}
        return Response(formats.as_json(state), 200 if ready else 503, media_type="application/json")

    async def classes(self, _: Request) -> Response:
        known = [
            {"id": number, "name": name, "color": list(color)}
            for number, (name, color) in enumerate(zip(self.segmenter.class_names, self.segmenter.colors))
        ]
        if self.segmenter.unsure is not None:
            known.append({"id": 255, "name": UNSURE, "color": list(unsure_color(self.segmenter.colors))})
        return Response(formats.as_json({**self.facts, "classes": known}), media_type="application/json")

    async def show_metrics(self, _: Request) -> Response:
        return Response(self.metrics.text(), media_type="text/plain; version=0.0.4; charset=utf-8")

    async def segment(self, request: Request) -> Response:
        began, told = perf_counter(), request.scope["told"]
        kind = told["format"] = formats.chosen(request.query_params.get("format"), request.headers.get("accept", ""))
        upload.check_head(request, self.limits)
        self._admit(1)
        deadline = asyncio.get_running_loop().time() + self.limits.timeout
        with self.room.guest() as guest:
            try:
                async with asyncio.timeout_at(deadline):
                    body = await upload.read_body(request, self.limits, guest)
            except TimeoutError:
                raise Refused(408, f"the request was not here after {self.limits.timeout:g} seconds") from None
            self.metrics.stage("read", perf_counter() - began)
            told["in"] = len(body)
            try:
                async with asyncio.timeout_at(deadline):
                    return await _while_there(request, self._answer(request, body, kind))
            except TimeoutError:
                raise Refused(504, f"no answer after {self.limits.timeout:g} seconds; the service is busy") from None

    async def _answer(self, request: Request, body: bytes, kind: str) -> Response:
        found, form = await self._aside(upload.files, request, body)
        request.scope["told"]["pictures"] = len(found)
        if len(found) > self.limits.queue:
            raise Refused(413, f"more than {self.limits.queue} pictures in one request; send several requests")
        self._admit(len(found))
        self.pending += len(found)
        try:
            # Who brings several and one that is no picture learns so before anything is computed.
            looked = [_File(*each, await self._aside(pictures.pixels, *each, self.limits)) for each in found]
            several = form and len(looked) > 1
            work = [asyncio.ensure_future(self._one(each, kind, several)) for each in looked]
            try:
                done = await asyncio.gather(*work)
            finally:
                for each in work:
                    each.cancel()
        finally:
            self.pending -= len(found)
        if several:
            return Response(b"[" + b",".join(done) + b"]", media_type="application/json")
        return Response(done[0], media_type=formats.FORMATS[kind].media)

    async def _one(self, file: _File, kind: str, several: bool) -> bytes:
        async with self.budget.take(file.pixels):
            began = perf_counter()
            image = await self._aside(pictures.decode, file.name, file.data)
            self.metrics.stage("decode", perf_counter() - began)
            result = await self._segmented(file.name, image)
            began = perf_counter()
            if several:
                answer = await self._aside(formats.encode_part, kind, file.name, result)
            else:
                answer = await self._aside(formats.encode, kind, result)
            self.metrics.stage("encode", perf_counter() - began)
            return answer

    async def _segmented(self, name: str, image: NDArray[np.uint8]) -> Segmentation:
        try:
            return self.segmenter.result(image, await self.batcher.answer(image))
        except SwathError as error:  # a size that an exported file does not take
            height, width = image.shape[:2]
            raise Refused(422, f"{name}: this network does not take {width} x {height} pixels") from error

    def _admit(self, count: int) -> None:
        if self.pending + count > self.limits.queue:
            raise busy(f"{self.pending} pictures are under way, {self.limits.queue} are taken at once")

    async def _aside(self, work: Callable[..., T], *arguments: object) -> T:
        """In a thread: the loop must not wait for pixels."""
        return await asyncio.get_running_loop().run_in_executor(self.codecs, work, *arguments)


async def _while_there(request: Request, work: Awaitable[Response]) -> Response:
    """The answer; when the client leaves before, the work is dropped."""
    answer = asyncio.ensure_future(work)
    leaving = asyncio.ensure_future(request.receive())  # the body is read: what comes now is the end
    try:
        await asyncio.wait((answer, leaving), return_when=asyncio.FIRST_COMPLETED)
        if not answer.done():
            raise ClientDisconnect
        return answer.result()
    finally:
        leaving.cancel()
        answer.cancel()
