"""The steps from weights to a file with 8 bits, calibrated here or trained so."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from torch import Tensor

from swath.data import Source
from swath.deploy import export
from swath.errors import SwathError
from swath.evaluation import ConfusionMatrix, evaluate
from swath.inference import Segmenter
from swath.inference.description import Description
from swath.networks import Network, create_model
from swath.quantise.engines import files
from swath.quantise.engines.graph import Quantised
from swath.quantise.engines.makers import Engine, quantised
from swath.quantise.engines.outcome import Outcome, Settings
from swath.quantise.engines.pictures import Calibration, Part, spread
from swath.quantise.engines.processor import WeightRange
from swath.quantise.engines.search import Search, search
from swath.quantise.engines.sensitivity import Sensitivity, sensitivities
from swath.quantise.engines.timing import Timing, timings
from swath.watching import Watch

_SENSITIVE = 4  # pictures on which each layer is tried alone


@dataclass(frozen=True)
class Work:
    """What the steps share."""

    network: Network
    train: Source
    val: Source
    engine: Engine
    settings: Settings
    weights: WeightRange
    folder: Path
    watch: Watch

    def calibrated(self) -> tuple[Outcome, Path]:
        """Ranges from pictures, and the worst layers back to float."""
        self.watch("exporting the network in float")
        plain = self.folder / "float.onnx"
        export(self.network, plain, "onnx")
        segmenter = self._opened(plain)
        chosen = Calibration(self.train, segmenter, self.settings.pictures, self.settings.seed)
        for done in chosen.check():
            self.watch("reading pictures to calibrate with", done, len(chosen))
        self.watch(f"calibrating by {self.engine.title}")
        whole = quantised(self.engine, self.network, plain, chosen, self.weights.reduced, self.folder)
        graph = Quantised(whole, files.read(plain))
        order = self._by_sensitivity(graph, chosen)
        tried = Part(self.val, spread(len(self.val), self.settings.subset))
        before, near = (self._miou(segmenter, each, "in float") for each in (self.val, tried))

        def file(count: int) -> Path:
            path = self.folder / f"{count}.onnx"
            if not path.exists():
                kept = graph.with_float([each.layer.node for each in order[:count]])
                files.write(kept, segmenter.description, path)
            return path

        def loss(count: int, source: Source, reference: float) -> float:
            what = f"{count} of {len(order)} layers in float"
            return 100 * (reference - self._miou(self._opened(file(count)), source, what))

        found = search(
            lambda count: loss(count, tried, near),
            lambda count: loss(count, self.val, before),
            len(order) // 2,
            self.settings.budget,
        )
        after = before - found.loss / 100
        pixels = chosen[0]
        notes = {
            "engine": self.engine.name,
            "miou lost": found.loss / 100,
            "in float": [each.layer.name for each in order[: found.kept]],
        }
        path = self._finished(file(found.kept), segmenter.description, notes, after)
        outcome = self._outcome(
            calibrated=chosen.names,
            constant=chosen.constant,
            subset=[tried.name(index) for index in range(len(tried))],
            layers=order,
            found=found,
            before=before,
            after=after,
            size=files.size(path),
            plain_size=self._plain_size(plain, segmenter.description),
            timings=self._timed(plain, file(found.kept), pixels),
            timed=(int(pixels.shape[1]), int(pixels.shape[2])),
        )
        return outcome, path

    def trained(self) -> tuple[Outcome, Path]:
        """Weights that were trained with 8 bits: exported, scored, timed."""
        self.watch("exporting the network as it was trained")
        source = self.folder / "trained.onnx"
        export(self.network, source, "onnx")
        before = self._miou(
            Segmenter(self.network, optimise=False, views=self.settings.views), self.val, "as trained, in torch"
        )
        segmenter = self._opened(source)
        after = self._miou(segmenter, self.val, f"in {segmenter.runtime.engine}")
        lost = 100 * (before - after)
        found = Search(self.settings.budget, 0, lost <= self.settings.budget, checked={0: lost})
        self.watch("exporting the same network in float, to compare")
        plain = self.folder / "float.onnx"
        export(create_model(self.network.name, **self.network.arguments).drop_aux().eval(), plain, "onnx")
        pixels = Calibration(self.val, segmenter, 1, self.settings.seed)[0]
        notes = {"engine": self.engine.name, "miou lost": lost / 100, "in float": []}
        path = self._finished(source, segmenter.description, notes, after)
        outcome = self._outcome(
            calibrated=[],
            constant=[],
            subset=[],
            layers=[],
            found=found,
            before=before,
            after=after,
            size=files.size(path),
            plain_size=self._plain_size(plain, segmenter.description),
            timings=self._timed(plain, source, pixels),
            timed=(int(pixels.shape[1]), int(pixels.shape[2])),
        )
        return outcome, path

    def _by_sensitivity(self, graph: Quantised, pictures: Calibration) -> list[Sensitivity]:
        """Every layer, the one that harms the answer most first."""
        some = [pictures[place] for place in spread(len(pictures), _SENSITIVE)]
        found = []
        for each in sensitivities(graph, some):
            found.append(each)
            self.watch("trying each layer alone in 8 bits", len(found), len(graph.layers))
        return sorted(found, key=lambda each: each.logits)

    def _opened(self, path: Path) -> Segmenter:
        """A .onnx file in the engine that will run what comes of it."""
        runtime = "openvino" if self.engine.ending == ".xml" else "onnxruntime"
        return Segmenter(path, engine=runtime, views=self.settings.views)

    def _miou(self, segmenter: Segmenter, source: Source, what: str) -> float:
        def watch(done: int, total: int, _: ConfusionMatrix) -> None:
            self.watch(f"scoring {what}", done, total)

        miou = evaluate(segmenter, source, watch=watch).miou
        if miou is None:
            raise SwathError(f"{source.card.name}: no pixel of the validation split is of any class; nothing to score")
        return miou

    def _timed(self, plain: Path, quantised: Path, pixels: Tensor) -> list[Timing]:
        found: list[Timing] = []
        for done, total in timings({"fp32": plain, "int8": quantised}, pixels, found):
            self.watch("timing float and int8 in turns", done, total)
        return found

    def _finished(self, source: Path, description: Description, notes: dict[str, Any], miou: float) -> Path:
        """The model in the engine's own form, which says what was done to it."""
        meta = description.meta
        score = {"miou": miou, "pictures": len(self.val)}
        meta = replace(meta, quantised=meta.quantised or "int8", score=score, notes={**meta.notes, "int8": notes})
        path = self.folder / f"finished{self.engine.ending}"
        self._converted(source, replace(description, meta=meta), path)
        return path

    def _converted(self, source: Path, description: Description, path: Path) -> None:
        if path.suffix == ".xml":
            files.write_openvino(source, description, path)
        else:
            files.write(files.read(source), description, path)

    def _plain_size(self, plain: Path, description: Description) -> int:
        """Bytes of the network in float, in the form of the engine."""
        path = self.folder / f"plain{self.engine.ending}"
        self._converted(plain, description, path)
        return files.size(path)

    def _outcome(self, **found: Any) -> Outcome:
        return Outcome(
            network=self.network.name,
            engine=self.engine,
            settings=self.settings,
            trained=self.network.quantised,
            weights=self.weights,
            pictures=len(self.val),
            written=False,
            **found,
        )
