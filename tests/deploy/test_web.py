"""The web page: what it is made of, and in headless Chromium that it answers as Python does, alone and offline."""

from __future__ import annotations

import copy
import dataclasses
import json
import re
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from web_browser import Browser, Server, browsing, find_browser

import tiny
from swath import Segmenter, SwathError, load
from swath.cli.main import main
from swath.deploy.web import export_site
from swath.deploy.web.runtime import INTEGRITY, TARBALL, WASM, WEBGPU, copy_runtime
from swath.deploy.web.site import files_of
from swath.files import cache_folder
from swath.networks import Network

PAGE = Path(__file__).parents[2] / "src" / "swath" / "deploy" / "web" / "page"
HAS_RUNTIME = (cache_folder() / TARBALL).is_file()
needs_browser = pytest.mark.skipif(
    not (HAS_RUNTIME and find_browser()),
    reason=f"needs Chromium, and {TARBALL} in the cache folder (any `swath export --to web` puts it there)",
)
SIZES = [(70, 90), (67, 251), (20, 33)]
TIE = 1e-4  # of the largest logit: engines add in different orders


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> Network:
    path = tmp_path_factory.mktemp("weights") / "w.safetensors"
    return load(tiny.weights(path, dataset="shapes", score={"miou": 0.5}))


@pytest.fixture(scope="module")
def stubs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with files of the runtime's names, for what does not run it."""
    folder = tmp_path_factory.mktemp("runtime")
    for name in WASM + WEBGPU:
        (folder / name).write_text(name)
    return folder


@pytest.fixture(scope="module")
def site(network: Network, stubs: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("onnxscript")
    pytest.importorskip("onnxruntime")
    root = tmp_path_factory.mktemp("web")
    cv2.imwrite(str(root / "park.png"), tiny.picture(5)[:, :, ::-1])
    report = export_site(network, root / "site", runtime=None if HAS_RUNTIME else stubs, pictures=[root / "park.png"])
    assert report.passed and "park.png" in [check.name for check in report.checks]
    return root / "site"


# --- what is written


def test_the_folder_is_whole_and_points_nowhere_else(site: Path) -> None:
    names = {path.name for path in site.iterdir()}
    assert {"index.html", "model.onnx", "site.json", "files.js", "sample-1.png", *WASM, *WEBGPU} <= names
    listed = json.loads(re.search(r"\{.*\}", (site / "files.js").read_text(), re.DOTALL)[0])  # type: ignore[index]
    assert {*listed["first"], *listed["later"]} == names - {"files.js", "service-worker.js"}
    assert set(listed["later"]) == set(WEBGPU)
    about = json.loads((site / "site.json").read_text())
    assert about["classes"] and about["files"]["model.onnx"] == (site / "model.onnx").stat().st_size
    assert about["short_side"] is None
    for path in PAGE.iterdir():
        addresses = set(re.findall(r"https?://[\w.]+", path.read_text()))
        assert addresses <= {"http://localhost", "http://www.w3.org"}, path.name
    index = (site / "index.html").read_text()
    assert not re.search(r"<style|\sstyle=|\son\w+=|<script(?![^>]*\ssrc=)", index)
    assert "default-src 'none'" in index and "unsafe-inline" not in index and "'unsafe-eval'" not in index
    assert set(re.findall(r"\b(?:src|href)=\"([^\"]*)\"", index)) == {
        "./icon.svg",
        "./style.css",
        "./page.js",
    }


def test_every_element_that_the_page_asks_for_is_there() -> None:
    ids = set(re.findall(r'\bid="([\w-]+)"', (PAGE / "index.html").read_text()))
    asked = set(re.findall(r"\$\('([\w-]+)'\)", (PAGE / "page.js").read_text()))
    assert asked <= ids and len(asked) > 20


def test_mistakes_are_named_before_the_work(
    network: Network, stubs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "thesis.txt").write_text("years of work")
    with pytest.raises(SwathError, match=r"mine: holds other things than a site"):
        export_site(network, mine, runtime=stubs)
    assert (mine / "thesis.txt").read_text() == "years of work"
    with pytest.raises(SwathError, match=r"thesis\.txt: is a file, a site is a folder"):
        export_site(network, mine / "thesis.txt", runtime=stubs)
    with pytest.raises(SwathError, match=r"takes pictures of 1 channels"):
        export_site(tiny.network(in_channels=1), tmp_path / "grey", runtime=stubs)
    with pytest.raises(SwathError, match=r"a\.tiff: not every browser"):
        export_site(network, tmp_path / "site", runtime=stubs, pictures=["a.tiff"])
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]
    weights = tiny.weights(tmp_path / "w.safetensors")
    for words in (["--to", "web", "--finish", "inside"], ["--to", "onnx", "--no-webgpu"]):
        assert main(["export", str(weights), *words]) == 2


