"""What the blocks of the recipes cannot show by themselves: a notebook's kernel, a Dockerfile."""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
from typing import TYPE_CHECKING

import pytest
from dockerfile_parse import DockerfileParser

from tests.docs import pages

if TYPE_CHECKING:
    from pathlib import Path

PAGE = pages.ROOT / "docs/recipes/elsewhere.md"
INSTRUCTIONS = {"FROM", "RUN", "COPY", "CMD"}


def file(name: str) -> str:
    """The file that the page shows under a name."""
    for block in pages.blocks(PAGE.read_text(encoding="utf-8")):
        if block.title == name:
            return block.text
    raise AssertionError(f"no {name} on the page")


# Runs one cell in a kernel and prints what the cell prints: in a process of its own, since nbclient
# and its kernel start threads, sockets and loops.
NOTEBOOK = """
import sys
import nbclient, nbformat

notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(sys.argv[2])])
nbclient.NotebookClient(notebook, kernel_name=sys.argv[1]).execute()
for output in notebook.cells[0].outputs:
    print(output.text, end="")
"""


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize(
    ("kernel", "cell", "printed"),
    [("python3", "cell.py", "an item\n"), ("aioxide", "loop.py", "aioxide.events\n")],
)
def test_notebook(kernel: str, cell: str, printed: str, tmp_path: Path) -> None:
    """The cells of the page do what it says, in the kernel that it names."""
    spec = tmp_path / "kernels/aioxide/kernel.json"
    spec.parent.mkdir(parents=True)
    spec.write_text(file("aioxide-kernel/kernel.json"), encoding="utf-8")
    scripts = sysconfig.get_path("scripts")
    environ = {
        **os.environ,
        "PATH": f"{scripts}{os.pathsep}{os.environ.get('PATH', '')}",
        "HOME": str(tmp_path),
        "JUPYTER_PATH": str(tmp_path),
    }
    done = subprocess.run(
        [sys.executable, "-c", NOTEBOOK, kernel, file(cell)],
        cwd=tmp_path,
        env=environ,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == printed


def test_dockerfile(tmp_path: Path) -> None:
    """Every instruction of the Dockerfile is one, and its second stage copies from its first."""
    (tmp_path / "Dockerfile").write_text(file("Dockerfile"), encoding="utf-8")
    found = DockerfileParser(str(tmp_path / "Dockerfile"))
    assert {each["instruction"] for each in found.structure} == INSTRUCTIONS
    assert len(found.parent_images) == 2
    assert any(each["value"].startswith("--from=build ") for each in found.structure)
    assert found.cmd == '["/app/bin/aioxide", "doctor"]'
