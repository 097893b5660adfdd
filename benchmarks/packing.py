"""How a packed set should lie on the disk: bytes a picture, and what a training window costs with each way of coding.

    python benchmarks/packing.py     writes benchmarks/packing.md

Pictures of 2048 x 1024 as the streets of swath draw them, with noise, and their labels: PNGs of 3.6 MB, where those of
Cityscapes have 2.3, so what compresses does better there. A window is 1024 x 512 at a scale of 0.5 to 2, with jitter,
by `swath.data.Windows`; every way gives it the rows and columns that it needs, so all but the lossy one give the same
bytes. One thread. "cold": the system was asked to forget the file before each window, so the disk's time counts too.
Libraries that are not installed are left out (zstandard, lz4: neither is needed by swath).
"""

from __future__ import annotations

import importlib.util
import mmap
import os
import platform
import statistics
import tempfile
import time
import zlib
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

import swath
from swath.cards import Card, load_card
from swath.data import Source, Windows, WindowSpec
from swath.data.packed import pack, plan_packing

PICTURES, EPOCHS, BAND = 8, 12, 64
HEIGHT, WIDTH = 1024, 2048
NOISE = 1.0
Bytes = NDArray[np.uint8]
CARD = """
name: noisy
classes: [{names}]
images: "{{split}}/{{id}}.png"
labels: "{{split}}-labels/{{id}}.png"
label_values: {{0-10: in order, 255: ignore}}
splits: [train]
"""


def make(folder: Path) -> Card:
    """The dataset as files."""
    streets = load_card("streets")
    drawn = streets.open("train", count=PICTURES, size=(HEIGHT, WIDTH))
    noise = np.random.default_rng(0)
    for index in range(PICTURES):
        image = np.rint(drawn.image(index) + noise.normal(0, NOISE, (HEIGHT, WIDTH, 3))).clip(0, 255).astype(np.uint8)
        for kind, array in (("train", image[..., ::-1]), ("train-labels", drawn.labels(index))):
            (folder / kind).mkdir(exist_ok=True)
            cv2.imwrite(str(folder / kind / f"{index}.png"), array)
    (folder / "card.yaml").write_text(CARD.format(names=", ".join(streets.class_names)))
    return load_card(str(folder / "card.yaml"))


class Banded:
    """Bands of 64 rows in one file, coded by `encode` and given back by `decode(bytes, shape)`."""

    def __init__(self, source: Source, path: Path, encode: Callable[..., bytes], decode: Callable[..., Bytes]) -> None:
        self.source, self.decode, self.path = source, decode, path
        self.places: dict[tuple[int, str], list[int]] = {}
        with path.open("wb") as file:
            for index in range(len(source)):
                for name, array in (("image", source.image(index)), ("labels", source.labels(index))):
                    places = [file.tell()]
                    for top in range(0, HEIGHT, BAND):
                        file.write(encode(np.ascontiguousarray(array[top : top + BAND])))
                        places.append(file.tell())
                    self.places[index, name] = places
        self.file = path.open("rb", buffering=0)

    def __len__(self) -> int:
        return len(self.source)

    def size(self, index: int) -> tuple[int, int]:
        return HEIGHT, WIDTH

    def cut(self, index: int, rows: slice, columns: slice, names: Iterable[str]) -> dict[str, Bytes]:
        found = {}
        bands = range(rows.start // BAND, -(-rows.stop // BAND))
        for name in names:
            places = self.places[index, name]
            start = places[bands.start]
            data = os.pread(self.file.fileno(), places[bands.stop] - start, start)
            shape = (BAND, WIDTH, 3) if name == "image" else (BAND, WIDTH)
            array = np.empty((len(bands) * BAND, *shape[1:]), np.uint8)
            for number, band in enumerate(bands):
                coded = data[places[band] - start : places[band + 1] - start]
                array[number * BAND : (number + 1) * BAND] = self.decode(coded, shape)
            top = bands.start * BAND
            found[name] = array[rows.start - top : rows.stop - top, columns]
        return found


class Mapped:
    """Raw bytes, mapped into memory: nothing is copied, the window is cut out of the system's own cache."""

    def __init__(self, source: Source, path: Path) -> None:
        self.source, self.path = source, path
        with path.open("wb") as file:
            for index in range(len(source)):
                file.write(source.image(index).tobytes() + source.labels(index).tobytes())
        with path.open("rb") as file:
            self.map = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)

    def __len__(self) -> int:
        return len(self.source)

    def size(self, index: int) -> tuple[int, int]:
        return HEIGHT, WIDTH

    def cut(self, index: int, rows: slice, columns: slice, names: Iterable[str]) -> dict[str, Bytes]:
        whole = np.frombuffer(self.map, np.uint8, HEIGHT * WIDTH * 4, index * HEIGHT * WIDTH * 4)
        image = whole[: HEIGHT * WIDTH * 3].reshape(HEIGHT, WIDTH, 3)
        labels = whole[HEIGHT * WIDTH * 3 :].reshape(HEIGHT, WIDTH)
        return {name: {"image": image, "labels": labels}[name][rows, columns] for name in names}


