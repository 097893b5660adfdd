"""Where results go, frame by frame: label maps, lines of JSON, a window."""

from __future__ import annotations

import json
import os
from contextlib import suppress
from io import FileIO
from pathlib import Path
from typing import IO, Any

from swath.errors import SwathError
from swath.files import make_folder, write_error
from swath.inference.streams.frame import Array
from swath.inference.streams.pipeline import Work


class LabelFolder:
    """A palette PNG a frame: 000000.png and so on, by the frame's number."""

    def __init__(self, folder: Path):
        self.folder = make_folder(folder)

    def add(self, work: Work) -> None:
        assert work.result is not None
        work.result.save(self.folder / f"{work.frame.number:06d}.png")


class JsonLines:
    """A line a frame: its number, its time and the share of the picture that each class covers. Written at once, so
    that another program can follow; without a buffer, which after a full disk would be tried again when it is closed.
    A file is opened for the first line only: a run that gives none leaves alone what stood there."""

    def __init__(self, to: IO[str] | Path, name: str = "-"):
        self._name = str(to) if isinstance(to, Path) else name
        self._path = to if isinstance(to, Path) else None
        self._file: IO[str] | FileIO | None = None if isinstance(to, Path) else to
        self._good = 0  # bytes of whole lines

    def add(self, work: Work) -> None:
        assert work.result is not None
        line = {
            "frame": work.frame.number,
            "time": round(work.frame.time, 6),
            "shares": {name: round(share, 6) for name, share in work.result.shares().items()},
        }
        text = json.dumps(line, ensure_ascii=False) + "\n"
        try:
            self._write(text)
            self._good += len(text.encode())
        except BrokenPipeError:
            raise
        except OSError as error:
            self._cut()
            problem = write_error(Path(self._name), error)
            raise SwathError(str(problem).replace("nothing was written", "the lines up to there are kept")) from error

    def close(self) -> None:
        if self._path and self._file:
            with suppress(OSError):  # what could not be written was complained about
                self._file.close()

    def _write(self, text: str) -> None:
        if self._file is None:
            assert self._path is not None
            make_folder(self._path.parent)
            self._file = FileIO(self._path, "w")
        if isinstance(self._file, FileIO):
            data = text.encode()
            while data:  # as much as there is room for
                data = data[self._file.write(data) :]
        else:
            self._file.write(text)
            self._file.flush()

    def _cut(self) -> None:
        """Leave no half line behind."""
        with suppress(OSError):
            if self._file:
                os.ftruncate(self._file.fileno(), self._good)


class Window:
    """A window, by OpenCV where it was built with one, else by tkinter. Drawn from the main thread only."""

    def __init__(self, title: str):
        import cv2

        self._title = title
        self._tk: Any = None
        try:
            cv2.namedWindow(title, cv2.WINDOW_NORMAL)
        except cv2.error:
            self._open_tk()

    def show(self, picture: Array) -> bool:
        """Whether a person still looks: neither closed the window nor pressed q or Escape."""
        if self._tk is not None:
            return self._show_tk(picture)
        import cv2

        cv2.imshow(self._title, cv2.cvtColor(picture, cv2.COLOR_RGB2BGR))
        key = cv2.waitKey(1) & 0xFF
        return key not in (ord("q"), 27) and cv2.getWindowProperty(self._title, cv2.WND_PROP_VISIBLE) >= 1

    def close(self) -> None:
        if self._tk is None:
            import cv2

            cv2.destroyWindow(self._title)
        elif self._open:
            self._tk.destroy()

    def _open_tk(self) -> None:
        try:
            import tkinter

            self._tk = tkinter.Tk()
        except Exception as error:  # no tkinter, no screen
            reason = next(iter(str(error).splitlines()), type(error).__name__)
            raise SwathError(f"no window can be opened here ({reason}); write --out video.mp4 instead") from error
        self._tk.title(self._title)
        self._label = tkinter.Label(self._tk)
        self._label.pack()
        self._open = True
        self._tk.protocol("WM_DELETE_WINDOW", self._leave)
        for key in ("q", "<Escape>"):
            self._tk.bind(key, lambda event: self._leave())

    def _leave(self) -> None:
        if self._open:
            self._open = False
            self._tk.destroy()

    def _show_tk(self, picture: Array) -> bool:
        if self._open:
            from PIL import Image, ImageTk

            self._photo = ImageTk.PhotoImage(Image.fromarray(picture), master=self._tk)
            self._label.configure(image=self._photo)
            self._tk.update()
        return self._open
