// Where pictures come from: files, the clipboard, samples; and where frames come from: videos and the camera.

/** A picture's pixels as Python reads them: upright as its EXIF says, its colour profile not applied. */
export function decode(blob) {
  return createImageBitmap(blob, {
    imageOrientation: 'from-image',
    colorSpaceConversion: 'none',
    premultiplyAlpha: 'none',
  });
}

/** A <video> that hands over its newest frame whenever it is asked for, and nothing in between. What is being opened
 *  when it is closed, or when something else is opened, ends with the error "stopped". */
export class Live {
  #turn = 0; // of what was opened or closed last
  #stop = () => {}; // ends the wait for a first frame

  constructor(video) {
    this.video = video;
    this.url = '';
    this.camera = false;
  }

  async openFile(file) {
    const mine = this.close();
    this.camera = false;
    this.url = URL.createObjectURL(file);
    this.video.src = this.url;
    this.video.loop = true;
    await this.#newest(mine, this.#play());
  }

  /** The camera behind a phone, or whichever there is; `facing` is "environment" or "user". */
  async openCamera(facing) {
    const mine = this.close();
    this.camera = true;
    const asked = navigator.mediaDevices.getUserMedia({
      video: { facingMode: { ideal: facing }, width: { ideal: 1280 }, height: { ideal: 720 } },
    });
    this.video.srcObject = await this.#newest(mine, asked);
    await this.#newest(mine, this.#play());
  }

  /** What a promise gives, if this is still the newest; a camera that was allowed too late goes off again. */
  async #newest(mine, promise) {
    const given = await promise.catch((error) => Promise.reject(mine === this.#turn ? error : new Error('stopped')));
    if (mine === this.#turn) return given;
    given?.getTracks().forEach((track) => track.stop());
    throw new Error('stopped');
  }

  async #play() {
    const { video } = this;
    await new Promise((resolve, reject) => {
      video.onloadeddata = resolve;
      video.onerror = () => reject(new Error('This browser cannot play that video; try MP4 (H.264) or WebM'));
      this.#stop = reject;
    });
    if (!video.videoWidth) throw new Error('There are no pictures in that video');
    await video.play();
  }

  get open() {
    return Boolean(this.url || this.video.srcObject);
  }

  /** The newest frame, or null where there is none just now: right after a start or a jump. */
  async frame() {
    if (this.video.readyState < HTMLMediaElement.HAVE_CURRENT_DATA) return null;
    try {
      return await createImageBitmap(this.video);
    } catch (error) {
      if (error.name === 'InvalidStateError') return null;
      throw error;
    }
  }

  /** Resolves when there may be another frame to look at. */
  next() {
    const { video } = this;
    return new Promise((resolve) => {
      if (!video.requestVideoFrameCallback || video.paused) {
        setTimeout(resolve, 60);
        return;
      }
      const over = new AbortController(); // or each frame would leave its listeners behind
      const asked = video.requestVideoFrameCallback(done);
      for (const event of ['pause', 'emptied']) video.addEventListener(event, done, { signal: over.signal });
      function done() {
        over.abort();
        video.cancelVideoFrameCallback(asked);
        resolve();
      }
    });
  }

  close() {
    this.video.onloadeddata = this.video.onerror = null;
    this.video.pause();
    this.video.srcObject?.getTracks().forEach((track) => track.stop());
    this.video.srcObject = null;
    this.video.removeAttribute('src');
    if (this.url) URL.revokeObjectURL(this.url);
    this.url = '';
    this.#stop(new Error('stopped'));
    return ++this.#turn;
  }
}

/** The height and width at which the network sees a picture: no side above `longest` (0: any), never enlarged; or with
 *  a shorter side of `short`, as the network learnt things, enlarged if need be. */
export function shownSize(height, width, longest, short = 0) {
  const most = longest ? longest / Math.max(height, width) : Infinity;
  const scale = Math.min(most, short ? short / Math.min(height, width) : 1);
  return [height, width].map((side) => Math.max(1, Math.round(side * scale)));
}
