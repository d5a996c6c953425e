"""The pytest plugin, for `pytest -p aioxide.pytest_plugin`. It lives in `pytest_aioxide`."""

from __future__ import annotations

from pytest_aioxide import (
    pytest_addoption,
    pytest_load_initial_conftests,
    pytest_report_header,
    pytest_unconfigure,
)

__all__ = (
    "pytest_addoption",
    "pytest_load_initial_conftests",
    "pytest_report_header",
    "pytest_unconfigure",
)
