"""The doctor: examines a dataset before a training does, and names everything that is wrong with it at once."""

from __future__ import annotations

from swath.doctor.balance import Balance
from swath.doctor.diagnosis import Diagnosis, SplitFacts, check
from swath.doctor.findings import KINDS, LEVELS, Finding, Group, grouped

__all__ = ["KINDS", "LEVELS", "Balance", "Diagnosis", "Finding", "Group", "SplitFacts", "check", "grouped"]
