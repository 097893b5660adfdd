"""Pictures and labels from files: right ones exactly, wrong ones refused with the file's name."""

from __future__ import annotations

import io
import struct
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from swath import SwathError
from swath.data import image_size, png, read_image, read_label_raw, write_label
from swath.data.images import read_image_rows, read_label_rows


def photo(height: int = 48, width: int = 64, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return cv2.resize(rng.integers(0, 256, (6, 8, 3), np.uint8), (width, height))


def saved(path: Path, array: np.ndarray, **options: object) -> Path:
    Image.fromarray(array).save(path, **options)
    return path


@pytest.mark.parametrize("name", ["a.png", "a.bmp", "a.tif", "a.gif"])
def test_lossless_pictures_are_rgb(tmp_path: Path, name: str) -> None:
    picture = np.zeros((5, 7, 3), np.uint8)
    picture[:, :3] = (250, 10, 20)
    path = saved(tmp_path / name, picture)
    assert np.array_equal(read_image(path), picture)
    assert image_size(path) == (5, 7)


def test_jpeg_is_close(tmp_path: Path) -> None:
    path = saved(tmp_path / "a.jpg", photo(), quality=95)
    assert np.abs(read_image(path).astype(int) - photo()).mean() < 4


def test_grey_palette_and_alpha_become_rgb(tmp_path: Path) -> None:
    grey = np.arange(60, dtype=np.uint8).reshape(6, 10)
    assert np.array_equal(read_image(saved(tmp_path / "g.png", grey)), np.stack([grey] * 3, 2))
    rgba = np.dstack([photo(), np.full((48, 64), 9, np.uint8)])
    assert np.array_equal(read_image(saved(tmp_path / "a.png", rgba)), photo())
    palette = Image.fromarray(grey % 2)
    palette.putpalette([0, 0, 0, 1, 2, 3])
    palette.save(tmp_path / "p.png")
    assert read_image(tmp_path / "p.png")[0, 1].tolist() == [1, 2, 3]


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["jpg", "png", "tif", "webp"])
def test_exif_orientation_is_applied_once(tmp_path: Path, orientation: int, kind: str) -> None:
    from PIL import ImageOps

    exif = Image.Exif()
    exif[0x0112] = orientation
    path = tmp_path / f"a.{kind}"
    options = {"lossless": True} if kind == "webp" else {"quality": 95} if kind == "jpg" else {}
    Image.fromarray(photo()).save(path, exif=exif, **options)
    with Image.open(path) as stored:
        wanted = np.array(ImageOps.exif_transpose(stored).convert("RGB"))
    got = read_image(path)
    assert got.shape == wanted.shape == (*image_size(path), 3)
    assert np.abs(got.astype(int) - wanted).max() <= 3


def test_cmyk_is_converted(tmp_path: Path) -> None:
    Image.fromarray(photo()).convert("CMYK").save(tmp_path / "c.jpg", quality=95)
    assert np.abs(read_image(tmp_path / "c.jpg").astype(int) - photo()).mean() < 8


@pytest.mark.parametrize("kind", ["jpg", "png", "webp", "bmp", "tif", "gif"])
@pytest.mark.parametrize("share", [0.1, 0.5, 0.9, 0.999])
def test_cut_off_pictures_are_refused(tmp_path: Path, kind: str, share: float) -> None:
    path = saved(tmp_path / f"a.{kind}", photo(200, 300))
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * share)])
    with pytest.raises(SwathError, match=r"a\.\w+: "):
        read_image(path)


