// The worker as the page sees it: started with what the browser can, restarted with less where that fails.

export class Engine {
  constructor(site, onProgress) {
    this.site = site;
    this.onProgress = onProgress;
    this.worker = null;
    this.kind = '';
    this.threads = 1;
    this.waiting = null;
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
        if (threads === tries.at(-1)) throw error;
      }
    }
  }

  async #start(kind, threads) {
    this.stop();
    this.kind = kind;
    this.threads = threads;
    this.worker = new Worker('./worker.js', { type: 'module' });
    await this.#ask({ kind: 'start', engine: kind, threads, about: this.site });
  }

  stop() {
    this.worker?.terminate();
    this.worker = null;
    this.#end()?.reject(new Error('stopped'));
  }

  get busy() {
    return this.waiting !== null;
  }

  /** Resolves when what is under way has ended, well or not. */
  idle() {
    return new Promise((resolve) => this.waiting.ended.push(resolve));
  }

  /** {labels, height, width, shown, ms} of a picture that the network sees at `height` x `width`. */
  run(bitmap, height, width) {
    return this.#ask({ kind: 'run', bitmap, height, width }); // not transferred: the page draws it too
  }

  #end() {
    const ended = this.waiting;
    this.waiting = null;
    ended?.ended.forEach((resolve) => resolve());
    return ended;
  }

  #ask(message) {
    return new Promise((resolve, reject) => {
      this.waiting = { reject, ended: [] };
      this.worker.onmessage = ({ data }) => {
        if (data.kind === 'progress') {
          this.onProgress(data.share);
          return;
        }
        this.#end();
        if (data.kind === 'failed') reject(new Error(data.message));
        else resolve(data);
      };
      this.worker.onerror = (event) => {
        this.#end();
        reject(new Error(event.message || 'The worker could not be started'));
      };
      this.worker.postMessage(message);
    });
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
