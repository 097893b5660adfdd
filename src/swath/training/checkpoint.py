"""Checkpoints that survive death at any moment: whole or not there, sealed by a checksum, the last two kept."""

from __future__ import annotations

import hashlib
import io
import random
from pathlib import Path
from typing import Any

import numpy as np
import torch

from swath.errors import SwathError
from swath.files import atomic_write

FORMAT = 3
KEPT = 2
_SEAL = 32  # bytes of SHA-256 at the end of the file, after what torch.load reads

State = dict[str, Any]  # tensors, numbers, text, lists and dicts only: nothing is ever unpickled into code


def save_checkpoint(folder: Path, number: int, state: State) -> Path:
    """Write the state after iteration `number` and drop all but the newest checkpoints."""
    path = folder / f"step-{number:09d}.pt"
    write_sealed(path, state)
    for old in checkpoints(folder)[KEPT:]:
        old.unlink(missing_ok=True)
    return path


def write_sealed(path: Path, state: State) -> None:
    """Write a state whole or not at all, with a checksum at its end."""
    buffer = io.BytesIO()
    torch.save({"format": FORMAT, **state}, buffer)
    with atomic_write(path) as file:
        file.write(buffer.getbuffer())
        file.write(hashlib.sha256(buffer.getbuffer()).digest())


def checkpoints(folder: Path) -> list[Path]:
    """Newest first."""
    return sorted(folder.glob("step-*.pt"), reverse=True)


def read_sealed(path: Path) -> State:
    """The state of a file; a file that is cut short or changed is refused."""
    try:
        data = memoryview(path.read_bytes())
    except OSError as error:
        raise SwathError(f"{path}: cannot be read ({error.strerror})") from error
    if len(data) <= _SEAL or hashlib.sha256(data[:-_SEAL]).digest() != bytes(data[-_SEAL:]):
        raise SwathError(f"{path}: is damaged (its checksum does not fit); it was cut short or changed")
    state: State = torch.load(io.BytesIO(data[:-_SEAL]), map_location="cpu", weights_only=True)
    if state.get("format") != FORMAT:
        raise SwathError(
            f"{path}: was written by another version of swath (format {state.get('format')}, not {FORMAT})"
        )
    return state


def newest_checkpoint(folder: Path) -> tuple[State | None, list[str]]:
    """The newest whole state (None: there is no checkpoint), and what is wrong with those that were passed over."""
    for leftover in folder.glob(".step-*.pt"):  # a write that death interrupted
        leftover.unlink(missing_ok=True)
    complaints: list[str] = []
    for path in checkpoints(folder):
        try:
            return read_sealed(path), complaints
        except SwathError as error:
            complaints.append(str(error))
    if complaints:
        raise SwathError(f"{'; '.join(complaints)}. No whole checkpoint is left; start again with --overwrite")
    return None, complaints


def random_states() -> State:
    """The states of all random generators that a training may draw from."""
    kind, keys, position, has_gauss, gauss = np.random.get_state(legacy=True)
    version, python, python_gauss = random.getstate()
    return {
        "torch": torch.get_rng_state(),
        "cuda": torch.cuda.get_rng_state_all() if torch.cuda.is_available() else [],
        "numpy": [kind, torch.from_numpy(np.asarray(keys, np.int64)), position, has_gauss, gauss],
        "python": [version, list(python), python_gauss],
    }


def restore_random_states(state: State) -> None:
    """The way back."""
    torch.set_rng_state(state["torch"])
    if torch.cuda.is_available() and len(state["cuda"]) == torch.cuda.device_count():
        torch.cuda.set_rng_state_all(state["cuda"])
    kind, keys, position, has_gauss, gauss = state["numpy"]
    np.random.set_state((kind, keys.numpy().astype(np.uint32), position, has_gauss, gauss))
    version, python, python_gauss = state["python"]
    random.setstate((version, tuple(python), python_gauss))


def seed_everything(*numbers: int) -> None:
    """Start all of them from one number, or from several."""
    seed = numbers[0] if len(numbers) == 1 else int(np.random.SeedSequence(numbers).generate_state(1)[0])
    random.seed(seed)
    np.random.seed(seed % 2**32)
    torch.manual_seed(seed)
