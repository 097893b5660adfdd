// Logits at the network's stride -> the class of every pixel, as swath.finish does it in Python: cell by cell, in
// float32, the lowest of equal classes.
//
// Bilinear values between four neighbouring logits are convex mixes of them. Where one class is the largest at all four,
// it is the largest everywhere between; only cells on borders between classes need arithmetic, and there a class that
// another one exceeds at all four corners cannot win.

const LIMIT = 2 ** 126; // corners of this size cannot overflow between each other
const f32 = Math.fround;

/**
 * Where the pixels of a row (or column) lie between its logits. Cell k lies between logits k - 1 and k; the first and the
 * last, beyond the edge, between two copies of the edge. `start[k]` is the first pixel of cell k, `fraction` how far each
 * pixel is from its cell's first end.
 *
 * The network saw `shown` pixels, padded to `padded`; its answer is wanted at `pixels`.
 */
export function axis(logits, padded, shown, pixels, alignCorners) {
  const start = new Int32Array(logits + 2);
  const fraction = new Float32Array(pixels);
  const scale = f32(alignCorners ? (padded > 1 ? (logits - 1) / (padded - 1) : 0) : logits / padded);
  const resized = f32(shown / pixels);
  let next = 0;
  for (let pixel = 0; pixel < pixels; pixel++) {
    const at = pixels === shown ? pixel : f32(f32(f32(pixel + 0.5) * resized) - 0.5);
    const source = alignCorners ? f32(at * scale) : f32(f32(f32(at + 0.5) * scale) - 0.5);
    const below = Math.floor(source);
    fraction[pixel] = source - below;
    const cell = Math.min(below + 1, logits);
    while (next <= cell) start[next++] = pixel;
  }
  start.fill(pixels, next);
  return { start, fraction };
}

/** The class of every pixel. `z` holds classes x h x w logits; `rows` and `columns` are axes of h and w logits. */
export function labels(z, classes, h, w, rows, columns) {
  const width = columns.fraction.length;
  const height = rows.fraction.length;
  const out = new Uint8Array(height * width);
  const line = new Uint8Array(width);
  const best = bestClass(makeFinite(z), classes, h * w);
  const cell = new Cell(z, classes, h * w);
  for (let k = 0; k <= h; k++) {
    const top = rows.start[k];
    const bottom = rows.start[k + 1];
    if (top === bottom) continue;
    const above = Math.max(k - 1, 0) * w;
    const under = Math.min(k, h - 1) * w;
    for (let j = 0; j <= w; j++) line.fill(best[above + Math.max(j - 1, 0)], columns.start[j], columns.start[j + 1]);
    for (let y = top; y < bottom; y++) out.set(line, y * width);
    for (let j = 0; j <= w; j++) {
      const left = columns.start[j];
      const right = columns.start[j + 1];
      if (left === right) continue;
      const west = Math.max(j - 1, 0);
      const east = Math.min(j, w - 1);
      const a = best[above + west];
      const b = best[above + east];
      const c = best[under + west];
      const d = best[under + east];
      if (a === b && a === c && a === d) continue;
      cell.read(above + west, above + east, under + west, under + east, [a, b, c, d]);
      cell.fill(out, width, top, bottom, left, right, rows.fraction, columns.fraction);
    }
  }
  return out;
}

/** Not a number becomes the least value, what is larger than 2^126 becomes it: then no product is 0 * infinity. */
function makeFinite(z) {
  for (let i = 0; i < z.length; i++) {
    const v = z[i];
    if (!(v > -LIMIT)) z[i] = -LIMIT;
    else if (v > LIMIT) z[i] = LIMIT;
  }
  return z;
}

function bestClass(z, classes, count) {
  const best = new Uint8Array(count);
  const most = z.slice(0, count);
  for (let c = 1; c < classes; c++) {
    const plane = c * count;
    for (let i = 0; i < count; i++) {
      const v = z[plane + i];
      if (v > most[i]) {
        most[i] = v;
        best[i] = c;
      }
    }
  }
  return best;
}

/** One cell on a border between classes: its four corners, and the classes that can win inside it. */
class Cell {
  constructor(z, classes, count) {
    this.z = z;
    this.classes = classes;
    this.count = count;
    this.corners = [0, 1, 2, 3].map(() => new Float32Array(classes));
    this.chosen = new Uint8Array(classes);
    this.found = 0;
    this.left = new Float32Array(classes);
    this.right = new Float32Array(classes);
  }

  read(p, q, r, s, winners) {
    const [a, b, c, d] = this.corners;
    for (let i = 0, plane = 0; i < this.classes; i++, plane += this.count) {
      a[i] = this.z[plane + p];
      b[i] = this.z[plane + q];
      c[i] = this.z[plane + r];
      d[i] = this.z[plane + s];
    }
    this.found = 0;
    for (let i = 0; i < this.classes; i++) {
      let beaten = false;
      for (let at = 0; at < 4 && !beaten; at++) {
        const n = winners[at];
        beaten = a[i] < a[n] && b[i] < b[n] && c[i] < c[n] && d[i] < d[n];
      }
      if (!beaten) this.chosen[this.found++] = i;
    }
  }

  fill(out, width, top, bottom, from, to, rowFraction, columnFraction) {
    const { chosen, found, left, right } = this;
    const [a, b, c, d] = this.corners;
    for (let y = top; y < bottom; y++) {
      const f = rowFraction[y];
      const g = f32(1 - f);
      for (let i = 0; i < found; i++) {
        const n = chosen[i];
        left[i] = f32(a[n] * g) + f32(c[n] * f);
        right[i] = f32(b[n] * g) + f32(d[n] * f);
      }
      for (let x = from; x < to; x++) {
        const u = columnFraction[x];
        const v = f32(1 - u);
        let best = chosen[0];
        let most = f32(f32(left[0] * v) + f32(right[0] * u));
        for (let i = 1; i < found; i++) {
          const value = f32(f32(left[i] * v) + f32(right[i] * u));
          if (value > most) {
            most = value;
            best = chosen[i];
          }
        }
        out[y * width + x] = best;
      }
    }
  }
}
