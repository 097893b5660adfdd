"""What pages tell people to type: commands are parsed by the command line's own parsers, Python is compiled and run."""

from __future__ import annotations

import argparse
import fnmatch
import re
import tomllib
from pathlib import Path

import cv2
import pytest
import yaml
from reading import DOCS, ROOT, Block, blocks, commands, pages, spans, swath_words

import swath
from swath.cli.main import COMMANDS, build_parser, command_module
from swath.deploy import export
from swath.networks import model_info
from swath.training import list_recipes, load_recipe
from tiny import NAMES, dataset, labels, network, picture

EXTRAS = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
TARGETS = set(re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(), re.M))
BENCHMARKED = re.compile(r"\.(safetensors|onnx|xml|pt2|pt|aoti|engine|pte)$|/$|-(onnx|openvino)$|^[A-Z…]")

SHELL = [block for page in pages() for block in blocks(page) if block.language in ("sh", "bash", "shell")]
INLINE = [
    (page.relative_to(ROOT).as_posix(), span)
    for page in pages()
    if page.name != "CHANGELOG.md"  # it tells of older versions too
    for span in spans(page)
    if re.match(r"swath [a-z]", span) and not re.search(r"…|\.\.\.", span) and span.split()[1] in COMMANDS
]
PYTHON = [block for page in pages() for block in blocks(page) if block.language == "python"]
YAML = [block for page in pages() for block in blocks(page) if block.language == "yaml"]
# These show code for a device or a place that a test has not, or are others' to run; they are compiled all the same.
COMPILED_ONLY = {"CONTRIBUTING.md", "docs/deploy.md", "docs/robustness.md"}
RUN = sorted({block.page for block in PYTHON if not block.page.endswith(".ipynb")} - COMPILED_ONLY)


def test_there_is_code_to_look_at() -> None:
    assert len(SHELL) > 40 and len(INLINE) > 100 and len(PYTHON) > 15 and len(YAML) > 5
    assert all(ROOT.joinpath(page).exists() for page in COMPILED_ONLY - {"docs/deploy.md", "docs/robustness.md"})


@pytest.mark.parametrize("block", SHELL, ids=str)
def test_shell_blocks(block: Block) -> None:
    for words in commands(block.text):
        check(words)


@pytest.mark.parametrize("page", sorted({page for page, _ in INLINE}))
def test_commands_within_lines(page: str) -> None:
    for found, span in INLINE:
        if found == page and " [" not in span:  # `swath models [PATTERN]` is a summary, not a command
            for words in commands(span.replace("\\|", "|")):
                check([word.replace("WxH", "64x64") for word in words], brief=True)


def check(words: list[str], brief: bool = False) -> None:
    """A command that a reader may copy must be understood as it stands; a brief one may leave out what it works on."""
    arguments = swath_words(words)
    if arguments is not None:
        check_swath(arguments, brief)
    elif words[:2] == ["pip", "install"]:
        named = [found for word in words for found in re.findall(r"\[(.*)\]", word)]
        assert all(extra in EXTRAS for names in named for extra in names.split(",")), words
    elif words[0] == "make":
        assert {word for word in words[1:] if "=" not in word} <= TARGETS, words
    elif words[0] == "python" and words[1].endswith(".py") and "/" in words[1]:
        assert (ROOT / words[1]).is_file(), words


def check_swath(arguments: list[str], brief: bool) -> None:
    name, words = arguments[0], arguments[1:]
    if name.startswith("-"):
        return
    assert name in COMMANDS, f"there is no swath {name}"
    parser, parse = build_parser(name), getattr(command_module(name), "parse", None)
    if brief:
        for action in parser._actions:
            action.required = False
            action.nargs = "?" if action.nargs is None else action.nargs
    parsed = parse(parser, words) if parse else parser.parse_args(words)
    check_names(name, parsed)


