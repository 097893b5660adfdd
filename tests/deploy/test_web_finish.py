"""The page's own finish, run by node: the labels of Python, from the same logits."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from swath.finish import reference_labels
from swath.inference.blend import Axis

PAGE = Path(__file__).parents[2] / "src" / "swath" / "deploy" / "web" / "page"
pytestmark = pytest.mark.skipif(shutil.which("node") is None, reason="node is not installed")


def node(script: str, folder: Path, cases: object) -> list[object]:
    (folder / "in.json").write_text(json.dumps({"cases": cases}))
    (folder / "run.mjs").write_text(
        f"import {{ axis, labels }} from {json.dumps((PAGE / 'finish.js').as_uri())};\n"
        "import { readFileSync } from 'node:fs';\n"
        f"const {{ cases }} = JSON.parse(readFileSync({json.dumps(str(folder / 'in.json'))}));\n{script}"
    )
    done = subprocess.run(["node", str(folder / "run.mjs")], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return list(json.loads(done.stdout))


EACH = """
console.log(JSON.stringify(cases.map(({ z, shape: [c, h, w], size: [H, W], corners }) => {
  const logits = Float32Array.from(z, (v) => v === "nan" ? NaN : v === "inf" ? Infinity : v === "-inf" ? -Infinity : v);
  const all = labels(logits, c, h, w, axis(h, H, H, H, corners), axis(w, W, W, W, corners));
  return Array.from(all);
})));
"""


def test_the_finish_in_javascript_is_that_of_python(tmp_path: Path) -> None:
    draw = np.random.default_rng(0)
    cases, logits = [], []
    shapes = [(3, 5, 7), (19, 9, 12), (1, 4, 4), (256, 3, 3), (5, 1, 1), (4, 1, 9)]
    for shape in shapes:
        for size in ((1, 1), (shape[1] * 8, shape[2] * 8), (41, 67), (shape[1], shape[2]), (3, 100)):
            for corners in (False, True):
                # Whole numbers make many ties at the corners themselves.
                z = draw.normal(size=shape) if corners else draw.integers(-3, 4, shape)
                logits.append(torch.tensor(z, dtype=torch.float32)[None])
                values = logits[-1].flatten().tolist()
                cases.append({"z": values, "shape": shape, "size": size, "corners": corners})
    for case, z, found in zip(cases, logits, node(EACH, tmp_path, cases)):
        given = torch.tensor(found).reshape(case["size"])  # type: ignore[call-overload]
        full = F.interpolate(z, size=case["size"], mode="bilinear", align_corners=bool(case["corners"]))[0]  # type: ignore[arg-type]
        expected = reference_labels(z, case["size"], bool(case["corners"]))[0].long()  # type: ignore[arg-type]
        behind = full.gather(0, expected[None]) - full.gather(0, given[None])
        assert float(behind.max()) <= 1e-5, case["size"]
    # Where nothing is rounded (halves of whole numbers), ties too are those of Python: the lowest class wins.
    z = torch.from_numpy(draw.integers(-2, 3, (6, 8, 8))).float()
    exact = {"z": z.flatten().tolist(), "shape": (6, 8, 8), "size": (16, 16), "corners": False}
    (found,) = node(EACH, tmp_path, [exact])
    assert torch.equal(torch.tensor(found).reshape(16, 16), reference_labels(z[None], (16, 16))[0].long())


def test_what_is_not_finite_counts_as_in_python(tmp_path: Path) -> None:
    z = torch.randn(4, 6, 6)
    z[0, 1, 1], z[1, 2, 3], z[2, 4, 4], z[3, 0, 0] = float("nan"), float("inf"), float("-inf"), 3e38
    names = {"nan": "nan", "inf": "inf", "-inf": "-inf"}
    values = [names.get(str(v), v) for v in z.flatten().tolist()]
    (found,) = node(EACH, tmp_path, [{"z": values, "shape": z.shape, "size": (48, 48), "corners": False}])
    assert torch.equal(torch.tensor(found).reshape(48, 48), reference_labels(z[None], (48, 48))[0].long())


def test_places_of_resized_and_padded_pictures_are_those_of_views(tmp_path: Path) -> None:
    """What the network saw smaller is answered at the picture's own size, as Segmenter's views are."""
    cases = [[9, 72, 67, 133, 0], [9, 65, 65, 130, 1], [12, 96, 90, 90, 1], [5, 40, 33, 100, 0], [1, 8, 3, 7, 1]]
    script = """console.log(JSON.stringify(cases.map(([l, padded, shown, pixels, corners]) => {
      const { start, fraction } = axis(l, padded, shown, pixels, Boolean(corners));
      return Array.from(fraction, (f, x) => {
        const cell = start.findLastIndex((first) => first <= x);
        return Math.min(Math.max(cell - 1 + f, 0), l - 1);
      });
    })));"""
    for (count, padded, shown, pixels, corners), found in zip(cases, node(script, tmp_path, cases)):
        axis = Axis.of(pixels, logits=count, shown=shown, padded=padded, align_corners=bool(corners))
        assert np.allclose(found, (axis.below + axis.fraction).numpy(), atol=2e-5)  # type: ignore[arg-type]
