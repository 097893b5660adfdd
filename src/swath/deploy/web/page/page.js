// The page: what a person does, what the network answers, and what is shown of it.

import { Engine, findWebGPU } from './engine.js';
import { Legend, css } from './legend.js';
import { labelPng } from './png.js';
import { Live, decode, shownSize } from './sources.js';
import { View } from './view.js';

const FITTING = { picture: 2048, live: 512 }; // longest sides: a phone's photo fits into memory, a video stays quick
const AGAIN = 1500; // ms, up to which a picture is looked at again to know the time it takes

const $ = (id) => document.getElementById(id);
$('boot').remove();
watchForNewer();

const site = await (await fetch('./site.json')).json();
const view = new View($('picture'), $('overlay'), site.colors);
const legend = new Legend($('legend'), $('absent'), site.classes, site.colors, pick);
const live = new Live($('video'));
const engine = new Engine(site, (share) => ($('progress').value = share));

let still = null; // the picture that is shown, as an ImageBitmap
let name = 'picture'; // of what is shown, for files to save
let facing = 'environment';
let turn = 0; // of what was opened last: older answers are dropped
let ready = Promise.resolve(); // the engine's start
let pace = 0; // ms from one live frame to the next, smoothed
let smooth = null; // ms of the parts of a live frame, smoothed

describe();
theme();
wire();
await chooseEngine();
if (site.samples.length && !still && !live.open) await openSample(site.samples[0]);
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
  for (const sample of site.samples) {
    const button = document.createElement('button');
    const image = document.createElement('img');
    Object.assign(image, { src: sample.file, alt: sample.name });
    Object.assign(button, { type: 'button', title: sample.name });
    button.append(image);
    button.addEventListener('click', () => attempt(() => openSample(sample)));
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
    if (file) attempt(() => openFile(file));
    $('file').value = '';
  });
  $('camera').addEventListener('click', () => attempt(() => (live.camera && live.open ? stopCamera() : openCamera())));
  $('turn').addEventListener('click', () => {
    facing = facing === 'environment' ? 'user' : 'environment';
    attempt(openCamera);
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
    if (file) attempt(() => openFile(file));
  });
  addEventListener('paste', (event) => {
    const [file] = event.clipboardData.files;
    if (file) attempt(() => openFile(file));
  });
  $('opacity').addEventListener('input', () => {
    view.opacity = $('opacity').value / 100;
    $('percent').textContent = `${$('opacity').value} %`;
    view.draw();
  });
  $('size').addEventListener('change', () => attempt(again));
  for (const input of document.getElementsByName('engine')) {
    input.addEventListener('change', () => attempt(() => startEngine(input.value)));
  }
  $('save-labels').addEventListener('click', async () => {
    save(await labelPng(view.labels, view.height, view.width, site.colors), `${name}-labels.png`);
  });
  $('save-overlay').addEventListener('click', async () => save(await view.flat(), `${name}-overlay.png`));
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
  turn++;
  ready = engine.start(kind);
  try {
    await ready;
  } catch (error) {
    if (kind !== 'webgpu') throw error;
    const [webgpu, wasm] = document.getElementsByName('engine');
    webgpu.disabled = wasm.checked = true;
    $('why').textContent = `WebGPU failed: ${error.message}`;
    return startEngine('wasm');
  }
  tellThreads();
  state('ready', 'Ready.');
  attempt(again); // of a video there is no end to wait for
  return undefined;
}

