"""The command line as a whole: it answers at once, its helps have examples, its surface is frozen."""

from __future__ import annotations

import argparse
import errno
import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

import swath
from swath.cli.main import COMMANDS, build_parser, command_module, main

HEAVY = ["torch", "numpy", "cv2", "PIL", "yaml", "rich", "safetensors", "onnx", "onnxruntime", "tensorboard"]
FROZEN = json.loads((Path(__file__).parent / "surface.json").read_text())


def loaded_by(code: str) -> set[str]:
    run = subprocess.run(
        [sys.executable, "-c", f"{code}\nimport sys; print(' '.join(sys.modules), file=sys.stderr)"],
        capture_output=True,
        text=True,
        check=True,
    )
    return set(run.stderr.split())


@pytest.mark.parametrize("words", [["--help"], ["--version"], *[[name, "--help"] for name in COMMANDS]])
def test_help_imports_nothing_heavy(words: list[str]) -> None:
    code = f"import swath, swath.cli.main as m\ntry: m.main({words!r})\nexcept SystemExit: pass"
    assert not loaded_by(code) & set(HEAVY)


@pytest.mark.parametrize("command", COMMANDS)
def test_every_help_ends_with_examples_that_parse(command: str) -> None:
    module = command_module(command)
    lines = [line.strip() for line in module.EXAMPLES.strip().splitlines()]
    examples = [re.split(r"  +| > ", line)[0] for line in lines if line.startswith("swath ")]
    assert any(example.startswith(f"swath {command}") for example in examples)
    for example in examples:
        _, name, *words = shlex.split(example)
        parser, parse = build_parser(name), getattr(command_module(name), "parse", None)
        assert parse(parser, words) if parse else parser.parse_args(words)
    assert "examples:" in build_parser(command).format_help()
    assert len(module.HELP) < 75 and not module.HELP.endswith(".")


def surface() -> dict[str, object]:
    """What people's scripts rely on: commands with their flags, and the names in `swath`."""
    flags = {}
    for command in COMMANDS:
        actions = build_parser(command)._actions
        flags[command] = sorted(
            "/".join(sorted(action.option_strings)) or action.dest
            for action in actions
            if not isinstance(action, argparse._HelpAction)
        )
    return {"commands": flags, "exports": sorted(swath.__all__)}


def test_the_surface_is_frozen() -> None:
    """A change here is a change for every user: change surface.json in the same commit, and the CHANGELOG with it."""
    assert surface() == FROZEN


def test_exports_resolve() -> None:
    for name in swath.__all__:
        assert getattr(swath, name) is not None
    assert set(swath.__all__) <= set(dir(swath))
    with pytest.raises(AttributeError):
        swath.nonsense  # noqa: B018


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["check", "camvid", "--rot", "x"], "unknown option '--rot'; did you mean '--root'? `swath check --help`"),
        (["check", "camvid", "--rooot=x"], "unknown option '--rooot'; did you mean '--root'?"),
        (["check", "camvid", "--zzz"], "unknown option '--zzz'; `swath check --help` shows how"),
        (["check", "camvid", "val"], "unknown argument 'val'; `swath check --help` shows how"),
    ],
)
def test_a_mistyped_option(words: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(words) == 2
    assert capsys.readouterr().err.startswith(f"swath: {said}")


def test_a_mistake_is_one_line_and_status_2(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["trian"]) == 2
    error = capsys.readouterr().err
    assert error.startswith("swath: unknown command 'trian'; did you mean 'train'?") and error.count("\n") == 1


def test_no_words_show_the_commands(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 0
    shown = capsys.readouterr().out
    assert all(name in shown for name in COMMANDS)


def test_models_as_a_table_and_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["models", "contextnet*", "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert [row["name"] for row in rows][:2] == ["contextnet12", "contextnet14"]
    assert rows[0]["parameters"] == 876_307
    assert main(["models", "contextnet14"]) == 0
    assert "876,307" in capsys.readouterr().out
    assert main(["models", "nothing*"]) == 2


@pytest.mark.parametrize("number", [errno.EACCES, errno.ENOSPC, errno.EROFS, errno.ESTALE])
def test_what_the_machine_refuses_is_one_line(
    number: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refused(_: argparse.Namespace) -> int:
        raise OSError(number, os.strerror(number), "there/file.png")

    monkeypatch.setattr(command_module("cards"), "run", refused)
    assert main(["cards"]) == 2
    assert re.fullmatch(r"swath: there/file.png: .{20,}\n", capsys.readouterr().err)


def test_other_errors_of_files_are_bugs_and_show_where(monkeypatch: pytest.MonkeyPatch) -> None:
    def forgotten(_: argparse.Namespace) -> int:
        raise FileNotFoundError(errno.ENOENT, "gone", "file.png")

    monkeypatch.setattr(command_module("cards"), "run", forgotten)
    with pytest.raises(FileNotFoundError):
        main(["cards"])
