"""`cells.c` on a CPU: compiled by the machine's own C compiler, if it has one, in 0.2 s, once for all processes."""

from __future__ import annotations

import ctypes
import functools
import hashlib
import os
import platform
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import torch
from torch import Tensor

from swath.files import cache_folder
from swath.finish.axis import Axis
from swath.finish.threads import LABELS, PROBABILITIES, spread

_FLAGS = ("-O3", "-fPIC", "-shared", "-fno-math-errno", "-fno-trapping-math", "-w")


class _Job(ctypes.Structure):
    _fields_ = (
        ("logits", ctypes.c_void_p),
        *((name, ctypes.c_int64) for name in ("by_class", "by_row", "by_column", "classes", "h", "w", "width")),
        *((name, ctypes.c_void_p) for name in ("row_start", "column_start", "row_fraction", "column_fraction")),
        *((name, ctypes.c_void_p) for name in ("out", "sure", "margin")),
        ("on_logits", ctypes.c_int64),
    )


@functools.cache
def library() -> ctypes.CDLL | str:
    """The compiled loop, or why there is none."""
    if sys.platform != "linux":
        return "it is compiled on Linux only"  # on a Mac without its developer tools, `cc` opens a window
    try:
        loaded = ctypes.CDLL(str(_built()))
    except (OSError, RuntimeError, subprocess.SubprocessError) as error:  # RuntimeError: no home folder
        return str(error)
    loaded.swath_finish.argtypes = (ctypes.POINTER(_Job), ctypes.c_int64, ctypes.c_int64)
    return loaded


def _built() -> Path:
    """The library in the user's cache folder, made there first if need be. Machines that share it may differ."""
    source = Path(__file__).with_name("cells.c").read_bytes()
    wide = platform.machine() == "x86_64" and torch.backends.cpu.get_cpu_capability() in ("AVX2", "AVX512")
    flags = (*_FLAGS, "-mavx2", "-mfma") if wide else _FLAGS
    key = hashlib.sha256(source + repr((flags, platform.machine())).encode()).hexdigest()[:16]
    folder = cache_folder()
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    state = folder.stat()
    if state.st_uid != os.getuid() or state.st_mode & 0o022:  # what lies there is run
        raise OSError(f"others may write to {folder}")
    path = folder / f"finish-{key}.so"
    if not path.exists():
        compiler = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
        if compiler is None:
            raise OSError("no C compiler (cc, gcc, clang) was found")
        with tempfile.TemporaryDirectory(dir=folder) as scratch:  # other processes may be at the same
            made = Path(scratch) / path.name
            command = [compiler, *flags, "-x", "c", "-", "-o", str(made)]
            subprocess.run(command, input=source, capture_output=True, check=True, timeout=60)
            ctypes.CDLL(str(made))  # what cannot be loaded is not kept
            made.replace(path)
    return path


def finish(logits: Tensor, rows: Axis, columns: Axis, sure: bool) -> tuple[Tensor, Tensor | None, Tensor | None]:
    """Labels of float32 logits with any strides; probabilities and margins too where `sure`."""
    loop = library()
    assert isinstance(loop, ctypes.CDLL)
    count, classes, h, w = logits.shape
    size = (rows.pixels, columns.pixels)
    out = torch.empty((count, *size), dtype=torch.uint8)
    more = [torch.empty((count, *size)) if sure else None for _ in range(2)]
    _, by_class, by_row, by_column = logits.stride()
    on_logits = rows.on_logits and columns.on_logits

    def work(picture: int, first: int, last: int) -> None:
        job = _Job(
            *(logits[picture].data_ptr(), by_class, by_row, by_column, classes, h, w, size[1]),
            *(each.data_ptr() for each in (rows.start, columns.start, rows.fraction, columns.fraction)),
            *(None if each is None else each[picture].data_ptr() for each in (out, *more)),
            on_logits,
        )
        if loop.swath_finish(ctypes.byref(job), first, last):
            raise MemoryError(f"no memory for two rows of logits of {classes} classes and {w} columns")

    a_thread = PROBABILITIES if sure else LABELS // (classes if on_logits else 1)
    spread(work, count, h + 1, size[0] * size[1], a_thread)
    return out, more[0], more[1]
