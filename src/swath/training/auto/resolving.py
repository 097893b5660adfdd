"""`auto` as an ordinary recipe: what was given, what was chosen, and why."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from swath.cards import load_card
from swath.errors import SwathError
from swath.networks import model_info
from swath.training.auto import rules
from swath.training.auto.choices import Choices
from swath.training.auto.facts import find_facts
from swath.training.auto.fit import fit
from swath.training.auto.length import choose_length, cost_of, read_time
from swath.training.auto.rate import choose_rate
from swath.training.checking import check_stages
from swath.training.config import Recipe
from swath.training.fill import as_plain, fill
from swath.training.recipe_files import changed, full_key

Overrides = Sequence[tuple[str, Sequence[str]]]
_SHORT = {"card": "data.card", "root": "data.root"}  # what is given so often that it has short names


def skeleton(overrides: Overrides) -> tuple[Recipe, set[str]]:
    """A recipe with what was given, and the keys that this was; nothing is chosen yet, and nothing looked at."""
    overrides = [(_SHORT.get(key, key), words) for key, words in overrides]
    given = {key.removeprefix("stages.0.") for key, _ in overrides}
    for key, example in (("network", "contextnet14"), ("data.card", "camvid")):
        if key not in given:
            flag = key.removeprefix("data.")
            raise SwathError(f"auto trains any network on any card; say which: --{flag} {example}")
    if "stages" in given:
        raise SwathError("auto has one stage, whose keys stand by themselves, such as --lr; leave --stages out")
    stage: dict[str, Any] = {"window": {"size": [64, 64]}, "lr": 1e-3, "iterations": 1}
    if {"epochs", "iterations"} & given:
        stage["iterations"] = None
    tree = {"name": "auto", "network": "", "data": {}, "stages": [stage]}
    recipe = fill(Recipe, changed(tree, overrides), "auto")
    keys = {full_key(key, tree).removeprefix("stages.0.") for key, _ in overrides}
    recipe.network = model_info(recipe.network).name
    card = load_card(recipe.data.card)
    if "name" not in given:
        recipe.name = f"auto-{recipe.network}-{card.name}"
    if not recipe.title:
        recipe.title = f"{recipe.network} on {card.title or card.name}, chosen by swath"
    return recipe, keys


def resolve(
    overrides: Overrides,
    time: str | None = None,
    *,
    world: int = 1,
    neighbours: int = 1,
    told: Callable[[str], None] = lambda text: None,
) -> Recipe:
    """Choose everything that was not given, for `world` processes, `neighbours` of them on this machine. `time` is what
    the training may take; `told` hears what is being done meanwhile."""
    budget = read_time(time) if time is not None else None
    recipe, given = skeleton(overrides)
    if budget is not None and given & {"epochs", "iterations"}:
        raise SwathError("--time chooses the length, and --epochs or --iterations give it; take one")
    choices = Choices(recipe, given)
    rules.choose_network(choices)
    told("looking at pictures")
    facts = find_facts(recipe, world, neighbours)
    recipe.why.update(rules.describe(facts))
    rules.choose_data(choices, facts)
    rules.choose_window(choices, facts)
    rules.choose_batch(choices, facts)
    rules.choose_loss(choices, facts)
    rules.choose_optimiser(choices, facts)
    rules.choose_speed(choices, facts)
    told("timing an iteration")
    pace = fit(choices, facts)
    told("trying the rate")
    choose_rate(choices, facts)
    choose_length(choices, facts, cost_of(choices, facts, pace), budget)
    resolved = fill(Recipe, as_plain(recipe), "auto")  # as it is read again from the run's folder
    check_stages(resolved, [(facts.pictures.train, facts.pictures.val)], world)
    return resolved
