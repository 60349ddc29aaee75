"""Scrapers that are many or never read, and a page of 100,000 samples: served or refused in time, nothing lost."""

from __future__ import annotations

import socket
import threading
import time
from contextlib import ExitStack
from functools import partial
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import httpx
import pytest

from tests.chaos.crowd import Stranger, honest_differences, produce_among, routes, word
from tests.chaos.gauge import Gauge, Page, Scraper, eventually
from tests.chaos.stream import stream

if TYPE_CHECKING:
    from pathlib import Path

    from tests.servers.kafka import Broker

pytestmark = pytest.mark.slow

PROMISED_SECONDS = 10.0
"""Prometheus's own default for a scrape; asserted at twice that."""


def test_all_scrapers_are_answered_in_time_and_nothing_is_lost(broker: Broker, tmp_path: Path) -> None:
    of = stream(51)
    topic = broker.create_topic("scrapers", 4)
    names = [f"/shop/{word(i)}" for i in range(4_200)]
    wide = [Stranger(partial(routes, names[i : i + 420], of_service="wide")) for i in range(0, len(names), 420)]
    settings = {"limits": {"series_per_service": 5_000}}
    with Gauge(tmp_path, broker.bootstrap, [topic], settings=settings) as gauge, ExitStack() as sockets:
        gauge.wait_ready()
        host, port = urlsplit(gauge.url).hostname, urlsplit(gauge.url).port
        silent = [sockets.enter_context(socket.create_connection((host, port))) for _ in range(20)]
        for each in silent:
            each.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            each.sendall(b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n")  # and never reads what comes
        producing = threading.Thread(target=produce_among, args=(broker, topic, of, wide), daemon=True)
        answers: list[tuple[int, float, int]] = []
        failures: list[Exception] = []
        over = threading.Event()
        scrapers = [
            threading.Thread(target=scrape, args=(gauge.url, answers, failures, over), daemon=True) for _ in range(50)
        ]
        with Scraper(gauge, every=5.0) as scraper:
            producing.start()
            for each in scrapers:
                each.start()
            producing.join(60)
            pages: list[Page] = [{}]

            def agrees() -> bool:
                time.sleep(2.0)
                page = gauge.page()
                if page is not None:
                    pages.append(page)
                return page is not None and not honest_differences(page, of)

            eventually(agrees, lambda: f"{honest_differences(pages[-1], of)[:5]}; {gauge.log[-2000:]}", 60.0)
            over.set()
            for each in scrapers:
                each.join(2 * PROMISED_SECONDS)
            assert scraper.went_back == []
        n_samples = len(pages[-1])
        slowest = max(seconds for _, seconds, _ in answers)
        codes = {code: sum(1 for each, _, _ in answers if each == code) for code in {each for each, _, _ in answers}}
        largest = max(size for _, _, size in answers)
        print(f"{len(answers)} answers {codes}, slowest {slowest:.2f} s, {n_samples} samples, {largest / 1e6:.1f} MB")
        assert n_samples >= 100_000
        assert failures == []
        assert len(answers) >= 100
        assert set(codes) <= {200, 503}
        assert codes[200] >= 50
        assert slowest < 2 * PROMISED_SECONDS
        assert gauge.stop() == 0


def scrape(url: str, answers: list[tuple[int, float, int]], failures: list[Exception], over: threading.Event) -> None:
    """Scrape again and again, as Prometheus does but for the pause."""
    with httpx.Client(timeout=2 * PROMISED_SECONDS) as client:
        while not over.wait(3.0):
            begun = time.monotonic()
            try:
                with client.stream("GET", f"{url}/metrics", headers={"accept-encoding": "gzip"}) as answer:
                    size = sum(map(len, answer.iter_raw()))  # unpacking it 50 times would be this process's own load
            except httpx.HTTPError as error:
                failures.append(error)
            else:
                answers.append((answer.status_code, time.monotonic() - begun, size))
