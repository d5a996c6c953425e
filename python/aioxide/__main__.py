"""`python -m aioxide app.py args`."""

from __future__ import annotations

from .cli import main_as_python

if __name__ == "__main__":
    main_as_python()
