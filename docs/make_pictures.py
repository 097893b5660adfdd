"""Draws the pictures of docs/images from the product itself.

    python docs/make_pictures.py front                               no weights needed
    python docs/make_pictures.py streets video web serve --weights demo/run/best.safetensors      after `make demo`

`web` and `serve` are photographs of pages and need Chromium (tests/deploy/web_browser.py drives it).
"""

from __future__ import annotations

import argparse
import base64
import io
import math
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from html import escape
from pathlib import Path
from urllib.request import urlopen

import cv2
import numpy as np
from PIL import Image

import swath
from swath.catalogue import entries
from swath.data.streets import video as drive
from swath.report.sheet import sheet

ROOT = Path(__file__).resolve().parents[1]
IMAGES = ROOT / "docs" / "images"
SHOWN = (0, 3, 6, 4)  # pictures of the test split, chosen for their variety of weather and streets
SCORE = "cityscapes val"


def streets(weights: str) -> None:
    """Pictures, truth and answers, one below the other."""
    segment = swath.Segmenter(weights)
    source = swath.load_card("streets").open("test")
    images = [source.image(i) for i in SHOWN]
    truths = [source.card.palette()[source.labels(i)] for i in SHOWN]
    answers = [segment(image).color() for image in images]
    whole = np.vstack([np.hstack(row) for row in (images, truths, answers)])
    small = cv2.resize(whole, None, fx=0.75, fy=0.75, interpolation=cv2.INTER_AREA)
    save(Image.fromarray(small), "streets.jpg")


def video(weights: str) -> None:
    """Frames of a synthetic drive, and the overlay."""
    segment = swath.Segmenter(weights)
    frames = [frame for index, frame in enumerate(drive(7, 40)) if index % 13 == 0]
    answers = [segment(frame.image) for frame in frames]
    seen = {name for answer in answers for name in answer.shares()}
    legend = [(name, color) for name, color in zip(segment.class_names, segment.colors) if name in seen]
    titles = [f"{index * 13 / 15:.2f} s" for index in range(len(frames))]
    rows = [[frame.image for frame in frames], [answer.overlay() for answer in answers]]
    save(sheet(rows, titles, classes=legend, width=360), "video.jpg")


def front() -> None:
    """mIoU over multiplications of all networks whose authors report both, and the front."""
    dots = []
    for entry in entries(swath.list_models()):
        score = entry.info.claims.miou.get(SCORE)
        if score is not None:
            dots.append((entry.macs / 1e9, score, entry.info.name))
    dots.sort()
    best, edge = 0.0, []
    for macs, score, name in dots:
        if score > best:
            best = score
            edge.append((macs, score, name))
    (IMAGES / "front.svg").write_text(scatter(dots, edge), "utf-8")
    print(IMAGES / "front.svg")


def scatter(dots: list[tuple[float, float, str]], edge: list[tuple[float, float, str]]) -> str:
    """As SVG. Every network on the front has its name, the others where there is room, and when pointed at."""
    width, height, left, bottom, top = 860, 480, 56, 48, 16
    low, high = math.log10(1), math.log10(1500)
    floor, ceiling = 56.0, 82.0

    def x(macs: float) -> float:
        return left + (math.log10(macs) - low) / (high - low) * (width - left - 24)

    def y(score: float) -> float:
        return top + (ceiling - score) / (ceiling - floor) * (height - top - bottom)

    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" '
        'font-family="sans-serif" font-size="12">',
        f'<rect width="{width}" height="{height}" fill="#fff"/>',
    ]
    for score in range(60, 81, 5):
        parts.append(f'<path d="M{left} {y(score):.1f}H{width - 24}" stroke="#e3e6ec"/>')
        parts.append(f'<text x="{left - 8}" y="{y(score) + 4:.1f}" text-anchor="end" fill="#5a6270">{score}</text>')
    for macs in (1, 3, 10, 30, 100, 300, 1000):
        parts.append(f'<path d="M{x(macs):.1f} {top}V{height - bottom}" stroke="#f0f2f5"/>')
        parts.append(
            f'<text x="{x(macs):.1f}" y="{height - bottom + 18}" text-anchor="middle" fill="#5a6270">{macs}</text>'
        )
    parts.append(
        f'<text x="{(left + width) / 2:.0f}" y="{height - 8}" text-anchor="middle" fill="#20242c">'
        "10⁹ multiply-accumulates a picture, at the size the authors report</text>"
    )
    middle = (top + height - bottom) / 2
    parts.append(
        f'<text transform="translate(14 {middle:.0f}) rotate(-90)" text-anchor="middle" fill="#20242c">'
        "mIoU on Cityscapes val, by the authors</text>"
    )
    steps = "".join(f"{'L' if i else 'M'}{x(macs):.1f} {y(score):.1f}" for i, (macs, score, _) in enumerate(edge))
    parts.append(f'<path d="{steps}" fill="none" stroke="#2f6fde" stroke-width="1.5" stroke-dasharray="5 4"/>')
    named = {name for _, _, name in edge}
    for macs, score, name in dots:
        color, radius = ("#2f6fde", 5.5) if name in named else ("#9aa4b5", 4.5)
        parts.append(
            f'<circle cx="{x(macs):.1f}" cy="{y(score):.1f}" r="{radius}" fill="{color}">'
            f"<title>{escape(name)}: {score} % with {macs:.1f} GMACs</title></circle>"
        )
    taken: list[tuple[float, float, float]] = []
    for macs, score, name in [*edge, *(dot for dot in dots if dot not in edge)]:
        if place := free_place(x(macs), y(score), 6.6 * len(name), taken, [(x(m), y(s)) for m, s, _ in dots], width):
            at, line, anchor = place
            weight, ink = ("600", "#20242c") if name in named else ("400", "#6a7280")
            parts.append(
                f'<text x="{at:.1f}" y="{line:.1f}" text-anchor="{anchor}" font-size="{11.5 if name in named else 10}" '
                f'font-weight="{weight}" fill="{ink}">{escape(name)}</text>'
            )
    return "\n".join([*parts, "</svg>"]) + "\n"


