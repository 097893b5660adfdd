"""`swath serve` under 64 clients, a third of whose requests are hostile: is every good one answered, and rightly?

    python benchmarks/serving.py [ROUNDS]     writes benchmarks/serving.md

A server in a process of its own (contextnet14, 19 classes, random weights) and 64 client threads in this one share the
machine. Good requests are PNGs of four sizes; their answers are compared, pixel by pixel, with `Segmenter`'s. Hostile
ones are garbage, decompression bombs, cut-off files, bodies larger than they say or allowed, silence in the middle,
clients that leave in the middle or before the answer, wrong methods, no HTTP at all. At the end the server is told to
stop while requests are under way.
"""

from __future__ import annotations

import http.client
import io
import os
import platform
import random
import re
import signal
import socket
import statistics
import struct
import subprocess
import sys
import tempfile
import threading
import time
import zlib
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np
import torch
from PIL import Image

import swath

CLIENTS = 64
REQUESTS = 6  # of each client in a round
HOSTILE = 1 / 3
SIZES = ((256, 512), (240, 320), (375, 500), (128, 256))
OPTIONS = ("--batch", "8", "--wait", "5", "--queue", "48", "--max-megabytes", "2", "--max-megapixels", "2")


@dataclass
class Tally:
    """What the clients of one server saw."""

    good: list[float] = field(default_factory=list)  # seconds of each right answer
    busy: int = 0  # 503, asked again
    hostile: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)
    memory: list[float] = field(default_factory=list)  # MiB after each round
    lock: threading.Lock = field(default_factory=threading.Lock)


def make_weights(path: Path) -> None:
    torch.manual_seed(0)
    model = swath.create_model("contextnet14", num_classes=19)
    for module in model.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_var.uniform_(0.5, 1.5)
    [each for each in model.modules() if isinstance(each, torch.nn.Conv2d)][-1].weight.data.normal_()
    names = [f"class {number}" for number in range(19)]
    swath.save(path, model.eval(), classes=names, colors=[(9 * n, 99, 200 - 9 * n) for n in range(19)])


def make_pictures() -> list[np.ndarray]:
    draw = np.random.default_rng(0)
    coarse = [draw.integers(0, 256, (9, 12, 3), np.uint8) for _ in range(24)]
    return [cv2.resize(each, SIZES[n % 4][::-1], interpolation=cv2.INTER_CUBIC) for n, each in enumerate(coarse)]


def start(weights: Path, log: Path) -> tuple[subprocess.Popen[bytes], int]:
    command = [sys.executable, "-m", "swath", "serve", str(weights), "--port", "0", "--threads", "1", *OPTIONS]
    with log.open("w") as out:
        process = subprocess.Popen([*command, "--timeout", "60"], stdout=out, stderr=subprocess.PIPE)
    greeting = process.stderr.readline().decode()
    return process, int(re.search(r":(\d+) ", greeting)[1])


def ask(port: int, body: bytes, method: str = "POST", path: str = "/segment") -> tuple[int, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=90)
    try:
        connection.request(method, path, body, {"Content-Type": "image/png"} if body else {})
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


def good(port: int, body: bytes, expected: np.ndarray, tally: Tally) -> None:
    while True:
        began = time.perf_counter()
        status, answer = ask(port, body)
        took = time.perf_counter() - began
        if status != 503:
            break
        with tally.lock:
            tally.busy += 1
        time.sleep(1)
    right = status == 200 and np.array_equal(np.array(Image.open(io.BytesIO(answer))), expected)
    with tally.lock:
        if right:
            tally.good.append(took)
        else:
            tally.wrong.append(f"good request: {status} {answer[:80]!r}")


def raw(port: int, *parts: bytes, pause: float = 0, listen: bool = True) -> int:
    """Send bytes as they are; the status of the answer, 0 where there is none."""
    with socket.create_connection(("127.0.0.1", port), timeout=90) as it:
        try:
            for part in parts:
                it.sendall(part)
                time.sleep(pause)
            words = it.recv(99).split() if listen else []
        except OSError:
            return 0
        return int(words[1]) if len(words) > 1 else 0


