"""Clients that read slowly or never, send slowly or rubbish, or come in crowds, harm nobody."""

from __future__ import annotations

import contextlib
import time

import httpx
import pytest

from exporters.connection import LARGEST_HEAD, Limits

ASK = b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n"


def seconds_until_closed(served, client):
    begin = time.monotonic()
    answer = served.rest(client)
    return time.monotonic() - begin, answer


def open_after_a_while(served, expected):
    """How many connections are open, once it is what is expected; a server closes a little after its client."""
    deadline = time.monotonic() + 5
    while served.server.open_connections != expected and time.monotonic() < deadline:
        time.sleep(0.02)
    return served.server.open_connections


@pytest.mark.slow
class TestWhoReadsSlowly:
    @pytest.fixture
    def large(self, serve):
        served = serve(limits=Limits(response_seconds=2))
        served.page.body = b"streamgauge_spans_total 1\n" * 800_000
        return served

    def test_delays_nobody_else_and_is_cut_off(self, large):
        with contextlib.ExitStack() as stack:
            idle = [stack.enter_context(large.connect(ASK, receive_buffer=4096)) for _ in range(30)]
            large.page.begun.wait(10)
            begin = time.monotonic()
            assert len(httpx.get(f"{large.url}/metrics").content) == len(large.page.body)
            assert time.monotonic() - begin < 2
            time.sleep(2.5)
            for client in idle:
                assert len(large.rest(client)) < len(large.page.body)

    def test_a_slow_reader_who_ends_in_time_gets_all_of_it(self, large):
        with large.connect(ASK) as client:
            time.sleep(1)
            assert large.rest(client).endswith(large.page.body)

    def test_eleven_pages_are_not_held_in_memory_by_eleven_slow_readers(self, serve, monkeypatch):
        monkeypatch.setattr("exporters.page_cache.KEEP_SECONDS", 0.0)
        served = serve()
        served.page.body = b"x" * 20_000_000
        with contextlib.ExitStack() as stack:
            slow = []
            for _ in range(14):
                slow.append(stack.enter_context(served.connect(ASK, receive_buffer=4096)))
                slow[-1].recv(1)
                time.sleep(0.1)
            assert served.server.open_connections <= 11


@pytest.mark.slow
class TestWhoSendsSlowly:
    def test_a_head_that_never_ends_is_cut_off_however_it_dribbles(self, serve):
        served = serve(limits=Limits(head_seconds=1))
        with served.connect(b"GET /metrics HTTP/1.1\r\n") as client:
            begin = time.monotonic()
            with contextlib.suppress(ConnectionError):
                while time.monotonic() - begin < 4:
                    client.sendall(b"X-Slow: 1\r\n")
                    time.sleep(0.2)
            assert 0.8 < time.monotonic() - begin < 3

    def test_a_connection_that_says_nothing_is_cut_off(self, serve):
        served = serve(limits=Limits(head_seconds=1))
        with served.connect() as client:
            seconds, answer = seconds_until_closed(served, client)
        assert 0.5 < seconds < 3
        assert answer == b""

    def test_a_body_that_never_ends_is_not_waited_for(self, serve):
        served = serve()
        with served.connect(b"POST /metrics HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000000\r\n\r\nx") as client:
            assert served.rest(client).startswith(b"HTTP/1.1 405 ")


class TestRubbish:
    @pytest.mark.parametrize(
        "request_bytes",
        [
            b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\x00" * 300,
            b"\r\n\r\n\x00\xff\xfe\r\n\r\n",
            b"GET /metrics HTTP/1.1\r\nX-Long: " + b"x" * (LARGEST_HEAD + 1),
            b"GET /metrics HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nnot a chunk\r\n",
            b"GET /metrics HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
            b"GET /metrics HTTP/1.1\r\n\r\n",
        ],
        ids=["tls", "binary", "long head", "broken chunk", "negative length", "no host"],
    )
    def test_is_a_400_and_no_line_in_the_log(self, serve, caplog, request_bytes):
        served = serve()
        assert served.ask(request_bytes).startswith(b"HTTP/1.1 400 ")
        assert httpx.get(f"{served.url}/metrics").status_code == 200
        assert not caplog.records

    def test_a_second_request_on_the_connection_is_not_answered(self, serve):
        served = serve()
        answer = served.ask(ASK + ASK)
        assert answer.count(b"HTTP/1.1 200") == 1
        assert b"connection: close" in answer

    def test_an_upgrade_is_answered_as_if_not_asked_for(self, serve, caplog):
        answer = serve().ask(b"GET /-/healthy HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
        assert answer.startswith(b"HTTP/1.1 200")
        assert not caplog.records

    def test_a_hostile_path_is_a_404(self, serve):
        assert serve().ask(b"GET /%00%ff/../etc?<b> HTTP/1.1\r\nHost: x\r\n\r\n").startswith(b"HTTP/1.1 404 ")


class TestCrowds:
    def test_when_all_places_are_taken_a_newcomer_is_told(self, serve):
        served = serve(limits=Limits(connections=3))
        with contextlib.ExitStack() as stack:
            for _ in range(3):
                stack.enter_context(served.connect())
            time.sleep(0.2)
            with served.connect() as client:
                answer = served.rest(client)
        assert answer.startswith(b"HTTP/1.1 503 ")
        assert b"too many connections" in answer

    def test_who_has_had_its_time_makes_room(self, serve):
        served = serve(limits=Limits(connections=3, grace_seconds=0.3))
        with contextlib.ExitStack() as stack:
            idle = [stack.enter_context(served.connect()) for _ in range(3)]
            time.sleep(0.6)
            assert httpx.get(f"{served.url}/metrics").status_code == 200
            assert served.rest(idle[0]) == b""
            assert open_after_a_while(served, 2) == 2

    def test_places_are_given_back(self, serve):
        served = serve(limits=Limits(connections=2))
        for _ in range(10):
            assert httpx.get(f"{served.url}/-/healthy").status_code == 200
        assert open_after_a_while(served, 0) == 0
