"""Workloads that run in the loop under test itself: how one is opened, and what it took."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import served
from child import PATIENCE, Child, Failed, python_command, running

if TYPE_CHECKING:
    import contextlib

    import harness
    from benchmark import OpenSession, Setting
    from workload import Workload


class Session:
    """An implementation in its process, calibrated."""

    def __init__(self, child: Child, limit: float = PATIENCE) -> None:
        self._child, self._limit = child, limit
        self._total = {"operations_per_slice": answer(child, limit)["operations"], "slices": 0}

    def slice(self) -> None:
        self._child.say()
        for name, value in answer(self._child, self._limit).items():
            self._total[name] = self._total.get(name, 0) + value
        self._total["slices"] += 1

    def result(self) -> harness.Values:
        operations = self._total["operations_per_slice"] * self._total["slices"]
        return {
            "ns_per_operation": self._total["cpu_ns"] / operations,
            "cpu_us_per_operation": self._total["cpu_ns"] / operations / 1000,
            "wall_us_per_operation": self._total["wall_ns"] / operations / 1000,
            "user_us_per_operation": self._total["user_us"] / operations,
            "system_us_per_operation": self._total["system_us"] / operations,
            **self._total,
        }


def answer(child: Child, limit: float = PATIENCE) -> dict[str, int]:
    """What the child says next, or its failure."""
    said: dict[str, Any] = json.loads(child.line(limit))
    if "error" in said:
        raise Failed(said["error"])
    return said


def command(module: str, row: str, column: str, setting: Setting, *further: str) -> list[str]:
    """Command line of the child that runs this row of the module's WORKLOADS."""
    arguments = ["--seconds", str(setting.slice_seconds), *further]
    if setting.cpu is not None:
        arguments += ["--cpu", str(setting.cpu)]
    return python_command("loop_child", module, row, column, *arguments)


def sessions(module: str) -> OpenSession:
    """How the rows of a module of workloads are opened."""

    def open_session(
        stack: contextlib.ExitStack, setting: Setting, row: Workload, column: str
    ) -> Session:
        child = running(command(module, row.name, column, setting))
        return Session(stack.enter_context(child))

    return open_session


def against(server: str, module: str, *, install: bool = False) -> OpenSession:
    """The same with loadgen's server of this kind on another core; the workload gets its port.

    With `install`, the column of all of aioxide is with its `install()`.
    """

    def open_session(
        stack: contextlib.ExitStack, setting: Setting, row: Workload, column: str
    ) -> Session:
        opposite = running([served.loadgen(), server, *served.pinned(setting.load_cpu)])
        said = json.loads(stack.enter_context(opposite).line(PATIENCE))
        further = ["--port", str(said["port"])]
        if install and column == "aioxide":
            further.append("--install")
        child = running(command(module, row.name, column, setting, *further))
        return Session(stack.enter_context(child))

    return open_session


def slices(row: Workload, usual: int) -> int:
    """A workload of a fixed length is not cut."""
    return usual if row.operations is None else 1