def test_cut_off_progressive_jpeg_with_a_thumbnail_is_refused(tmp_path: Path) -> None:
    thumb = io.BytesIO()
    Image.fromarray(photo(12, 16)).save(thumb, "JPEG")
    whole = io.BytesIO()
    Image.fromarray(photo(200, 300)).save(whole, "JPEG", progressive=True)
    data = whole.getvalue()
    block = b"Exif\0\0" + thumb.getvalue()
    data = data[:2] + b"\xff\xe1" + struct.pack(">H", len(block) + 2) + block + data[2:]
    path = tmp_path / "a.jpg"
    path.write_bytes(data)
    assert read_image(path).shape == (200, 300, 3)
    path.write_bytes(data[: len(data) * 2 // 3])
    with pytest.raises(SwathError, match="cut off"):
        read_image(path)


def test_a_download_filled_up_with_zeros_is_refused(tmp_path: Path) -> None:
    for kind in ("jpg", "png"):
        path = saved(tmp_path / f"a.{kind}", photo(200, 300))
        data = path.read_bytes()
        path.write_bytes(data[: len(data) // 2] + bytes(len(data) - len(data) // 2))
        with pytest.raises(SwathError, match="cut off"):
            read_image(path)


def test_a_damaged_png_is_refused_not_half_decoded(tmp_path: Path) -> None:
    path = saved(tmp_path / "a.png", np.random.default_rng(0).integers(0, 256, (100, 100, 3), np.uint8))
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 0xFF
    path.write_bytes(data)
    with pytest.raises(SwathError, match="damaged"):
        read_image(path)


def png_header(width: int, height: int) -> bytes:
    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(b"\0" * 99)) + chunk(b"IEND", b"")


def test_a_huge_picture_is_refused_from_its_header(tmp_path: Path) -> None:
    path = tmp_path / "bomb.png"
    path.write_bytes(png_header(40_000, 40_000))
    for read in (read_image, image_size, read_label_raw):
        with pytest.raises(SwathError, match=r"bomb\.png: is refused unopened"):
            read(path)


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("empty.png", b"", "not a picture"),
        ("text.jpg", b"hello, this is text" * 9, "not a picture"),
        ("page.png", b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "not a picture"),
        ("head.png", b"\x89PNG\r\n\x1a\n", "."),
        ("head.jpg", b"\xff\xd8\xff\xe0", "."),
    ],
)
def test_what_is_no_picture_is_refused(tmp_path: Path, name: str, content: bytes, said: str) -> None:
    (tmp_path / name).write_bytes(content)
    for read in (read_image, image_size, read_label_raw):
        with pytest.raises(SwathError, match=said) as caught:
            read(tmp_path / name)
        assert name in str(caught.value) and "\n" not in str(caught.value)


def test_missing_files_and_folders_are_refused(tmp_path: Path) -> None:
    for read in (read_image, image_size, read_label_raw):
        with pytest.raises(SwathError, match="no such file"):
            read(tmp_path / "a.png")
        with pytest.raises(SwathError, match="cannot be read"):
            read(tmp_path)


def test_animations_and_pages_are_refused(tmp_path: Path) -> None:
    frames = [Image.fromarray(photo(seed=seed)) for seed in range(3)]
    for name in ("a.gif", "a.webp", "a.tif", "a.png"):
        frames[0].save(tmp_path / name, save_all=True, append_images=frames[1:])
        with pytest.raises(SwathError, match="several pictures"):
            read_image(tmp_path / name)


def test_sixteen_bit_grey_pictures_are_refused(tmp_path: Path) -> None:
    path = saved(tmp_path / "depth.png", np.full((4, 4), 40_000, np.uint16))
    with pytest.raises(SwathError, match="16-bit"):
        read_image(path)


def test_palette_labels_are_read_by_index(tmp_path: Path) -> None:
    labels = np.random.default_rng(1).integers(0, 256, (20, 30), np.uint8)
    palette = np.random.default_rng(2).integers(0, 256, (256, 3), np.uint8)
    write_label(tmp_path / "deep" / "l.png", labels, palette)
    path = tmp_path / "deep" / "l.png"
    assert np.array_equal(read_label_raw(path), labels)
    assert np.array_equal(read_label_raw(path, colors=True), palette[labels])
    assert np.array_equal(read_image(path), palette[labels])
    assert [child.name for child in path.parent.iterdir()] == ["l.png"]


def test_few_classes_still_give_eight_bits(tmp_path: Path) -> None:
    write_label(tmp_path / "l.png", np.eye(3, dtype=np.uint8), np.zeros((256, 3), np.uint8))
    assert (tmp_path / "l.png").read_bytes()[24] == 8
    assert cv2.imread(str(tmp_path / "l.png"), cv2.IMREAD_UNCHANGED) is not None


def test_labels_of_each_depth(tmp_path: Path) -> None:
    grey = np.arange(24, dtype=np.uint8).reshape(4, 6)
    assert np.array_equal(read_label_raw(saved(tmp_path / "8.png", grey)), grey)
    deep = grey.astype(np.uint16) * 2500
    got = read_label_raw(saved(tmp_path / "16.png", deep))
    assert got.dtype == np.uint16 and np.array_equal(got, deep)
    assert np.array_equal(read_label_raw(saved(tmp_path / "16.tif", deep)), deep)
    colors = photo()
    assert np.array_equal(read_label_raw(saved(tmp_path / "c.png", colors)), colors)
    opaque = np.dstack([colors, np.full(colors.shape[:2], 255, np.uint8)])
    assert np.array_equal(read_label_raw(saved(tmp_path / "a.png", opaque)), colors)
    one = grey % 2 == 0
    assert np.array_equal(read_label_raw(saved(tmp_path / "1.png", one)), one * 255)


def test_labels_that_lost_their_values_are_refused(tmp_path: Path) -> None:
    with pytest.raises(SwathError, match="exact values"):
        read_label_raw(saved(tmp_path / "l.jpg", photo()))
    half = np.dstack([photo(), np.full((48, 64), 128, np.uint8)])
    with pytest.raises(SwathError, match="transparent"):
        read_label_raw(saved(tmp_path / "l.png", half))
    with pytest.raises(SwathError, match="F picture"):
        read_label_raw(saved(tmp_path / "f.tif", np.zeros((3, 3), np.float32)))


def test_a_cut_off_label_is_refused(tmp_path: Path) -> None:
    path = saved(tmp_path / "l.png", np.random.default_rng(0).integers(0, 20, (99, 99), np.uint8))
    path.write_bytes(path.read_bytes()[:-1500])
    with pytest.raises(SwathError, match=r"l\.png: cannot be decoded"):
        read_label_raw(path)


def test_labels_are_written_as_png_only(tmp_path: Path) -> None:
    with pytest.raises(SwathError, match=r"\.png"):
        write_label(tmp_path / "l.jpg", np.zeros((2, 2), np.uint8), np.zeros((256, 3), np.uint8))


def scene(height: int = 300, width: int = 200) -> np.ndarray:
    """Smooth and rough parts, so that a PNG's rows take all kinds of filters."""
    rng = np.random.default_rng(7)
    picture = cv2.resize(rng.integers(0, 256, (6, 8, 3), np.uint8), (width, height), interpolation=cv2.INTER_CUBIC)
    lower = picture[height // 2 :]
    lower[...] = cv2.add(lower, rng.integers(0, 90, lower.shape, np.uint8))
    return picture


@pytest.fixture(params=["with kornia-rs", "without"])
def decoder(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Reading gives the same whether the fast decoder of PNGs is installed or not."""
    if request.param == "without":
        monkeypatch.setattr(png, "_decoder", lambda: None)
    else:
        pytest.importorskip("kornia_rs")
    return request.param


PARTS = [(0, 1), (0, 40), (33, 150), (150, 300), (299, 300), (0, 300)]


@pytest.mark.parametrize(
    "name", ["rgb.png", "grey.png", "palette.png", "few.png", "a.bmp", "rgb.jpg", "half.jpg", "p.jpg"]
)
def test_rows_of_a_picture_are_its_rows(decoder: str, tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    picture = Image.fromarray(scene())
    options: dict[str, object] = {"quality": 90, "progressive": name == "p.jpg"} if path.suffix == ".jpg" else {}
    if name == "half.jpg":
        options["subsampling"] = 0
    if path.stem == "grey":
        picture = picture.convert("L")
    elif path.stem in ("palette", "few"):
        picture = picture.quantize(200 if path.stem == "palette" else 9)
    picture.save(path, **options)
    whole = read_image(path)
    if path.suffix != ".jpg":
        assert np.array_equal(whole, np.array(picture.convert("RGB")))
    else:
        assert np.array_equal(whole, cv2.imread(str(path), cv2.IMREAD_COLOR_RGB))
    for start, stop in PARTS:
        assert np.array_equal(read_image_rows(path, slice(start, stop)), whole[start:stop])
        assert np.array_equal(read_image_rows(path, slice(start, stop), slice(5, 77)), whole[start:stop, 5:77])


def test_rows_of_what_pngs_can_be(decoder: str, tmp_path: Path) -> None:
    """Transparent colors, colors that should be corrected, 16 bits, alpha, and written by others."""
    picture = scene()
    Image.fromarray(picture).save(tmp_path / "clear.png", transparency=(1, 2, 3), gamma=0.5)
    Image.fromarray(np.dstack([picture, picture[..., 0]])).save(tmp_path / "alpha.png")
    cv2.imwrite(str(tmp_path / "deep.png"), picture[..., ::-1].astype(np.uint16) * 257)
    for strategy in (cv2.IMWRITE_PNG_STRATEGY_DEFAULT, cv2.IMWRITE_PNG_STRATEGY_FILTERED):
        for kept in (cv2.IMWRITE_PNG_FILTER_NONE, cv2.IMWRITE_PNG_FILTER_AVG, cv2.IMWRITE_PNG_ALL_FILTERS):
            how = [cv2.IMWRITE_PNG_STRATEGY, strategy, cv2.IMWRITE_PNG_FILTER, kept]
            cv2.imwrite(str(tmp_path / f"cv{strategy}-{kept}.png"), picture[..., ::-1], how)
    for path in tmp_path.iterdir():
        assert np.array_equal(read_image(path), picture), path
        assert np.array_equal(read_image_rows(path, slice(40, 60)), picture[40:60]), path


@pytest.mark.parametrize("orientation", [1, 3, 6])
@pytest.mark.parametrize("kind", ["jpg", "png"])
def test_rows_of_a_turned_picture(decoder: str, tmp_path: Path, orientation: int, kind: str) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = saved(tmp_path / f"a.{kind}", scene(), exif=exif)
    assert np.array_equal(read_image_rows(path, slice(20, 90), slice(3, 9)), read_image(path)[20:90, 3:9])


@pytest.mark.parametrize("name", ["grey.png", "palette.png", "few.png", "deep.png", "colors.png", "grey.bmp"])
@pytest.mark.parametrize("colors", [False, True])
def test_rows_of_a_label_are_its_rows(decoder: str, tmp_path: Path, name: str, colors: bool) -> None:
    labels = cv2.resize(np.random.default_rng(2).integers(0, 20, (9, 9), np.uint8), (200, 300), interpolation=0)
    path, palette = tmp_path / name, np.random.default_rng(2).integers(0, 256, (256, 3), np.uint8)
    if name == "palette.png":
        write_label(path, labels, palette)
    elif name == "few.png":
        Image.fromarray(labels).quantize(9).save(path, bits=4)
    else:
        saved(path, {"deep.png": labels.astype(np.uint16) * 900, "colors.png": palette[labels]}.get(name, labels))
    if colors and name == "deep.png":
        return
    whole = read_label_raw(path, colors)
    if name in ("grey.png", "palette.png", "grey.bmp") and not colors:
        assert np.array_equal(whole, labels)
    for start, stop in PARTS:
        assert np.array_equal(read_label_rows(path, slice(start, stop), colors), whole[start:stop])


@pytest.mark.parametrize("kind", ["png", "jpg"])
def test_what_is_cut_off_is_refused_even_below_the_rows(decoder: str, tmp_path: Path, kind: str) -> None:
    path = saved(tmp_path / f"a.{kind}", scene())
    data = path.read_bytes()
    for broken in (data[:-30], data[: len(data) // 2], data[: len(data) // 2] + bytes(len(data) - len(data) // 2)):
        path.write_bytes(broken)
        with pytest.raises(SwathError, match=rf"a\.{kind}: .*cut off"):
            read_image_rows(path, slice(0, 10))
    if kind == "png":
        with pytest.raises(SwathError, match="cut off"):
            read_label_rows(path, slice(0, 10))


def test_damage_within_the_rows_is_refused(decoder: str, tmp_path: Path) -> None:
    path = saved(tmp_path / "a.png", np.random.default_rng(0).integers(0, 256, (100, 100, 3), np.uint8))
    data = bytearray(path.read_bytes())
    data[len(data) // 3] ^= 1
    path.write_bytes(data)
    for read in (read_image_rows, read_label_rows):
        with pytest.raises(SwathError, match=r"a\.png: .*damaged"):
            read(path, slice(60, 80))


def test_nothing_is_said_on_the_screen(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    for name in ("a.png", "a.jpg"):
        read_image_rows(saved(tmp_path / name, scene()), slice(0, 20))
    assert capfd.readouterr() == ("", "")
