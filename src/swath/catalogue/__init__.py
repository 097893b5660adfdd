"""The networks as a table, a page and drawings: what their authors say, and beside it what is measured here."""

from __future__ import annotations

from swath.catalogue.entry import Entry, Shipped, entries

__all__ = ["Entry", "Shipped", "entries"]
