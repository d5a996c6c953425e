"""`python -m tests.conformance`, from the root of the repository."""

from __future__ import annotations

import sys

from .cli import main

sys.exit(main())
