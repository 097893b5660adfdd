"""Fewer nodes for the same structure: what a drawing can leave out."""

from __future__ import annotations

from dataclasses import replace

from swath.catalogue.trace import Node

_MANY = 40  # nodes; beyond them the units of a stage become one box


def simplify(nodes: list[Node]) -> list[Node]:
    """Chains of numbered modules at one size become one node, joins of joins too; in large networks whole stages."""
    nodes = _merge_chains(nodes)
    return _merge_stages(nodes) if len(nodes) > _MANY else nodes


def _merge_chains(nodes: list[Node]) -> list[Node]:
    nodes = [replace(node) for node in nodes]
    fed = [0] * len(nodes)
    for node in nodes:
        for source in node.feeds_from:
            fed[source] += 1
    becomes = list(range(len(nodes)))
    for index, node in enumerate(nodes):
        for source in node.feeds_from:
            if fed[source] == 1 and nodes[source].stride == node.stride and _alike(nodes[source], node):
                becomes[source] = index  # into the later one: what else feeds it runs before it
                node.count += nodes[source].count
                node.name = nodes[source].name
                break
    return _contracted(nodes, becomes)


def _alike(before: Node, node: Node) -> bool:
    if node.symbol or before.symbol:
        return node.symbol == before.symbol and node.symbol in ("+", "‖", "×")
    stem, _, number = node.name.rpartition(".")
    stem_before, _, number_before = before.name.rpartition(".")
    return number.isdigit() and number_before.isdigit() and stem == stem_before and len(node.feeds_from) == 1


def _merge_stages(nodes: list[Node]) -> list[Node]:
    """Boxes of one numbered module (or numbered alike at one size) that run one after the other, with their joins.

    A run without a gap in the order of execution can be one node: no path leaves it and comes back.
    """
    nodes = [replace(node) for node in nodes]
    becomes = list(range(len(nodes)))
    run: list[int] = []
    joins: list[int] = []  # since the last box: in the run if it goes on behind them, or if nothing else feeds them
    name: tuple[str, float] | None = None
    for index, node in enumerate(nodes):
        if node.symbol and node.symbol != "answer":
            joins.append(index)
            continue
        own = _stage(node)
        if own is not None and own == name:
            run += joins
        else:
            _close(nodes, run, joins, name, becomes)
            run, name = [], own
        joins = []
        run.append(index)
    return _contracted(nodes, becomes)


def _stage(node: Node) -> tuple[str, float] | None:
    words = node.name.split(".")
    first = next((place for place, word in enumerate(words) if word.isdigit()), None)
    if first is None:
        return None
    if first + 1 < len(words):
        return ".".join(words[: first + 1]), 0  # units within a stage, whatever their size
    return ".".join(words[:first]), node.stride


def _close(
    nodes: list[Node], run: list[int], joins: list[int], name: tuple[str, float] | None, becomes: list[int]
) -> None:
    if name is None or sum(not nodes[index].symbol for index in run) < 3:
        return
    for index in joins:
        if not all(source in run for source in nodes[index].feeds_from):
            break
        run.append(index)
    last = nodes[run[-1]]
    for index in run[:-1]:
        becomes[index] = run[-1]
    last.name, last.symbol, last.count = name[0], "", 1


def _contracted(nodes: list[Node], becomes: list[int]) -> list[Node]:
    """`becomes` says for every node into which later one it goes (itself: it stays)."""

    def final(index: int) -> int:
        while becomes[index] != index:
            index = becomes[index]
        return index

    sources: dict[int, list[int]] = {}
    for index, node in enumerate(nodes):
        sources.setdefault(final(index), []).extend(final(source) for source in node.feeds_from)
    numbers = {index: number for number, index in enumerate(sorted(sources))}
    return [
        replace(nodes[i], feeds_from=list(dict.fromkeys(numbers[s] for s in sources[i] if s != i))) for i in numbers
    ]
