// Classes with their shares of the picture, the largest first.

const SETTLED = 1000; // ms between two orders of a live legend: names that jump cannot be read

export class Legend {
  constructor(list, absent, classes, colors, onPick) {
    this.list = list;
    this.absent = absent;
    this.classes = classes;
    this.colors = colors;
    this.shares = null;
    this.ordered = 0;
    this.rows = classes.map((name, index) => this.#row(name, index, onPick));
  }

  #row(name, index, onPick) {
    const row = document.createElement('button');
    row.type = 'button';
    row.className = 'class';
    row.append(part('swatch'), part('name', name), part('share'), part('bar'));
    row.querySelector('.swatch').style.background = row.querySelector('.bar').style.background = css(this.colors[index]);
    for (const [event, on] of [['pointerenter', true], ['pointerleave', false], ['focus', true], ['blur', false]]) {
      row.addEventListener(event, () => onPick(on ? index : -1));
    }
    const item = document.createElement('li');
    item.append(row);
    return item;
  }

  show(labels, live) {
    const now = count(labels, this.classes.length);
    const old = this.shares;
    this.shares = live && old ? now.map((share, n) => 0.7 * old[n] + 0.3 * share) : now;
    if (!live || performance.now() - this.ordered > SETTLED || !this.list.childElementCount) this.#order();
    const largest = Math.max(...this.shares);
    this.rows.forEach((row, n) => {
      row.querySelector('.share').textContent = percent(this.shares[n]);
      row.querySelector('.bar').style.width = `${(100 * this.shares[n]) / largest}%`;
    });
  }

  #order() {
    this.ordered = performance.now();
    const order = this.classes.map((_, n) => n).sort((a, b) => this.shares[b] - this.shares[a] || a - b);
    const here = order.filter((n) => this.shares[n] >= 0.00005);
    const rows = here.map((n) => this.rows[n]);
    if (rows.some((row, at) => row !== this.list.children[at]) || rows.length !== this.list.childElementCount) {
      const focused = document.activeElement;
      this.list.replaceChildren(...rows);
      if (this.list.contains(focused)) focused.focus();
    }
    const gone = order.filter((n) => !here.includes(n)).map((n) => this.classes[n]);
    this.absent.textContent = gone.length ? `Not in the picture: ${gone.join(', ')}` : '';
  }

  /** In words, for those who cannot see the picture. */
  text() {
    const order = this.classes.map((_, n) => n).sort((a, b) => this.shares[b] - this.shares[a]);
    return order.slice(0, 4).map((n) => `${this.classes[n]} ${percent(this.shares[n])}`).join(', ');
  }

  mark(index) {
    this.rows.forEach((row, n) => row.firstChild.classList.toggle('marked', n === index));
  }
}

export const css = ([r, g, b]) => `rgb(${r} ${g} ${b})`;

function part(name, text = '') {
  const span = document.createElement('span');
  span.className = name;
  span.textContent = text;
  return span;
}

function count(labels, classes) {
  const counts = new Uint32Array(256);
  for (let i = 0; i < labels.length; i++) counts[labels[i]]++;
  return Array.from({ length: classes }, (_, n) => counts[n] / labels.length);
}

function percent(share) {
  return share < 0.00005 ? '0 %' : `${(100 * share).toFixed(share < 0.0995 ? 2 : 1)} %`;
}