def test_a_runtime_that_is_not_the_published_one_is_refused(
    stubs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / TARBALL).write_bytes(b"something else")
    with pytest.raises(SwathError, match=r"is not onnxruntime-web 1\.30\.0 as it was published"):
        copy_runtime(WASM, tmp_path, tmp_path / TARBALL)
    with pytest.raises(SwathError, match=r"nowhere\.tgz: cannot be read"):
        copy_runtime(WASM, tmp_path, tmp_path / "nowhere.tgz")
    with pytest.raises(SwathError, match=r"lacks ort\.wasm\.bundle\.min\.mjs, ort-wasm-simd"):
        copy_runtime(WASM, tmp_path, tmp_path)
    installed = tmp_path / "onnxruntime-web"
    shutil.copytree(stubs, installed / "dist")
    (installed / "package.json").write_text('{"version": "1.19.0"}')
    with pytest.raises(SwathError, match=r"is version 1\.19\.0 of onnxruntime-web, 1\.30\.0 is needed"):
        copy_runtime(WASM, tmp_path, installed)
    (installed / "package.json").write_text('{"version": "1.30.0"}')
    copy_runtime(WASM, tmp_path, installed)
    assert (tmp_path / WASM[0]).read_text() == WASM[0]
    assert re.fullmatch(r"sha512-[\w+/]{86}==", INTEGRITY)
    # Nothing kept, no npm, no registry: what to do is said.
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("LOCALAPPDATA", str(tmp_path / "cache"))
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("npm_config_registry", raising=False)
    with pytest.raises(SwathError, match=r"npm is not installed.*--runtime onnxruntime-web-1\.30\.0\.tgz"):
        copy_runtime(WASM, tmp_path)
    # A registry named by npm's own variable is asked, and what it serves is checked.
    served = tmp_path / "registry" / "onnxruntime-web" / "-"
    served.mkdir(parents=True)
    (served / TARBALL).write_bytes(b"not what was published")
    server = Server(tmp_path / "registry")
    monkeypatch.setenv("npm_config_registry", server.url)
    try:
        with pytest.raises(SwathError, match="is not onnxruntime-web"):
            copy_runtime(WASM, tmp_path)
    finally:
        server.stop()
    assert server.asked == [f"/onnxruntime-web/-/{TARBALL}"]


