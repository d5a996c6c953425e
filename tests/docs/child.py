"""Runs the Python blocks of one page, in one namespace: a child of test_blocks.py.

A line of JSON on stdin is a block; the answer is a line of JSON with what it printed and, if it
failed, the traceback.
"""

from __future__ import annotations

import contextlib
import io
import json
import sys
import traceback
from typing import Any


def main() -> None:
    """Answer until stdin ends."""
    namespace: dict[str, Any] = {"__name__": "__main__"}
    sys.path.insert(0, "")  # the page's folder, where its files are
    for request in sys.stdin:
        block = json.loads(request)
        printed = io.StringIO()
        error = ""
        with contextlib.redirect_stdout(printed):
            try:
                source = "\n" * block["line"] + block["source"]
                exec(compile(source, block["page"], "exec"), namespace)
            except BaseException:
                error = traceback.format_exc()
        answer = {"printed": printed.getvalue(), "error": error}
        sys.__stdout__.write(json.dumps(answer) + "\n")  # type: ignore[union-attr]
        sys.__stdout__.flush()  # type: ignore[union-attr]


if __name__ == "__main__":
    main()
