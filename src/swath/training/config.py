"""What a recipe can say: every key, its type and its default. recipes/*.yaml and the command line fill it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

from swath.data.windows import WindowSpec
from swath.errors import SwathError


@dataclass(kw_only=True, slots=True)
class Data:
    """Which pictures: a card, its folder, and the splits to learn from and to be measured on."""

    card: str = "streets"
    root: str | None = None
    layout: str | None = None
    train: str = "train"
    val: str = "val"
    train_options: dict[str, Any] = field(default_factory=dict)  # of a generator: count, size, seed
    val_options: dict[str, Any] = field(default_factory=dict)
    cache: bool = False  # hold all decoded pictures in memory
    workers: int | None = None  # processes that cut windows; none: chosen from the machine


@dataclass(kw_only=True, slots=True)
class Validation:
    """When the network is measured on the validation split, and when a run that no longer gains ends early."""

    epochs: int = 1
    iterations: int | None = None  # counts instead of epochs
    patience: int | None = None  # end the stage after so many validations without a better mIoU

    def __post_init__(self) -> None:
        _at_least(1, epochs=self.epochs, iterations=self.iterations, patience=self.patience)


@dataclass(kw_only=True, slots=True)
class Task:
    """How one task of a network with several is trained."""

    loss: str
    loss_options: dict[str, Any] = field(default_factory=dict)
    class_weights: Literal["none", "log"] | list[float] = "none"
    weight: float = 1.0  # of its loss in the sum

    def __post_init__(self) -> None:
        _at_least(0, weight=self.weight)


@dataclass(kw_only=True, slots=True)
class Stage:
    """One stretch of training with its own optimiser, schedule, loss, windows and length."""

    name: str = "train"
    epochs: int | None = None
    iterations: int | None = None  # instead of epochs
    batch: int = 8
    window: WindowSpec
    init: str | None = None  # weights (.safetensors) of the same network to start the stage from
    prune: dict[str, Any] = field(default_factory=dict)  # options of the narrower network to go on with: {width: 1.5}
    freeze: list[str] = field(default_factory=list)  # parts that stay as they are, e.g. context or context.0

    optimiser: Literal["sgd", "adam", "adamw"] = "adamw"
    lr: float
    momentum: float = 0.9  # of sgd
    nesterov: bool = False
    betas: tuple[float, float] = (0.9, 0.999)  # of adam and adamw
    weight_decay: float = 0.0
    decay_skips: list[Literal["norms", "biases"]] = field(default_factory=list)
    clip: float | None = None  # the largest norm that the gradient may have
    ema: float | None = None  # decay of the moving average of the weights; it is what is measured and kept

    schedule: Literal["constant", "poly", "cosine", "onecycle"] = "poly"
    span: tuple[float, float] = (0.0, 1.0)  # the stretch of its schedule that the stage runs through
    warmup: int = 0  # iterations of linear rise before it
    warmup_from: float = 0.0  # where the rise begins, as a share of where it ends
    power: float = 0.9  # of poly
    peak: float = 0.3  # of onecycle: the share of the stage after which the rate is highest
    floor: float = 0.0  # the rate at the end, as a share of lr

    loss: str = "cross-entropy"
    loss_options: dict[str, Any] = field(default_factory=dict)
    class_weights: Literal["none", "log"] | list[float] = "none"  # log: 1 / ln(1.02 + share of the pixels)

    tasks: dict[str, Task] = field(default_factory=dict)  # of a network with several; in place of the three above
    task_weights: Literal["fixed", "learned"] = "fixed"  # learned: by uncertainty, from the given weights on

    amp: bool | None = None  # bfloat16 where it is safe; none: on a GPU (CPUs mostly emulate it, slowly)
    channels_last: bool = True
    compile: bool = False

    def __post_init__(self) -> None:
        if (self.epochs is None) == (self.iterations is None):
            raise SwathError("a stage needs either epochs or iterations; give one of them (and none for the other)")
        _at_least(1, epochs=self.epochs, iterations=self.iterations, batch=self.batch)
        _at_least(0, warmup=self.warmup, lr=self.lr, weight_decay=self.weight_decay, clip=self.clip, power=self.power)
        _between(0, 1, momentum=self.momentum, ema=self.ema, peak=self.peak, floor=self.floor)
        _between(0, 1, warmup_from=self.warmup_from)
        if not 0 <= self.span[0] < self.span[1] <= 1:
            raise SwathError(f"span {list(self.span)} must be [from, to] with 0 <= from < to <= 1")
        if self.nesterov and not (self.optimiser == "sgd" and self.momentum > 0):
            raise SwathError("nesterov needs optimiser sgd and a momentum above 0")
        if self.tasks and (self.loss != "cross-entropy" or self.loss_options or self.class_weights != "none"):
            raise SwathError("loss, loss_options and class_weights stand in each of the tasks; take them out beside it")
        if self.task_weights == "learned":
            if not self.tasks:
                raise SwathError("task_weights: learned needs tasks; a single loss has nothing to be weighed against")
            _above_zero(**{f"tasks.{name}.weight": task.weight for name, task in self.tasks.items()})


@dataclass(kw_only=True, slots=True)
class Recipe:
    """A whole run: network, data and a list of stages."""

    name: str
    title: str = ""
    reference: str = ""  # what the authors report for it
    network: str
    network_options: dict[str, Any] = field(default_factory=dict)
    data: Data = field(default_factory=Data)
    stages: list[Stage]
    validation: Validation = field(default_factory=Validation)
    seed: int = 1
    device: str = "auto"
    threads: int | None = None  # of torch on the CPU; none: chosen from the machine
    log_every: int = 20  # iterations between two points of the loss curve
    checkpoint_minutes: float = 10.0  # besides the one after every validation
    checkpoint_iterations: int | None = None
    samples: int = 4  # validation pictures shown in the report
    tensorboard: bool = True

    def __post_init__(self) -> None:
        if not self.stages:
            raise SwathError("stages is empty; a run needs at least one")
        if not self.name or "/" in self.name or self.name.startswith("."):
            raise SwathError(f"name '{self.name}' cannot name a folder; use letters, digits, - and _")
        _at_least(1, threads=self.threads, log_every=self.log_every, checkpoint_iterations=self.checkpoint_iterations)
        _at_least(0, seed=self.seed, samples=self.samples, checkpoint_minutes=self.checkpoint_minutes)


def _at_least(low: float, **values: float | None) -> None:
    for name, value in values.items():
        if value is not None and not value >= low:
            raise SwathError(f"{name} is {value}, it must be {low} or more")


def _above_zero(**values: float) -> None:
    for name, value in values.items():
        if not value > 0:
            raise SwathError(f"{name} is {value}; learned weights begin at it, so it must be above 0")


def _between(low: float, high: float, **values: float | None) -> None:
    for name, value in values.items():
        if value is not None and not low <= value <= high:
            raise SwathError(f"{name} is {value}, it must lie between {low} and {high}")
