"""Networks as files for other engines: pixels in, preprocessing inside, certified before they are kept."""

from __future__ import annotations

from swath.deploy.bundle import bundle
from swath.deploy.exporter import FORMATS, export
from swath.deploy.graph import PRECISIONS
from swath.deploy.recheck import Verdict, recheck
from swath.deploy.verify import Check, Report

__all__ = ["FORMATS", "PRECISIONS", "Check", "Report", "Verdict", "bundle", "export", "recheck"]
