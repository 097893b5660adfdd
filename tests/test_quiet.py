"""What libraries say is kept away while they work, and heard again afterwards."""

import logging
import os
import sys
import threading
import warnings

import pytest

from swath.quiet import quiet, silence


def talk() -> None:
    warnings.warn("warned", stacklevel=1)
    logging.getLogger("talker").warning("logged")
    print("printed")


def test_what_a_library_says_is_kept_away_and_then_heard(
    capsys: pytest.CaptureFixture[str], recwarn: pytest.WarningsRecorder
) -> None:
    handler = logging.StreamHandler(sys.stdout)
    logger = logging.getLogger("talker")
    logger.addHandler(handler)
    try:
        with quiet("talker", prints=True):
            talk()
        assert capsys.readouterr().out == "" and not recwarn
        with quiet():
            talk()
        assert capsys.readouterr().out == "logged\nprinted\n" and not recwarn
        talk()
        assert capsys.readouterr().out == "logged\nprinted\n" and len(recwarn) == 1
    finally:
        logger.removeHandler(handler)


def test_an_error_is_heard_and_leaves_the_levels_as_they_were() -> None:
    logger = logging.getLogger("talker")
    logger.setLevel(logging.DEBUG)
    with pytest.raises(ValueError, match="it"), quiet("talker"):
        assert not logger.isEnabledFor(logging.WARNING) and logger.isEnabledFor(logging.ERROR)
        raise ValueError("it")
    assert logger.level == logging.DEBUG


def test_the_file_behind_stderr_is_silent_and_comes_back_whatever_threads_do(capfd: pytest.CaptureFixture[str]) -> None:
    inside, outside = threading.Event(), threading.Event()

    def first() -> None:
        with silence():
            inside.set()
            outside.wait(0.2)  # the other waits for its turn meanwhile
            os.write(2, b"from C\n")

    def second() -> None:
        inside.wait()
        with silence():
            os.write(2, b"from C\n")
            outside.set()

    threads = [threading.Thread(target=each) for each in (first, second)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    os.write(2, b"heard\n")
    assert capfd.readouterr().err == "heard\n"
