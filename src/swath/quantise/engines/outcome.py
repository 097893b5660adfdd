"""What a person chooses when weights are quantised for an engine, and all that came of it."""

from __future__ import annotations

from dataclasses import dataclass, field

from swath.inference import Views
from swath.quantise.engines.makers import Engine
from swath.quantise.engines.processor import WeightRange
from swath.quantise.engines.search import Search
from swath.quantise.engines.sensitivity import Sensitivity
from swath.quantise.engines.timing import Timing


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What a person chose."""

    engine: str = "onnxruntime"
    budget: float = 0.5  # points of mIoU that may be lost
    pictures: int = 64  # to calibrate with
    subset: int = 32  # of the validation split, on which sets of layers are tried
    reduce_range: str = "auto"
    seed: int = 0
    views: Views = field(default_factory=Views)


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """All that was chosen and measured. Scores are mIoU on the whole validation split, as shares of 1."""

    network: str
    engine: Engine
    settings: Settings
    trained: str  # the scheme of weights that were trained with 8 bits; empty: calibrated here
    weights: WeightRange
    calibrated: list[str]  # names of pictures
    constant: list[str]  # those left out, which show nothing
    subset: list[str]  # those on which sets of layers were tried
    pictures: int  # that the scores are of
    layers: list[Sensitivity]  # the worst first
    found: Search
    before: float  # in float; of weights trained with 8 bits, in torch
    after: float
    size: int  # bytes of the file (of .xml with its .bin)
    plain_size: int  # and of the network in float in the same format
    timings: list[Timing]
    timed: tuple[int, int]  # height and width of the picture
    written: bool

    @property
    def kept(self) -> list[Sensitivity]:
        """The layers that stay in float."""
        return self.layers[: self.found.kept]
