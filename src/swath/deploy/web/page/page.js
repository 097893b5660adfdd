// The page: what a person does, what the network answers, and what is shown of it.

import { Engine, findWebGPU } from './engine.js';
import { Legend, css } from './legend.js';
import { Looking } from './looking.js';
import { labelPng } from './png.js';
import { Live, shownSize } from './sources.js';
import { View } from './view.js';

const FITTING = { picture: 2048, live: 512 }; // longest sides: a phone's photo fits into memory, a video stays quick

const $ = (id) => document.getElementById(id);
$('boot').remove();
watchForNewer();

const site = await (await fetch('./site.json')).json();
const view = new View($('picture'), $('overlay'), site.colors);
const legend = new Legend($('legend'), $('absent'), site.classes, site.colors, pick);
const live = new Live($('video'));
const engine = new Engine(site, (share) => ($('progress').value = share));
const looking = new Looking(engine, live, {
  begun,
  opened,
  live: liveControls,
  shown,
  timed: showTime,
  state,
  size: sizeOf,
});

let facing = 'environment';
let smooth = null; // ms of the parts of a live frame, smoothed

describe();
theme();
wire();
await chooseEngine();
if (site.samples.length && !looking.opened) await attempt(() => looking.openSample(site.samples[0]));
keep();

function describe() {
  const miou = typeof site.score.miou === 'number' ? `${(100 * site.score.miou).toFixed(1)} % mIoU` : '';
  const parts = [
    `${site.classes.length} classes`,
    site.dataset && `trained on ${site.dataset}`,
    miou && `${miou}${site.score.split ? ` on ${site.score.split}` : ''}`,
    `${(site.parameters / 1e6).toFixed(2)} M parameters`,
  ];
  document.title = `${site.network} · swath`;
  $('title').textContent = site.network;
  $('facts').textContent = parts.filter(Boolean).join(' · ');
  $('footer').textContent =
    `Made by swath ${site.swath} with onnxruntime-web ${site.runtime}. ` +
    'Pictures stay on this device; once loaded, the page works without a network.';
  if (site.short_side) {
    $('fitting').textContent = `a fitting size (${site.short_side})`;
    $('size').title = `Fitting: ${site.short_side} pixels on the shorter side, at which the network learnt things`;
  }
  for (const sample of site.samples) {
    const button = document.createElement('button');
    const image = document.createElement('img');
    Object.assign(image, { src: sample.file, alt: sample.name });
    Object.assign(button, { type: 'button', title: sample.name });
    button.append(image);
    button.addEventListener('click', () => attempt(() => looking.openSample(sample)));
    $('samples').append(button);
  }
}

function theme() {
  const root = document.documentElement;
  $('theme').addEventListener('click', () => {
    const dark = root.dataset.theme ? root.dataset.theme === 'dark' : matchMedia('(prefers-color-scheme: dark)').matches;
    root.dataset.theme = dark ? 'light' : 'dark';
  });
}

