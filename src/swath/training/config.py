"""What a recipe can say: every key, its type and its default. recipes/*.yaml and the command line fill it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

from swath.data.windows import WindowSpec
from swath.errors import SwathError

LossNames = str | list[str] | dict[str, float]  # one loss, the sum of several, or of several by their weights
# log: 1 / ln(1.02 + share of the pixels); median: median / frequency, which is the pixels by the pictures with the
# class; inverse: mean / share of the pixels; or one number a class.
ClassWeights = Literal["none", "log", "median", "inverse"] | list[float]


@dataclass(kw_only=True, slots=True)
class Mix:
    """Pictures that others made, in place of a share of the training split's: a generator's, made from label maps of
    that split and called after them, or those of another card or root with the same classes."""

    share: float  # of the pictures that are shown
    pictures: str | None = None  # a folder of pictures whose labels are the training split's
    card: str | None = None  # or a card with labels of its own; none: the same
    root: str | None = None
    layout: str | None = None
    split: str = "train"

    def __post_init__(self) -> None:
        if not 0 < self.share < 1:
            raise SwathError(f"share is {self.share}, it must lie between 0 and 1")
        if self.pictures is not None and (self.card is not None or self.root is not None):
            raise SwathError("pictures have the training split's labels, a card or root its own; give one of the two")


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
    mix: list[Mix] = field(default_factory=list)  # what others made, shown among the pictures of the training split
    cache: bool = False  # hold all decoded pictures in memory
    workers: int | None = None  # processes that cut windows; none: chosen from the machine

    def __post_init__(self) -> None:
        if sum(mix.share for mix in self.mix) >= 1:
            raise SwathError("the shares of mix leave nothing of the training split; together they must be below 1")


@dataclass(kw_only=True, slots=True)
class Validation:
    """When the network is measured on the validation split, and when a run that no longer gains ends early."""

    epochs: int = 1
    iterations: int | None = None  # counts instead of epochs
    size: tuple[int, int] | None = None  # pictures are shown at this size; none: as large as they are
    patience: int | None = None  # end the stage after so many validations without a better mIoU

    def __post_init__(self) -> None:
        _at_least(1, epochs=self.epochs, iterations=self.iterations, patience=self.patience)
        if self.size is not None and min(self.size) < 1:
            raise SwathError(f"size {list(self.size)} must be at least 1 x 1")


@dataclass(kw_only=True, slots=True)
class Task:
    """How one task of a network with several is trained."""

    loss: LossNames
    loss_options: dict[str, Any] = field(default_factory=dict)
    class_weights: ClassWeights = "none"
    class_weight_share: float = 1.0  # of the iterations, drawn at random, in which they count
    weight: float = 1.0  # of its loss in the sum

    def __post_init__(self) -> None:
        _at_least(0, weight=self.weight)
        _check_class_weights(self.class_weights, self.class_weight_share)


@dataclass(kw_only=True, slots=True)
class Distill:
    """Learning from the answers of a larger network, besides from the labels."""

    teacher: str  # weights (.safetensors) of a network with the same classes
    loss: Literal["channel-wise", "logits"] = "channel-wise"
    weight: float = 3.0
    temperature: float = 4.0
    sha256: str | None = None  # of the teacher's file; a run writes down what it found, and takes no other later

    def __post_init__(self) -> None:
        for name, value in (("weight", self.weight), ("temperature", self.temperature)):
            if not 0 < value < float("inf"):
                raise SwathError(f"{name} is {value}, it must be above 0")


@dataclass(kw_only=True, slots=True)
class Quantise:
    """Quantisation-aware training: weights and activations pass through 8 bits, and the network learns to live with it.

    The stage's result computes so too, and is scored so. Auxiliary heads take no part in it.
    """

    scheme: Literal["int8", "power2", "power2-per-channel"]
    norms: float = 0.4  # the share of the stage after which batch norms keep their statistics
    ranges: float = 0.6  # and the ranges of activations stay as they are

    def __post_init__(self) -> None:
        _between(0, 1, norms=self.norms, ranges=self.ranges)


@dataclass(kw_only=True, slots=True)
class Part:
    """What is particular to the parameters of one part of the network; none: as in the rest of the stage."""

    lr: float | None = None
    weight_decay: float | None = None
    optimiser: Literal["sgd", "adam", "adamw"] | None = None

    def __post_init__(self) -> None:
        _at_least(0, lr=self.lr, weight_decay=self.weight_decay)


@dataclass(kw_only=True, slots=True)
class Stage:
    """One stretch of training with its own optimiser, schedule, loss, windows and length."""

    name: str = "train"
    epochs: int | None = None
    iterations: int | None = None  # instead of epochs
    batch: int = 8  # pictures that the optimiser sees at once, in all processes together
    accumulate: int = 1  # parts in which a process takes its share of them one after the other, where memory is short
    window: WindowSpec
    data: Data | None = None  # none: the run's; another card is how one pre-trains
    init: str | None = None  # weights (.safetensors) of the same network to start the stage from
    prune: dict[str, Any] = field(default_factory=dict)  # options of the narrower network to go on with: {width: 1.5}
    quantise: Quantise | None = None  # train what will run with 8 bits
    freeze: list[str] = field(default_factory=list)  # parts that stay as they are, e.g. context or context.0

    optimiser: Literal["sgd", "adam", "adamw"] = "adamw"
    lr: float
    momentum: float = 0.9  # of sgd
    nesterov: bool = False
    betas: tuple[float, float] = (0.9, 0.999)  # of adam and adamw
    eps: float = 1e-8  # of adam and adamw
    weight_decay: float = 0.0
    decay_skips: list[Literal["norms", "biases"]] = field(default_factory=list)
    parts: dict[str, Part] = field(default_factory=dict)  # with settings of their own: {encoder: {lr: 5.0e-4}}
    frozen_norms: bool = False  # batch norms keep their statistics; their weights and biases still learn
    clip: float | None = None  # the largest norm that the gradient may have
    ema: float | None = None  # decay of the moving average of the weights; it is what is measured and kept
    swa: float | None = None  # epochs between snapshots of the weights, whose mean is measured and kept

    schedule: Literal["constant", "poly", "cosine", "onecycle", "steps", "sgdr", "cyclical"] = "poly"
    span: tuple[float, float] = (0.0, 1.0)  # the stretch of its schedule that the stage runs through
    warmup: int = 0  # iterations of linear rise before it
    warmup_from: float = 0.0  # where the rise begins, as a share of where it ends
    power: float = 0.9  # of poly
    peak: float = 0.3  # of onecycle: the share of the stage after which the rate is highest
    floor: float = 0.0  # the rate at the end (cyclical: at the lowest), as a share of lr
    period: float | None = None  # epochs: between drops of steps, of sgdr's first cycle, of half a cycle of cyclical
    drop: float = 0.1  # of steps: what the rate is multiplied by
    cycle: Literal["triangular", "triangular2", "exp_range"] = "triangular"  # of cyclical: how its peaks fall
    gamma: float = 0.99994  # of exp_range, an iteration

    loss: LossNames = "cross-entropy"
    loss_options: dict[str, Any] = field(default_factory=dict)  # of a sum: those of each loss below its name
    class_weights: ClassWeights = "none"
    class_weight_share: float = 1.0  # of the iterations, drawn at random, in which they count
    aux_loss: LossNames | None = None  # of auxiliary outputs of classes, with its own options; none: the same loss
    distill: Distill | None = None

    tasks: dict[str, Task] = field(default_factory=dict)  # of a network with several; in place of the first four above
    # Of tasks; learned: by their uncertainty, gradients: so that all pull alike; both begin at the given weights.
    task_weights: Literal["fixed", "learned", "gradients"] = "fixed"

    amp: bool | None = None  # bfloat16 where it is safe; none: on a GPU (CPUs mostly emulate it, slowly)
    channels_last: bool = True
    compile: bool = False
    graphs: bool = False  # forward and backward pass as one CUDA graph

    def __post_init__(self) -> None:
        if (self.epochs is None) == (self.iterations is None):
            raise SwathError("a stage needs either epochs or iterations; give one of them (and none for the other)")
        _at_least(1, epochs=self.epochs, iterations=self.iterations, batch=self.batch, accumulate=self.accumulate)
        _at_least(0, warmup=self.warmup, lr=self.lr, weight_decay=self.weight_decay, clip=self.clip, power=self.power)
        _between(0, 1, momentum=self.momentum, ema=self.ema, peak=self.peak, floor=self.floor)
        _between(0, 1, warmup_from=self.warmup_from)
        _check_class_weights(self.class_weights, self.class_weight_share)
        _between(0, 1, drop=self.drop, gamma=self.gamma)
        for name, value in (("swa", self.swa), ("period", self.period)):
            if value is not None and not value > 0:
                raise SwathError(f"{name} is {value}; it is a number of epochs, so it must be above 0")
        cycles = self.schedule in ("steps", "sgdr", "cyclical")
        if cycles != (self.period is not None):
            raise SwathError("schedules steps, sgdr and cyclical need a period (in epochs), the others have none")
        if cycles and tuple(self.span) != (0, 1):
            raise SwathError(f"span is for schedules that end with the stage; {self.schedule} goes by its period")
        if self.quantise:
            whole = {"freeze": self.freeze, "parts": self.parts, "swa": self.swa is not None, "compile": self.compile}
            for key, given in {**whole, "graphs": self.graphs, "amp": self.amp}.items():
                if given:
                    raise SwathError(
                        f"{key} does not go with quantise, which trains a network whole and in float32; leave it out"
                    )
        if self.graphs:
            for key, given in {
                "accumulate": self.accumulate > 1,
                "class_weight_share": min([self.class_weight_share, *_shares(self.tasks)]) < 1,
                "task_weights: gradients": self.task_weights == "gradients",
            }.items():
                if given:
                    raise SwathError(f"{key} does not go with graphs, which repeats one and the same pass; take one")
        if self.ema is not None and self.swa is not None:
            raise SwathError("ema and swa are two averages of the weights, of which one is measured; take one")
        if not 0 <= self.span[0] < self.span[1] <= 1:
            raise SwathError(f"span {list(self.span)} must be [from, to] with 0 <= from < to <= 1")
        if self.nesterov and not (self.optimiser == "sgd" and self.momentum > 0):
            raise SwathError("nesterov needs optimiser sgd and a momentum above 0")
        if self.tasks and (self.loss != "cross-entropy" or self.loss_options or self.class_weights != "none"):
            raise SwathError("loss, loss_options and class_weights stand in each of the tasks; take them out beside it")
        if self.task_weights != "fixed":
            if not self.tasks:
                what = f"task_weights: {self.task_weights}"
                raise SwathError(f"{what} needs tasks; a single loss has nothing to be weighed against")
            if self.task_weights == "gradients" and self.compile:
                raise SwathError("task_weights: gradients looks into the network, which compile closes; take one")
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
    why: dict[str, str] = field(default_factory=dict)  # what `swath train auto` chose, and for what reason

    def __post_init__(self) -> None:
        if not self.stages:
            raise SwathError("stages is empty; a run needs at least one")
        if not self.name or "/" in self.name or self.name.startswith("."):
            raise SwathError(f"name '{self.name}' cannot name a folder; use letters, digits, - and _")
        _at_least(1, threads=self.threads, log_every=self.log_every, checkpoint_iterations=self.checkpoint_iterations)
        _at_least(0, seed=self.seed, samples=self.samples, checkpoint_minutes=self.checkpoint_minutes)

    def data_of(self, stage: int) -> Data:
        """The data of a stage (-1: of the last)."""
        own = self.stages[stage].data
        return self.data if own is None else own

    def all_data(self) -> list[Data]:
        """The run's own, and those of stages that have others."""
        return [self.data, *(stage.data for stage in self.stages if stage.data is not None)]


def _shares(tasks: dict[str, Task]) -> list[float]:
    return [task.class_weight_share for task in tasks.values()]


def _check_class_weights(weights: ClassWeights, share: float) -> None:
    _between(0, 1, class_weight_share=share)
    if share < 1 and weights == "none":
        raise SwathError(f"class_weight_share is {share}, but class_weights is none; give weights, such as log")


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
