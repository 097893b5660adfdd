"""The registry: names, aliases, laziness, and errors that help."""

from __future__ import annotations

import subprocess
import sys

import pytest

from swath import SwathError, create_model, list_models, model_info
from swath.networks.registry import _REGISTERED, FAMILIES


def test_the_index_lists_exactly_what_the_files_register() -> None:
    for family, names in FAMILIES.items():
        for name in names:
            assert model_info(name).family == family
    assert sorted(_REGISTERED) == sorted(list_models())


def test_names_and_aliases_point_at_one_network_each() -> None:
    seen: dict[str, str] = {}
    for name in list_models():
        for alias in (name, *model_info(name).aliases):
            plain = alias.lower().replace("-", "").replace("_", "")
            assert seen.setdefault(plain, name) == name, f"{alias} names both {seen[plain]} and {name}"


def test_authors_names_work() -> None:
    assert create_model("ContextNet14-160").name == "contextnet14_160"
    assert create_model("cn12").name == "contextnet12"


def test_an_unknown_name_is_answered_with_the_nearest() -> None:
    with pytest.raises(SwathError, match="did you mean 'contextnet14_160'"):
        create_model("contexnet14_16")


def test_stride_is_that_of_the_logits() -> None:
    for name in list_models("contextnet*"):
        assert create_model(name).stride == model_info(name).stride


def test_importing_networks_imports_no_family() -> None:
    code = (
        "import sys, swath.networks; from swath.networks.registry import FAMILIES;"
        "print([f for f in FAMILIES if 'swath.networks.' + f in sys.modules])"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout.strip() == "[]"
