"""Each test of files runs on both backends and loops, where it says so without the page cache."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

BACKENDS = ("uring", "threads")


def available() -> list[str]:
    """Return the backends of this machine."""
    try:
        from aioxide.files import backend
    except ImportError:
        return []
    return list(BACKENDS) if backend() == "uring" else ["threads"]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "backend" in metafunc.fixturenames:
        metafunc.parametrize("backend", BACKENDS, indirect=True)
    if "at_once" in metafunc.fixturenames:
        metafunc.parametrize("at_once", [True, False], ids=["hot", "ring"], indirect=True)


@pytest.fixture
def backend(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """The backend that new rings get."""
    name: str = request.param
    if name not in available():
        pytest.skip(f"no {name} here")
    monkeypatch.setenv("AIOXIDE_FILES", name)
    return name


@pytest.fixture
def at_once(request: pytest.FixtureRequest) -> Iterator[bool]:
    """Whether what is in the page cache is read without the ring."""
    from aioxide import _aioxide

    _aioxide._file_at_once(request.param)
    yield request.param
    _aioxide._file_at_once(True)
