// Where the network runs: pixels in, labels out, beside the page so that the page stays quick.

import { axis, labels } from './finish.js';

const RUNTIME = {
  wasm: { script: './ort.wasm.bundle.min.mjs', binary: 'ort-wasm-simd-threaded.wasm' },
  webgpu: { script: './ort.webgpu.bundle.min.mjs', binary: 'ort-wasm-simd-threaded.asyncify.wasm' },
};

let ort = null;
let session = null;
let site = null;
let canvas = null;
let last = Promise.resolve();

// One after the other: a session answers one question at a time.
self.onmessage = ({ data }) => {
  last = last.then(() => obey(data));
};

async function obey(data) {
  try {
    if (data.kind === 'start') await start(data);
    else await answer(data);
  } catch (error) {
    self.postMessage({ kind: 'failed', number: data.number, message: String(error?.message ?? error) });
  }
}

async function start({ number, engine, threads, about }) {
  site = about;
  const { script, binary } = RUNTIME[engine];
  const progress = counter([binary, 'model.onnx']);
  const [wasm, model] = await Promise.all([download(binary, progress), download('model.onnx', progress)]);
  ort = await import(script);
  ort.env.logLevel = 'error';
  ort.env.wasm.wasmPaths = new URL('./', import.meta.url).href;
  ort.env.wasm.wasmBinary = wasm;
  ort.env.wasm.numThreads = threads;
  session = await ort.InferenceSession.create(model, { executionProviders: [engine], logSeverityLevel: 3 });
  canvas = new OffscreenCanvas(1, 1);
  self.postMessage({ kind: 'ready', number });
}

/** Tells the page how much of some files has come, as a share of what they hold. */
function counter(names) {
  const whole = names.reduce((sum, name) => sum + site.files[name], 0);
  let have = 0;
  return (bytes) => self.postMessage({ kind: 'progress', share: (have += bytes) / whole });
}

async function download(name, progress) {
  const response = await fetch(new URL(name, import.meta.url));
  if (!response.ok) throw new Error(`${name} cannot be had (${response.status}); is the folder complete?`);
  const bytes = new Uint8Array(site.files[name]);
  const reader = response.body.getReader();
  let at = 0;
  for (;;) {
    const { done, value } = await reader.read();
    if (done) break;
    if (at + value.length > bytes.length) throw new Error(`${name} is larger than it should be; reload the page`);
    bytes.set(value, at);
    at += value.length;
    progress(value.length);
  }
  if (at !== bytes.length) throw new Error(`${name} was cut short; reload the page`);
  return bytes;
}

/** One picture. The network sees it at `height` x `width`; the labels have the picture's own size. */
async function answer({ number, bitmap, height, width }) {
  const begin = performance.now();
  const size = { height: bitmap.height, width: bitmap.width };
  const tall = padded(height, site.min_size[0]);
  const wide = padded(width, site.min_size[1]);
  const pixels = padPixels(read(bitmap, height, width), height, width, tall, wide);
  bitmap.close();
  const input = new ort.Tensor('uint8', pixels, [1, tall, wide, 3]);
  const before = performance.now();
  const { logits } = await session.run({ image: input });
  const between = performance.now();
  const [, classes, h, w] = logits.dims;
  const rows = axis(h, tall, height, size.height, site.align_corners);
  const columns = axis(w, wide, width, size.width, site.align_corners);
  const found = labels(logits.data, classes, h, w, rows, columns);
  logits.dispose();
  const end = performance.now();
  const ms = { pixels: before - begin, network: between - before, finish: end - between, frame: end - begin };
  self.postMessage({ kind: 'answer', number, labels: found, ...size, shown: [height, width], ms }, [found.buffer]);
}

function padded(side, least) {
  return Math.ceil(Math.max(side, least) / site.multiple) * site.multiple;
}

function read(bitmap, height, width) {
  canvas.width = width;
  canvas.height = height;
  const context = canvas.getContext('2d', { willReadFrequently: true });
  context.imageSmoothingQuality = 'high';
  context.drawImage(bitmap, 0, 0, width, height);
  return context.getImageData(0, 0, width, height).data;
}

/** RGBA to RGB, with the last column and row repeated where the network needs more. */
function padPixels(rgba, height, width, tall, wide) {
  const out = new Uint8Array(tall * wide * 3);
  for (let y = 0, to = 0; y < tall; y++) {
    const line = Math.min(y, height - 1) * width;
    for (let x = 0; x < wide; x++) {
      const from = 4 * (line + Math.min(x, width - 1));
      out[to++] = rgba[from];
      out[to++] = rgba[from + 1];
      out[to++] = rgba[from + 2];
    }
  }
  return out;
}