def free_place(
    x: float,
    y: float,
    long: float,
    taken: list[tuple[float, float, float]],
    dots: list[tuple[float, float]],
    width: int,
) -> tuple[float, float, str] | None:
    """Where a name can stand beside its dot without lying on another name or dot; none: it goes without."""
    for anchor, at, line in (
        ("end", x - 9, y - 5),
        ("start", x + 9, y - 5),
        ("start", x + 9, y + 4),
        ("end", x - 9, y + 4),
        ("start", x + 8, y + 15),
        ("end", x - 8, y + 15),
    ):
        begin = at - long if anchor == "end" else at
        free = begin > 60 and begin + long < width - 4
        free &= all(abs(line - b) > 12 or begin > d or begin + long < c for c, b, d in taken)
        free &= not any(begin - 5 < c < begin + long + 5 and -14 < d - line < 5 for c, d in dots if (c, d) != (x, y))
        if free:
            taken.append((begin, line, begin + long))
            return at, line, anchor
    return None


def web(weights: str) -> None:
    """The page that `swath export --to web` makes, with a picture on it."""
    with tempfile.TemporaryDirectory() as folder, browsing(Path(folder) / "profile") as browser:
        street, site = Path(folder) / "street.jpg", Path(folder) / "site"
        write_street(street)
        subprocess.run(
            [sys.executable, "-m", "swath", "export", weights, "--to", "web", "--out", str(site), "--no-webgpu"],
            check=True,
        )
        server = web_browser().Server(site)
        try:
            browser.call(
                "Emulation.setDeviceMetricsOverride", width=1180, height=800, deviceScaleFactor=1, mobile=False
            )
            browser.go(server.url)
            browser.wait("['ready', 'done'].includes(document.body.dataset.state)")
            for name in ("first", "street"):  # the first one warms up
                picture = street.rename(street.with_stem(name))
                browser.choose_file(picture)
                named = f"document.getElementById('status').textContent.includes('{name}')"
                browser.wait(f"document.body.dataset.state === 'done' && {named}")
                street = picture
            time.sleep(0.5)  # the overlay fades in
            photograph(browser, "web.jpg")
        finally:
            server.stop()


def serve(weights: str) -> None:
    """The page of a service, after a picture has been asked for."""
    with tempfile.TemporaryDirectory() as folder, browsing(Path(folder) / "profile") as browser:
        street = Path(folder) / "street.jpg"
        write_street(street)
        service = subprocess.Popen([sys.executable, "-m", "swath", "serve", weights, "--port", "8765", "--log", "off"])
        try:
            url = "http://127.0.0.1:8765/"
            until(lambda: urlopen(url + "health").status == 200)
            browser.call(
                "Emulation.setDeviceMetricsOverride", width=1180, height=720, deviceScaleFactor=1, mobile=False
            )
            browser.go(url)
            browser.wait("document.querySelector('form') !== null")
            root = browser.call("DOM.getDocument")["root"]["nodeId"]
            field = browser.call("DOM.querySelector", nodeId=root, selector="input[type=file]")["nodeId"]
            browser.call("DOM.setFileInputFiles", nodeId=field, files=[str(street)])
            browser.ask("document.querySelector('form').format.value = 'overlay'")
            browser.ask("document.querySelector('form').requestSubmit()")
            browser.wait("document.querySelector('#answer img') !== null")
            browser.ask("scrollTo(0, document.querySelector('form').closest('section').offsetTop - 16)")
            time.sleep(0.5)
            photograph(browser, "serve.jpg")
        finally:
            service.terminate()
            service.wait(30)


def write_street(path: Path) -> None:
    image = swath.load_card("streets").open("test").image(SHOWN[1])
    cv2.imwrite(str(path), image[:, :, ::-1], [cv2.IMWRITE_JPEG_QUALITY, 95])


def until(answer: object, seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        try:
            if answer():  # type: ignore[operator]
                return
        except OSError:
            time.sleep(0.2)
    raise SystemExit("the service does not answer")


def photograph(browser: object, name: str) -> None:
    data = browser.call("Page.captureScreenshot", format="png")["data"]  # type: ignore[attr-defined]
    save(Image.open(io.BytesIO(base64.b64decode(data))).convert("RGB"), name)


def web_browser() -> object:
    sys.path.insert(0, str(ROOT / "tests" / "deploy"))
    import web_browser as module

    return module


@contextmanager
def browsing(profile: Path) -> Iterator[object]:
    with web_browser().browsing(profile) as browser:  # type: ignore[attr-defined]
        browser.call("Emulation.setScrollbarsHidden", hidden=True)
        yield browser


def save(picture: Image.Image, name: str) -> None:
    IMAGES.mkdir(exist_ok=True)
    picture.save(IMAGES / name, quality=85, optimize=True)
    print(f"{IMAGES / name}: {(IMAGES / name).stat().st_size / 1000:.0f} kB")


def main() -> None:
    kinds = {"front": front, "streets": streets, "video": video, "web": web, "serve": serve}
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("pictures", nargs="+", choices=kinds)
    parser.add_argument("--weights", help="trained on streets: demo/run/best.safetensors")
    arguments = parser.parse_args()
    for name in arguments.pictures:
        if name == "front":
            front()
        elif arguments.weights:
            kinds[name](arguments.weights)
        else:
            parser.error(f"{name} needs --weights; `make demo` trains some")


if __name__ == "__main__":
    main()
