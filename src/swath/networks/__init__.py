"""Networks: a registry of names, one contract (`Network`), one file a family, imported when it is asked for."""

from __future__ import annotations

from swath.networks.base import Network
from swath.networks.fusion import fuse
from swath.networks.preprocess import Preprocess
from swath.networks.registry import Claims, Info, create_model, list_models, model_info, register

__all__ = [
    "Claims",
    "Info",
    "Network",
    "Preprocess",
    "create_model",
    "fuse",
    "list_models",
    "model_info",
    "register",
]
