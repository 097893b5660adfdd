// What is open, and the network's looks at it. Of openings as of looks the newest wins; older ones end without a word.

import { decode } from './sources.js';

const AGAIN = 1500; // ms, up to which a picture is looked at again to know the time it takes

export class Looking {
  /**
   * `page` is told what happens: begun(), opened(called), live(), shown(bitmap, answer), timed(ms), state(word, text);
   * and asked for size(bitmap), at which the network shall see it.
   */
  constructor(engine, live, page) {
    this.engine = engine;
    this.live = live;
    this.page = page;
    this.still = null; // the picture that is shown, as an ImageBitmap
    this.name = 'picture'; // of what is shown, for files to save
    this.opened = 0; // openings so far
    this.turn = 0; // looks so far
    this.ready = Promise.resolve(); // the engine's start
    this.pace = 0; // ms from one live frame to the next, smoothed
  }

  /** Another engine; resolves when it is there. */
  start(kind) {
    this.turn++;
    this.ready = this.engine.start(kind);
    return this.ready;
  }

  async openFile(file) {
    const stem = file.name.replace(/\.[^.]*$/, '') || 'picture';
    const mine = this.#take(stem);
    if (file.type.startsWith('video/')) {
      this.#begin(stem);
      await this.live.openFile(file).catch((error) => this.#failed(error));
      return this.#follow();
    }
    if (file.type && !file.type.startsWith('image/')) throw new Error(`${file.name} is neither a picture nor a video`);
    return this.#openPicture(mine, file, stem, file.name);
  }

  async openSample({ file, name }) {
    const stem = name.replace(/\.[^.]*$/, '');
    const mine = this.#take(stem);
    const blob = await this.#newest(mine, fetch(file).then((response) => response.blob()));
    return this.#openPicture(mine, blob, stem, name);
  }

  async #openPicture(mine, blob, stem, called) {
    const unreadable = new Error(`${called} cannot be read as a picture; try JPEG, PNG or WebP`);
    const bitmap = await this.#newest(mine, decode(blob).catch(() => Promise.reject(unreadable)));
    this.#begin(stem);
    this.still = bitmap;
    this.page.opened(called);
    return this.again();
  }

  async openCamera(facing) {
    if (!navigator.mediaDevices) throw new Error('The camera needs a page from https:// or localhost');
    this.#take('camera');
    this.#begin('camera');
    const told = { NotAllowedError: 'The camera was not allowed', NotFoundError: 'There is no camera here' };
    await this.live
      .openCamera(facing)
      .catch((error) => this.#failed(error, told[error.name] ?? `The camera cannot be used: ${error.message}`));
    return this.#follow();
  }

  stopCamera() {
    this.turn++;
    this.live.close();
    this.page.live();
    this.page.state('ready', 'The camera is off.');
  }

  /** What is open is looked at once more: it, the size or the engine has changed. */
  async again() {
    if (this.live.open) return this.#follow();
    if (!this.still) return undefined;
    const mine = ++this.turn;
    await this.#settled();
    if (mine !== this.turn) return undefined;
    this.page.state('working', 'Looking …');
    const first = await this.#look(this.still, mine);
    // The first time is that of a code not yet compiled: what it takes from then on is what a person wants to know.
    for (let more = 0; first && first.ms.frame < AGAIN && more < 3 && mine === this.turn; more++) {
      const answer = await this.#run(this.still, first.shown);
      if (mine === this.turn) this.page.timed(answer.ms);
    }
    return undefined;
  }

  /** Something is about to be opened. What moves ends at once, else its next frame would hide what is said of the new;
   *  a picture stays until there is another. */
  #take(stem) {
    if (this.live.open) this.#begin(stem);
    this.live.close(); // even if the camera is only being asked for
    return ++this.opened;
  }

  /** Forget what was open. */
  #begin(stem) {
    this.turn++;
    this.live.close();
    this.still?.close();
    this.still = null;
    this.name = stem;
    this.pace = 0;
    this.page.begun();
  }

  /** A video or the camera could not be opened: it is forgotten, if nobody else has opened something meanwhile. */
  #failed(error, told = error.message) {
    if (error.message === 'stopped') throw error;
    this.live.close();
    this.page.live();
    throw new Error(told);
  }

  /** What a promise gives to an opening, if no other has begun meanwhile. */
  async #newest(mine, promise) {
    const given = await promise.catch((error) => Promise.reject(mine === this.opened ? error : new Error('stopped')));
    if (mine === this.opened) return given;
    given.close?.();
    throw new Error('stopped');
  }

  /** The engine is there, and nothing is under way in it. */
  async #settled() {
    await this.ready;
    while (this.engine.busy) await this.engine.idle();
  }

  /** Frame after frame, always the newest one. */
  async #follow() {
    const mine = ++this.turn;
    this.page.live();
    await this.#settled();
    let last = 0;
    while (mine === this.turn && this.live.open) {
      const bitmap = await this.live.frame();
      if (bitmap) {
        try {
          if (mine !== this.turn || !(await this.#look(bitmap, mine))) return; // waiting for it took its time
        } finally {
          bitmap.close();
        }
        const now = performance.now();
        if (last) this.pace = this.pace ? 0.8 * this.pace + 0.2 * (now - last) : now - last;
        last = now;
      }
      await this.live.next();
    }
  }

  async #look(bitmap, mine) {
    const answer = await this.#run(bitmap, this.page.size(bitmap));
    if (mine !== this.turn) return null;
    this.page.shown(bitmap, answer);
    return answer;
  }

  /** After a failure the engine starts anew: a runtime that ran out of memory answers no more. */
  async #run(bitmap, [height, width]) {
    try {
      return await this.engine.run(bitmap, height, width);
    } catch (error) {
      if (error.message !== 'stopped') {
        this.ready = this.engine.start(this.engine.kind);
        this.ready.catch(() => {}); // whoever waits for it is told
      }
      throw error;
    }
  }
}
