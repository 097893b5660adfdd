"""How good a network is: exact integer confusion matrices, and the scores that follow from them."""

from __future__ import annotations

from swath.evaluation.confusion import ConfusionMatrix
from swath.evaluation.evaluator import evaluate
from swath.evaluation.metrics import Scores, metrics
from swath.evaluation.tasks import DepthScores, TaskScores, evaluate_tasks

__all__ = ["ConfusionMatrix", "DepthScores", "Scores", "TaskScores", "evaluate", "evaluate_tasks", "metrics"]