def check_names(command: str, parsed: argparse.Namespace) -> None:
    """Networks, cards and recipes that are named must exist; capitals and file names stand for the reader's own."""
    card = getattr(parsed, "card", None) or ""
    if card and card not in ("CARD",) and not card.endswith(".yaml"):
        swath.load_card(card)
    if command == "benchmark":
        for name in [*parsed.models, *parsed.more]:
            assert BENCHMARKED.search(name) or swath.list_models(name) or model_info(name), name
    if command == "train" and parsed.recipe not in (None, "auto", "RECIPE", "NAME", "contextnet18-camvid"):
        recipe = load_recipe("own" if parsed.recipe.endswith(".yaml") else parsed.recipe, parsed.overrides)
        assert model_info(recipe.network)
        if recipe.data.card != "card.yaml" and not recipe.data.card.endswith(".yaml"):
            swath.load_card(recipe.data.card)
    if command == "recipes" and parsed.recipe not in (None, "NAME", "PATTERN", "contextnet18-camvid"):
        if "*" in parsed.recipe:
            assert fnmatch.filter(list_recipes(), parsed.recipe)
            return
        load_recipe(parsed.recipe)


@pytest.mark.parametrize("block", PYTHON, ids=str)
def test_python_compiles(block: Block) -> None:
    compile(block.text, str(block), "exec")


@pytest.mark.parametrize("block", YAML, ids=str)
def test_yaml_is_a_card_or_a_recipe(block: Block, tmp_path: Path) -> None:
    tree = yaml.safe_load(block.text)
    file = tmp_path / "mine.yaml"
    file.write_text(block.text)
    if {"stages", "network", "extends"} & set(tree):
        assert load_recipe(file).stages
    elif "classes" in tree:
        assert swath.load_card(file).num_classes >= 2
    else:
        assert tree, f"{block} is empty"


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The files that the pages speak of, tiny."""
    folder = tmp_path_factory.mktemp("desk")
    card = dataset(folder)
    text = card.read_text() + "layouts:\n  all: {}\n"
    (folder / "my.yaml").write_text(text.split("layouts:")[0].replace("name: shapes", "name: my"))
    for index in range(4):  # a train split beside val, and answers that a device has saved
        for kind, content in (("images", picture(index)[:, :, ::-1]), ("labels", labels(index))):
            file = folder / "train" / kind / f"p{index}.png"
            file.parent.mkdir(parents=True, exist_ok=True)
            cv2.imwrite(str(file), content)
        (folder / "answers").mkdir(exist_ok=True)
        cv2.imwrite(str(folder / "answers" / f"p{index}.png"), labels(index) % 3)
    model = network()
    colors = [(0, 0, 0), (9, 9, 9), (0, 90, 0), (0, 0, 90)]
    for place in ("best.safetensors", "runs/streets/best.safetensors", "demo/run/best.safetensors"):
        (folder / place).parent.mkdir(parents=True, exist_ok=True)
        swath.save(folder / place, model, classes=NAMES, colors=colors, dataset="my")
    cv2.imwrite(str(folder / "street.jpg"), picture(7))
    video = cv2.VideoWriter(str(folder / "street.mp4"), cv2.VideoWriter_fourcc(*"mp4v"), 10, (96, 64))
    for index in range(3):
        video.write(picture(index, 64, 96))
    video.release()
    return folder


@pytest.mark.parametrize("page", RUN)
def test_python_runs(
    page: str, desk: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The blocks of a page, one after the other in one namespace, as a reader would paste them."""
    code = [block for block in PYTHON if block.page == page]
    if any("onnxruntime" in block.text for block in code):
        pytest.importorskip("onnxruntime", reason="the page shows an exported file")
        pytest.importorskip("onnxscript", reason="the page shows an export")
        if not (desk / "labels.onnx").exists():
            export(swath.load(desk / "best.safetensors"), desk / "labels.onnx", "onnx", finish="inside")
    if any("swath.quantise" in block.text for block in code):
        pytest.importorskip("torchao", reason="the page calibrates")
    monkeypatch.chdir(desk)
    namespace: dict[str, object] = {"__name__": "page"}
    for block in code:
        exec(compile(block.text, str(block), "exec"), namespace)


def test_pages_name_no_place_of_a_machine() -> None:
    """Nor anything that only its writer has."""
    foreign = re.compile(r"/tmp/|/root/|/home/|/work/|C:\\\\")
    files = [*pages(), *(DOCS / "notebooks").glob("*.py"), DOCS / "conf.py"]
    assert [str(file) for file in files if foreign.search(file.read_text("utf-8"))] == []