function wire() {
  $('open').addEventListener('click', () => $('file').click());
  $('file').addEventListener('change', () => {
    const [file] = $('file').files;
    if (file) attempt(() => looking.openFile(file));
    $('file').value = '';
  });
  $('camera').addEventListener('click', () => {
    const on = live.camera && live.open;
    attempt(() => (on ? looking.stopCamera() : looking.openCamera(facing)));
  });
  $('turn').addEventListener('click', () => {
    facing = facing === 'environment' ? 'user' : 'environment';
    attempt(() => looking.openCamera(facing));
  });
  addEventListener('dragover', (event) => {
    event.preventDefault();
    document.body.classList.add('dragging');
  });
  addEventListener('dragleave', (event) => {
    if (!event.relatedTarget) document.body.classList.remove('dragging');
  });
  addEventListener('drop', (event) => {
    event.preventDefault();
    document.body.classList.remove('dragging');
    const [file] = event.dataTransfer.files;
    if (file) attempt(() => looking.openFile(file));
  });
  addEventListener('paste', (event) => {
    const [file] = event.clipboardData.files;
    if (file) attempt(() => looking.openFile(file));
  });
  $('opacity').addEventListener('input', () => {
    view.opacity = $('opacity').value / 100;
    $('percent').textContent = `${$('opacity').value} %`;
    view.draw();
  });
  $('size').addEventListener('change', () => attempt(() => looking.again()));
  for (const input of document.getElementsByName('engine')) {
    input.addEventListener('change', () => attempt(() => startEngine(input.value)));
  }
  $('save-labels').addEventListener('click', async () => {
    save(await labelPng(view.labels, view.height, view.width, site.colors), `${looking.name}-labels.png`);
  });
  $('save-overlay').addEventListener('click', async () => save(await view.flat(), `${looking.name}-overlay.png`));
  $('overlay').addEventListener('pointermove', point);
  $('overlay').addEventListener('pointerdown', point);
  $('overlay').addEventListener('pointerleave', () => point(null));
  $('play').addEventListener('click', () => ($('video').paused ? $('video').play() : $('video').pause()));
  for (const event of ['play', 'pause']) {
    $('video').addEventListener(event, () => {
      $('play').textContent = $('video').paused ? '▶' : '❚❚';
      $('play').setAttribute('aria-label', $('video').paused ? 'Play' : 'Pause');
    });
  }
  $('seek').addEventListener('input', () => ($('video').currentTime = $('seek').value * $('video').duration));
}

// --- what it runs on

async function chooseEngine() {
  const [webgpu, wasm] = document.getElementsByName('engine');
  const found = site.webgpu ? await findWebGPU() : null;
  webgpu.disabled = !found;
  if (!found) $('why').textContent = site.webgpu ? 'No WebGPU in this browser' : 'Left out of this site';
  const first = found === 'fast' ? webgpu : wasm;
  first.checked = true;
  await attempt(() => startEngine(first.value));
}

async function startEngine(kind) {
  state('loading', 'Loading the network …');
  $('progress').value = 0;
  try {
    await looking.start(kind);
  } catch (error) {
    if (kind !== 'webgpu' || error.message === 'stopped') throw error; // stopped: by another choice
    const [webgpu, wasm] = document.getElementsByName('engine');
    webgpu.disabled = wasm.checked = true;
    $('why').textContent = `WebGPU failed: ${error.message}`;
    return startEngine('wasm');
  }
  tellThreads();
  state('ready', 'Ready.');
  attempt(() => looking.again()); // of a video there is no end to wait for
  return undefined;
}

function tellThreads() {
  const cores = navigator.hardwareConcurrency || 1;
  const { kind, threads } = engine;
  $('threads').textContent = kind === 'webgpu' ? 'on the graphics processor' : threads > 1 ? `${threads} threads` : 'one thread';
  if (kind === 'wasm' && threads === 1 && cores > 1 && !crossOriginIsolated && navigator.serviceWorker?.controller) {
    const button = document.createElement('button');
    Object.assign(button, { type: 'button', textContent: 'Reload to use more' });
    button.addEventListener('click', () => location.reload());
    $('threads').append(button);
  }
}

// --- what is looked at

function begun() {
  smooth = null;
  for (const button of $('samples').children) button.setAttribute('aria-pressed', 'false');
  liveControls();
}

function opened(called) {
  for (const button of $('samples').children) button.setAttribute('aria-pressed', String(button.title === called));
}

function liveControls() {
  const camera = live.open && live.camera;
  $('player').hidden = !live.open || live.camera;
  $('turn').hidden = !camera;
  $('camera').textContent = camera ? 'Stop the camera' : 'Use the camera';
}

/** The height and width at which the network sees a picture or a frame. */
function sizeOf({ height, width }) {
  const chosen = $('size').value;
  if (chosen !== 'auto') return shownSize(height, width, Number(chosen));
  return shownSize(height, width, FITTING[live.open && !site.short_side ? 'live' : 'picture'], site.short_side);
}

