"""Draws docs/images/streets.jpg: python docs/make_pictures.py demo/run/best.safetensors (after make demo)."""

from __future__ import annotations

import sys
from pathlib import Path

import cv2
import numpy as np

import swath

SHOWN = (0, 3, 6, 4)  # pictures of the test split, chosen for their variety of weather and streets


def main(weights: str) -> None:
    segment = swath.Segmenter(weights)
    card = swath.load_card("streets")
    streets = card.open("test")
    images = [streets.image(i) for i in SHOWN]
    truths = [card.palette()[streets.labels(i)] for i in SHOWN]
    answers = [segment(image).color() for image in images]
    sheet = np.vstack([np.hstack(row) for row in (images, truths, answers)])
    small = cv2.resize(sheet, None, fx=0.75, fy=0.75, interpolation=cv2.INTER_AREA)
    target = Path(__file__).parent / "images" / "streets.jpg"
    cv2.imwrite(str(target), small[:, :, ::-1], [cv2.IMWRITE_JPEG_QUALITY, 85])
    print(target)


if __name__ == "__main__":
    main(sys.argv[1])
