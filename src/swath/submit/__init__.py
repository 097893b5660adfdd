"""Archives for the test servers of benchmarks: written as asked for, and looked at before an upload is lost."""

from __future__ import annotations

from swath.submit.inspection import Expected, Finding, Inspection, inspect
from swath.submit.servers import SERVERS, Server, server_of
from swath.submit.writing import write_submission

__all__ = ["SERVERS", "Expected", "Finding", "Inspection", "Server", "inspect", "server_of", "write_submission"]
