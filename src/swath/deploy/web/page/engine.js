// The worker as the page sees it: started with what the browser can, restarted with less where that fails.

export class Engine {
  constructor(site, onProgress) {
    this.site = site;
    this.onProgress = onProgress;
    this.worker = null;
    this.kind = '';
    this.threads = 1;
    this.asked = 0; // questions so far; each has a number, and its answer bears the same
    this.open = new Map(); // number -> {resolve, reject} of questions without an answer yet
    this.waiting = []; // for none to be open
  }

  /** Start WebGPU or WASM. Where threads cannot be had although the browser promises them, one does. */
  async start(kind) {
    const most = self.crossOriginIsolated ? Math.min(navigator.hardwareConcurrency || 1, 8) : 1;
    const tries = kind === 'wasm' && most > 1 ? [most, 1] : [1];
    for (const threads of tries) {
      try {
        await this.#start(kind, threads);
        return;
      } catch (error) {
        if (error.message === 'stopped' || threads === tries.at(-1)) throw error; // stopped: by another start
      }
    }
  }

  async #start(kind, threads) {
    this.stop();
    this.kind = kind;
    this.threads = threads;
    const worker = new Worker('./worker.js', { type: 'module' });
    worker.onmessage = ({ data }) => this.#hear(data, worker);
    worker.onerror = (event) => {
      if (worker === this.worker) this.#fail(new Error(event.message || 'The worker could not be started'));
    };
    this.worker = worker;
    await this.#ask({ kind: 'start', engine: kind, threads, about: this.site });
  }

  stop() {
    this.worker?.terminate();
    this.worker = null;
    this.#fail(new Error('stopped'));
  }

  get busy() {
    return this.open.size > 0;
  }

  /** Resolves when all that is under way has ended, well or not. */
  idle() {
    return this.busy ? new Promise((resolve) => this.waiting.push(resolve)) : Promise.resolve();
  }

  /** {labels, height, width, shown, ms} of a picture that the network sees at `height` x `width`. */
  run(bitmap, height, width) {
    return this.#ask({ kind: 'run', bitmap, height, width }); // not transferred: the page draws it too
  }

  #ask(message) {
    return new Promise((resolve, reject) => {
      const number = ++this.asked;
      this.worker.postMessage({ ...message, number }); // of a picture that was closed: an error, and nothing is open
      this.open.set(number, { resolve, reject });
    });
  }

  #hear(data, worker) {
    if (data.kind === 'progress') {
      if (worker === this.worker) this.onProgress(data.share);
      return;
    }
    const asked = this.open.get(data.number);
    if (!asked) return; // of a worker that was stopped
    this.open.delete(data.number);
    if (data.kind === 'failed') asked.reject(new Error(data.message));
    else asked.resolve(data);
    this.#settle();
  }

  /** No answer will come to what is open. */
  #fail(error) {
    for (const { reject } of this.open.values()) reject(error);
    this.open.clear();
    this.#settle();
  }

  #settle() {
    if (!this.busy) for (const resolve of this.waiting.splice(0)) resolve();
  }
}

/** WebGPU in this browser, on this machine: "fast", "slow" (by a program, without a graphics processor) or null. */
export async function findWebGPU() {
  try {
    const adapter = await navigator.gpu?.requestAdapter();
    return adapter ? (adapter.info?.isFallbackAdapter || adapter.isFallbackAdapter ? 'slow' : 'fast') : null;
  } catch {
    return null;
  }
}
