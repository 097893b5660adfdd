"""A whole run in a few seconds."""

from __future__ import annotations

# A whole run in a few seconds: 4 epochs of 3 iterations.
RECIPE = {
    "name": "tiny",
    "network": "contextnet14_160",
    "data": {"card": "card.yaml", "workers": 0},
    "stages": [
        {
            "epochs": 4,
            "batch": 4,
            "window": {"size": "64x64", "scale": [0.8, 1.25], "brightness": 0.1, "jitter": 0.5},
            "lr": 0.01,
            "weight_decay": 1e-4,
            "decay_skips": ["norms", "biases"],
            "schedule": "onecycle",
            "ema": 0.9,
            "clip": 5.0,
            "loss": "ohem",
        }
    ],
    "threads": 1,
    "device": "cpu",
    "log_every": 2,
    "samples": 1,
    "tensorboard": False,
    "checkpoint_iterations": 2,
}
