"""Options that several commands share."""

from __future__ import annotations

import pytest

from swath import SwathError
from swath.cli import options


@pytest.mark.parametrize("text", ["1024x512", "1024X512", " 1024 x 512 ", "1024×512"])
def test_a_size_is_width_by_height(text: str) -> None:
    assert options.size(text) == (512, 1024)


@pytest.mark.parametrize("text", ["1024", "0x512", "1024x", "-4x5", "1024x512x3", "1e3x5", "", "9999999x1"])
def test_other_sizes_are_refused_with_an_example(text: str) -> None:
    with pytest.raises(SwathError, match="such as 1024x512"):
        options.size(text)


def test_numbers_and_words_are_checked() -> None:
    assert options.whole("--n", 0)("0") == 0
    assert options.share("--alpha")("0.25") == 0.25
    assert options.words("--write", ("a", "b"))("b, a,b") == ["b", "a"]
    for read, text in [
        (options.whole("--n"), "0"),
        (options.whole("--n"), "1.5"),
        (options.share("--alpha"), "nan"),
        (options.words("--write", ("a",)), ","),
        (options.words("--write", ("a",)), "c"),
    ]:
        with pytest.raises(SwathError, match="--"):
            read(text)
