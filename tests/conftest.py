"""What all tests share: where the recorded data is, and that in CI nothing is skipped in silence."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import pytest
from hypothesis import settings

if TYPE_CHECKING:
    from collections.abc import Generator

Report = TypeVar("Report", pytest.TestReport, pytest.CollectReport)

# A kernel compiles at its first call: a deadline would measure that.
settings.register_profile("streamgauge", deadline=None)
settings.load_profile("streamgauge")

REPOSITORY = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def repository() -> Path:
    """The folder that holds pyproject.toml."""
    return REPOSITORY


@pytest.fixture(scope="session")
def recorded_data() -> Path:
    """The folder of recorded data; tests that need it are skipped, with a sentence, where it is absent."""
    folder = Path(os.environ.get("STREAMGAUGE_DATA") or REPOSITORY.parent / "shared" / "data")
    if not (folder / "SOURCES.md").is_file():
        pytest.skip("the recorded data is not here: set STREAMGAUGE_DATA to its folder")
    return folder


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
    call: pytest.CallInfo[None],
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Turn a skip into a failure where STREAMGAUGE_NO_SKIPS=1, as CI sets it: a test that never runs proves nothing."""
    report = yield
    return _refuse_skip(report)


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(
    collector: pytest.Collector,
) -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    """The same for files that skip themselves whole."""
    report = yield
    return _refuse_skip(report)


def _refuse_skip(report: Report) -> Report:
    """The report, failed if it is a skip that must not be; expected failures are none."""
    if report.skipped and not hasattr(report, "wasxfail") and os.environ.get("STREAMGAUGE_NO_SKIPS") == "1":
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longrepr
        report.outcome = "failed"
        report.longrepr = f"no test may be skipped here (STREAMGAUGE_NO_SKIPS=1), and this one was: {reason}"
    return report