def test_a_site_is_replaced_whole_and_what_is_mine_stays(
    network: Network, site: Path, stubs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the network that was exported already: here it is about the folder."""
    from swath.deploy.verify import Report
    from swath.deploy.web import site as module

    def exported(network: Network, path: Path, to: str, **more: object) -> Report:
        shutil.copyfile(site / "model.onnx", path)
        return Report(str(path), [])

    monkeypatch.setattr(module, "export", exported)
    out = tmp_path / "out"
    export_site(network, out, runtime=stubs)
    first = (out / "files.js").read_text()
    assert files_of(out) == {path.name for path in out.iterdir()}
    (out / ".git").mkdir()  # a checkout of Pages
    (out / "CNAME").write_text("example.org")
    network = copy.deepcopy(network)
    network.meta = dataclasses.replace(network.meta, notes={"short_side": 360})  # type: ignore[type-var]
    export_site(network, out, runtime=stubs, webgpu=False)
    names = {path.name for path in out.iterdir()}
    assert not names & {*WEBGPU} and {*WASM, ".git", "CNAME"} <= names
    about = json.loads((out / "site.json").read_text())
    assert about["webgpu"] is False and about["short_side"] == 360
    assert (out / "files.js").read_text() != first  # so that browsers take the new one

    def fails(*all: object, **more: object) -> Report:
        raise SwathError("was not written")

    monkeypatch.setattr(module, "export", fails)
    with pytest.raises(SwathError):
        export_site(network, out, runtime=stubs)
    assert {path.name for path in out.iterdir()} == names and [each.name for each in tmp_path.iterdir()] == ["out"]


# --- in the browser


class Visit:
    """The page in a browser, as a person uses it."""

    def __init__(self, browser: Browser, downloads: Path) -> None:
        self.browser = browser
        self.downloads = downloads
        browser.call("Browser.setDownloadBehavior", behavior="allow", downloadPath=str(downloads))

    def open(self, url: str) -> None:
        self.browser.go(url)
        self.browser.wait("document.body.dataset.state === 'done'")

    def labels(self, picture: Path) -> np.ndarray:
        """What `Save labels` writes of a picture that was chosen in the file dialog."""
        self.browser.choose_file(picture)
        told = f"document.getElementById('status').textContent.startsWith('{picture.stem} ')"
        self.browser.wait(f"document.body.dataset.state === 'done' && {told}")
        file = self.downloads / f"{picture.stem}-labels.png"
        file.unlink(missing_ok=True)
        self.browser.ask("document.getElementById('save-labels').click()")
        until = time.monotonic() + 20
        while not file.is_file() and time.monotonic() < until:
            time.sleep(0.05)
        from PIL import Image

        with Image.open(file) as png:
            assert png.mode == "P" and tuple(png.getpalette()[:12]) == tuple(np.ravel(self.colors))  # type: ignore[index]
            return np.asarray(png).copy()

    @property
    def colors(self) -> object:
        return self.browser.ask("fetch('./site.json').then((r) => r.json()).then((s) => s.colors)")


@pytest.fixture
def visit(tmp_path: Path) -> Iterator[Visit]:
    with browsing(tmp_path / "profile") as browser:
        yield Visit(browser, tmp_path)


def write(folder: Path, size: tuple[int, int]) -> tuple[Path, np.ndarray]:
    image = tiny.picture(size[0], *size)
    path = folder / f"p{size[0]}.png"
    cv2.imwrite(str(path), image[:, :, ::-1])
    return path, image


def assert_same(network: Network, image: np.ndarray, labels: np.ndarray) -> None:
    """Pixel for pixel but for ties."""
    original = Segmenter(network, optimise=False)
    padded = original.pad(torch.from_numpy(image)[None])
    logits = original.runtime.run(padded)
    full = F.interpolate(logits, size=padded.shape[1:3], mode="bilinear", align_corners=network.align_corners)[0]
    full = full[:, : image.shape[0], : image.shape[1]]
    expected = torch.from_numpy(original(image).labels).long()
    given = torch.from_numpy(labels).long()
    assert given.shape == expected.shape and len(expected.unique()) > 1
    behind = full.gather(0, expected[None]) - full.gather(0, given[None])
    assert float(behind.max()) <= TIE * float(logits.abs().max())
    assert (given != expected).float().mean() < 1e-3


@needs_browser
@pytest.mark.parametrize("corners", [True, False])
def test_labels_in_the_page_equal_those_in_python(
    network: Network, site: Path, tmp_path: Path, visit: Visit, corners: bool
) -> None:
    folder = tmp_path / "site"
    shutil.copytree(site, folder)
    about = json.loads((folder / "site.json").read_text())
    assert about["align_corners"] is network.align_corners is True
    (folder / "site.json").write_text(json.dumps({**about, "align_corners": corners}))
    original = copy.deepcopy(network)
    original.align_corners = corners
    isolating = {"Cross-Origin-Opener-Policy": "same-origin", "Cross-Origin-Embedder-Policy": "require-corp"}
    server = Server(folder, {} if corners else isolating)
    try:
        visit.open(server.url)  # the sample is shown without being asked for
        for size in SIZES:
            path, image = write(tmp_path, size)
            assert_same(original, image, visit.labels(path))
        many = visit.browser.ask("navigator.hardwareConcurrency") > 1 and not corners
        threads = visit.browser.ask("document.getElementById('threads').textContent")
        assert re.search(r"\d threads" if many else "one thread", threads)
        shares = visit.browser.ask("[...document.querySelectorAll('.share')].map((e) => parseFloat(e.textContent))")
        assert shares == sorted(shares, reverse=True) and 99.5 < sum(shares) < 100.5
        alone(visit.browser, server)
    finally:
        server.stop()


def alone(browser: Browser, server: Server) -> None:
    """No request left, and nothing was complained of."""
    mine = (server.url, "blob:", "data:", "about:")
    assert [url for url in browser.requests if not url.startswith(mine)] == []
    assert [each for each in browser.complaints if "No available adapters" not in each] == []


@needs_browser
def test_works_offline_with_threads_after_one_visit(network: Network, site: Path, tmp_path: Path, visit: Visit) -> None:
    browser = visit.browser
    server = Server(site)
    try:
        visit.open(server.url)
        browser.wait("document.body.dataset.kept === 'yes' && navigator.serviceWorker.controller !== null")
    finally:
        server.stop()
    asked = len(server.asked)
    visit.open(server.url)
    path, image = write(tmp_path, (67, 151))
    assert_same(network, image, visit.labels(path))
    assert len(server.asked) == asked
    assert browser.ask("crossOriginIsolated") is True
    if browser.ask("navigator.hardwareConcurrency") > 1:
        assert re.search(r"\d threads", browser.ask("document.getElementById('threads').textContent"))
    alone(browser, server)
    # The same address with a newer site: the page says so, and has it after a reload.
    newer = tmp_path / "newer"
    shutil.copytree(site, newer)
    (newer / "site.json").write_text((site / "site.json").read_text().replace('"shapes"', '"forms"'))
    (newer / "files.js").write_text((site / "files.js").read_text().replace('"version": "', '"version": "2'))
    assert browser.ask("document.getElementById('update').hidden") is True
    server = Server(newer, port=server.port)
    try:
        visit.open(server.url)
        browser.wait("document.getElementById('update').hidden === false")
        assert "shapes" in browser.ask("document.getElementById('facts').textContent")
        browser.ask("document.getElementById('update').click()")
        browser.wait("document.getElementById('facts').textContent.includes('forms')")
    finally:
        server.stop()


@needs_browser
def test_camera_mistakes_and_policy(site: Path, tmp_path: Path, visit: Visit) -> None:
    browser = visit.browser
    server = Server(site)
    try:
        visit.open(server.url)
        browser.ask("document.getElementById('camera').click()")
        browser.wait("document.getElementById('status').textContent.startsWith('camera ')")
        browser.wait("document.getElementById('rate').textContent !== '–'")
        browser.ask("document.getElementById('camera').click()")
        browser.wait("document.body.dataset.state === 'ready'")
        drop = """fetch('./sample-1.png').then((r) => r.blob()).then((blob) => {
          const data = new DataTransfer();
          data.items.add(new File([blob], 'dropped.png', { type: 'image/png' }));
          dispatchEvent(new DragEvent('drop', { dataTransfer: data }));
        })"""
        browser.ask(drop)
        browser.wait("document.getElementById('status').textContent.startsWith('dropped · 90 × 70')")
        video = cv2.VideoWriter(str(tmp_path / "clip.webm"), cv2.VideoWriter.fourcc(*"VP80"), 10, (96, 64))
        if video.isOpened():
            for index in range(10):
                video.write(tiny.picture(index, 64, 96))
            video.release()
            browser.choose_file(tmp_path / "clip.webm")
            browser.wait("document.getElementById('status').textContent.startsWith('clip · 96 × 64')")
            browser.wait("document.getElementById('clock').textContent.endsWith('/ 0:01')")
        assert browser.ask("document.getElementById('video').srcObject") is None
        (tmp_path / "broken.png").write_bytes(b"not a picture")
        browser.choose_file(tmp_path / "broken.png")
        browser.wait("document.body.dataset.state === 'failed'")
        assert "broken.png cannot be read" in browser.ask("document.getElementById('status').textContent")
        alone(browser, server)
        blocked = """new Promise((resolve) => {
          addEventListener('securitypolicyviolation', (event) => resolve(event.effectiveDirective));
          fetch('http://127.0.0.1:9/').catch(() => {});
        })"""
        assert browser.ask(blocked) == "connect-src"
        inline = """new Promise((resolve) => {
          addEventListener('securitypolicyviolation', (event) => resolve(event.effectiveDirective));
          const script = document.createElement('script');
          script.textContent = 'window.ran = true';
          document.head.append(script);
        })"""
        assert browser.ask(inline) == "script-src-elem" and browser.ask("window.ran") is None
    finally:
        server.stop()
