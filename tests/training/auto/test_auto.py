"""`swath train auto`: what is chosen, from what, and that what was chosen is an ordinary recipe."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable
from pathlib import Path

import cv2
import pytest
import torch
import yaml

from swath.cards import load_card
from swath.cli.main import main
from swath.errors import SwathError
from swath.networks import create_model
from swath.training import list_recipes, load_recipe
from swath.training.auto import fit, prepared, rate, resolve, rules, skeleton
from swath.training.auto.choices import GIVEN, Choices
from swath.training.auto.facts import Facts, Machine, Pictures, smallest_batch
from swath.training.auto.length import Cost, choose_length, read_time
from swath.training.auto.memory import needed_bytes
from swath.training.auto.probe import Pace
from swath.training.auto.rate import learns
from swath.training.checking import check_stages
from swath.training.config import Recipe
from swath.training.fill import as_plain
from swath.training.launch import Place
from swath.training.recipe_files import recipe_text
from swath.training.sources import open_stages

GB = 10**9
SMALL = [("data.train_options", ["{count: 6, size: 128x64}"]), ("data.val_options", ["{count: 2, size: 128x64}"])]
STREETS = [("network", ["contextnet14_160"]), ("card", ["streets"]), *SMALL]


def shapes_words(shapes: Path, *more: str) -> list[str]:
    quick = ["--tensorboard", "no", "--samples", "1", "--threads", "1", "--device", "cpu"]
    return ["auto", "--network", "contextnet14_160", "--card", str(shapes / "card.yaml"), *quick, *more]


@pytest.fixture
def no_trial(monkeypatch: pytest.MonkeyPatch) -> None:
    """An iteration takes half a second, a picture of the validation a tenth."""
    monkeypatch.setattr(fit, "measure", lambda *_: Pace(0.5, 0.01, 0.1))
    monkeypatch.setattr(rate, "learns", lambda *_: True)


def test_the_run_is_that_of_an_ordinary_recipe(
    shapes: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    assert main(["train", *shapes_words(shapes, "--iterations", "3"), "--out", str(first)]) == 0
    told = capsys.readouterr().out
    for word in ("batch", "window.size", "lr", "class_weights", "memory", "swath evaluate"):
        assert word in told
    assert main(["train", str(first / "config.yaml"), "--out", str(second)]) == 0
    for name in ("config.yaml", "best.safetensors", "last.safetensors", "steps.csv"):
        if name.endswith(".csv") or name == "config.yaml":
            assert (first / name).read_text() == (second / name).read_text()
        else:
            assert (first / name).read_bytes() == (second / name).read_bytes()
    why = yaml.safe_load((first / "config.yaml").read_text())["why"]
    assert why["iterations"].startswith(GIVEN) and "ground" in why["class_weights"]
    assert main(["train", *shapes_words(shapes), "--out", str(first)]) == 2  # refused before anything is measured
    assert "holds a run already" in capsys.readouterr().err


@pytest.mark.usefixtures("no_trial")
def test_a_dry_run_prints_a_recipe_and_writes_nothing(
    shapes: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["train", *shapes_words(shapes, "--dry-run", "--time", "2m", "--lr", "0.5")]) == 0
    out, error = capsys.readouterr()
    assert not list(tmp_path.iterdir())
    (tmp_path / "mine.yaml").write_text(out)
    kept = load_recipe("./mine.yaml")
    assert kept.stages[0].lr == 0.5 and kept.why["lr"] == GIVEN and kept.name == "auto-contextnet14_160-shapes"
    lines = {line.split()[0]: line for line in error.splitlines()}
    assert set(kept.why) <= set(lines) | {"auxiliary heads"} and "0.5" in lines["lr"]
    check_stages(kept, open_stages(kept))


@pytest.mark.usefixtures("no_trial")
def test_what_is_given_stands_and_the_rest_follows_it() -> None:
    plain = resolve(STREETS)
    words = {"batch": "2", "window.size": "64x32", "ema": "none", "schedule": "onecycle", "validation.epochs": "3"}
    given = resolve([*STREETS, *((key, [value]) for key, value in words.items()), ("seed", ["7"])])
    stage, usual = given.stages[0], plain.stages[0]
    assert (stage.batch, stage.window.size, stage.ema) == (2, (32, 64), None)
    assert (stage.schedule, stage.warmup) == ("onecycle", 0)
    assert given.validation.epochs == 3 and given.validation.iterations is None and given.seed == 7
    assert stage.lr < usual.lr and stage.iterations and usual.iterations and stage.iterations > usual.iterations
    assert stage.window.scale == usual.window.scale and {given.why[key] for key in ("batch", "ema")} == {GIVEN}
    epochs = resolve([*STREETS, ("stages.0.epochs", ["3"])]).stages[0]
    assert (epochs.epochs, epochs.iterations) == (3, None)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([("card", ["streets"])], "auto trains any network on any card; say which: --network"),
        ([("network", ["contextnet14"])], "say which: --card"),
        ([("network", ["contextnet41"]), ("card", ["streets"])], "unknown network 'contextnet41'"),
        ([*STREETS, ("bach", ["3"])], "unknown key '--bach'; did you mean '--batch'?"),
        ([*STREETS, ("lr", ["fast"])], "stages.0.lr: 'fast' is not a number"),
        ([*STREETS, ("stages", ["3"])], "auto has one stage"),
    ],
)
def test_mistakes_are_found_before_anything_is_looked_at(words: list[tuple[str, list[str]]], message: str) -> None:
    with pytest.raises(SwathError, match=re.escape(message)):
        skeleton(words)


def test_words_of_the_command_line(capsys: pytest.CaptureFixture[str]) -> None:
    for words, message in (
        (["streets", "--dry-run"], "--time and --dry-run are for `swath train auto`"),
        (["auto", "--network", "contextnet14", "--card", "streets", "--time", "soon"], "--time 'soon' is no length"),
        (["auto", "--network", "contextnet14", "--card", "streets", "--time=1h", "--epochs=2"], "take one"),
    ):
        assert main(["train", *words]) == 2 and message in capsys.readouterr().err
    assert main(["recipes", "auto"]) == 0 and "--time 2h" in capsys.readouterr().out
    assert "auto" not in list_recipes()
    assert [read_time(text) for text in ("90m", "2h", "1.5d", "600 s")] == [5400, 7200, 129600, 600]


class Sized:
    """Pictures of any sizes, without pixels."""

    def __init__(self, sizes: list[tuple[int, int]]):
        self.card, self.sizes = load_card("camvid"), sizes

    def __len__(self) -> int:
        return len(self.sizes)

    def size(self, index: int) -> tuple[int, int]:
        return self.sizes[index]


def pictures(sizes: list[tuple[int, int]], shares: tuple[float, ...] = (0.5, 0.5), turned: bool = False) -> Pictures:
    source = Sized(sizes)
    least = (min(height for height, _ in sizes), min(width for _, width in sizes))
    return Pictures(
        train=source,  # type: ignore[arg-type]
        val=source,  # type: ignore[arg-type]
        size=sizes[0],
        smallest=least,
        turned=turned,
        shares=shares,
    )


def facts(found: Pictures, network: str = "contextnet14_160", **machine: object) -> Facts:
    with torch.device("meta"):
        model = create_model(network, num_classes=11)
    here = {"device": "cpu", "name": "here", "memory": 8 * GB, "main_memory": 8 * GB, "cores": 4, **machine}
    count = sum(each.numel() for each in model.parameters())
    return Facts(
        pictures=found,
        machine=Machine(**here),  # type: ignore[arg-type]
        model=model,
        parameters=count,
        norms=True,
        pretrained=False,
    )


def choices(*given: str) -> Choices:
    recipe, _ = skeleton([("network", ["contextnet14_160"]), ("card", ["camvid"]), ("device", ["cpu"])])
    return Choices(recipe, given)


@pytest.mark.parametrize(
    ("size", "device", "turned", "window"),
    [
        ((360, 480), "cpu", False, (256, 352)),
        ((1024, 2048), "cpu", False, (320, 640)),
        ((1024, 2048), "cuda", False, (512, 1024)),
        ((3000, 4000), "cuda", False, (640, 832)),
        ((300, 500), "cuda", True, (288, 288)),
        ((20, 30), "cpu", False, (32, 32)),
    ],
)
def test_windows_by_pictures_and_device(
    size: tuple[int, int], device: str, turned: bool, window: tuple[int, int]
) -> None:
    chosen = choices()
    rules.choose_window(chosen, facts(pictures([size] * 9, turned=turned), device=device))
    stage = chosen.stage
    assert stage.window.size == window and all(side % 32 == 0 for side in window)
    assert stage.window.scale == ((0.25, 1.0) if size[0] > 2000 else (0.5, 2.0))
    assert ("padded" in chosen.recipe.why["window.size"]) == (size[0] < window[0] or size[1] < window[1])


def test_a_network_that_needs_large_pictures_gets_them() -> None:
    for name in ("pspnet_resnet18", "lednet", "fc_densenet57"):
        chosen = choices()
        found = facts(pictures([(40, 40)] * 9), name)
        rules.choose_window(chosen, found)
        found.model.check_size(*chosen.stage.window.size)
        assert smallest_batch(found.model, chosen.stage.window.size) in (1, 2)


def test_batches_by_set_device_and_processes() -> None:
    cases = ((500, "cpu", 1, 8), (500, "cuda", 1, 16), (500, "cuda", 8, 32), (5, "cpu", 1, 5))
    for count, device, world, batch in cases:
        chosen = choices()
        rules.choose_batch(chosen, facts(pictures([(64, 64)] * count), device=device, world=world))
        assert chosen.stage.batch == batch and batch % world == 0
        rules.choose_optimiser(chosen, facts(pictures([(64, 64)] * count), device=device))
        larger = choices()
        larger.stage.batch = batch
        rules.choose_optimiser(larger, facts(pictures([(64, 64)] * count), "pspnet_resnet18", device=device))
        assert larger.stage.lr < chosen.stage.lr
        assert chosen.stage.lr == pytest.approx(rules.LR * (batch / 8) ** 0.5, rel=0.05)


def test_rare_classes_count_more() -> None:
    for shares, weights in (((0.5, 0.5), "none"), ((0.995, 0.005), "log"), ((0.6, 0.4, 0.0), "log")):
        chosen = choices()
        rules.choose_loss(chosen, facts(pictures([(64, 64)] * 9, shares)))
        assert chosen.stage.class_weights == weights
        assert chosen.recipe.why["class_weights"]


@pytest.mark.usefixtures("no_trial")
def test_several_tasks_and_what_a_card_does_not_supply() -> None:
    tasks = ("network_options.tasks", ["{segmentation: 11, depth: 1, motion: 2}"])
    recipe = resolve([("network", ["deeplabv3plus_lite_mobilenetv2"]), ("card", ["streets"]), *SMALL, tasks])
    assert set(recipe.stages[0].tasks) == {"segmentation", "depth", "motion"}
    assert recipe.stages[0].task_weights == "learned"
    check_stages(recipe, open_stages(recipe))
    with pytest.raises(SwathError, match="takes 'flow' with 3 channels, the card streets supplies 2"):
        resolve([("network", ["deeplabv3plus_lite_mobilenetv2_multitask"]), ("card", ["streets"]), *SMALL])
    with pytest.raises(SwathError, match="learns the task 'normals'"):
        resolve([("network", ["rf_lw_mtl_mobilenetv2_normals"]), ("card", ["streets"]), *SMALL])


def test_one_class_teaches_nothing(shapes: Path, tmp_path: Path) -> None:
    card = yaml.safe_load((shapes / "card.yaml").read_text())
    card.update(classes={"ground": [90, 90, 90]}, label_values={0: "ground", 1: "ignore", 2: "ignore", 255: "ignore"})
    (tmp_path / "one.yaml").write_text(yaml.safe_dump(card))
    words = [("network", ["contextnet14_160"]), ("card", [str(tmp_path / "one.yaml")]), ("root", [str(shapes)])]
    with pytest.raises(SwathError, match="one class, so there is nothing to tell apart"):
        resolve(words)


def test_a_set_of_three_pictures_trains(shapes: Path, tmp_path: Path) -> None:
    for split, count in (("train", 3), ("val", 1)):
        for kind in ("images", "labels"):
            folder = tmp_path / split / kind
            folder.mkdir(parents=True)
            for path in sorted((shapes / split / kind).glob("*.png"))[:count]:
                cv2.imwrite(str(folder / path.name), cv2.imread(str(path), cv2.IMREAD_UNCHANGED)[:20, :24])
    words = ["auto", "--network", "pspnet_resnet18", "--card", str(shapes / "card.yaml"), "--data.root", str(tmp_path)]
    quick = ["--iterations", "2", "--tensorboard", "no", "--threads", "1", "--device", "cpu", "--samples", "0"]
    assert main(["train", *words, *quick, "--out", str(tmp_path / "run")]) == 0
    assert load_recipe(tmp_path / "run" / "config.yaml").stages[0].batch == 3


@pytest.mark.usefixtures("no_trial")
def test_packed_pictures(shapes: Path, tmp_path: Path) -> None:
    for split in ("train", "val"):
        assert main(["pack", str(shapes / "card.yaml"), "--split", split, "--out", str(tmp_path / split)]) == 0
    words = [("network", ["contextnet14_160"]), ("card", [str(shapes / "card.yaml")])]
    packed, plain = resolve([*words, ("root", [str(tmp_path)])]), resolve(words)
    assert packed.stages == plain.stages and packed.why["pictures"] == plain.why["pictures"]


class Memory:
    """Choices of a recipe for a machine with so much memory, and what became of batch and windows."""

    def __init__(self, memory: int, *given: str, device: str = "cpu", measure: Callable[..., Pace] | None = None):
        self.choices = choices(*given)
        stage = self.choices.recipe.stages[0]
        stage.batch, stage.window = 8, dataclasses.replace(stage.window, size=(256, 512))
        self.facts = facts(pictures([(512, 1024)] * 9), memory=memory, device=device)

    def fit(self) -> tuple[int, tuple[int, int]]:
        fit.fit(self.choices, self.facts)
        return self.choices.stage.accumulate, self.choices.stage.window.size


@pytest.mark.usefixtures("no_trial")
def test_what_does_not_fit_is_cut() -> None:
    model = facts(pictures([(512, 1024)] * 9)).model
    whole = needed_bytes(model, (256, 512), 8, amp=False)
    assert Memory(3 * whole).fit() == (1, (256, 512))
    assert Memory(int(1.2 * whole)).fit() == (2, (256, 512))  # parts of 4
    parts, size = Memory(int(0.6 * whole)).fit()
    assert parts == 2 and size[0] < 256 and size[1] < 512  # norms want no fewer: smaller windows
    parts, size = Memory(int(1.2 * whole), "accumulate").fit()
    assert parts == 1 and size[0] < 256
    assert Memory(int(0.6 * whole), "window").fit() == (4, (256, 512))
    tight = Memory(int(0.6 * whole), "window", "accumulate")
    with pytest.raises(SwathError, match="nothing smaller is left to choose"):
        tight.fit()


def test_a_rate_that_a_network_does_not_bear_is_lowered() -> None:
    """Light-Weight RefineNet's decoder has no norms: at the rule's rate it never learned more than one class."""
    words = [("network", ["rf_lw_mobilenetv2"]), ("card", ["streets"]), *SMALL]
    chosen = resolve(words)
    assert chosen.stages[0].lr <= 0.002 and "in a trial" in chosen.why["lr"]
    given = resolve([*words, ("lr", ["0.005"])])
    assert given.stages[0].lr == 0.005 and given.why["lr"] == "as you said"
    plain = resolve(STREETS)
    assert plain.stages[0].lr == 0.0052 and "trial" not in plain.why["lr"]


def test_a_trial_leaves_the_random_numbers_as_they_were() -> None:
    recipe = resolve(STREETS)
    train = load_card("streets").open("train", count=4, size=(64, 96))
    torch.manual_seed(5)
    wanted = torch.rand(3)
    torch.manual_seed(5)
    learns(recipe, train, 2)
    assert torch.equal(torch.rand(3), wanted)


def test_a_trial_that_runs_out_of_memory_is_no_end(monkeypatch: pytest.MonkeyPatch) -> None:
    tried: list[int] = []

    def measure(recipe: Recipe, train: object, val: object, part: int) -> Pace:
        tried.append(part)
        if part > 2 or recipe.stages[0].window.size[0] > 200:
            raise torch.OutOfMemoryError
        return Pace(0.5, 0.01, 0.1)

    monkeypatch.setattr(fit, "measure", measure)
    parts, size = Memory(100 * GB, device="cuda").fit()
    assert 8 // parts <= 2 and size[0] <= 200 and tried[0] == 8


@pytest.mark.parametrize("name", ["contextnet14_160", "fastscnn", "csfcn_tiny", "bisenetv2", "enet"])
def test_memory_is_counted_without_memory(name: str) -> None:
    """What autograd keeps of a real pass is what the pass of shapes says."""
    from swath.training.auto.memory import kept_bytes

    size = (96, 128)
    with torch.device("meta"):
        bare = create_model(name, num_classes=5)
    model, kept, own = create_model(name, num_classes=5).train(), {}, set()
    own = {each.untyped_storage().data_ptr() for each in [*model.parameters(), *model.buffers()]}

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in own:
            kept[storage.data_ptr()] = storage
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        outputs = model(torch.rand(2, 3, *size))
    real = sum(storage.nbytes() for storage in kept.values())
    counted, shapes_of = kept_bytes(bare, size, 2)
    outputs = outputs if isinstance(outputs, list) else [outputs]
    assert counted == pytest.approx(real, rel=0.05)
    assert [each.shape for each in shapes_of] == [each.shape for each in outputs]
    assert needed_bytes(bare, size, 8, amp=False) > 1.5 * needed_bytes(bare, size, 4, amp=False) - GB / 2
    assert needed_bytes(bare, size, 4, amp=True) < needed_bytes(bare, size, 4, amp=False)


def test_length_by_pictures_and_by_time() -> None:
    def lengths(cost: Cost, budget: float | None, count: int = 400) -> Recipe:
        chosen = choices()
        chosen.recipe.stages[0].batch = 8
        choose_length(chosen, facts(pictures([(64, 64)] * count)), cost, budget)
        return chosen.recipe

    steps = lambda recipe: recipe.stages[0].iterations or 0  # noqa: E731
    fast = Cost(0.01, 0.5)
    assert steps(lengths(fast, None, 1600)) == pytest.approx(2 * steps(lengths(fast, None)), rel=0.01)
    for hours in (1, 2):  # training and validations stay within what was given
        cost = Cost(0.5, 20)
        recipe = lengths(cost, 3600 * hours)
        each = recipe.validation.iterations or 1
        spent = steps(recipe) * cost.iteration + -(-steps(recipe) // each) * cost.validation
        assert 0.85 * 3600 * hours < spent <= 3600 * hours
    slow = lengths(Cost(10.0, 5), None)
    assert steps(slow) * 10 < 8.1 * 3600 and "--time 16h" in slow.why["iterations"]
    assert lengths(Cost(10.0, 5), 3600).stages[0].window.scale == (0.75, 1.5)  # few epochs
    assert lengths(fast, None).stages[0].window.scale == (0.5, 2.0)
    with pytest.raises(SwathError, match="fewer than the 50 that teach anything; give more --time"):
        lengths(Cost(10.0, 5), 120)
    for recipe in (lengths(fast, None), slow):
        stage = recipe.stages[0]
        assert 0 < stage.warmup < steps(recipe) and stage.ema and 1 / (1 - stage.ema) < steps(recipe)


def test_started_again_by_torchrun_nothing_is_chosen_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    recipe, _ = skeleton(STREETS)
    (tmp_path / "checkpoints").mkdir()
    (tmp_path / "checkpoints" / "launch").write_text("job 7")
    (tmp_path / "config.yaml").write_text(recipe_text(recipe))
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "job 7")
    assert as_plain(prepared(STREETS, "1h", tmp_path)(Place())) == as_plain(recipe)
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "another")
    with pytest.raises(SwathError, match="holds a run already"):
        prepared(STREETS, "1h", tmp_path)(Place())


@pytest.mark.usefixtures("no_trial")
def test_the_same_facts_give_the_same_choices() -> None:
    first, second = resolve(STREETS), resolve(STREETS)
    assert (first.stages, first.validation, first.data) == (second.stages, second.validation, second.data)
    assert first.why["pictures"] == "6 to learn from and 2 to be measured on, 11 classes, 128x64"
