"""The folder: the page, the network as ONNX, onnxruntime-web, and what they need to know of each other."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from swath import __version__
from swath.data import read_image
from swath.deploy.exporter import export
from swath.deploy.folders import new_folder
from swath.deploy.verify import Report
from swath.deploy.web.runtime import VERSION, WASM, WEBGPU, copy_runtime
from swath.errors import SwathError
from swath.inference.description import Description
from swath.networks import Network

PAGE = Path(__file__).with_name("page")
ABOUT = "site.json"  # by which a folder is known as a site
LIST = "files.js"
KEEPER = "service-worker.js"
_BEFORE, _BEHIND = "const SITE = ", ";\n"  # of what the list holds as JSON
SHOWN = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".gif")
# Everything from the page's own folder, nothing inline, nothing evaluated; WebAssembly is compiled.
POLICY = "; ".join((
    "default-src 'none'",
    "script-src 'self' 'wasm-unsafe-eval'",
    "worker-src 'self'",
    "connect-src 'self'",
    "style-src 'self'",
    "img-src 'self' blob:",
    "media-src 'self' blob:",
    "base-uri 'none'",
    "form-action 'none'",
))  # fmt: skip


def export_site(
    network: Network,
    folder: str | Path,
    *,
    webgpu: bool = True,
    runtime: str | Path | None = None,
    pictures: Sequence[str | Path] = (),
) -> Report:
    """Write the folder; of an older site there the files are replaced, and others stay. `runtime` is onnxruntime-web (a
    folder or its tarball) where it shall not be fetched; `webgpu` puts that form of it there too. `pictures` are shown
    as samples, and the network is compared on them."""
    folder = Path(folder)
    description = Description.of(network)
    if description.channels != 3:
        raise SwathError(f"{network.name} takes pictures of {description.channels} channels; a browser's have 3")
    for each in pictures:
        if Path(each).suffix.lower() not in SHOWN:
            raise SwathError(f"{each}: not every browser shows such a file; samples are {', '.join(SHOWN)}")
    samples = [(Path(each), torch.from_numpy(read_image(each))[None]) for each in pictures]
    with new_folder(folder, ABOUT, "site", files_of) as scratch:
        copy_runtime(WASM + (WEBGPU if webgpu else ()), scratch, Path(runtime) if runtime else None)
        report = export(network, scratch / "model.onnx", "onnx", pictures=[(path.name, each) for path, each in samples])
        for source in sorted(PAGE.iterdir()):
            if source.is_file():
                shutil.copyfile(source, scratch / source.name)
        index = scratch / "index.html"
        index.write_text(index.read_text("utf-8").replace("{policy}", POLICY), "utf-8")
        listed = []
        for number, (path, _) in enumerate(samples, 1):
            name = f"sample-{number}{path.suffix.lower()}"
            shutil.copyfile(path, scratch / name)
            listed.append({"file": f"./{name}", "name": path.name})
        parameters = sum(each.numel() for each in network.parameters())
        _write_about(scratch, _about(description, parameters, webgpu, listed))
        _write_list(scratch)
    return report


def files_of(folder: Path) -> set[str]:
    """The files of a folder that are the site's."""
    listed = json.loads((folder / LIST).read_text("utf-8").removeprefix(_BEFORE).removesuffix(_BEHIND))
    return {*listed["first"], *listed["later"], LIST, KEEPER}


def _about(description: Description, parameters: int, webgpu: bool, samples: list[dict[str, str]]) -> dict[str, Any]:
    meta = description.meta
    return {
        "network": meta.network,
        "dataset": meta.dataset,
        "score": {key: value for key, value in meta.score.items() if key in ("miou", "split")},
        "classes": meta.classes,
        "colors": meta.colors,
        "parameters": parameters,
        "min_size": description.min_size,
        "multiple": description.multiple,
        "align_corners": description.align_corners,
        "short_side": description.learnt_side,
        "webgpu": webgpu,
        "samples": samples,
        "swath": __version__,
        "runtime": VERSION,
    }


def _write_about(folder: Path, about: dict[str, Any]) -> None:
    """With the sizes of the large files, by which the page knows how much of them has come."""
    sizes = {path.name: path.stat().st_size for path in [*sorted(folder.glob("*.wasm")), folder / "model.onnx"]}
    (folder / ABOUT).write_text(json.dumps({**about, "files": sizes}, indent=1), "utf-8")


def _write_list(folder: Path) -> None:
    """For the service worker: what to keep at once, what to keep once it was used, and a version made of all of it."""
    paths = sorted(folder.iterdir())
    digest = hashlib.sha256(POLICY.encode())
    for path in paths:
        digest.update(path.name.encode() + hashlib.sha256(path.read_bytes()).digest())
    kept = [path.name for path in paths if path.name != KEEPER]
    site = {
        "version": digest.hexdigest()[:16],
        "policy": POLICY,
        "first": [name for name in kept if name not in WEBGPU],
        "later": [name for name in kept if name in WEBGPU],
    }
    (folder / LIST).write_text(f"{_BEFORE}{json.dumps(site, indent=1)}{_BEHIND}", "utf-8")
