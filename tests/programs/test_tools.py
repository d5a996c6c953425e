"""Interactive tools under `aioxide run`: they print which loop, task and lock they have."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from programs.serving import ENVIRONMENT, OURS, entry, needs

pytestmark = [pytest.mark.aioxide_only, pytest.mark.slow]

KINDS = (
    "import asyncio; print([type(asyncio.get_running_loop()).__module__, "
    "type(asyncio.current_task()).__module__, asyncio.Lock.__module__])"
)
AWAITED = f"import asyncio\nawait asyncio.sleep(0)\n{KINDS}"


def output(folder: Path, *words: str) -> str:
    done = subprocess.run(
        [*entry(folder), *words],
        cwd=folder,
        env=os.environ | ENVIRONMENT | {"IPYTHONDIR": str(folder), "HOME": str(folder)},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=55,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_ipython(tmp_path: Path) -> None:
    needs("IPython")
    (tmp_path / "program.ipy").write_text(AWAITED)
    assert str(OURS) in output(tmp_path, "ipython", "--quick", "program.ipy")


def test_kernel_of_jupyter(tmp_path: Path) -> None:
    needs("ipykernel", "nbclient", "nbformat")
    program = (
        "import nbformat, nbclient\n"
        f"cell = nbformat.v4.new_code_cell({AWAITED!r})\n"
        "notebook = nbformat.v4.new_notebook(cells=[cell])\n"
        "nbclient.NotebookClient(notebook, kernel_name='python3').execute()\n"
        "print(notebook.cells[0].outputs)\n"
    )
    (tmp_path / "program.py").write_text(program)
    assert str(OURS) in output(tmp_path, "program.py")


def test_processes_of_xdist(tmp_path: Path) -> None:
    needs("xdist")
    compare = KINDS.replace("print(", f"assert {OURS} == (")
    body = f"import asyncio\ndef test():\n    async def main():\n        {compare}\n"
    (tmp_path / "test_it.py").write_text(f"{body}    asyncio.run(main())\n")
    words = ["pytest", "-q", "-n", "2", "-p", "no:cacheprovider", "test_it.py"]
    assert "1 passed" in output(tmp_path, *words)
