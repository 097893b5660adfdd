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

from swath.errors import SwathError
from swath.files import atomic_write

_ORIENTATION = 0x0112
# Only these: others (EPS, PDF…) would start programs of their own.
_FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "TIFF", "GIF", "PPM")
_LOSSY = ("JPEG", "MPO", "WEBP")
_TURNED = range(5, 9)  # EXIF orientations that swap height and width


def read_image(path: str | Path) -> NDArray[np.uint8]:
    """A picture as H x W x 3 RGB bytes, turned upright as its EXIF orientation says."""
    path = Path(path)
    data = _bytes(path)
    header = _header(path, io.BytesIO(data))
    if header.mode in ("I", "F") or header.mode.startswith("I;16"):
        raise SwathError(f"{path}: holds 16-bit or float grey values; save it as an 8-bit picture first")
    orientation = _orientation(header)
    if header.format in ("JPEG", "PNG") and header.mode != "CMYK":
        image = _decode_fast(path, data)
    else:
        image = _decode_pillow(path, header)
    if image.shape[:2] != (header.height, header.width):
        raise SwathError(f"{path}: its header says {header.width} x {header.height} pixels, but it holds others")
    return _upright(image, orientation)


def image_size(path: str | Path) -> tuple[int, int]:
    """(height, width) of a picture as `read_image` gives it, from its header alone."""
    path = Path(path)
    with _header(path, path) as header:
        height, width = header.height, header.width
        return (width, height) if _orientation(header) in _TURNED else (height, width)


def is_turned(path: str | Path) -> bool:
    """Whether the picture's EXIF orientation swaps height and width."""
    with _header(Path(path), Path(path)) as header:
        return _orientation(header) in _TURNED


def read_label_raw(path: str | Path, colors: bool = False) -> NDArray[Any]:
    """What a label file holds: H x W values (8 or 16 bit; of a palette file the indices), or H x W x 3 RGB.

    With `colors`, a palette or grey file is given as the colors that it shows.
    """
    path = Path(path)
    header = _header(path, path)
    if header.format in _LOSSY:
        raise SwathError(f"{path}: {header.format} does not keep exact values; labels must be PNG, BMP, TIFF or GIF")
    with header as picture:
        try:
            picture.load()
            return _label_array(path, picture, colors)
        except SwathError:
            raise
        except Exception as error:  # whatever a broken file makes the decoder stumble over
            raise _broken(path, error) from error


def write_label(path: str | Path, labels: NDArray[np.uint8], palette: NDArray[np.uint8]) -> None:
    """Write train ids as a palette PNG: the values are the ids, the palette is what a viewer shows."""
    if Path(path).suffix.lower() != ".png":
        raise SwathError(f"{path}: labels are written as PNG; give it a name that ends in .png")
    if labels.ndim != 2 or labels.dtype != np.uint8 or palette.shape != (256, 3):
        raise ValueError("labels must be H x W uint8 and the palette 256 x 3")
    picture = Image.fromarray(np.ascontiguousarray(labels))
    picture.putpalette(np.ascontiguousarray(palette, np.uint8).tobytes())
    with atomic_write(path) as file:
        picture.save(file, "PNG", compress_level=1)


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError as error:
        raise SwathError(f"{path}: there is no such file") from error
    except OSError as error:
        raise SwathError(f"{path}: cannot be read ({error.strerror or error})") from error


def _header(path: Path, file: Path | io.BytesIO) -> Image.Image:
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


def _orientation(header: Image.Image) -> int:
    # A PNG's EXIF may stand behind its pixels: only what the header holds is asked for. Pillow turns a TIFF itself.
    if header.format == "TIFF" or (header.format == "PNG" and "exif" not in header.info):
        return 1
    try:
        value = header.getexif().get(_ORIENTATION, 1)
    except Exception:  # a broken EXIF block says nothing about the pixels
        return 1
    return value if value in range(1, 9) else 1


def _decode_fast(path: Path, data: bytes) -> NDArray[np.uint8]:
    """OpenCV is a third faster than Pillow, but gives grey rows for what is cut off: so look at the end first."""
    whole = _jpeg_ends(data) if data[:2] == b"\xff\xd8" else _png_ends(data)
    if not whole:
        raise SwathError(f"{path}: is cut off (its end is missing); copy or download it again")
    try:
        image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR_RGB | cv2.IMREAD_IGNORE_ORIENTATION)
    except cv2.error as error:
        raise _broken(path, error) from error
    if image is None:
        raise SwathError(f"{path}: cannot be decoded; it is damaged")
    return np.asarray(image, np.uint8)


def _jpeg_ends(data: bytes) -> bool:
    """Whether an end marker follows the start of the scan (a thumbnail's own end marker stands before that)."""
    at = 2
    while at + 4 <= len(data):
        if data[at] != 0xFF:
            return False
        marker = data[at + 1]
        if marker == 0xFF:
            at += 1
            continue
        if marker == 0xDA:
            return data.find(b"\xff\xd9", at) >= 0
        at += 2 + int.from_bytes(data[at + 2 : at + 4], "big")
    return False


def _png_ends(data: bytes) -> bool:
    """Whether the chunks lead to the end chunk."""
    at = 8
    while at + 12 <= len(data):
        if data[at + 4 : at + 8] == b"IEND":
            return True
        at += 12 + int.from_bytes(data[at : at + 4], "big")
    return False


def _decode_pillow(path: Path, header: Image.Image) -> NDArray[np.uint8]:
    try:
        return np.array(header.convert("RGB"))
    except Exception as error:  # whatever a broken file makes the decoder stumble over
        raise _broken(path, error) from error


def _upright(image: NDArray[np.uint8], orientation: int) -> NDArray[np.uint8]:
    if orientation in (2, 4, 5, 7):
        image = image[:, ::-1]
    quarter_turns = {3: 2, 4: 2, 5: 1, 6: 3, 7: 3, 8: 1}.get(orientation, 0)
    return np.ascontiguousarray(np.rot90(image, quarter_turns))


def _label_array(path: Path, picture: Image.Image, colors: bool) -> NDArray[Any]:
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


def _broken(path: Path, error: Exception) -> SwathError:
    said = " ".join(str(error).split())[:160] or type(error).__name__
    return SwathError(f"{path}: cannot be decoded; it is cut off or damaged ({said})")
