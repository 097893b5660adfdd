"""What a runnable network says about itself; travels inside every exported file as JSON."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, Literal

from swath.errors import SwathError
from swath.networks import Network
from swath.weights import WeightsMeta

KEY = "swath"  # under which an exported file keeps the JSON
Finish = Literal["outside", "inside"]


@dataclass(frozen=True, kw_only=True)
class Description:
    """The weights' own description, and how to feed the network and read its answer."""

    meta: WeightsMeta
    named: bool  # whether the classes have names of their own, or "class 0" and so on
    channels: int
    stride: int  # of the logits
    align_corners: bool  # how logits become labels
    min_size: tuple[int, int]
    finish: Finish = "outside"  # logits come out, or labels
    shape: tuple[int, int] | None = None  # height and width of a file made for one size; None takes any

    @property
    def num_classes(self) -> int:
        return len(self.meta.classes)

    @property
    def multiple(self) -> int:
        """Sides must be a multiple of this."""
        return int(self.meta.preprocesses["image"]["multiple"])

    @property
    def learnt_side(self) -> int | None:
        """The short side of pictures in which things are as large as in training, where the weights say one. A file for
        one size takes pictures of that, and no others."""
        side = self.meta.notes.get("short_side")
        return side if self.shape is None and type(side) is int and side > 0 else None

    @classmethod
    def of(cls, network: Network) -> Description:
        return cls(
            meta=network.meta or _fresh_meta(network),
            named=network.meta is not None,
            channels=network.inputs["image"],
            stride=network.stride,
            align_corners=network.align_corners,
            min_size=network.min_size,
        )

    def as_json(self) -> str:
        """The keys of a weights file, and one more, `runtime`."""
        own = asdict(self)
        return json.dumps({**own.pop("meta"), "runtime": own})

    @classmethod
    def from_json(cls, text: str, path: Path) -> Description:
        """The inverse; `path` is the file to blame."""
        try:
            raw: dict[str, Any] = json.loads(text)
            runtime = raw.pop("runtime")
            runtime["min_size"] = tuple(runtime["min_size"])
            if runtime.get("shape") is not None:
                runtime["shape"] = tuple(runtime["shape"])
            known = {each.name for each in fields(WeightsMeta)}
            meta = WeightsMeta(**{key: value for key, value in raw.items() if key in known})
            return cls(meta=meta, **runtime)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise SwathError(
                f"{path}: holds no description by swath ({error}); export it again with `swath export`"
            ) from error


def default_colors(count: int) -> list[tuple[int, int, int]]:
    """Distinct colours for classes that have none: the bits of the number, spread over the channels as VOC does."""
    return [
        tuple(sum((n >> (3 * bit + channel) & 1) << (7 - bit) for bit in range(3)) for channel in range(3))  # type: ignore[misc]
        for n in range(1, count + 1)
    ]


def _fresh_meta(network: Network) -> WeightsMeta:
    return WeightsMeta(
        network=network.name,
        arguments=network.arguments,
        classes=[f"class {index}" for index in range(network.num_classes)],
        colors=default_colors(network.num_classes),
        preprocesses={name: each.as_dict() for name, each in network.preprocesses.items()},
        quantised=network.quantised,
    )
