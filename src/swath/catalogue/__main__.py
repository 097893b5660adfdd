"""`python -m swath.catalogue [docs]`: write docs/networks.md and its drawings."""

from __future__ import annotations

import sys
from pathlib import Path

from swath.catalogue.page import write_page

files = write_page(Path(sys.argv[1] if len(sys.argv) > 1 else "docs"))
print(f"wrote {files[0]} and {len(files) - 1} drawings")
