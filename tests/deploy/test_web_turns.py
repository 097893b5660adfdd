"""Who comes first in the page and who too late: its modules, run by node with a made-up worker, camera and pictures."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest

PAGE = Path(__file__).parents[2] / "src" / "swath" / "deploy" / "web" / "page"
pytestmark = pytest.mark.skipif(shutil.which("node") is None, reason="node is not installed")

AROUND = """
globalThis.self = globalThis;
globalThis.HTMLMediaElement = { HAVE_CURRENT_DATA: 2 };
Object.defineProperty(globalThis, 'navigator', { value: {}, configurable: true });
URL.createObjectURL = () => 'blob:1';
URL.revokeObjectURL = () => {};
const { Engine } = await import('./engine.js');
const { Looking } = await import('./looking.js');
const { Live, shownSize } = await import('./sources.js');
const later = (ms = 5) => new Promise((resolve) => setTimeout(resolve, ms));
const heard = (promise) => promise.then((value) => value ?? 'done', (error) => error.message);

/** Answers a run after `bitmap.ms`, whatever else was asked for meanwhile, with its name for labels. */
class FakeWorker {
  static made = [];
  constructor() { FakeWorker.made.push(this); }
  async postMessage({ kind, number, bitmap, height, width, engine }) {
    if (bitmap?.closed) throw new Error('closed');
    this.under = (this.under ?? 0) + 1;
    FakeWorker.most = Math.max(FakeWorker.most ?? 0, this.under);
    await later(kind === 'start' ? (engine === 'wasm' ? 5 : 40) : bitmap.ms ?? 5);
    this.under--;
    const told = kind === 'start' ? { kind: 'ready' } : { kind: 'answer', labels: bitmap.name, shown: [height, width] };
    if (!this.ended || this.hasty) this.onmessage({ data: { ...told, number, height, width, ms: { frame: 9000 } } });
  }
  terminate() { this.ended = true; }
}
globalThis.Worker = FakeWorker;

const bitmap = (name, ms) => ({ name, ms, height: 4, width: 4, close() { this.closed = true; } });
globalThis.createImageBitmap = async (blob) => {
  await later(blob.decode ?? 1);
  if (blob.broken) throw new Error('broken');
  return bitmap(blob.name, blob.ms);
};
const file = (name, more = {}) => ({ name, type: 'image/png', ...more });

