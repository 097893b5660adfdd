"""What the processor does with 8 bits, as far as it decides how weights are rounded."""

from __future__ import annotations

import platform
from dataclasses import dataclass
from pathlib import Path

CHOICES = ("auto", "yes", "no")

_CPUINFO = Path("/proc/cpuinfo")
# Products of 8 bits are added up in 32 by these; without them x86 adds pairs in 16 bits, which run over.
_X86 = {"avx512_vnni", "avx_vnni", "amx_int8"}


@dataclass(frozen=True)
class WeightRange:
    """Whether weights use 7 of their 8 bits, and the reason in words."""

    reduced: bool
    why: str


def weight_range(choice: str = "auto", cpuinfo: Path = _CPUINFO, machine: str | None = None) -> WeightRange:
    """`auto` asks this processor; `yes` and `no` are for files that are meant for another machine."""
    if choice == "yes":
        return WeightRange(True, "weights in 7 bits, as asked for: right on any machine")
    if choice == "no":
        return WeightRange(False, "weights in 8 bits, as asked for: wrong sums on x86 without VNNI")
    if (machine or platform.machine()).lower() not in ("x86_64", "amd64", "i686", "x86"):
        return WeightRange(False, "weights in 8 bits: only x86 without VNNI needs 7")
    known = _flags(cpuinfo)
    if found := sorted(known & _X86):
        return WeightRange(
            False, f"weights in 8 bits: this CPU has {found[0]}; for a machine without it, give --reduce-range yes"
        )
    what = "this CPU has no VNNI, its 16-bit sums would run over" if known else "whether this CPU has VNNI is not known"
    return WeightRange(True, f"weights in 7 bits: {what}; for a machine with VNNI, give --reduce-range no")


def _flags(cpuinfo: Path) -> set[str]:
    """What Linux knows of the processor; nothing elsewhere."""
    if not cpuinfo.is_file():
        return set()
    lines = cpuinfo.read_text().splitlines()
    return set(next((line.partition(":")[2] for line in lines if line.startswith("flags")), "").split())
