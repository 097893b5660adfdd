"""The one exception for a user's mistake: what was wrong, where, and what to do next."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class SwathError(Exception):
    """A mistake a person can mend. The command line prints its text as one line and leaves with status 2."""


def nearest(word: str, choices: Iterable[str]) -> str | None:
    """The choice that `word` was probably meant to be, or None."""
    by_lower = {choice.lower(): choice for choice in choices}
    close = difflib.get_close_matches(word.lower(), by_lower, n=1, cutoff=0.6)
    return by_lower[close[0]] if close else None


def unknown(kind: str, name: str, choices: Iterable[str]) -> SwathError:
    """The error for a name that does not exist, with the nearest one that does."""
    choices = list(choices)
    guess = nearest(name, choices)
    if guess:
        return SwathError(f"unknown {kind} '{name}'; did you mean '{guess}'?")
    return SwathError(f"unknown {kind} '{name}'; known: {', '.join(choices) or 'none'}")
