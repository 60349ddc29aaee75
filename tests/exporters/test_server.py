"""The metrics page over real sockets: what each path answers, how often it is rendered, who is let in."""

from __future__ import annotations

import contextlib
import errno
import gzip
import inspect
import ipaddress
import json
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import bcrypt
import httpx
import numpy as np
import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics

from exporters.labels import LabelSet
from exporters.names import RECORDS, SERIES
from exporters.negotiation import OPENMETRICS, TEXT
from exporters.prometheus import Registry
from exporters.samples import by_label, single
from exporters.server import LOOPBACK, PageServer, listen
from exporters.status import Health, Status
from exporters.web_config import WebConfig
from tests.servers.prometheus import Prometheus
from tests.servers.server import wait_until

PROMETHEUS_2 = (
    "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,"
    "text/plain;version=0.0.4;q=0.5,*/*;q=0.1"
)


class TestMetrics:
    def test_a_registrys_page_is_served_in_the_format_that_is_asked_for(self, serve):
        registry = Registry()
        registry.replace("process", [single(RECORDS, 0, 7)])
        served = serve(registry.render)
        answer = httpx.get(f"{served.url}/metrics", headers={"Accept": PROMETHEUS_2})
        assert answer.headers["content-type"] == OPENMETRICS
        (family,) = parse_openmetrics(answer.text)
        assert family.samples[0].value == 7
        assert httpx.get(f"{served.url}/metrics").headers["content-type"] == TEXT

    def test_it_is_compressed_for_those_who_take_gzip_and_for_no_others(self, serve):
        served = serve()
        served.page.body = b"up 1\n" * 10_000
        packed = served.ask(b"GET /metrics HTTP/1.1\r\nHost: x\r\nAccept-Encoding: gzip\r\n\r\n")
        head, _, body = packed.partition(b"\r\n\r\n")
        assert b"content-encoding: gzip" in head
        assert gzip.decompress(body) == served.page.body
        plain = httpx.get(f"{served.url}/metrics", headers={"Accept-Encoding": "gzip;q=0, br"})
        assert "content-encoding" not in plain.headers
        assert plain.content == served.page.body

    def test_head_answers_the_length_and_no_body(self, serve):
        served = serve()
        raw = served.ask(b"HEAD /metrics HTTP/1.1\r\nHost: x\r\n\r\n")
        assert b"content-length: 5\r\n" in raw
        assert raw.endswith(b"\r\n\r\n")

    def test_within_a_second_it_is_rendered_once_per_format(self, serve):
        served = serve()
        for _ in range(5):
            httpx.get(f"{served.url}/metrics")
            httpx.get(f"{served.url}/metrics", headers={"Accept": PROMETHEUS_2})
        assert served.page.renders == 2

    def test_after_a_second_it_is_rendered_anew(self, serve):
        served = serve()
        assert httpx.get(f"{served.url}/metrics").text == "up 1\n"
        served.page.body = b"up 2\n"
        time.sleep(1.1)
        assert httpx.get(f"{served.url}/metrics").text == "up 2\n"

    def test_fifty_scrapers_at_once_share_one_render(self, serve):
        served = serve()
        served.page.go_on.clear()
        with ThreadPoolExecutor(50) as pool:
            answers = [pool.submit(httpx.get, f"{served.url}/metrics", timeout=20) for _ in range(50)]
            served.page.begun.wait(10)
            time.sleep(0.5)
            served.page.go_on.set()
            texts = {answer.result().text for answer in answers}
        assert texts == {"up 1\n"}
        assert served.page.renders == 1

    def test_two_formats_are_never_rendered_at_once(self, serve):
        served = serve()
        served.page.go_on.clear()
        with ThreadPoolExecutor(2) as pool:
            text = pool.submit(httpx.get, f"{served.url}/metrics")
            served.page.begun.wait(10)
            other = pool.submit(httpx.get, f"{served.url}/metrics", headers={"Accept": PROMETHEUS_2})
            time.sleep(0.3)
            served.page.go_on.set()
            assert text.result().headers["content-type"] == TEXT
            assert other.result().headers["content-type"] == OPENMETRICS
        assert served.page.most_at_once == 1

    def test_other_pages_answer_while_a_render_takes_long(self, serve):
        served = serve()
        served.page.go_on.clear()
        with ThreadPoolExecutor(1) as pool:
            slow = pool.submit(httpx.get, f"{served.url}/metrics", timeout=20)
            served.page.begun.wait(10)
            assert httpx.get(f"{served.url}/-/healthy", timeout=2).status_code == 200
            served.page.go_on.set()
            assert slow.result().status_code == 200

    def test_who_goes_away_while_waiting_takes_the_page_from_nobody(self, serve):
        served = serve()
        served.page.go_on.clear()
        with ThreadPoolExecutor(1) as pool:
            served.connect(b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n").close()
            served.page.begun.wait(10)
            patient = pool.submit(httpx.get, f"{served.url}/metrics", timeout=20)
            time.sleep(0.2)
            served.page.go_on.set()
            assert patient.result().text == "up 1\n"

    def test_a_render_that_fails_is_a_sentence_once_and_the_next_is_tried_again(self, serve, caplog):
        served = serve()
        served.page.error = RuntimeError("the float is stuck")
        answer = httpx.get(f"{served.url}/metrics")
        assert answer.status_code == 500
        assert "whose traceback is in its log" in answer.text
        assert "stuck" not in answer.text
        assert "RuntimeError: the float is stuck" in caplog.text
        served.page.error = None
        assert httpx.get(f"{served.url}/metrics").status_code == 200


class TestGate:
    def test_while_it_is_closed_the_page_is_its_sentence_and_nothing_is_rendered(self, serve):
        served = serve(health=lambda: Health(gate="catching up: 12,345 records left"))
        answer = httpx.get(f"{served.url}/metrics")
        assert (answer.status_code, answer.text) == (503, "catching up: 12,345 records left\n")
        assert served.page.renders == 0

    def test_a_gate_that_closes_during_a_render_shuts_that_page_out_and_it_is_not_kept(self, serve):
        gate = [""]
        served = serve(health=lambda: Health(gate=gate[0]))
        served.page.go_on.clear()
        with ThreadPoolExecutor(1) as pool:
            answer = pool.submit(httpx.get, f"{served.url}/metrics", timeout=20)
            served.page.begun.wait(10)
            gate[0] = "catching up"
            served.page.go_on.set()
            assert answer.result().status_code == 503
        gate[0] = ""
        served.page.body = b"up 2\n"
        assert httpx.get(f"{served.url}/metrics").text == "up 2\n"

    def test_a_page_from_before_the_gate_closed_is_not_shown_after(self, serve):
        gate = [""]
        served = serve(health=lambda: Health(gate=gate[0]))
        httpx.get(f"{served.url}/metrics")
        gate[0] = "catching up"
        httpx.get(f"{served.url}/metrics")
        gate[0], served.page.body = "", b"up 2\n"
        assert httpx.get(f"{served.url}/metrics").text == "up 2\n"

    def test_ready_gives_every_reason_a_line_and_healthy_stays_so(self, serve):
        health = Health(gate="catching up: 3 records left", reasons=("the broker does not answer",))
        served = serve(health=lambda: health)
        answer = httpx.get(f"{served.url}/-/ready")
        assert answer.status_code == 503
        assert answer.text.splitlines() == ["catching up: 3 records left", "the broker does not answer"]
        assert httpx.get(f"{served.url}/-/healthy").status_code == 200

    def test_without_reasons_it_is_ready(self, serve):
        assert httpx.get(f"{serve().url}/-/ready").status_code == 200


class TestStatus:
    @pytest.mark.parametrize(
        ("accept", "query", "kind"),
        [
            ("application/json", "", "application/json"),
            ("*/*", "?format=json", "application/json"),
            ("*/*", "", "text/html; charset=utf-8"),
            ("text/html,application/xhtml+xml,application/json;q=0.9", "", "text/html; charset=utf-8"),
        ],
    )
    def test_programs_get_json_and_people_get_html(self, serve, accept, query, kind):
        served = serve(status=lambda: Status(state="degraded", at_seconds=1.5, reasons=["no broker"]))
        answer = httpx.get(f"{served.url}/status{query}", headers={"Accept": accept})
        assert answer.headers["content-type"] == kind
        if kind == "application/json":
            found = json.loads(answer.content)
            assert (found["state"], found["at_seconds"], found["reasons"]) == ("degraded", 1.5, ["no broker"])
        else:
            assert "no broker" in answer.text

    def test_every_html_page_forbids_scripts(self, serve):
        served = serve(version="1.2.3")
        for path in ("/", "/status"):
            assert "default-src 'none'" in httpx.get(served.url + path).headers["content-security-policy"]

    def test_the_index_links_to_all_and_says_the_version(self, serve):
        served = serve(version="1.2.3")
        text = httpx.get(served.url).text
        assert "1.2.3" in text
        for path in ("/metrics", "/status", "/-/ready", "/-/healthy"):
            assert f'href="{path}"' in text


class TestWhatIsNotThere:
    def test_another_path_is_a_404_that_says_which_there_are(self, serve):
        answer = httpx.get(f"{serve().url}/metric")
        assert answer.status_code == 404
        assert "/metrics" in answer.text

    def test_other_methods_are_refused_with_those_that_work(self, serve):
        answer = httpx.delete(f"{serve().url}/metrics")
        assert (answer.status_code, answer.headers["allow"]) == (405, "GET, HEAD")

    def test_a_body_is_refused(self, serve):
        answer = httpx.request("GET", f"{serve().url}/metrics", content=b"x")
        assert answer.status_code == 413


class TestAddress:
    def test_a_taken_port_is_a_sentence_that_says_which_and_what_to_do(self, serve):
        port = serve().port
        with pytest.raises(
            OSError, match=f"127.0.0.1:{port}: another process holds port {port}.*Stop that one"
        ) as caught:
            listen(("127.0.0.1", port))
        assert caught.value.errno == errno.EADDRINUSE

    @pytest.mark.parametrize(
        ("host", "words"), [("192.0.2.1", "this machine has no such address"), ("no such host", "is no address")]
    )
    def test_an_address_that_is_not_here_is_a_sentence(self, host, words):
        with pytest.raises(OSError, match=words):
            listen((host, 0))

    def test_it_listens_on_loopback_unless_told(self):
        assert inspect.signature(PageServer).parameters["address"].default is LOOPBACK
        assert ipaddress.ip_address(LOOPBACK[0]).is_loopback

    def test_ipv6_works_too(self):
        server = PageServer(
            lambda _: (TEXT, b"up 1\n"), Health, lambda: Status(state="running", at_seconds=0.0), address=("::1", 0)
        )
        _, port = server.start()
        assert httpx.get(f"http://[::1]:{port}/metrics").text == "up 1\n"
        server.stop()

    def test_once_stopped_its_port_is_free_at_once_and_no_thread_is_left(self, serve):
        served = serve()
        httpx.get(f"{served.url}/metrics")
        served.server.stop()
        served.server.stop()
        listen((served.host, served.port)).close()
        assert "metrics-page" not in {thread.name for thread in threading.enumerate()}

    def test_it_stops_soon_though_a_client_never_reads(self, serve):
        served = serve()
        served.page.body = b"x" * 20_000_000
        with served.connect(b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n", receive_buffer=4096) as client:
            client.recv(10)
            begin = time.monotonic()
            served.server.stop()
            assert time.monotonic() - begin < 4


@pytest.mark.slow
class TestRealPrometheus:
    @pytest.fixture
    def registry(self):
        registry = Registry()
        registry.replace("process", [single(RECORDS, 0, 7)])
        return registry

    def test_it_scrapes_the_page_while_others_never_read_theirs(self, serve, registry, prometheus_binary, tmp_path):
        labels = [LabelSet([("service_name", f"{number:0100d}")]) for number in range(100_000)]
        registry.replace("large", [by_label(SERIES, 0, labels, np.ones(len(labels)))])
        served = serve(registry.render)
        with contextlib.ExitStack() as stack:
            for _ in range(50):
                stack.enter_context(served.connect(b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n", receive_buffer=4096))
            targets = {"streamgauge": f"{served.host}:{served.port}"}
            with Prometheus(tmp_path / "prometheus", targets, every="5s") as prometheus:
                wait_until(lambda: prometheus.values("up"), "a first scrape")
                assert prometheus.values("up") == [1]
                assert prometheus.values("streamgauge_records_total") == [7]
                assert prometheus.values("count(streamgauge_series)") == [100_000]

    def test_it_scrapes_through_tls_with_a_password_and_a_certificate(
        self, serve, registry, certificates, prometheus_binary, tmp_path
    ):
        hashed = bcrypt.hashpw(b"high tide", bcrypt.gensalt(10)).decode()
        (tmp_path / "web.yml").write_text(
            f"tls_server_config:\n  cert_file: {certificates.server}\n  key_file: {certificates.server_key}\n"
            f"  client_ca_file: {certificates.ca}\n  client_auth_type: RequireAndVerifyClientCert\n"
            f"basic_auth_users:\n  ana: {hashed}\n"
        )
        served = serve(registry.render, web_config=WebConfig.load(tmp_path / "web.yml"))
        job = {
            "scheme": "https",
            "static_configs": [{"targets": [f"{served.host}:{served.port}"]}],
            "tls_config": {
                "ca_file": str(certificates.ca),
                "cert_file": str(certificates.client),
                "key_file": str(certificates.client_key),
            },
        }
        jobs = [
            {**job, "job_name": "ana", "basic_auth": {"username": "ana", "password": "high tide"}},
            {**job, "job_name": "eve", "basic_auth": {"username": "ana", "password": "low tide"}},
        ]
        with Prometheus(tmp_path / "prometheus", config={"scrape_configs": jobs}) as prometheus:
            wait_until(lambda: len(prometheus.values("up")) == 2, "a first scrape of both jobs")
            assert {each["metric"]["job"]: each["value"][1] for each in prometheus.query("up")} == {
                "ana": "1",
                "eve": "0",
            }
            assert prometheus.values("streamgauge_records_total") == [7]
