"""One way from a JPEG on the disk to a label PNG on the disk, in a process of its own, at the word of inference.py.

It is told in its argument (JSON) what to open, says when it is ready, and then answers each line that it is sent:
`call` once around, `stages` milliseconds by stage, `peak` the most memory that it ever held. The other projects' ways
run in whatever Python has them, so nothing of swath is imported before a way needs it.
"""

from __future__ import annotations

import contextlib
import functools
import importlib.util
import json
import os
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from PIL import Image

CLASSES = 19
Call = Callable[[], object]  # once around
Stages = Callable[["Clock"], None]  # the same, telling the clock when each stage is over


class Clock:
    """Milliseconds of the stages of some rounds."""

    def __init__(self) -> None:
        self.found: dict[str, list[float]] = {}

    @contextlib.contextmanager
    def stage(self, name: str) -> Iterator[None]:
        start = time.perf_counter()
        yield
        self.found.setdefault(name, []).append(1000 * (time.perf_counter() - start))

    def medians(self) -> dict[str, float]:
        return {name: round(statistics.median(each), 3) for name, each in self.found.items()}


def usual(asked: dict[str, Any]) -> Stages:
    """As the projects' own scripts do it: OpenCV, floats in numpy, the network in eager torch as it is built, logits
    enlarged to the picture's size, argmax, Pillow."""
    from swath.weights import load_weights

    network = load_weights(Path(asked["weights"])).eval()
    mean, std = (np.array(each, np.float32) for each in (network.preprocess.mean, network.preprocess.std))
    scale = np.float32(network.preprocess.scale)

    @torch.inference_mode()
    def around(clock: Clock) -> None:
        with clock.stage("decode"):
            picture = cv2.imread(asked["picture"])
            if network.preprocess.order == "RGB":
                picture = cv2.cvtColor(picture, cv2.COLOR_BGR2RGB)
        with clock.stage("pre"):
            values = (picture.astype(np.float32) * scale - mean) / std
            batch = torch.from_numpy(np.ascontiguousarray(values.transpose(2, 0, 1))).unsqueeze(0)
        with clock.stage("network"):
            answer = network(batch)
            logits = answer["segmentation"] if isinstance(answer, dict) else answer
        with clock.stage("finish"):
            labels = logits.argmax(1)[0].numpy().astype(np.uint8)
        with clock.stage("save"):
            Image.fromarray(labels).save(asked["labels"])

    return around


def swath(asked: dict[str, Any]) -> tuple[Call, Stages]:
    """What `swath predict --write labels` does with a picture; and its stages, in the order in which it does them."""
    from swath.data import read_image
    from swath.data.images import encode_label
    from swath.files import atomic_write
    from swath.inference import Segmenter
    from swath.inference.inputs import Job
    from swath.inference.predict import predict
    from swath.inference.segmenter import Answer

    segmenter = Segmenter(asked["weights"], engine=asked["engine"])
    job = Job(Path(asked["picture"]), {"labels": Path(asked["labels"])})

    def call() -> None:
        summary = predict(segmenter, [job])
        if summary.failed:
            raise SystemExit(summary.failed[0])

    def around(clock: Clock) -> None:
        with clock.stage("decode"):
            picture = read_image(asked["picture"])
        with clock.stage("pre"):
            ready = segmenter.prepare(torch.from_numpy(picture[None]))
        with clock.stage("network"):
            answer = segmenter.runtime.run(ready)
        with clock.stage("finish"):
            labels = segmenter.finish(answer, ready, picture.shape[:2]).labels
            result = segmenter.result(picture, Answer(labels[0].numpy()))
        with clock.stage("encode"):
            data = encode_label(result.labels, result.palette())
        with clock.stage("write"), atomic_write(asked["labels"]) as file:
            file.write(data)

    return call, around


def segformer(asked: dict[str, Any]) -> tuple[Any, Any]:
    """SegFormer-b0, with the picture shown at its own size."""
    declare_torchvision()
    from transformers import SegformerConfig, SegformerForSemanticSegmentation, SegformerImageProcessor

    width, height = Image.open(asked["picture"]).size
    network = SegformerForSemanticSegmentation(SegformerConfig(num_labels=CLASSES)).eval()
    return network, SegformerImageProcessor(size={"height": height, "width": width})


def transformers(asked: dict[str, Any]) -> Call:
    """Processor, model, post_process_semantic_segmentation."""
    network, processor = segformer(asked)

    @torch.no_grad()
    def call() -> None:
        picture = Image.open(asked["picture"]).convert("RGB")
        outputs = network(**processor(images=picture, return_tensors="pt"))
        (labels,) = processor.post_process_semantic_segmentation(outputs, target_sizes=[picture.size[::-1]])
        Image.fromarray(labels.numpy().astype(np.uint8)).save(asked["labels"])

    return call


def transformers_pipeline(asked: dict[str, Any]) -> Call:
    """`pipeline("image-segmentation")`, whose masks, one a class, are laid into one label map."""
    from transformers import pipeline

    network, processor = segformer(asked)
    number = {f"LABEL_{index}": index for index in range(CLASSES)}
    run = pipeline("image-segmentation", model=network, image_processor=processor)

    def call() -> None:
        found = run(asked["picture"], subtask="semantic")
        labels = np.zeros(found[0]["mask"].size[::-1], np.uint8)
        for each in found:
            labels[np.asarray(each["mask"]) > 0] = number[each["label"]]
        Image.fromarray(labels).save(asked["labels"])

    return call


