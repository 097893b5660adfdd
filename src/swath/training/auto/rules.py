"""The rules: what is chosen from what. Figures with (m) were tuned on streets, see benchmarks/auto.md."""

from __future__ import annotations

import inspect
import math

from swath.networks import model_info
from swath.training.auto.choices import GIVEN, Choices
from swath.training.auto.facts import Facts, Machine, Pictures, smallest_batch
from swath.training.config import Task
from swath.training.machine import settle

_BATCH = {"cpu": 8}  # a processor gains nothing by more; everything else:
_BATCH_ELSEWHERE = 16
_AREA = {"cpu": 200_000}  # pixels of a window, at most
_AREA_ELSEWHERE = 1024 * 512
_PART_OF_SIDE = 0.75  # of a picture's sides that a window shows
_COLORS = {"brightness": 0.2, "contrast": 0.2, "saturation": 0.2, "hue": 0.02}
_LARGE = 2_500_000  # pixels of a picture whose windows are also taken from smaller copies
_RARE = 0.02  # a share of the pixels below which a class would be forgotten
LR = 6e-3  # (m) for a batch of 8 and a network of up to
_LR_PARAMETERS = 2e6
_LR_BATCH = 8
_CACHED = 0.25  # of the free memory, at most, for decoded pictures


def choose_network(choices: Choices) -> None:
    """Auxiliary heads where the authors have some: they are gone once the network is trained."""
    recipe = choices.recipe
    builder = inspect.signature(model_info(recipe.network).build).parameters.get("aux")
    if builder is not None and not choices.has("network_options.aux"):
        recipe.network_options["aux"] = True
        recipe.why["auxiliary heads"] = "they help the middle of the network to learn, and leave with the training"


def choose_data(choices: Choices, facts: Facts) -> None:
    """Hold decoded pictures in memory where they take little of it."""
    machine = facts.machine
    count = len(facts.pictures.train) + len(facts.pictures.val)
    maps = sum(channels for name, channels in facts.model.inputs.items() if name != "image") + len(facts.model.tasks)
    height, width = facts.pictures.size
    wanted = count * height * width * (4 + 4 * (maps - 1))
    free = machine.main_memory or 0
    fits = wanted <= _CACHED * free and not choices.recipe.data.mix and "://" not in (choices.recipe.data.root or "")
    of_free = f"{count:,} decoded pictures take {gigabytes(wanted)} of {gigabytes(free)} of free memory"
    choices.choose("data.cache", fits, of_free if fits else f"{of_free}; they are read as they are needed")


def choose_window(choices: Choices, facts: Facts) -> None:
    """Three quarters of a picture, in steps of the network's coarsest map, and not more than the device likes."""
    pictures, model = facts.pictures, facts.model
    limit = _AREA.get(facts.machine.device, _AREA_ELSEWHERE)
    height, width = pictures.size
    if pictures.turned:
        height = width = round(math.sqrt(height * width))
    shrink = min(_PART_OF_SIDE, math.sqrt(limit / (height * width)))
    step = max(32, model.deepest)
    sides = [max(step, round(shrink * side / step) * step) for side in (height, width)]
    size = tuple(max(side, math.ceil(least / step) * step) for side, least in zip(sides, model.min_size))
    why = f"{shrink:.0%} of the sides of a picture of {wxh(pictures.size)}, in steps of {step}"
    if shrink < _PART_OF_SIDE:
        why += f"; at most {limit / 1e6:.1f} million pixels on {facts.machine.device}"
    if pictures.turned:
        why += "; square, for some pictures stand and others lie"
    if pictures.smallest[0] < size[0] or pictures.smallest[1] < size[1]:
        why += f"; the smallest, {wxh(pictures.smallest)}, is padded"
    choices.choose("window.size", size, why)
    large = height * width > _LARGE
    scale = (0.25, 1.0) if large else (0.5, 2.0)
    seen = "these are large, so that a window at full size shows little" if large else "things far and near"
    choices.choose("window.scale", scale, seen)
    choices.choose("window.scale_log", True, "")
    choices.choose("window.jitter", 0.5, "half of the windows have other colors: other cameras, other weather")
    for name, most in _COLORS.items():
        choices.choose(f"window.{name}", most, "")


def choose_batch(choices: Choices, facts: Facts) -> None:
    """A usual batch, not larger than the set."""
    world, count = facts.machine.world, len(facts.pictures.train)
    usual = _BATCH.get(facts.machine.device, _BATCH_ELSEWHERE)
    least = smallest_batch(facts.model, choices.stage.window.size)
    batch = max(usual, 4 * world) // world * world
    why = "enough for the statistics of batch norms, and many steps" if facts.norms else "many steps"
    if world > 1:
        why += f", in {world} equal parts"
    if count < batch:
        batch = count // world * world
        why = f"there are but {count} pictures"
    if batch < least * world:
        batch = least * world  # the next check says what is wrong
        why = f"{facts.model.name} cannot learn from fewer at once"
    choices.choose("batch", batch, why)


