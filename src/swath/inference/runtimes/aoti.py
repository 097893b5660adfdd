"""AOTInductor packages: torch's compiler, run beforehand. They belong to the kind of processor they were made on."""

from __future__ import annotations

import tempfile
import zipfile
from pathlib import Path

from swath.errors import SwathError
from swath.inference.description import KEY, Description
from swath.inference.runtimes.torch import TorchRuntime, check_device, first_line


def load_aoti(path: Path, device: str = "cpu") -> TorchRuntime:
    """A file of `swath export --to aoti`."""
    import torch
    from torch._inductor import aoti_load_package

    check_device(device)
    description = Description.from_json(_description(path), path)
    try:
        # Torch opens packages by the ending .pt2 only; a link under that name is enough.
        with tempfile.TemporaryDirectory(prefix="swath-aoti-") as folder:
            link = Path(folder) / "model.pt2"
            link.symlink_to(path.resolve())
            module = aoti_load_package(str(link))
    except Exception as error:  # a damaged package raises whatever its parts raise
        raise SwathError(
            f"{path}: cannot be loaded ({first_line(error)}); a package belongs to the kind of machine it was made on, "
            "make it here with `swath export WEIGHTS --to aoti`"
        ) from error
    return TorchRuntime(module, description, device, f"AOTInductor in torch {torch.__version__}")


def _description(path: Path) -> str:
    try:
        with zipfile.ZipFile(path) as package:
            for name in package.namelist():
                if name.rpartition("/")[2] in (KEY, f"{KEY}.json"):
                    return package.read(name).decode()
    except (OSError, zipfile.BadZipFile, UnicodeDecodeError) as error:
        raise SwathError(
            f"{path}: is not a readable AOTInductor package ({first_line(error)}); make it again with `swath export`"
        ) from error
    return ""
