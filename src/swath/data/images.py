"""Reading pictures and labels, and writing labels. What cannot be read whole and unmistakably is refused."""

from __future__ import annotations

import io
import warnings
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from swath.data import jpeg, png
from swath.errors import SwathError
from swath.files import atomic_write

_ORIENTATION = 0x0112
# Only these: others (EPS, PDF…) would start programs of their own.
_FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "TIFF", "GIF", "PPM")
_LOSSY = ("JPEG", "MPO", "WEBP")
_TURNED = range(5, 9)  # EXIF orientations that swap height and width
_ALL = slice(None)


def read_image(path: str | Path) -> NDArray[np.uint8]:
    """A picture as H x W x 3 RGB bytes, turned upright as its EXIF orientation says."""
    return decode_image(_bytes(path), path)


def read_image_rows(path: str | Path, rows: slice, columns: slice = _ALL) -> NDArray[np.uint8]:
    """`read_image(path)[rows, columns]`; of most PNGs and JPEGs, what stands below is not decoded (nor looked at)."""
    return decode_image(_bytes(path), path, rows, columns)


def decode_image(data: bytes, name: str | Path, rows: slice = _ALL, columns: slice = _ALL) -> NDArray[np.uint8]:
    """A part of a picture from the bytes of its file; `name` is for complaints."""
    header = _header(name, io.BytesIO(data))
    if header.mode in ("I", "F") or header.mode.startswith("I;16"):
        raise SwathError(f"{name}: holds 16-bit or float grey values; save it as an 8-bit picture first")
    orientation = orientation_of(header)
    if orientation == 1:
        top = _top_of_image(name, data, header, rows, columns)
        if top is not None:
            return top
    if header.format in ("JPEG", "PNG") and header.mode != "CMYK":
        image = _decode_fast(name, data)
    else:
        image = _decode_pillow(name, header)
    if image.shape[:2] != (header.height, header.width):
        raise SwathError(f"{name}: its header says {header.width} x {header.height} pixels, but it holds others")
    return _upright(image, orientation)[rows, columns]


def image_size(path: str | Path) -> tuple[int, int]:
    """(height, width) of a picture as `read_image` gives it, from its header alone."""
    path = Path(path)
    with _header(path, path) as header:
        height, width = header.height, header.width
        return (width, height) if orientation_of(header) in _TURNED else (height, width)


def decoded_size(data: bytes, name: str | Path) -> tuple[int, int]:
    """(height, width) of what `decode_image` would give, from the header alone; `name` is for complaints."""
    header = _header(name, io.BytesIO(data))
    return (header.width, header.height) if orientation_of(header) in _TURNED else (header.height, header.width)


def is_turned(path: str | Path) -> bool:
    """Whether the picture's EXIF orientation swaps height and width."""
    with _header(Path(path), Path(path)) as header:
        return orientation_of(header) in _TURNED


def read_label_raw(path: str | Path, colors: bool = False) -> NDArray[Any]:
    """What a label file holds: H x W values (8 or 16 bit; of a palette file the indices), or H x W x 3 RGB.

    With `colors`, a palette or grey file is given as the colors that it shows.
    """
    return decode_label(_bytes(path), path, colors)


def read_label_rows(path: str | Path, rows: slice, colors: bool = False) -> NDArray[Any]:
    """`read_label_raw(path, colors)[rows]`; of most PNGs, what stands below is not decoded (nor looked at)."""
    return decode_label(_bytes(path), path, colors, rows)


def decode_label(data: bytes, name: str | Path, colors: bool = False, rows: slice = _ALL) -> NDArray[Any]:
    """Rows of a label from the bytes of its file; `name` is for complaints."""
    header = _header(name, io.BytesIO(data))
    if header.format in _LOSSY:
        raise SwathError(f"{name}: {header.format} does not keep exact values; labels must be PNG, BMP, TIFF or GIF")
    if header.format == "PNG" and header.mode in (("RGB",) if colors else ("L", "P", "RGB")):
        top = _top_of_png(name, data, header, rows, palette=True)
        if top is not None:
            return top
    with header as picture:
        try:
            picture.load()
            return _label_array(name, picture, colors)[rows]
        except SwathError:
            raise
        except Exception as error:  # whatever a broken file makes the decoder stumble over
            raise _broken(name, error) from error


