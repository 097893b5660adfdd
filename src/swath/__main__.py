"""`python -m swath` is `swath`; torchrun starts it this way."""

import sys

from swath.cli.main import main

sys.exit(main())