def differences(band: Bytes) -> Bytes:
    """To the row above, as PNG's filter "up" takes them."""
    taken = band.copy()
    taken[1:] -= band[:-1]
    return taken


def summed(data: bytes, shape: tuple[int, ...]) -> Bytes:
    array = np.frombuffer(data, np.uint8).reshape(shape[0], -1).copy()
    for row in range(1, shape[0]):
        array[row] += array[row - 1]
    return array.reshape(shape)


def png(band: Bytes) -> bytes:
    return bytes(cv2.imencode(".png", band[..., ::-1] if band.ndim == 3 else band)[1])


def jpeg(band: Bytes) -> bytes:
    if band.ndim == 2:
        return zlib.compress(band.data, 3)
    whole = [cv2.IMWRITE_JPEG_QUALITY, 95, cv2.IMWRITE_JPEG_SAMPLING_FACTOR, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444]
    return bytes(cv2.imencode(".jpg", band[..., ::-1], whole)[1])


def unjpeg(data: bytes, shape: tuple[int, ...]) -> Bytes:
    return np.frombuffer(zlib.decompress(data), np.uint8).reshape(shape) if len(shape) == 2 else decoded(data, shape)


def decoded(data: bytes, shape: tuple[int, ...]) -> Bytes:
    flag = cv2.IMREAD_COLOR_RGB if len(shape) == 3 else cv2.IMREAD_UNCHANGED
    return np.asarray(cv2.imdecode(np.frombuffer(data, np.uint8), flag), np.uint8)


def codings() -> dict[str, tuple[Callable[..., bytes], Callable[..., Bytes]]]:
    """Ways to code a band."""

    def plain(data: bytes, shape: tuple[int, ...]) -> Bytes:
        return np.frombuffer(data, np.uint8).reshape(shape)

    def labels_only(band: Bytes) -> bytes:
        return zlib.compress(band.data, 3) if band.ndim == 2 else band.tobytes()

    def labels_only_back(data: bytes, shape: tuple[int, ...]) -> Bytes:
        return plain(zlib.decompress(data) if len(shape) == 2 else data, shape)

    ways: dict[str, tuple[Callable[..., bytes], Callable[..., Bytes]]] = {
        "raw pictures, zlib labels": (labels_only, labels_only_back),
        "zlib, level 1, of differences": (
            lambda band: zlib.compress(differences(band).data, 1),
            lambda data, shape: summed(zlib.decompress(data), shape),
        ),
        "PNG bands": (png, decoded),
        "JPEG bands (quality 95, lossy), zlib labels": (jpeg, unjpeg),
    }
    if importlib.util.find_spec("zstandard"):
        import zstandard  # type: ignore[import-not-found,unused-ignore]

        ways["zstandard, level 1, of differences"] = (
            lambda band: zstandard.ZstdCompressor(1).compress(differences(band).data),
            lambda data, shape: summed(zstandard.ZstdDecompressor().decompress(data), shape),
        )
    if importlib.util.find_spec("lz4"):
        import lz4.block  # type: ignore[import-not-found,unused-ignore]

        ways["LZ4 of differences"] = (
            lambda band: lz4.block.compress(differences(band).data),
            lambda data, shape: summed(lz4.block.decompress(data), shape),
        )
    return ways


