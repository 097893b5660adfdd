"""What was timed, on what, and how: a figure without it cannot be compared with another."""

from __future__ import annotations

import importlib.metadata
import os
import platform
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch

from swath import __version__

STAGES = {
    "network": "uint8 pixels on the device to the engine's own output (logits at the native stride, unless the file "
    "finishes inside), preprocessing included",
    "mask": "uint8 pixels in host memory to uint8 labels at the picture's size in host memory",
    "file": "a JPEG on the disk (quality 95) to a label PNG on the disk, flushed, as `swath predict --write labels` "
    "does it; one picture at a time",
}
NAMES = {"network": "network", "mask": "network + mask", "file": "file to file"}
PROTOCOL = (
    "eval and inference mode; batch norms folded and channels last where torch is the engine; warm-up not counted; "
    "every call is waited for (the device is synchronised) and timed by itself with a monotonic clock; several "
    "networks, files or engines take turns in ten rounds, each turn after a call that is not counted; percentiles over "
    "all calls; the picture is a synthetic street; networks by name have random weights, and their mask is made of "
    "logits with a trained network's look, for random ones are mostly of one class, or too ragged"
)
MEMORY = "peak beyond the loaded network during one pass from pixels to labels, in a process of its own"


def manifest(device: str) -> dict[str, Any]:
    """Device, versions and protocol."""
    return {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "device": device_name(device),
        "cpu": cpu_name(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "system": platform.platform(),
        "versions": {
            "swath": __version__,
            "python": platform.python_version(),
            "torch": torch.__version__,
            **{
                name: version
                for name in ("onnxruntime", "openvino", "tensorrt", "executorch", "numpy")
                if (version := _version(name))
            },
        },
        "stages": STAGES,
        "protocol": PROTOCOL,
        "memory": MEMORY,
    }


def device_name(device: str) -> str:
    if torch.device(device).type == "cuda":
        return torch.cuda.get_device_name(device)
    return cpu_name() if device == "cpu" else device


def cpu_name() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        for line in cpuinfo.read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None