def write_label(path: str | Path, labels: NDArray[np.uint8], palette: NDArray[np.uint8]) -> None:
    """Write train ids as a palette PNG: the values are the ids, the palette is what a viewer shows."""
    if Path(path).suffix.lower() != ".png":
        raise SwathError(f"{path}: labels are written as PNG; give it a name that ends in .png")
    data = encode_label(labels, palette)
    with atomic_write(path) as file:
        file.write(data)


def encode_label(labels: NDArray[np.uint8], palette: NDArray[np.uint8]) -> bytes:
    """The bytes of the file that `write_label` writes."""
    if labels.ndim != 2 or labels.dtype != np.uint8 or palette.shape != (256, 3):
        raise ValueError("labels must be H x W uint8 and the palette 256 x 3")
    picture = Image.fromarray(np.ascontiguousarray(labels))
    picture.putpalette(np.ascontiguousarray(palette, np.uint8).tobytes())
    file = io.BytesIO()
    picture.save(file, "PNG", compress_level=1)
    return file.getvalue()


def _bytes(path: str | Path) -> bytes:
    try:
        return Path(path).read_bytes()
    except FileNotFoundError as error:
        raise SwathError(f"{path}: there is no such file") from error
    except OSError as error:
        raise SwathError(f"{path}: cannot be read ({error.strerror or error})") from error


