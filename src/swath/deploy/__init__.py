"""Networks as files for other engines: pixels in, preprocessing inside, certified before they are kept."""

from __future__ import annotations

from swath.deploy.exporter import FORMATS, export
from swath.deploy.verify import Check, Report

__all__ = ["FORMATS", "Check", "Report", "export"]
