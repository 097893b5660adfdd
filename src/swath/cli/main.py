"""`swath COMMAND …`: finds the command's file, parses its arguments, turns mistakes into one line and status 2."""

from __future__ import annotations

import argparse
import errno
import importlib
import keyword
import os
import signal
import sys
from collections.abc import Sequence
from types import ModuleType
from typing import Any, NoReturn

from swath import __version__
from swath.errors import SwathError, nearest, unknown

# In the order of a project's life; each is the file of the same name in this folder (a keyword's ends in _).
COMMANDS = (
    "demo",
    "models",
    "cards",
    "init-card",
    "check",
    "pack",
    "recipes",
    "train",
    "replay",
    "evaluate",
    "stress",
    "calibrate",
    "submit",
    "predict",
    "serve",
    "benchmark",
    "fit",
    "export",
    "quantize",
    "verify",
    "import",
)


def command_module(command: str) -> ModuleType:
    """The file of a command: HELP, EXAMPLES, add_arguments(parser) and run(arguments)."""
    if command not in COMMANDS:
        raise unknown("command", command, COMMANDS)
    name = command.replace("-", "_")
    return importlib.import_module(f"swath.cli.{name}_" if keyword.iskeyword(name) else f"swath.cli.{name}")


class _Parser(argparse.ArgumentParser):
    """Complains in one line, as everything here does."""

    def parse_args(self, *given: Any) -> Any:  # type: ignore[override]  # of overloads, the one in use
        parsed, left = self.parse_known_args(*given)
        if left:
            option, _, _ = left[0].partition("=")
            guess = nearest(option, self._option_string_actions)
            kind = "option" if option.startswith("-") else "argument"
            self.error(f"unknown {kind} '{option}'" + (f"; did you mean '{guess}'?" if guess else ""))
        return parsed

    def error(self, message: str) -> NoReturn:
        raise SwathError(f"{message}{'' if message.endswith('?') else ';'} `{self.prog} --help` shows how")


def build_parser(command: str) -> argparse.ArgumentParser:
    """The parser of one command; every help ends with examples to copy."""
    module = command_module(command)
    parser = _Parser(
        prog=f"swath {command}",
        description=module.HELP,
        epilog="examples:\n" + module.EXAMPLES.strip("\n"),
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    module.add_arguments(parser)
    return parser


def overview() -> str:
    """What `swath --help` prints."""
    width = max(map(len, COMMANDS))
    lines = [f"  {name:<{width}}  {command_module(name).HELP}" for name in COMMANDS]
    return "\n".join(
        [
            "usage: swath COMMAND [options]",
            "",
            "Real-time semantic segmentation: train, measure, deploy.",
            "",
            "commands:",
            *lines,
            "",
            "examples:",
            "  swath demo                                  the whole way on synthetic streets, two minutes",
            "  swath check my.yaml --report check.html     what is wrong with a dataset",
            "  swath train streets                         only the training; nothing to download",
            "  swath evaluate runs/streets/best.safetensors",
            "  swath predict runs/streets/best.safetensors picture.jpg --out out",
            "  swath COMMAND --help                        options and examples of one command",
        ]
    )


# what the operating system may refuse at any file, and what to do then
_THE_MACHINES = {
    errno.EACCES: "this user may not open it; change its permissions or those of the folders it lies in",
    errno.EPERM: "this user may not do that with it; change its owner or its permissions",
    errno.EROFS: "lies on a disk that can only be read; choose another place with --out",
    errno.ENOSPC: "the disk is full; make room, or choose another place with --out",
    errno.EIO: "the disk gave an error when reading or writing it; try again, then look after the disk",
    errno.ESTALE: "the network disk has lost it; mount it again",
    errno.EMFILE: "too many files are open at once; allow more with `ulimit -n 4096`",
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit status."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    try:
        if not words or words[0] in ("-h", "--help", "help"):
            print(overview())
            return 0
        if words[0] in ("--version", "-V"):
            print(f"swath {__version__}")
            return 0
        parser = build_parser(words[0])
        module = command_module(words[0])
        own = getattr(module, "parse", None)  # for a command whose words are more than flags
        return module.run(own(parser, words[1:]) if own else parser.parse_args(words[1:])) or 0
    except SwathError as error:
        print(f"swath: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("swath: stopped", file=sys.stderr)
        return 128 + signal.SIGINT
    except BrokenPipeError:  # `swath models | head`
        sys.stderr.close()
        return 128 + signal.SIGPIPE
    except OSError as error:  # the disk's or the user's, wherever it was met; any other is a bug of ours
        if error.errno not in _THE_MACHINES or not error.filename:
            raise
        print(f"swath: {os.fspath(error.filename)}: {_THE_MACHINES[error.errno]}", file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main())
