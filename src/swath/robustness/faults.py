"""The faults that `swath stress` knows, each in five severities, with what these are and why."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from swath.errors import SwathError, unknown
from swath.robustness import camera, weather
from swath.robustness.light import Bytes

SEVERITIES = (1, 2, 3, 4, 5)
Apply = Callable[[Bytes, float, np.random.Generator, NDArray[np.float32] | None], Bytes]


@dataclass(frozen=True)
class Fault:
    """One way in which pictures go wrong."""

    name: str
    unit: str  # what the levels are
    levels: tuple[float, float, float, float, float]
    why: str
    apply: Apply

    def level(self, severity: int) -> str:
        """In words."""
        return self.unit.format(f"{self.levels[severity - 1]:g}")


FAULTS: dict[str, Fault] = {
    each.name: each
    for each in (
        Fault("fog", "sight {} m", (600, 300, 150, 100, 50), "Foggy Cityscapes' five attenuations, 0.005 to 0.06 a "
              "metre (Sakaridis et al. 2018); at 50 m weather services speak of dense fog", weather.fog),
        Fault("rain", "{} mm/h", (5, 25, 50, 100, 200), "from a shower to a cloudburst, as in Tremblay et al. 2020; "
              "drops by Marshall and Palmer 1948, the veil is 0.312 R^0.67 a kilometre", weather.rain),
        Fault("snow", "sight {} m", (1000, 500, 250, 120, 60), "what observers call light is above 1 km, heavy below "
              "500 m; the number of flakes follows from the sight", weather.snow),
        Fault("night", "{} % of daylight", (30, 10, 3, 1, 0.3), "from sunset to a lit street (10 of 3000 lux under "
              "clouds), with dipped beams, lamps, another white, and the noise of a gain of 2 to 9", weather.night),
        Fault("gaussian-noise", "deviation {}", (5, 10, 20, 35, 55), "in bytes, on every byte alike: 5 is seen by who "
              "looks for it, 20 by everybody, 55 buries what is small", camera.gaussian_noise),
        Fault("shot-noise", "{} photons", (1000, 300, 100, 40, 15), "at white: of a full well of some 10,000 "
              "electrons, gains of 10 to 700", camera.shot_noise),
        Fault("motion-blur", "{} % of the side", (0.5, 1, 2, 3.5, 5), "of the longer one: a turn of 0.3 to 3 degrees "
              "while the shutter is open, in a bend at 30 degrees a second 1/100 to 1/10 s", camera.motion),
        Fault("defocus", "radius {} % of the side", (0.1, 0.2, 0.4, 0.7, 1), "of the longer one: from barely soft to a "
              "lens focused on its own windscreen", camera.defocus),
        Fault("jpeg", "quality {}", (40, 25, 15, 9, 5), "from what web cameras send to a starved link", camera.jpeg),
        Fault("overexposure", "{} stops", (0.5, 1, 1.5, 2, 2.5), "exposure control lags behind at a tunnel's end",
              camera.exposure),
        Fault("underexposure", "{} stops", (-1, -2, -3, -4, -5), "against the sun, and on entering a tunnel",
              camera.exposure),
    )
}  # fmt: skip


def chosen(names: Sequence[str] | None) -> list[Fault]:
    """Those of these names, or all; an unknown name is refused."""
    for name in names or ():
        if name not in FAULTS:
            raise unknown("fault", name, FAULTS)
    return [FAULTS[name] for name in dict.fromkeys(names or FAULTS)]


def corrupt(
    image: Bytes, fault: str, severity: int, *, seed: int = 0, name: str = "", depth: NDArray[np.float32] | None = None
) -> Bytes:
    """A uint8 RGB picture H x W x 3 with a fault of severity 1 to 5; the same for the same seed and name.

    `depth` is metres H x W (0: not measured); without it, fog and rain take a street's typical distances.
    """
    if fault not in FAULTS:
        raise unknown("fault", fault, FAULTS)
    if severity not in SEVERITIES:
        raise SwathError(f"severity {severity} of {fault}: it goes from 1 to 5")
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3 or not image.size:
        raise SwathError(f"{fault}: pictures are uint8 RGB, H x W x 3, not {image.dtype} {list(image.shape)}")
    if depth is not None and depth.shape != image.shape[:2]:
        raise SwathError(f"{fault}: the depth is {list(depth.shape)} and the picture {list(image.shape[:2])}")
    kind = FAULTS[fault]
    key = hashlib.sha256(f"{seed}/{name}/{fault}/{severity}".encode()).digest()
    rng = np.random.Generator(np.random.SFC64(int.from_bytes(key[:16], "little")))
    return kind.apply(np.ascontiguousarray(image), kind.levels[severity - 1], rng, depth)
