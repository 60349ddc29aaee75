"""What all tests share: the recorded data, the real servers, and that in CI nothing is skipped in silence."""

from __future__ import annotations

import os
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import pytest
from hypothesis import settings

from tests.servers import places

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator

    from tests.servers.kafka import Broker

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


def _or_skip(find: Callable[[], Path]) -> Path:
    """Where a server's part is; the test is skipped, with a sentence, where it is absent."""
    try:
        return find()
    except places.AbsentError as error:
        pytest.skip(str(error))


@pytest.fixture(scope="session")
def kafka_jars() -> Path:
    """The folder of the Kafka broker's jars."""
    return _or_skip(places.kafka_jars)


@pytest.fixture(scope="session")
def collector_binary() -> Path:
    """The OpenTelemetry Collector's program."""
    return _or_skip(places.collector)


@pytest.fixture(scope="session")
def prometheus_binary() -> Path:
    """Prometheus's program."""
    return _or_skip(places.prometheus)


@pytest.fixture(scope="session")
def promtool_binary() -> Path:
    """The program that checks and fills Prometheus's files."""
    return _or_skip(places.promtool)


@pytest.fixture(scope="session")
def alertmanager_binary() -> Path:
    """Alertmanager's program."""
    return _or_skip(places.alertmanager)


@pytest.fixture(scope="session")
def broker(kafka_jars: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    """A Kafka broker for all tests that leave it in peace; each makes topics of its own."""
    from tests.servers.kafka import Broker

    with Broker(tmp_path_factory.mktemp("kafka") / "broker") as shared:
        yield shared


@pytest.fixture
def broker_factory(kafka_jars: Path, tmp_path: Path) -> Iterator[Callable[..., Broker]]:
    """Starts brokers of a test's own, to be killed, stopped or set up otherwise; takes what `Broker` takes after its
    folder, and `start=False`.
    """
    from tests.servers.kafka import Broker

    with ExitStack() as own:

        def make(*, start: bool = True, **options: Any) -> Broker:
            number = sum(1 for _ in tmp_path.glob("broker-*"))
            made = Broker(tmp_path / f"broker-{number}", **options)
            own.callback(made.close)
            return made.start() if start else made

        yield make


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
