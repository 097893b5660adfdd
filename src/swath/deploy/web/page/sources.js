// Where pictures come from: files, the clipboard, samples; and where frames come from: videos and the camera.

/** A picture's pixels as Python reads them: upright as its EXIF says, its colour profile not applied. */
export function decode(blob) {
  return createImageBitmap(blob, {
    imageOrientation: 'from-image',
    colorSpaceConversion: 'none',
    premultiplyAlpha: 'none',
  });
}

/** A <video> that hands over its newest frame whenever it is asked for, and nothing in between. */
export class Live {
  constructor(video) {
    this.video = video;
    this.url = '';
    this.camera = false;
  }

  async openFile(file) {
    this.close();
    this.camera = false;
    this.url = URL.createObjectURL(file);
    this.video.src = this.url;
    this.video.loop = true;
    await this.#play();
  }

  /** The camera behind a phone, or whichever there is; `facing` is "environment" or "user". */
  async openCamera(facing) {
    this.close();
    this.camera = true;
    this.video.srcObject = await navigator.mediaDevices.getUserMedia({
      video: { facingMode: { ideal: facing }, width: { ideal: 1280 }, height: { ideal: 720 } },
    });
    await this.#play();
  }

  async #play() {
    const { video } = this;
    await new Promise((resolve, reject) => {
      video.onloadeddata = resolve;
      video.onerror = () => reject(new Error('This browser cannot play that video; try MP4 (H.264) or WebM'));
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
      if (video.requestVideoFrameCallback && !video.paused) {
        video.requestVideoFrameCallback(resolve);
        video.addEventListener('pause', resolve, { once: true });
      } else {
        setTimeout(resolve, 60);
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
  }
}

/** The height and width at which the network sees a picture; `longest` 0 leaves it as it is. */
export function shownSize(height, width, longest) {
  const scale = longest ? Math.min(1, longest / Math.max(height, width)) : 1;
  return [height, width].map((side) => Math.max(1, Math.round(side * scale)));
}