def _header(path: str | Path, file: Path | io.BytesIO) -> Image.Image:
    """The picture, not yet decoded; too large, animated and unknown ones are refused here."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            picture = Image.open(file, formats=_FORMATS)
            animated = getattr(picture, "is_animated", False)
    except FileNotFoundError as error:
        raise SwathError(f"{path}: there is no such file") from error
    except Image.DecompressionBombError as error:
        raise SwathError(
            f"{path}: is refused unopened: its header promises more than {2 * (Image.MAX_IMAGE_PIXELS or 0):,} pixels; "
            "cut it into parts, or raise PIL.Image.MAX_IMAGE_PIXELS"
        ) from error
    except UnidentifiedImageError as error:
        raise SwathError(f"{path}: is not a picture that swath knows (JPEG, PNG, WebP, BMP, TIFF, GIF, PPM)") from error
    except OSError as error:
        raise SwathError(f"{path}: cannot be read ({error.strerror or error})") from error
    except Exception as error:  # whatever a broken header makes the decoder stumble over
        raise _broken(path, error) from error
    if animated and picture.format != "MPO":  # MPO: a phone's JPEG with a second view behind the first
        picture.close()
        raise SwathError(f"{path}: holds several pictures (an animation or pages); save one of them by itself")
    return picture


def orientation_of(header: Image.Image) -> int:
    """How a picture has to be turned to stand upright, as its EXIF data say: 1 to 8, and 1 where they say nothing."""
    # A PNG's EXIF may stand behind its pixels: only what the header holds is asked for. Pillow turns a TIFF itself.
    if header.format == "TIFF" or (header.format == "PNG" and "exif" not in header.info):
        return 1
    try:
        value = header.getexif().get(_ORIENTATION, 1)
    except Exception:  # a broken EXIF block says nothing about the pixels
        return 1
    return value if value in range(1, 9) else 1


def _top_of_image(
    name: str | Path, data: bytes, header: Image.Image, rows: slice, columns: slice
) -> NDArray[np.uint8] | None:
    """The part, where less than the whole picture needs decoding for it (or where that is faster anyway)."""
    if header.format == "PNG":
        top = _top_of_png(name, data, header, rows)
        if top is None:
            return None
        return top[:, columns] if top.ndim == 3 else np.asarray(cv2.cvtColor(top[:, columns], cv2.COLOR_GRAY2RGB))
    if header.format == "JPEG" and header.mode == "RGB" and jpeg.is_whole(data):
        start, stop, _ = rows.indices(header.height)
        left, right, _ = columns.indices(header.width)
        less = jpeg.shortened(data, stop)
        if less is not None:
            # Pillow: OpenCV would warn, on stderr, of what it did not decode. Of the two, only it is asked for a part.
            return _decode_pillow(name, _header(name, io.BytesIO(less)), (left, start, right, stop))
    return None


def _top_of_png(
    name: str | Path, data: bytes, header: Image.Image, rows: slice, palette: bool = False
) -> NDArray[np.uint8] | None:
    start, stop, _ = rows.indices(header.height)
    try:
        top = png.top_rows(data, max(stop, 1), palette)
    except png.DamagedPng as error:
        raise _broken(name, error) from error
    return None if top is None else top[start:stop]


def _decode_fast(path: str | Path, data: bytes) -> NDArray[np.uint8]:
    """OpenCV is a third faster than Pillow, but gives grey rows for what is cut off: so look at the end first."""
    whole = jpeg.is_whole(data) if data[:2] == b"\xff\xd8" else _png_ends(data)
    if not whole:
        raise SwathError(f"{path}: is cut off (its end is missing); copy or download it again")
    try:
        image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR_RGB | cv2.IMREAD_IGNORE_ORIENTATION)
    except cv2.error as error:
        raise _broken(path, error) from error
    if image is None:
        raise SwathError(f"{path}: cannot be decoded; it is damaged")
    return np.asarray(image, np.uint8)


def _png_ends(data: bytes) -> bool:
    """Whether the chunks lead to the end chunk."""
    try:
        return any(kind == b"IEND" for kind, _, _ in png.chunks(data))
    except png.DamagedPng:
        return False


def _decode_pillow(
    path: str | Path, header: Image.Image, part: tuple[int, int, int, int] | None = None
) -> NDArray[np.uint8]:
    try:
        picture = header if header.mode == "RGB" else header.convert("RGB")  # which copies, even where nothing changes
        return np.array(picture.crop(part) if part else picture)
    except Exception as error:  # whatever a broken file makes the decoder stumble over
        raise _broken(path, error) from error


def _upright(image: NDArray[np.uint8], orientation: int) -> NDArray[np.uint8]:
    if orientation in (2, 4, 5, 7):
        image = image[:, ::-1]
    quarter_turns = {3: 2, 4: 2, 5: 1, 6: 3, 7: 3, 8: 1}.get(orientation, 0)
    return np.ascontiguousarray(np.rot90(image, quarter_turns))


def _label_array(path: str | Path, picture: Image.Image, colors: bool) -> NDArray[Any]:
    mode = picture.mode
    if mode in ("RGBA", "LA"):
        if np.asarray(picture.getchannel("A")).min() < 255:
            raise SwathError(f"{path}: has transparent pixels; save the label without transparency")
        picture = picture.convert(mode[:-1])
    elif mode == "1":
        picture = picture.convert("L")
    elif mode == "P" and colors:
        picture = picture.convert("RGB")
    elif mode.startswith("I;16") or mode == "I":
        values = np.array(picture)
        if values.min() < 0 or values.max() > 65535:
            raise SwathError(f"{path}: holds values outside 0..65535; labels have 8 or 16 bits")
        return values.astype(np.uint16)
    elif mode not in ("L", "P", "RGB"):
        raise SwathError(f"{path}: is a {mode} picture; labels must be grey (8 or 16 bits), palette or RGB")
    if colors and picture.mode == "L":
        picture = picture.convert("RGB")
    return np.array(picture)


def _broken(path: str | Path, error: Exception) -> SwathError:
    said = " ".join(str(error).split())[:160] or type(error).__name__
    return SwathError(f"{path}: cannot be decoded; it is cut off or damaged ({said})")
