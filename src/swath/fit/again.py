"""The proposal measured once more, in processes that know nothing of the search: does the prediction hold?"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from statistics import median

from swath.errors import SwathError
from swath.fit.outcome import Outcome
from swath.fit.telling import benchmark_words, milliseconds

PROCESSES = 3
_CALLS = 40
CLOSE = 0.10  # of the prediction


def measure_again(outcome: Outcome, model: str | None = None) -> Iterator[float]:
    """Medians of fresh processes, each by `swath benchmark`; `model` is the file of 8 bits, where it is one."""
    assert outcome.proposal is not None
    words = benchmark_words(outcome, outcome.proposal.trial, model)
    command = [sys.executable, "-m", "swath", "benchmark", *words, "--iterations", str(_CALLS), "--format", "json"]
    for _ in range(PROCESSES):
        run = subprocess.run(command, capture_output=True, text=True, check=False)
        try:
            yield float(json.loads(run.stdout)["results"][0]["latency"][outcome.settings.stage]["p50"])
        except (ValueError, KeyError, IndexError):
            said = run.stderr.strip().splitlines() or ["no answer"]
            raise SwathError(f"the proposal could not be measured again: {said[-1]}") from None


def verdict(predicted: float, found: list[float]) -> str:
    """The ratio, and whether it is close."""
    middle = median(found)
    ratio = middle / predicted
    runs = ", ".join(milliseconds(each).removesuffix(" ms") for each in found)
    said = (
        f"within {CLOSE:.0%}"
        if abs(ratio - 1) <= CLOSE
        else f"not within {CLOSE:.0%}: the machine did other things meanwhile, or its clock changed; --again --verify "
        "measures both anew"
    )
    return (
        f"measured again: {milliseconds(middle)}, the median of {len(found)} fresh processes ({runs}), predicted "
        f"{milliseconds(predicted)}: {ratio:.2f} times as long, {said}"
    )
