"""The weights in the package, each beside the card that says what they are good for. A name stands for the file."""

from __future__ import annotations

from pathlib import Path

from swath.errors import SwathError, nearest

FOLDER = Path(__file__).with_name("shipped")
DEFAULT = "unet_lite_mobilenetv2-camvid"  # what segments pictures where nothing else is named
ENDING = ".safetensors"


def list_shipped() -> list[str]:
    """Names of the weights in the package."""
    return sorted(path.stem for path in FOLDER.glob(f"*{ENDING}"))


def beside(weights: Path) -> Path:
    """The name from which those of results are made: beside the weights; of the package's, in the current folder."""
    return Path(weights.name) if weights.parent == FOLDER else weights


def weights_file(named: str | Path) -> Path:
    """The file that is meant: a path as it is, or the weights of the package that have this name and no file has."""
    path = Path(named)
    if path.suffix or len(path.parts) > 1 or path.exists():
        return path
    if str(named) in list_shipped():
        return FOLDER / f"{named}{ENDING}"
    guess = nearest(str(named), list_shipped())
    meant = f"did you mean '{guess}'?" if guess else f"those are: {', '.join(list_shipped()) or 'none'}"
    raise SwathError(f"{named}: no such file, and no weights of this name come with swath; {meant}")


def told(name: str) -> str:
    """What they are, in one line for people."""
    from swath.weights.file import read_meta

    meta = read_meta(FOLDER / f"{name}{ENDING}")
    miou = meta.score.get("miou")
    score = "" if miou is None else f", {100 * miou:.1f} % mIoU on its {meta.score.get('split', 'val')} split"
    return f"{name}, which come with swath: {len(meta.classes)} classes of {meta.dataset}{score}"
