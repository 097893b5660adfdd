"""The page at /: what a service takes and gives, its classes, a form to try it. Nothing is loaded from elsewhere."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping, Sequence
from html import escape

from swath.report.style import STYLE
from swath.serve.formats import FORMATS
from swath.serve.limits import Limits

_OWN_STYLE = """
form { display: flex; flex-wrap: wrap; gap: 10px; align-items: center; }
input, select, button { font: inherit; color: inherit; background: var(--back); border: 1px solid var(--line);
  border-radius: 8px; padding: 6px 10px; }
button { background: var(--accent); border-color: var(--accent); color: #fff; cursor: pointer; }
button:disabled { opacity: .5; cursor: wait; }
pre { overflow: auto; max-height: 420px; background: var(--track); border-radius: 8px; padding: 12px; font-size: 13px; }
#answer img { max-width: 100%; border-radius: 8px; margin-top: 14px; display: block; }
#said { color: var(--soft); margin: 12px 0 0; }
ul.classes { list-style: none; margin: 0; padding: 0; display: flex; flex-wrap: wrap; gap: 8px 18px; }
ul.classes i { display: inline-block; width: 13px; height: 13px; border-radius: 4px; margin-right: 7px;
  vertical-align: -1px; border: 1px solid var(--line); }
"""

_SCRIPT = """
const form = document.querySelector('form'), said = document.querySelector('#said');
const answer = document.querySelector('#answer'), button = document.querySelector('button');
form.addEventListener('submit', async event => {
  event.preventDefault();
  const file = form.picture.files[0];
  if (!file) return;
  const headers = {'Content-Type': file.type || 'application/octet-stream'};
  if (form.token && form.token.value) headers.Authorization = 'Bearer ' + form.token.value;
  button.disabled = true;
  answer.replaceChildren();
  said.textContent = 'working';
  const began = performance.now();
  try {
    const reply = await fetch('segment?format=' + form.format.value, {method: 'POST', body: file, headers});
    const blob = await reply.blob();
    said.textContent = reply.status + ', ' + Math.round(performance.now() - began) + ' ms, ' + blob.size + ' bytes';
    if (blob.type.startsWith('image/')) {
      const image = new Image();
      image.alt = 'the answer';
      image.onload = () => URL.revokeObjectURL(image.src);
      image.src = URL.createObjectURL(blob);
      answer.append(image);
    } else {
      const text = document.createElement('pre');
      text.textContent = (await blob.text()).slice(0, 20000);
      answer.append(text);
    }
  } catch (error) { said.textContent = 'no answer: ' + error.message; }
  button.disabled = false;
});
"""


def help_page(
    facts: Mapping[str, str],
    names: Sequence[str],
    colors: Sequence[tuple[int, int, int]],
    limits: Limits,
    token: bool,
) -> tuple[str, str]:
    """The page, and the Content-Security-Policy that lets only its own style and script run."""
    swatches = "".join(f".c{number} {{ background: rgb{tuple(color)}; }}\n" for number, color in enumerate(colors))
    style = STYLE + _OWN_STYLE + swatches
    classes = "".join(f'<li><i class="c{n}"></i>{n} {escape(name)}</li>' for n, name in enumerate(names))
    formats = "".join(
        f"<tr><td><code>{name}</code></td><td>{escape(each.media)}</td><td>{escape(each.about)}</td></tr>"
        for name, each in FORMATS.items()
    )
    choices = "".join(f"<option{' selected' * (name == 'overlay')}>{name}</option>" for name in FORMATS)
    secret = '<input name="token" type="password" placeholder="token" autocomplete="off">' if token else ""
    curl = 'curl -H "Authorization: Bearer $TOKEN"' if token else "curl"
    body = f"""<main>
<header><h1>swath serve</h1><p>{escape(" · ".join(facts.values()))}</p></header>
<section><h2>Try it</h2><form><input name="picture" type="file" accept="image/*" required aria-label="picture">
<select name="format" aria-label="format">{choices}</select>{secret}<button>Segment</button></form>
<p id="said" role="status"></p><div id="answer"></div></section>
<section><h2>Classes</h2><ul class="classes">{classes}</ul></section>
<section><h2>Ask for it</h2><pre>
{curl} --data-binary @street.jpg -H "Content-Type: image/jpeg" -o labels.png HOST/segment
{curl} --data-binary @street.jpg -H "Content-Type: image/jpeg" "HOST/segment?format=rle"
{curl} -F picture=@a.jpg -F picture=@b.jpg "HOST/segment?format=shares"     several pictures: a JSON list</pre>
<div class="scroll"><table><thead><tr><th>format</th><th>Content-Type</th><th>what it is</th></tr></thead>
<tbody>{formats}</tbody></table></div>
<p class="defined">The format is chosen by <code>?format=</code> or the Accept header. Taken are JPEG, PNG, WebP,
BMP, TIFF, GIF and PPM of at most {limits.megabytes} MB and {limits.megapixels} megapixels; an answer comes within
{limits.timeout:g} seconds or not at all. A refusal is JSON with an <code>error</code>; 503 means: try again after
Retry-After seconds.
Also here: <code>/health</code>, <code>/classes</code>, <code>/metrics</code> (Prometheus).</p></section>
</main>"""
    page = (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1"><title>swath serve</title>'
        f"<style>{style}</style></head>\n<body>{body}<script>{_SCRIPT}</script></body></html>\n"
    )
    policy = (
        f"default-src 'none'; style-src {_hash(style)}; script-src {_hash(_SCRIPT)}; connect-src 'self'; "
        "img-src blob:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
    return page, policy


def _hash(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"
