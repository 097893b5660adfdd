"""What was chosen, for a person: a line a choice, or a recipe to keep."""

from __future__ import annotations

from rich.console import Console
from rich.text import Text

from swath.training.auto.choices import GIVEN, Choices
from swath.training.config import Recipe
from swath.training.fill import as_plain
from swath.training.recipe_files import recipe_text

ABOUT = """\
auto: one strong default recipe for any network and any card

  swath train auto --network NAME --card CARD [--data.root DIR] [--time 2h] [--key value ...]
  swath train auto --network NAME --card CARD --dry-run > mine.yaml     only choose, and keep it as a recipe

It looks at the network, at a sample of the pictures and their labels, and at the machine, times a few iterations, and
says what it chose and why before it begins:

  pictures   window size and scales from the size of the pictures; held in memory where they take little of it
  batch      8 on a processor, 16 on a GPU, not more than there are pictures; cut into parts, or its windows made
             smaller, until it fits into the memory that is free (predicted; on a GPU tried as well)
  loss       cross-entropy, by rarity where a class has few pixels; auxiliary heads as the network's authors weigh them;
             one loss a task, which weigh themselves, for networks with several
  optimiser  AdamW, its rate by the batch, no weight decay on norms and biases, gradients clipped
  schedule   a warm-up, then a cosine; a moving average of the weights, as long as suits the run
  length     by the number of pictures, or what --time allows; validations take a tenth of it at most

Every key that you give stands. The run's config.yaml is an ordinary recipe with all that was chosen:
`swath train RUN/config.yaml --out OTHER` repeats it.
"""
FACTS = ("network", "pictures", "device", "memory")  # what was found, not chosen


def show(recipe: Recipe, console: Console) -> None:
    """One line a choice: what, and why."""
    rows = [("" if key in FACTS else _value(recipe, key), key, why) for key, why in recipe.why.items()]
    first, second = max(len(key) for _, key, _ in rows), max(len(value) for value, _, _ in rows)
    for value, key, why in rows:
        line = Text(f"{key:<{first}}  ", "bold")
        line.append(f"{value:<{second}}  " if value or key not in FACTS else "", "green")
        line.append(why, "dim" if why == GIVEN else "")
        console.print(line, soft_wrap=True)


def recipe_with_reasons(recipe: Recipe) -> str:
    """YAML to keep; the reasons stand at its end, under `why`."""
    return f"# {recipe.title}: what `swath train auto` chose; `swath train THIS_FILE` trains it\n{recipe_text(recipe)}"


def _value(recipe: Recipe, key: str) -> str:
    try:
        value = Choices(recipe, ()).value(key)
    except AttributeError:  # a word about several keys
        return ""
    if key == "window.size":
        return f"{value[1]}x{value[0]}"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:g}"
    if isinstance(value, int):
        return f"{value:,}"
    plain = as_plain(value)
    return ", ".join(map(str, plain)) if isinstance(plain, (list, dict)) else str(plain)