/** After a failure: a runtime that ran out of memory answers no more. */
function restart() {
  ready = engine.start(engine.kind);
  ready.catch(() => {}); // whoever waits for it is told
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

async function openFile(file) {
  const stem = file.name.replace(/\.[^.]*$/, '') || 'picture';
  if (live.open) begin(stem); // else its next frame would hide what is said of the file
  if (file.type.startsWith('video/')) {
    const mine = begin(stem);
    await live.openFile(file);
    return follow(mine);
  }
  if (file.type && !file.type.startsWith('image/')) throw new Error(`${file.name} is neither a picture nor a video`);
  return openPicture(file, stem, file.name);
}

async function openSample(sample) {
  return openPicture(await (await fetch(sample.file)).blob(), sample.name.replace(/\.[^.]*$/, ''), sample.name);
}

async function openPicture(blob, stem, called) {
  const bitmap = await decode(blob).catch(() => {
    throw new Error(`${called} cannot be read as a picture; try JPEG, PNG or WebP`);
  });
  begin(stem);
  still = bitmap;
  for (const button of $('samples').children) button.setAttribute('aria-pressed', String(button.title === called));
  return again();
}

async function openCamera() {
  if (!navigator.mediaDevices) throw new Error('The camera needs a page from https:// or localhost');
  const mine = begin('camera');
  try {
    await live.openCamera(facing);
  } catch (error) {
    live.close();
    const told = { NotAllowedError: 'The camera was not allowed', NotFoundError: 'There is no camera here' };
    throw new Error(told[error.name] ?? `The camera cannot be used: ${error.message}`);
  }
  return follow(mine);
}

function stopCamera() {
  turn++;
  live.close();
  liveControls();
  state('ready', 'The camera is off.');
}

/** Forget what was open. */
function begin(stem) {
  live.close();
  still?.close();
  still = null;
  name = stem;
  pace = 0;
  smooth = null;
  for (const button of $('samples').children) button.setAttribute('aria-pressed', 'false');
  liveControls();
  return ++turn;
}

function liveControls() {
  const camera = live.open && live.camera;
  $('player').hidden = !live.open || live.camera;
  $('turn').hidden = !camera;
  $('camera').textContent = camera ? 'Stop the camera' : 'Use the camera';
}

/** Look at the picture that is open once more: it, the size or the engine has changed. */
async function again() {
  if (live.open) return follow(++turn);
  if (!still) return undefined;
  const mine = ++turn;
  await settled();
  if (mine !== turn) return undefined;
  state('working', 'Looking …');
  const first = await look(still, mine);
  // The first time is that of a code not yet compiled: what it takes from then on is what a person wants to know.
  for (let more = 0; first && first.ms.frame < AGAIN && more < 3 && mine === turn; more++) {
    const answer = await engine.run(still, ...first.shown);
    if (mine === turn) showTime(answer.ms);
  }
  return undefined;
}

/** The engine is there, and nothing is under way in it. */
async function settled() {
  await ready;
  while (engine.busy) await engine.idle();
}

/** Frame after frame, always the newest one. */
async function follow(mine) {
  liveControls();
  await settled();
  let last = 0;
  while (mine === turn && live.open) {
    const bitmap = await live.frame();
    if (!bitmap) {
      await live.next();
      continue;
    }
    const seen = await look(bitmap, mine);
    bitmap.close();
    if (!seen) break;
    const now = performance.now();
    if (last) pace = pace ? 0.8 * pace + 0.2 * (now - last) : now - last;
    last = now;
    tellClock();
    await live.next();
  }
}

async function look(bitmap, mine) {
  const chosen = $('size').value;
  const longest = chosen === 'auto' ? FITTING[live.open ? 'live' : 'picture'] : Number(chosen);
  const answer = await engine.run(bitmap, ...shownSize(bitmap.height, bitmap.width, longest)).catch((error) => {
    if (error.message !== 'stopped') restart();
    throw error;
  });
  if (mine !== turn) return null;
  show(bitmap, answer);
  return answer;
}

function show(bitmap, { labels, height, width, shown, ms }) {
  $('view').classList.add('used');
  view.show(bitmap, labels);
  legend.show(labels, live.open);
  showTime(ms);
  const seen = shown[0] === height && shown[1] === width ? 'as it is' : `as ${shown[1]} × ${shown[0]}`;
  $('overlay').setAttribute('aria-label', `${name}: ${legend.text()}`);
  $('save-labels').disabled = $('save-overlay').disabled = false;
  state('done', `${name} · ${width} × ${height}, seen ${seen}`);
}

function showTime(now) {
  const ms = live.open && smooth ? smooth : now;
  for (const part of Object.keys(ms)) ms[part] = 0.8 * ms[part] + 0.2 * now[part];
  smooth = ms; // of a video: figures that flicker cannot be read
  $('frame').textContent = brief(ms.frame);
  $('rate').textContent = rate(live.open && pace ? pace : ms.frame);
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
