"""How good a network is: exact integer confusion matrices, and the scores that follow from them."""

from __future__ import annotations

from swath.evaluation.boundary import BoundaryCounts, BoundaryScores
from swath.evaluation.confusion import ConfusionMatrix
from swath.evaluation.evaluator import evaluate
from swath.evaluation.instances import InstanceCounts, InstanceScores
from swath.evaluation.metrics import Scores, metrics
from swath.evaluation.observers import Observer, PerPicture, Scored
from swath.evaluation.tasks import DepthScores, TaskScores, evaluate_tasks

__all__ = [
    "BoundaryCounts",
    "BoundaryScores",
    "ConfusionMatrix",
    "DepthScores",
    "InstanceCounts",
    "InstanceScores",
    "Observer",
    "PerPicture",
    "Scored",
    "Scores",
    "TaskScores",
    "evaluate",
    "evaluate_tasks",
    "metrics",
]
