"""Reading shards over a network: one picture at a time, several together, or whole shards one after the other.

    python benchmarks/streaming.py        writes benchmarks/streaming.md

A web server in a process of its own on this machine waits before it answers, and sends each connection no more than so
many bytes a second, as object stores do. One reader process fetches PNG pictures with their labels and cuts windows out
of them. webdataset reads the same shards from front to back, over as many connections as it is given shards (it has
no order but that and a buffer that it shuffles); the windows are cut by the same code.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import tempfile
import time
from collections.abc import Callable, Iterator
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import cv2
import numpy as np
import torch
from loading import CROP, SPEC, make_pictures, processor

from swath.data import Windows, window
from swath.data.images import decode_image, decode_label
from swath.data.shards import open_shards, write_shards

BATCH = 8


class Slow(SimpleHTTPRequestHandler):
    """Files with ranges, late and slowly."""

    protocol_version = "HTTP/1.1"
    latency = 0.0
    bandwidth = 1e9

    def do_GET(self) -> None:
        time.sleep(self.latency)
        data = Path(self.translate_path(self.path)).read_bytes()
        asked = self.headers.get("Range")
        first, last = map(int, asked.removeprefix("bytes=").split("-")) if asked else (0, len(data) - 1)
        self.send_response(206 if asked else 200)
        if asked:
            self.send_header("Content-Range", f"bytes {first}-{last}/{len(data)}")
        self.send_header("Content-Length", str(last + 1 - first))
        self.end_headers()
        part, began = memoryview(data)[first : last + 1], time.perf_counter()
        for at in range(0, len(part), 1 << 18):
            self.wfile.write(part[at : at + (1 << 18)])
            time.sleep(max(0.0, at / self.bandwidth - (time.perf_counter() - began)))

    def log_message(self, *_: object) -> None:
        pass


def serve(folder: str, latency: float, bandwidth: float, port: Any) -> None:
    Slow.latency, Slow.bandwidth = latency, bandwidth
    server = ThreadingHTTPServer(("127.0.0.1", 0), lambda *given: Slow(*given, directory=folder))
    port.send(server.server_port)
    server.serve_forever()


def single(windows: Windows, order: list[int]) -> Iterator[Any]:
    for index in order:
        yield windows[0, index]


def together(windows: Windows, order: list[int]) -> Iterator[Any]:
    """Batch by batch, as a DataLoader asks for them: the pictures of a batch are fetched at once."""
    for at in range(0, len(order), BATCH):
        yield from windows.__getitems__([(0, index) for index in order[at : at + BATCH]])


def sequential(url: str, shards: list[str]) -> Iterator[Any]:
    import webdataset

    rng = np.random.default_rng(0)
    data = webdataset.WebDataset([f"{url}/{shard}" for shard in shards], shardshuffle=False, empty_check=False)
    for sample in data:
        image, labels = decode_image(sample["png"], "png"), decode_label(sample["labels.png"], "labels.png")
        yield window(image, labels, SPEC, rng)


def pictures_a_second(make: Callable[[], Iterator[Any]]) -> float:
    began = time.perf_counter()
    count = sum(1 for _ in make())
    return count / (time.perf_counter() - began)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--pictures", type=int, default=32)
    given = parser.parse_args()
    cv2.setNumThreads(1)
    torch.set_num_threads(1)
    lines = [
        "# Streaming",
        "",
        f"`python benchmarks/streaming.py`: one reader process on {processor()}, load at the start "
        f"{os.getloadavg()[0]:.1f}; {given.pictures} PNG pictures of 2048 x 1024, windows of {CROP[1]} x {CROP[0]}, in "
        "shards of 16 MB. Pictures a second, decoded and cut.",
        "",
        "| latency | a connection | picture by picture | a batch of 8 at once | webdataset, shard after shard |",
        "|---:|---:|---:|---:|---:|",
    ]
    with tempfile.TemporaryDirectory() as text:
        folder = Path(text)
        card = make_pictures(folder, given.pictures, None)["png"]
        write_shards(card, ["train"], None, folder / "shards", shard_bytes=16_000_000)
        local = open_shards(card, "train", folder / "shards")
        order = np.random.default_rng(1).permutation(len(local)).tolist()
        here = pictures_a_second(lambda: single(Windows(local, SPEC), order))
        for latency in (0.0, 0.02, 0.05):
            for bandwidth in (50e6, 100e6):
                mine, other = multiprocessing.Pipe()
                made = multiprocessing.Process(
                    target=serve, args=(str(folder / "shards"), latency, bandwidth, other), daemon=True
                )
                made.start()
                url = f"http://127.0.0.1:{mine.recv()}"
                windows = Windows(open_shards(card, "train", url), SPEC)
                speeds = [
                    pictures_a_second(lambda w=windows: single(w, order)),
                    pictures_a_second(lambda w=windows: together(w, order)),
                    pictures_a_second(lambda u=url: sequential(u, local.split.shards)),
                ]
                made.terminate()
                made.join()
                cells = " | ".join(f"{speed:.1f}" for speed in speeds)
                lines.append(f"| {1e3 * latency:.0f} ms | {bandwidth / 1e6:.0f} MB/s | {cells} |")
                print(lines[-1], flush=True)
    lines += ["", f"From the disk of this machine: {here:.1f}."]
    Path(__file__).with_suffix(".md").write_text("\n".join(lines) + "\n")
    print(lines[-1])


if __name__ == "__main__":
    main()