function shown(bitmap, { labels, height, width, shown: [tall, wide], ms }) {
  $('view').classList.add('used');
  view.show(bitmap, labels);
  legend.show(labels, live.open);
  showTime(ms);
  if (live.open) tellClock();
  const seen = tall === height && wide === width ? 'as it is' : `as ${wide} × ${tall}`;
  $('overlay').setAttribute('aria-label', `${looking.name}: ${legend.text()}`);
  $('save-labels').disabled = $('save-overlay').disabled = false;
  state('done', `${looking.name} · ${width} × ${height}, seen ${seen}`);
}

function showTime(now) {
  const ms = live.open && smooth ? smooth : now;
  for (const part of Object.keys(ms)) ms[part] = 0.8 * ms[part] + 0.2 * now[part];
  smooth = ms; // of a video: figures that flicker cannot be read
  $('frame').textContent = brief(ms.frame);
  $('rate').textContent = rate(live.open && looking.pace ? looking.pace : ms.frame);
  for (const part of ['pixels', 'network', 'finish']) $(`ms-${part}`).textContent = `${brief(ms[part])} ms`;
}

function brief(ms) {
  return ms.toFixed(ms < 9.95 ? 1 : 0);
}

function rate(ms) {
  return ms > 1000 ? (1000 / ms).toFixed(2) : (1000 / ms).toFixed(ms > 100 ? 1 : 0);
}

function tellClock() {
  const { currentTime, duration } = $('video');
  if (!Number.isFinite(duration)) return;
  if (document.activeElement !== $('seek')) $('seek').value = currentTime / duration;
  $('clock').textContent = `${clock(currentTime)} / ${clock(duration)}`;
}

function clock(seconds) {
  return `${Math.floor(seconds / 60)}:${String(Math.floor(seconds % 60)).padStart(2, '0')}`;
}

// --- pointing and keeping

function pick(index) {
  view.only = index;
  view.draw();
}

function point(event) {
  const index = event ? view.classAt(event.clientX, event.clientY) : -1;
  legend.mark(index);
  const tip = $('tip');
  tip.hidden = index < 0;
  if (index < 0) return;
  const swatch = document.createElement('span');
  swatch.className = 'swatch';
  swatch.style.background = css(site.colors[index]);
  tip.replaceChildren(swatch, site.classes[index]);
  tip.style.left = `${Math.min(event.clientX + 14, innerWidth - tip.offsetWidth - 8)}px`;
  tip.style.top = `${Math.max(event.clientY - 40, 8)}px`;
}

function save(blob, file) {
  const link = document.createElement('a');
  link.href = URL.createObjectURL(blob);
  link.download = file;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10000);
}

function state(word, text) {
  document.body.dataset.state = word;
  $('status').textContent = text;
}

/** Do it, or say why it cannot be done. */
async function attempt(action) {
  try {
    await action();
  } catch (error) {
    if (error.message === 'stopped') return;
    const memory = /memory|allocat|bad_alloc/i.test(error.message);
    const hint = memory ? '. Choose a smaller size under “The network sees”' : '';
    state('failed', `${error.message}${hint}`);
  }
}

/** Before anything is awaited: the browser looks for a newer site by itself, and may have it before `keep` asks. */
function watchForNewer() {
  const keeper = navigator.serviceWorker;
  const older = keeper?.controller;
  keeper?.addEventListener('controllerchange', () => (older ? ($('update').hidden = false) : tellThreads()));
  $('update').addEventListener('click', () => location.reload());
}

/** Keep the site for use without a network, once it has been loaded and so no longer competes with that. */
async function keep() {
  try {
    const keeper = navigator.serviceWorker;
    await keeper.register('./service-worker.js');
    await keeper.ready;
    document.body.dataset.kept = 'yes';
  } catch {
    // Without it (private windows, plain http) the page does all but work without a network.
  }
}
