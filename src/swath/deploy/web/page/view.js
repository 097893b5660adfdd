// The picture and, above it, the labels in the colours of their classes; borders between classes stand out.

export class View {
  constructor(picture, overlay, colors) {
    this.picture = picture;
    this.overlay = overlay;
    this.colors = colors;
    this.opacity = 0.5;
    this.only = -1; // a class to show alone
    this.labels = null;
    this.height = this.width = 0;
  }

  show(bitmap, labels) {
    const { height, width } = bitmap;
    for (const canvas of [this.picture, this.overlay]) {
      if (canvas.width === width && canvas.height === height) continue;
      Object.assign(canvas, { width, height });
      canvas.parentElement.style.setProperty('--ratio', width / height);
    }
    Object.assign(this, { labels, height, width });
    this.picture.getContext('2d').drawImage(bitmap, 0, 0);
    this.draw();
  }

  draw() {
    if (!this.labels) return;
    const { labels, height, width } = this;
    const image = new ImageData(width, height);
    const out = new Uint32Array(image.data.buffer);
    const inside = this.#tints(this.opacity);
    const border = this.#tints(this.opacity && Math.max(this.opacity, 0.75));
    const reach = Math.floor(Math.max(height, width) / 1500) + 1; // seen at any size
    for (let y = 0, i = 0; y < height; y++) {
      const up = y < reach ? 0 : -reach * width;
      const down = y + reach < height ? reach * width : 0;
      for (let x = 0; x < width; x++, i++) {
        const n = labels[i];
        const left = x < reach ? i : i - reach;
        const right = x + reach < width ? i + reach : i;
        const same = labels[left] === n && labels[right] === n && labels[i + up] === n && labels[i + down] === n;
        out[i] = same ? inside[n] : border[n];
      }
    }
    this.overlay.getContext('2d').putImageData(image, 0, 0);
  }

  /** Little-endian RGBA of each class. */
  #tints(opacity) {
    return Uint32Array.from({ length: 256 }, (_, n) => {
      const [r, g, b] = this.colors[n] ?? [0, 0, 0];
      const shown = this.only < 0 || this.only === n;
      const alpha = Math.round(255 * (shown ? (this.only === n ? Math.max(opacity, 0.7) : opacity) : 0));
      return ((alpha << 24) | (b << 16) | (g << 8) | r) >>> 0;
    });
  }

  /** The class under a point of the window, or -1. */
  classAt(clientX, clientY) {
    if (!this.labels) return -1;
    const box = this.overlay.getBoundingClientRect();
    const x = Math.floor(((clientX - box.left) / box.width) * this.width);
    const y = Math.floor(((clientY - box.top) / box.height) * this.height);
    return x < 0 || y < 0 || x >= this.width || y >= this.height ? -1 : this.labels[y * this.width + x];
  }

  /** Picture and labels in one, as a PNG. */
  flat() {
    const canvas = new OffscreenCanvas(this.width, this.height);
    const context = canvas.getContext('2d');
    context.drawImage(this.picture, 0, 0);
    context.drawImage(this.overlay, 0, 0);
    return canvas.convertToBlob({ type: 'image/png' });
  }
}
