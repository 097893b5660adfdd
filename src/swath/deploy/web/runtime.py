"""onnxruntime-web: given, kept from the last time, or fetched once by npm or from its registry, by its checksum."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import shutil
import subprocess
import tarfile
import tempfile
import urllib.request
from collections.abc import Sequence
from pathlib import Path

from swath.errors import SwathError
from swath.files import atomic_write, cache_folder, make_folder

PACKAGE = "onnxruntime-web"
VERSION = "1.30.0"
TARBALL = f"{PACKAGE}-{VERSION}.tgz"
# As the registry states it; a file that has another is refused, whoever served it.
INTEGRITY = "sha512-q0y+JrrtukXSzsBWEMccVfqX25LRmosXHF+CaRJmg8pZClzcV7svNc4rKY3jL02Vb7QmRMDs1SigqR4CXAfKYQ=="
WASM = ("ort.wasm.bundle.min.mjs", "ort-wasm-simd-threaded.mjs", "ort-wasm-simd-threaded.wasm")
WEBGPU = ("ort.webgpu.bundle.min.mjs", "ort-wasm-simd-threaded.asyncify.mjs", "ort-wasm-simd-threaded.asyncify.wasm")
_TIMEOUT = 60  # s without a byte


def copy_runtime(names: Sequence[str], folder: Path, given: Path | None = None) -> None:
    """Put these files of onnxruntime-web into `folder`. `given` is a folder with them, or the package's tarball."""
    if given is not None and given.is_dir():
        _copy_from_folder(names, folder, given)
        return
    _unpack(names, folder, given or _cached())


def _copy_from_folder(names: Sequence[str], folder: Path, given: Path) -> None:
    """From a folder with the files themselves, or from an installed package (node_modules/onnxruntime-web)."""
    about = given / "package.json"
    if about.is_file():
        version = json.loads(about.read_text("utf-8")).get("version")
        if version != VERSION:
            raise SwathError(f"{given}: is version {version} of {PACKAGE}, {VERSION} is needed")
    source = given / "dist" if (given / "dist").is_dir() else given
    missing = [name for name in names if not (source / name).is_file()]
    if missing:
        raise SwathError(f"{source}: lacks {', '.join(missing)} of {PACKAGE} {VERSION}")
    for name in names:
        shutil.copyfile(source / name, folder / name)


def _unpack(names: Sequence[str], folder: Path, tarball: Path) -> None:
    try:
        with tarball.open("rb") as file:
            found = "sha512-" + base64.b64encode(hashlib.file_digest(file, "sha512").digest()).decode()
    except OSError as error:
        raise SwathError(f"{tarball}: cannot be read ({error.strerror or error})") from error
    if found != INTEGRITY:
        raise SwathError(
            f"{tarball}: is not {PACKAGE} {VERSION} as it was published, or was cut short; delete it and get it again"
        )
    wanted = {f"package/dist/{name}": name for name in names}
    with tarfile.open(tarball) as archive:
        for member in archive:
            name = wanted.pop(member.name, None)
            content = archive.extractfile(member) if name else None
            if name and content:
                (folder / name).write_bytes(content.read())
    if wanted:
        raise SwathError(f"{tarball}: lacks {', '.join(wanted)}")


def _cached() -> Path:
    """The tarball in the cache; fetched the first time."""
    kept = cache_folder() / TARBALL
    if not kept.is_file():
        make_folder(kept.parent)
        _fetch(kept)
    return kept


def _fetch(to: Path) -> None:
    """By npm where it is installed, for it knows the person's registry and how to log in there; else from the registry
    that npm's own environment variable names."""
    npm = shutil.which("npm")
    registry = os.environ.get("npm_config_registry")  # noqa: SIM112  # npm's own spelling
    try:
        if npm:
            with tempfile.TemporaryDirectory(dir=to.parent) as scratch:
                command = [npm, "pack", "--silent", f"{PACKAGE}@{VERSION}"]
                subprocess.run(command, cwd=scratch, capture_output=True, check=True, timeout=900)
                (Path(scratch) / TARBALL).replace(to)
            return
        if registry and registry.startswith(("https://", "http://")):
            address = f"{registry.rstrip('/')}/{PACKAGE}/-/{TARBALL}"
            with urllib.request.urlopen(address, timeout=_TIMEOUT) as answer, atomic_write(to) as file:
                shutil.copyfileobj(answer, file)
            return
    except (OSError, subprocess.SubprocessError) as error:
        raise SwathError(_how(f"could not be fetched ({_reason(error)})")) from error
    raise SwathError(_how("cannot be fetched: npm is not installed, and npm_config_registry names no registry"))


def _reason(error: Exception) -> str:
    said = getattr(error, "stderr", None)
    lines = said.decode(errors="replace").strip().splitlines() if said else []
    return lines[-1] if lines else str(error)


def _how(problem: str) -> str:
    return (
        f"{PACKAGE} {VERSION} {problem}; where there is a network, `npm pack {PACKAGE}@{VERSION}` gets {TARBALL}: "
        f"then add --runtime {TARBALL}, or --runtime FOLDER with its {', '.join(WASM)}"
        f" (and for WebGPU {', '.join(WEBGPU)})"
    )
