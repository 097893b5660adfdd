"""Networks as files for engines outside of torch, made on the fly and kept in the cache folder.

A file's name is a hash of everything that it depends on: the weights, their description, the versions of swath and of
what writes it. Its checksum lies beside it, so that a damaged one is made anew instead of answering nonsense.
"""

from __future__ import annotations

import contextlib
import copy
import hashlib
import importlib.metadata
from pathlib import Path

import torch

from swath import __version__
from swath.errors import SwathError
from swath.files import atomic_path, atomic_write, cache_folder
from swath.inference.description import Description
from swath.inference.runtimes.engines import version
from swath.networks import Network

KEPT = 32  # files; the ones that were not used for longest go
_WRITERS = {".onnx": ("torch", "onnx", "onnxscript"), ".engine": ("torch", "onnx", "onnxscript")}


def fingerprint(network: Network) -> str:
    """Equal for networks that answer alike and say the same of themselves."""
    total = hashlib.sha256(Description.of(network).as_json().encode())
    for name, tensor in network.state_dict().items():
        total.update(f"{name}{tensor.dtype}{tuple(tensor.shape)}".encode())
        total.update(tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes())
    return total.hexdigest()


def cached(network: Network, ending: str, device: str = "cpu") -> Path:
    """Where the file of a network is, or would be."""
    about = [fingerprint(network), __version__, *(importlib.metadata.version(each) for each in _WRITERS[ending])]
    if ending == ".engine":
        about += [version("tensorrt"), torch.cuda.get_device_name(device)]
    try:
        folder = cache_folder() / "engines"
    except RuntimeError as error:  # no home folder, as for made-up users of containers
        raise SwathError("there is no home folder to keep converted weights in; set XDG_CACHE_HOME") from error
    return folder / (hashlib.sha256(" ".join(about).encode()).hexdigest()[:32] + ending)


def ready(network: Network, ending: str, device: str = "cpu") -> bool:
    """Whether nothing need be converted."""
    return _sound(cached(network, ending, device))


def prepare(network: Network, ending: str, device: str = "cpu") -> Path:
    """The network's file, which is made first where it is not there, or damaged."""
    path = cached(network, ending, device)
    if not _sound(path):
        _make(network, path)
    with contextlib.suppress(OSError):
        path.touch()  # the last to go
    return path


def _make(network: Network, path: Path) -> None:
    """Convert, compare, and only then keep it."""
    if path.suffix == ".engine":
        from swath.deploy import export

        export(network, path, "tensorrt")
    else:
        _make_onnx(network, path)
    with atomic_write(_beside(path), "w") as file:
        file.write(_hash(path))
    _tidy(path.parent)


def _make_onnx(network: Network, path: Path) -> None:
    """As `swath export` does it, but compared on two batches only: that takes as long as the rest otherwise."""
    from swath.deploy import onnx
    from swath.deploy.graph import exportable
    from swath.deploy.verify import compare, moved
    from swath.inference.segmenter import Segmenter
    from swath.inference.views import Views

    module, description, example = exportable(network, "outside")
    as_it_is = Views()
    original = Segmenter(copy.deepcopy(network).cpu().eval(), optimise=False, views=as_it_is)
    with atomic_path(path) as temporary:
        onnx.write(module, description, example, temporary)
        noise = [("noise", example), ("odd noise", example[:1, :-3, :-5])]
        checks = compare(original, Segmenter(temporary, views=as_it_is), noise, other=moved(network, "fp32"))
        if not all(check.passed for check in checks):
            raise SwathError(
                f"{network.name} answers differently as ONNX, so that engines for ONNX cannot run it; use --engine "
                "torch, and please report the network with this line"
            )


def _sound(path: Path) -> bool:
    try:
        return _beside(path).read_text("ascii") == _hash(path)
    except (OSError, UnicodeDecodeError):
        return False


def _hash(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _beside(path: Path) -> Path:
    return path.with_name(path.name + ".sha256")


def _tidy(folder: Path) -> None:
    """Forget what was not used for longest."""
    with contextlib.suppress(OSError):  # another process may be at it
        files = [each for each in folder.iterdir() if each.suffix in _WRITERS and not each.name.startswith(".")]
        files.sort(key=lambda each: each.stat().st_mtime)
        for old in files[:-KEPT]:
            for each in folder.glob(f"{old.name}*"):
                each.unlink(missing_ok=True)