def smp_network(network: Any, asked: dict[str, Any]) -> Call:
    from segmentation_models_pytorch.encoders import preprocess_input

    # What get_preprocessing_fn gives; that asks a hub for these numbers.
    numbers = {"mean": [0.485, 0.456, 0.406], "std": [0.229, 0.224, 0.225]}
    normalise = functools.partial(preprocess_input, input_space="RGB", input_range=[0, 1], **numbers)
    network.eval()

    @torch.inference_mode()
    def call() -> None:
        values = normalise(np.array(Image.open(asked["picture"]).convert("RGB")))
        batch = torch.from_numpy(values).permute(2, 0, 1).unsqueeze(0).float()
        labels = network(batch).argmax(1)[0].numpy().astype(np.uint8)
        Image.fromarray(labels).save(asked["labels"])

    return call


def smp_segformer(asked: dict[str, Any]) -> Call:
    declare_torchvision()
    import segmentation_models_pytorch as smp

    return smp_network(smp.Segformer("mit_b0", encoder_weights=None, classes=CLASSES), asked)


def smp_unet(asked: dict[str, Any]) -> Call:
    """The first example of its README."""
    declare_torchvision()
    import segmentation_models_pytorch as smp

    return smp_network(smp.Unet("resnet34", encoder_weights=None, classes=CLASSES), asked)


def ultralytics(asked: dict[str, Any]) -> Call:
    declare_torchvision()
    os.environ.setdefault("YOLO_CONFIG_DIR", str(Path(asked["labels"]).parent))
    os.environ.setdefault("YOLO_OFFLINE", "true")
    from ultralytics import YOLO

    height, width = cv2.imread(asked["picture"]).shape[:2]
    model = YOLO("yolo26n-sem.yaml", task="semantic")
    settings = {"imgsz": (height, width), "device": "cpu", "verbose": False}
    model.predict(asked["picture"], **settings)
    torch.set_num_threads(asked["threads"])  # it has set one less than there are cores

    def call() -> None:
        (result,) = model.predict(asked["picture"], **settings)
        Image.fromarray(result.semantic_mask.data.numpy().astype(np.uint8)).save(asked["labels"])

    return call


def declare_torchvision() -> None:
    """torchvision's registry wheel is built for CUDA. Beside a CPU torch its own operators are missing, none of which
    is used here; once they are declared, its Python part can be imported."""
    found = importlib.util.find_spec("torchvision")
    if found is None or found.origin is None or torch.version.cuda is not None:
        return
    if "+cu" in Path(found.origin).with_name("version.py").read_text():
        library = torch.library.Library("torchvision", "DEF")
        for name in ("nms", "qnms"):
            library.define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
        declared.append(library)


declared: list[Any] = []  # kept: what a library has declared goes with it
OTHERS: dict[str, Callable[[dict[str, Any]], Call]] = {
    "transformers": transformers,
    "transformers pipeline": transformers_pipeline,
    "smp Segformer": smp_segformer,
    "smp Unet": smp_unet,
    "ultralytics": ultralytics,
}
PACKAGES = {"transformers": "transformers", "smp": "segmentation_models_pytorch", "ultralytics": "ultralytics"}


def main() -> None:
    asked = json.loads(sys.argv[1])
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what libraries print is no answer

    def say(**answer: object) -> None:
        print(json.dumps(answer), file=answers, flush=True)

    torch.set_num_threads(asked["threads"])
    cv2.setNumThreads(asked["threads"])
    torch.manual_seed(0)
    try:
        call, around = opened(asked)
        call()
    except Exception as error:  # of others' packages, whatever: the way is left out, and why is told
        say(failed=f"{type(error).__name__}: {next(iter(str(error).splitlines()), '')[:300]}")
        return
    say(ready=True, version=version(asked["way"]))
    for line in sys.stdin:
        if line.strip() == "call":
            call()
            say(done=True)
        elif line.strip() == "stages":
            clock = Clock()
            if around:
                around(Clock())
                for _ in range(5):
                    around(clock)
            say(stages=clock.medians())
        else:
            say(peak=peak())


def opened(asked: dict[str, Any]) -> tuple[Call, Stages | None]:
    """What goes once around, and the same by stages."""
    way = asked["way"]
    if way == "usual":
        around = usual(asked)
        return lambda: around(Clock()), around
    if way == "swath":
        return swath(asked)
    return OTHERS[way](asked), None


def peak() -> int | None:
    """The most memory that this process has held, in bytes, its libraries and weights included."""
    status = Path("/proc/self/status")
    if not status.exists():
        return None
    lines = status.read_text().splitlines()
    return next(1024 * int(line.split()[1]) for line in lines if line.startswith("VmHWM:"))


def version(way: str) -> str:
    package = PACKAGES.get(way.split()[0])
    return "" if package is None else str(importlib.import_module(package).__version__)


if __name__ == "__main__":
    main()