def choose_loss(choices: Choices, facts: Facts) -> None:
    """Rare classes count more; several tasks weigh themselves."""
    pictures = facts.pictures
    rarest = pictures.shares[pictures.rarest]
    name = pictures.card.class_names[pictures.rarest]
    weights = "log" if rarest < _RARE or pictures.absent else "none"
    why = f"{name} has {_percent(rarest)} of the pixels, {_most(pictures)}"
    if pictures.absent:
        why += f"; {len(pictures.absent)} classes do not occur in the sample"
    if list(facts.model.tasks) == ["segmentation"]:
        choices.choose("loss", "cross-entropy", "on every pixel")
        so = "rare classes count more" if weights == "log" else "none is rare enough to be forgotten"
        choices.choose("class_weights", weights, f"{why}: {so}")
        if facts.model.aux_weights:
            listed = ", ".join(f"{weight:g}" for weight in facts.model.aux_weights)
            choices.recipe.why["auxiliary heads"] = f"weigh {listed}, as the network's authors have it"
        return
    tasks = {"segmentation": Task(loss="cross-entropy", class_weights=weights)}  # type: ignore[arg-type]
    for task in facts.model.tasks:
        if task != "segmentation":
            tasks[task] = Task(loss="scale-invariant" if task == "depth" else "cross-entropy")
    choices.choose("tasks", tasks, f"one loss each; {why}")
    choices.choose("task_weights", "learned", "their losses have no common scale")


def choose_optimiser(choices: Choices, facts: Facts) -> None:
    """AdamW wants the least care of a network that nobody has tuned."""
    stage = choices.stage
    choices.choose("optimiser", "adamw", "its step does not depend on how a network scales its gradients")
    rate = LR * math.sqrt(stage.batch / _LR_BATCH)
    why = f"{LR:g} for a batch of {_LR_BATCH}, by the root of the batch"
    if facts.parameters > _LR_PARAMETERS:
        rate *= (_LR_PARAMETERS / facts.parameters) ** 0.25
        why += f"; less, as wider networks than one of {_LR_PARAMETERS / 1e6:.0f} million parameters want small steps"
    if facts.pretrained:
        rate, why = rate / 3, why + "; a third of it, for the weights are trained already"
    choices.choose("lr", float(f"{rate:.2g}"), why)
    choices.choose("weight_decay", 0.01, "AdamW's own")
    choices.choose("decay_skips", ["norms", "biases"], "they are no directions")
    choices.choose("clip", 5.0, "one odd batch must not throw away the rest")


def choose_speed(choices: Choices, facts: Facts) -> None:
    """What settles how fast it goes; the machine's own defaults, said aloud."""
    recipe, stage, machine = choices.recipe, choices.stage, facts.machine
    choices.choose("channels_last", True, "the faster layout of convolutions, here and on GPUs")
    settle(recipe, machine.neighbours)
    on_cpu = machine.device == "cpu"
    shared = f" for {machine.neighbours} processes" if machine.neighbours > 1 else ""
    reasons = {
        "amp": "processors mostly emulate bfloat16, slowly" if on_cpu else "bfloat16 where it is safe",
        "threads": f"of {machine.cores} cores{shared}",
        "data.workers": _why_workers(recipe.data.cache, machine),
    }
    for key, why in reasons.items():
        recipe.why[key] = GIVEN if choices.has(key) else why
    if stage.compile:
        recipe.why["compile"] = GIVEN


def _why_workers(cached: bool, machine: Machine) -> str:
    if machine.device != "cpu":
        return "processes that cut windows; a GPU wants to be fed"
    if cached or machine.cores <= 2:
        return "the network needs all cores, and cutting windows" + (" from memory" if cached else "") + " is quick"
    return "processes that cut windows while the network computes"


def describe(facts: Facts) -> dict[str, str]:
    """What the choices are made from."""
    pictures, model, machine = facts.pictures, facts.model, facts.machine
    more = [f"{len(pictures.train):,} to learn from and {len(pictures.val):,} to be measured on"]
    more.append(f"{pictures.card.num_classes} classes")
    more.append(f"{wxh(pictures.size)}" if pictures.smallest == pictures.size else f"mostly {wxh(pictures.size)}")
    of_memory = "" if machine.memory is None else f", {gigabytes(machine.memory)} free"
    several = f", {machine.world} processes" if machine.world > 1 else ""
    heads = "" if list(model.tasks) == ["segmentation"] else f", tasks {', '.join(model.tasks)}"
    return {
        "pictures": ", ".join(more),
        "network": f"{facts.parameters / 1e6:.1f} million parameters, logits at stride {model.stride}{heads}",
        "device": f"{machine.name}, {machine.cores} cores{of_memory}{several}",
    }


def _most(pictures: Pictures) -> str:
    most = max(range(len(pictures.shares)), key=lambda i: pictures.shares[i])
    return f"{pictures.card.class_names[most]} {_percent(pictures.shares[most])}"


def _percent(share: float) -> str:
    return f"{100 * share:.2g} %" if share < 0.1 else f"{100 * share:.0f} %"


def wxh(size: tuple[int, int]) -> str:
    """As sizes are given on the command line."""
    return f"{size[1]}x{size[0]}"


def gigabytes(size: float) -> str:
    """Or megabytes, of little."""
    return f"{size / 1e9:.1f} GB" if size >= 1e9 else f"{size / 1e6:.0f} MB"