/** A <video> of the camera: ready as soon as it has a stream. */
class FakeVideo extends EventTarget {
  paused = true; videoWidth = 4; readyState = 2;
  get srcObject() { return this.stream ?? null; }
  set srcObject(stream) {
    this.stream = stream;
    if (stream) setTimeout(() => this.onloadeddata?.(), 1);
  }
  async play() { this.paused = false; }
  pause() { this.paused = true; }
  removeAttribute() {}
}
const stream = () => {
  const tracks = [{ on: true, stop() { this.on = false; } }];
  return { tracks, getTracks: () => tracks };
};
"""


def node(script: str, folder: Path) -> object:
    """What `out` holds after the script, run beside copies of the page's modules."""
    for path in PAGE.glob("*.js"):
        shutil.copyfile(path, folder / path.name)
    (folder / "package.json").write_text('{"type": "module"}')
    end = "console.log(JSON.stringify(out));\nprocess.exit(0);\n"
    (folder / "run.js").write_text(f"{AROUND}\nconst out = {{}};\n{script}\n{end}")
    done = subprocess.run(["node", str(folder / "run.js")], capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


LOOKING = """
const shown = [], states = [];
const engine = new Engine({}, () => {});
const frames = [];
const live = {
  open: false, made: 0,
  openFile: async () => { live.open = true; },
  close() { live.open = false; },
  async frame() {
    await later(live.slow ?? 0);
    frames.push(bitmap(`frame ${++live.made}`));
    return frames.at(-1);
  },
  next: () => later(1),
};
const looking = new Looking(engine, live, {
  begun() {}, opened() {}, live() {}, timed() {},
  state: (word, text) => states.push(`${word}: ${text}`),
  shown: (seen, answer) => shown.push([seen.name, answer.labels]),
  size: () => [2, 2],
});
await looking.start('wasm');
"""


def test_each_question_gets_its_own_answer(tmp_path: Path) -> None:
    script = """
    const engine = new Engine({}, () => {});
    await engine.start('wasm');
    const all = [['A', 30], ['B', 1], ['C', 10]].map(([name, ms]) => engine.run(bitmap(name, ms), 2, 2));
    out.busy = engine.busy;
    const idle = engine.idle().then(() => engine.busy);
    out.labels = (await Promise.all(all)).map((each) => each.labels);
    out.idle = await idle;
    // What is asked while an engine starts ends too, as what one is stopped in; a late answer is nobody's.
    FakeWorker.made.at(-1).hasty = true;
    const old = heard(engine.run(bitmap('old', 20), 2, 2));
    const start = heard(engine.start('webgpu'));
    const early = heard(engine.run(bitmap('early'), 2, 2).then((each) => each.labels));
    out.ends = await Promise.all([old, start, early]);
    // Of two starts the second counts, with as many threads as it wanted.
    self.crossOriginIsolated = true;
    Object.defineProperty(globalThis, 'navigator', { value: { hardwareConcurrency: 4 } });
    const first = heard(engine.start('wasm'));
    out.starts = await Promise.all([heard(engine.start('wasm')), first]);
    out.threads = engine.threads;
    """
    assert node(script, tmp_path) == {
        "busy": True,
        "labels": ["A", "B", "C"],
        "idle": False,
        "ends": ["stopped", "done", "early"],
        "starts": ["done", "stopped"],
        "threads": 4,
    }


def test_a_video_that_goes_on_while_size_and_engine_change(tmp_path: Path) -> None:
    script = f"""{LOOKING}
    live.slow = 3;
    const following = heard(looking.openFile(file('clip.mp4', {{ type: 'video/mp4' }})));
    const others = [];
    for (let i = 0; i < 12; i++) {{
      await later(11);
      if (i === 6) others.push(heard(looking.start('wasm')));
      others.push(heard(looking.again()));
    }}
    await later(60);
    const still = looking.openFile(file('still'));
    await still;
    out.ends = [await following, ...(await Promise.all(others))].every((word) => word === 'done' || word === 'stopped');
    out.frames = shown.length > 3;
    out.wrong = shown.filter(([seen, labels]) => seen !== labels);
    out.last = shown.at(-1);
    out.leaked = frames.filter((each) => !each.closed).length;
    out.most = FakeWorker.most;
    """
    assert node(script, tmp_path) == {
        "ends": True, "frames": True, "wrong": [], "last": ["still", "still"], "leaked": 0, "most": 1,
    }  # fmt: skip


def test_what_was_opened_last_is_shown(tmp_path: Path) -> None:
    script = f"""{LOOKING}
    globalThis.fetch = async (name) => ({{ blob: async () => (await later(15), file(name)) }});
    const slow = heard(looking.openFile(file('large', {{ decode: 40 }})));
    const sample = heard(looking.openSample({{ file: 'sample', name: 'sample' }}));
    const broken = heard(looking.openFile(file('bad', {{ decode: 30, broken: true }})));
    await looking.openFile(file('small'));
    out.ends = await Promise.all([slow, sample, broken]);
    out.name = looking.name;
    out.shown = shown.slice();
    out.bad = await heard(looking.openFile(file('bad', {{ broken: true }})));
    // The size changes while a picture is decoded: the old one is looked at, then the new one.
    shown.length = 0;
    const next = looking.openFile(file('next', {{ decode: 30 }}));
    await looking.again();
    await next;
    out.then = shown;
    """
    assert node(script, tmp_path) == {
        "ends": ["stopped", "stopped", "stopped"],
        "name": "small",
        "shown": [["small", "small"]],
        "bad": "bad cannot be read as a picture; try JPEG, PNG or WebP",
        "then": [["small", "small"], ["next", "next"]],
    }


def test_a_camera_allowed_too_late_goes_off_again(tmp_path: Path) -> None:
    script = f"""{LOOKING}
    const answers = [];
    const mediaDevices = {{ getUserMedia: () => new Promise((yes, no) => answers.push({{ yes, no }})) }};
    Object.defineProperty(globalThis, 'navigator', {{ value: {{ mediaDevices }} }});
    const video = new FakeVideo();
    looking.live = new Live(video);
    // A picture is opened while the browser still asks.
    const late = stream();
    const camera = heard(looking.openCamera('user'));
    await looking.openFile(file('picture'));
    answers[0].yes(late);
    out.late = [await camera, late.tracks[0].on, looking.live.open, looking.name];
    // Clicked twice: one stream is left, and closing ends it.
    const [one, two] = [stream(), stream()];
    const clicks = [heard(looking.openCamera('user')), heard(looking.openCamera('user'))];
    answers[2].yes(two);
    await later();
    answers[1].yes(one);
    out.first = await clicks[0];
    out.twice = [one.tracks[0].on, two.tracks[0].on, looking.live.open];
    // Refused after something else was opened: that stays.
    const other = heard(looking.openCamera('user'));
    const again = heard(looking.openCamera('user'));
    const three = stream();
    answers[4].yes(three);
    await later();
    answers[3].no(Object.assign(new Error('no'), {{ name: 'NotAllowedError' }}));
    out.refused = [await other, three.tracks[0].on, two.tracks[0].on];
    // Refused with nothing else: it is said. An engine chosen while the browser asks does not keep the camera from it.
    const alone = heard(looking.openCamera('user'));
    answers[5].no(Object.assign(new Error('no'), {{ name: 'NotAllowedError' }}));
    out.alone = [await alone, looking.live.open, three.tracks[0].on];
    shown.length = 0;
    globalThis.createImageBitmap = async () => bitmap('frame');
    heard(looking.openCamera('user'));
    await looking.start('wasm');
    answers[6].yes(stream());
    await later(60);
    looking.stopCamera();
    out.seen = shown.length > 0 && video.srcObject === null;
    """
    assert node(script, tmp_path) == {
        "late": ["stopped", False, False, "picture"],
        "first": "stopped",
        "twice": [False, True, True],
        "refused": ["stopped", True, False],
        "alone": ["The camera was not allowed", False, False],
        "seen": True,
    }


def test_frames_leave_no_listeners_behind(tmp_path: Path) -> None:
    script = """
    const video = new FakeVideo();
    let count = 0, most = 0;
    const add = video.addEventListener.bind(video);
    video.addEventListener = (name, listener, options) => {
      add(name, listener, options);
      most = Math.max(most, ++count);
      options.signal?.addEventListener('abort', () => count--);
    };
    let callback;
    video.requestVideoFrameCallback = (given) => { callback = given; return 1; };
    video.cancelVideoFrameCallback = () => { callback = null; };
    video.paused = false;
    const live = new Live(video);
    for (let i = 0; i < 500; i++) {
      const next = live.next();
      callback();
      await next;
    }
    const last = live.next();
    video.dispatchEvent(new Event('pause'));
    await last;
    Object.assign(out, { count, few: most < 5, callback });
    """
    assert node(script, tmp_path) == {"count": 0, "few": True, "callback": None}


def test_the_size_at_which_the_network_sees_a_picture(tmp_path: Path) -> None:
    script = """
    out.sizes = [
      shownSize(720, 960, 0), shownSize(720, 960, 512), shownSize(90, 120, 512), // of sides, and never enlarged
      shownSize(720, 960, 2048, 360), shownSize(960, 720, 2048, 360), shownSize(90, 120, 2048, 360), // as it learnt
      shownSize(10, 4000, 2048, 360), shownSize(720, 960, 2048, null), // not larger than can be held; none said
    ];
    """
    assert node(script, tmp_path)["sizes"] == [  # type: ignore[index, call-overload]
        [720, 960], [384, 512], [90, 120], [360, 480], [480, 360], [360, 480], [5, 2048], [720, 960],
    ]  # fmt: skip


def test_every_module_is_there() -> None:
    for path in PAGE.glob("*.js"):
        for name in re.findall(r"^import .* from '\./([\w.-]+)'", path.read_text(), re.MULTILINE):
            assert (PAGE / name).is_file(), f"{path.name} imports {name}"