def forget(path: Path) -> None:
    """Ask the system to drop a file, or a folder's files, from its cache."""
    for file in [path] if path.is_file() else path.rglob("*"):
        if file.is_file() and hasattr(os, "posix_fadvise"):
            handle = os.open(file, os.O_RDONLY)
            os.fsync(handle)  # what has not reached the disk is not forgotten
            os.posix_fadvise(handle, 0, 0, os.POSIX_FADV_DONTNEED)
            os.close(handle)


def timed(source: Any, path: Path, epochs: int) -> tuple[float, float, float]:
    """Milliseconds of the processor a window (mean, median), and of the clock with a cold file (median)."""
    windows = Windows(source, WindowSpec((512, 1024), brightness=0.3, contrast=0.3, saturation=0.3))
    warm, cold = [], []
    for index in range(len(source)):
        windows[0, index]  # and the checksums, where there are any
    for epoch in range(1, epochs + 1):
        for index in range(len(source)):
            began = time.process_time()
            windows[epoch, index]
            warm.append(1000 * (time.process_time() - began))
    for index in range(len(source)):
        if isinstance(source, Mapped):
            source.map.madvise(mmap.MADV_DONTNEED)
        forget(path)
        began = time.perf_counter()
        windows[1, index]
        cold.append(1000 * (time.perf_counter() - began))
    return statistics.mean(warm), statistics.median(warm), statistics.median(cold)


def main() -> None:
    cv2.setNumThreads(1)
    rows = []

    def measure(name: str, source: Any, path: Path, epochs: int = EPOCHS) -> None:
        size = sum(file.stat().st_size for file in ([path] if path.is_file() else path.rglob("*")) if file.is_file())
        mean, median, cold = timed(source, path, epochs)
        rows.append(f"| {name} | {size / PICTURES / 1e6:.2f} | {mean:.1f} | {median:.1f} | {cold:.1f} |")
        print(rows[-1], flush=True)

    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        (folder / "files").mkdir()
        card = make(folder / "files")
        files = card.open("train")
        measure("files: one PNG a picture and a label", files, folder / "files", 2)
        for packing in ("raw", "jpeg"):
            pack(plan_packing(card, folder / packing, packing=packing), 1)
            measure(f"**`swath pack --format {packing}`**", card.open("train", folder / packing), folder / packing)
        measure("raw, mapped into memory", Mapped(files, folder / "mapped"), folder / "mapped")
        for name, (encode, decode) in codings().items():
            measure(name, Banded(files, folder / "banded", encode, decode), folder / "banded")
    lines = [
        "# Packing",
        "",
        f"`python benchmarks/packing.py`: windows of 1024x512 out of 2048x1024, one thread, swath {swath.__version__}, "
        f"OpenCV {cv2.__version__}, numpy {np.__version__}, Python {platform.python_version()}, "
        f"{os.cpu_count()} processors, load {os.getloadavg()[0]:.1f}.",
        "",
        "| way | MB a picture | window, CPU ms (mean) | (median) | cold, ms (median) |",
        "|---|---:|---:|---:|---:|",
        *rows,
        "",
        "Every figure holds what a window costs once it is read: 1 ms, and 3 to 7 ms where it shrinks (a third of",
        "them), since OpenCV's area interpolation is not vectorised.",
        "",
        "- **raw is the default.** Mapping the file into memory would save a copy, some tenths of a millisecond, but",
        "  waits longer for a cold disk, in many small reads, and would have the system kill the process (SIGBUS)",
        "  where a network disk fails or a file is cut off; a read that fails says so.",
        "- Labels stay raw beside raw pictures: compressed, they save a quarter of the disk, and cost half a",
        "  millisecond or more.",
        "- **jpeg** is for sets too large for raw, or read over a network. It is lossy, so never chosen unasked.",
        "- Lossless compression lies between: zstandard takes less than half the disk for twice the time, and would be",
        "  a dependency; what Python and OpenCV bring (zlib, PNG) is slower than JPEG and several times larger.",
        "",
    ]
    Path(__file__).with_suffix(".md").write_text("\n".join(lines))


if __name__ == "__main__":
    main()