def bomb() -> bytes:
    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    head = chunk(b"IHDR", struct.pack(">IIBBBBB", 60000, 60000, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + head + chunk(b"IDAT", zlib.compress(bytes(1 << 20))) + chunk(b"IEND", b"")


def hostile(port: int, kind: str, body: bytes) -> bool:
    """Whether the service did what it should."""
    head = b"POST /segment HTTP/1.1\r\nHost: x\r\nContent-Type: image/png\r\n"
    long = head + b"Content-Length: %d\r\n\r\n" % len(body)
    if kind == "garbage":
        return ask(port, os.urandom(5000))[0] in (415, 503)
    if kind == "bomb":
        return ask(port, bomb())[0] in (413, 503)
    if kind == "cut off":
        return ask(port, body[: len(body) // 2])[0] in (400, 503)
    if kind == "wrong method":
        return ask(port, b"", "DELETE")[0] == 405
    if kind == "huge Content-Length":
        return raw(port, head + b"Content-Length: 999999999999\r\n\r\n", b"x" * 100) in (413, 503)
    if kind == "endless body":
        chunk = b"40000\r\n" + bytes(1 << 18) + b"\r\n"
        return raw(port, head + b"Transfer-Encoding: chunked\r\n\r\n", *[chunk] * 12) in (413, 503, 0)
    if kind == "no HTTP":
        return raw(port, b"\x16\x03\x01\x02\x00\r\n\r\n") == 400
    if kind == "slow, then gone":
        return raw(port, long, body[:50], body[50:100], pause=0.5, listen=False) == 0
    if kind == "leaves before the answer":
        return raw(port, long + body, listen=False) == 0
    return raw(port, b"GET / HTTP/1.1\r\nX: ", b"y" * 60, pause=0.5, listen=False) == 0


KINDS = (
    "garbage",
    "bomb",
    "cut off",
    "wrong method",
    "huge Content-Length",
    "endless body",
    "no HTTP",
    "slow, then gone",
    "leaves before the answer",
    "half a header",
)


def client(number: int, port: int, bodies: list[bytes], expected: list[np.ndarray], tally: Tally) -> None:
    draw = random.Random(number)
    for _ in range(REQUESTS):
        which = draw.randrange(len(bodies))
        if draw.random() >= HOSTILE:
            good(port, bodies[which], expected[which], tally)
            continue
        kind = draw.choice(KINDS)
        fine = hostile(port, kind, bodies[which])
        with tally.lock:
            tally.hostile[kind] += 1
            if not fine:
                tally.wrong.append(kind)


def crowd(jobs: list[threading.Thread]) -> None:
    for job in jobs:
        job.start()
    for job in jobs:
        job.join()


def metric(port: int, name: str) -> float:
    lines = ask(port, b"", "GET", "/metrics")[1].decode().splitlines()
    return sum(float(line.split()[-1]) for line in lines if line.startswith(name))


def main(rounds: int) -> None:
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        weights = Path(folder) / "w.safetensors"
        make_weights(weights)
        pictures = make_pictures()
        segmenter = swath.Segmenter(str(weights))
        expected = [segmenter(each).labels for each in pictures]
        bodies = [bytes(cv2.imencode(".png", each[:, :, ::-1])[1].tobytes()) for each in pictures]
        process, port = start(weights, Path(folder) / "log")
        tally = Tally()
        began = time.perf_counter()
        for number in range(rounds):
            seeds = range(number * CLIENTS, (number + 1) * CLIENTS)
            crowd([threading.Thread(target=client, args=(seed, port, bodies, expected, tally)) for seed in seeds])
            tally.memory.append(metric(port, "process_resident_memory_bytes") / 2**20)
            print(f"round {number + 1}: {len(tally.good)} right, {len(tally.wrong)} wrong, {tally.memory[-1]:.0f} MiB")
        took = time.perf_counter() - began
        batches = metric(port, "swath_batch_pictures_sum"), metric(port, "swath_batch_pictures_count")
        last, status = stop(process, port, bodies, expected)
        Path(__file__).with_suffix(".md").write_text(report(tally, took, batches, last, status))
    print(Path(__file__).with_suffix(".md").read_text())
    sys.exit(bool(tally.wrong or last.wrong or status))


def stop(
    process: subprocess.Popen[bytes], port: int, bodies: list[bytes], expected: list[np.ndarray]
) -> tuple[Tally, int]:
    """SIGTERM while 16 pictures are under way."""
    last = Tally()
    jobs = [threading.Thread(target=good, args=(port, bodies[n], expected[n], last)) for n in range(16)]
    for job in jobs:
        job.start()
    while metric(port, "swath_pictures_under_way ") < 8 and not last.good:
        time.sleep(0.005)
    while metric(port, "swath_requests_in_flight ") + len(last.good) < 16:  # all have come in, this question among them
        time.sleep(0.005)
    process.send_signal(signal.SIGTERM)
    for job in jobs:
        job.join()
    return last, process.wait(40)


def report(tally: Tally, took: float, batches: tuple[float, float], last: Tally, status: int) -> str:
    times = sorted(tally.good)
    kinds = ", ".join(f"{kind} {tally.hostile[kind]}" for kind in KINDS)
    memory = ", ".join(f"{each:.0f}" for each in tally.memory)
    wrong = "".join(f"\n- {line}" for line in tally.wrong + last.wrong)
    sizes = ", ".join(f"{width}x{height}" for height, width in SIZES)
    machine = f"{platform.machine()}, Python {platform.python_version()}, torch {torch.__version__}"
    return f"""# The service under load

`python benchmarks/serving.py {len(tally.memory)}`: {CLIENTS} clients at once, {REQUESTS * CLIENTS} requests a round.
The server: `swath serve w.safetensors --threads 1 {" ".join(OPTIONS)}`,
contextnet14 with 19 classes. PNGs of {sizes}. Server and clients share {os.cpu_count()} processors ({machine}),
whose load was {os.getloadavg()[0]:.1f} at the end; {time.strftime("%Y-%m-%d")}.

| | |
|---|---:|
| good requests answered rightly, every pixel | {len(times)} |
| answered wrongly or not at all | {len(tally.wrong)} |
| told to come back (503), and answered then | {tally.busy} |
| hostile requests | {sum(tally.hostile.values())} |
| good answers a second | {len(times) / took:.1f} |
| p50, ms | {1000 * statistics.median(times):.0f} |
| p99, ms | {1000 * times[int(len(times) * 0.99)]:.0f} |
| pictures a batch, mean | {batches[0] / batches[1]:.2f} |
| memory of the server after each round, MiB | {memory} |
| under way at SIGTERM, answered rightly | {len(last.good)} of 16 |
| exit status | {status} |

Hostile: {kinds}.

Memory settles while the allocator gets to know every size and every thread; compare the later rounds.
{wrong}"""


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 6)
