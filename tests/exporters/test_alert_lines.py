"""Alerts as JSON lines, and posted to a webhook: each beginning and each end, at least once."""

from __future__ import annotations

import json
import os
import resource
import signal

import pytest

from exporters.alert_lines import AlertLines
from exporters.alerts import Transitions, alert
from exporters.endpoint import Endpoint
from exporters.webhook import Webhook
from tests.exporters.receiver import Receiver
from tests.servers.server import free_ports, wait_until

SECOND_NS = 1_000_000_000
START_NS = 1_772_443_800_000_000_000


def outage(slo="checkout", starts_at_ns=START_NS, **annotations):
    return alert({"slo": slo, "alertname": "SLOBurnRate", "owner": ""}, annotations, starts_at_ns=starts_at_ns)


def written(path):
    """(slo, status, endsAt) of every line."""
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    return [(line["labels"]["slo"], line["status"], line["endsAt"]) for line in lines]


def test_labels_have_one_order_and_no_empty_ones_and_make_the_id():
    one = alert({"b": "2", "a": "1", "c": ""}, starts_at_ns=1)
    assert one.labels == (("a", "1"), ("b", "2"))
    assert one.id == alert({"a": "1", "b": "2"}, {"summary": "x"}, starts_at_ns=1, ends_at_ns=5).id
    assert len({one.id, alert({"a": "1"}, starts_at_ns=1).id, alert({"a": "1", "b": "2"}, starts_at_ns=2).id}) == 3


def test_an_alerts_own_labels_win_over_external_ones():
    assert outage().with_labels({"slo": "x", "env": "prod"}).labels == (
        ("alertname", "SLOBurnRate"),
        ("env", "prod"),
        ("slo", "checkout"),
    )


def test_an_alert_does_not_end_before_it_starts():
    assert outage().resolved(0).ends_at_ns == START_NS


class TestTransitions:
    def test_what_began_and_what_ended_is_told_once_and_annotations_are_no_news(self):
        transitions = Transitions()
        told = [
            [(each.status, each.ends_at_ns) for each in transitions.step(alerts, START_NS + 9)]
            for alerts in (
                [outage()],
                [outage(tier="1h")],
                [outage().resolved(START_NS + 5)],
                [outage().resolved(START_NS + 5)],
                [],
                [outage()],
                [],
            )
        ]
        assert told == [
            [("firing", None)],
            [],
            [("resolved", START_NS + 5)],
            [],
            [],
            [("firing", None)],
            [("resolved", START_NS + 9)],
        ]

    def test_an_alert_that_ended_and_began_again_in_between_is_told_twice(self):
        transitions = Transitions()
        transitions.step([outage()], START_NS)
        again = outage(starts_at_ns=START_NS + 60)
        told = transitions.step([again], START_NS + 70)
        assert [(each.id, each.status, each.ends_at_ns) for each in told] == [
            (outage().id, "resolved", START_NS + 60),
            (again.id, "firing", None),
        ]


class TestLines:
    def test_a_line_is_written_when_an_alert_begins_and_when_it_ends(self, tmp_path):
        path = tmp_path / "alerts.jsonl"
        with AlertLines(path) as lines:
            lines.set_alerts([outage(summary="down")], START_NS)
            assert json.loads(path.read_text()) == {
                "id": outage().id,
                "startsAt": "2026-03-02T09:30:00Z",
                "endsAt": None,
                "status": "firing",
                "labels": {"alertname": "SLOBurnRate", "slo": "checkout"},
                "annotations": {"summary": "down"},
            }
            lines.set_alerts([outage(summary="still")], START_NS + 5 * SECOND_NS)
            lines.set_alerts([], START_NS + 65 * SECOND_NS)
        assert written(path) == [("checkout", "firing", None), ("checkout", "resolved", "2026-03-02T09:31:05Z")]

    def test_what_fires_is_written_again_by_the_next_run_under_the_same_id(self, tmp_path):
        path = tmp_path / "alerts.jsonl"
        for _ in range(2):
            with AlertLines(path) as lines:
                lines.set_alerts([outage()], START_NS)
        first, second = path.read_text().splitlines()
        assert first == second

    def test_a_line_that_a_crash_cut_spoils_no_other(self, tmp_path):
        path = tmp_path / "alerts.jsonl"
        path.write_text('{"id":"ab')
        with AlertLines(path) as lines:
            lines.set_alerts([outage("a"), outage("b")], START_NS)
        torn, *whole = path.read_text().splitlines()
        assert torn == '{"id":"ab'
        assert [json.loads(line)["labels"]["slo"] for line in whole] == ["a", "b"]

    def test_a_label_may_hold_anything(self, tmp_path):
        path = tmp_path / "alerts.jsonl"
        hostile = 'a"\n\u2028\ud800\x00'
        with AlertLines(path) as lines:
            lines.set_alerts([outage(hostile)], START_NS)
        (line,) = path.read_bytes().splitlines()
        assert json.loads(line)["labels"]["slo"] == hostile

    def test_a_full_disk_makes_lines_wait_and_cuts_none(self, tmp_path):
        """The limit of a file's size is as good as a full disk: a part of a line is written, then none."""
        path = tmp_path / "alerts.jsonl"
        before = resource.getrlimit(resource.RLIMIT_FSIZE)
        handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        try:
            with AlertLines(path) as lines:
                lines.set_alerts([outage("a")], START_NS)
                resource.setrlimit(resource.RLIMIT_FSIZE, (path.stat().st_size + 20, before[1]))
                lines.set_alerts([outage("a"), outage("b")], START_NS)
                lines.set_alerts([outage("a"), outage("b"), outage("c")], START_NS)
                resource.setrlimit(resource.RLIMIT_FSIZE, before)
                assert [line["labels"]["slo"] for line in map(json.loads, path.read_text().splitlines()[:1])] == ["a"]
                lines.set_alerts([outage("a"), outage("b"), outage("c")], START_NS)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)
            signal.signal(signal.SIGXFSZ, handler)
        first, torn, *rest = path.read_text().splitlines()
        assert len(torn) == 20
        assert [json.loads(line)["labels"]["slo"] for line in (first, *rest)] == ["a", "b", "c"]

    def test_a_folder_that_is_not_there_is_said(self, tmp_path):
        with pytest.raises(ValueError, match=r"alerts.jsonl cannot be written .*; expected a file"):
            AlertLines(tmp_path / "none" / "alerts.jsonl")

    def test_a_pipe_is_a_file_too(self, tmp_path):
        path = tmp_path / "pipe"
        os.mkfifo(path)
        reader = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
        try:
            with AlertLines(path) as lines:
                lines.set_alerts([outage()], START_NS)
                assert json.loads(os.read(reader, 65536))["status"] == "firing"
        finally:
            os.close(reader)


class TestWebhook:
    @pytest.fixture
    def webhook(self):
        running = []

        def start(url):
            made = Webhook(Endpoint(url, timeout_seconds=1.0))
            made.start()
            running.append(made)
            return made

        yield start
        for each in running:
            each.stop()

    def test_each_beginning_and_end_is_posted_in_order(self, webhook):
        with Receiver() as receiver:
            hook = webhook(receiver.url)
            hook.set_alerts([outage("a")])
            hook.set_alerts([outage("a", summary="x"), outage("b")])
            hook.set_alerts([outage("b")])
            wait_until(lambda: hook.sent == 3, "all are taken", 5)
            said = [(each["labels"]["slo"], each["status"]) for each in receiver.jsons]
            assert said == [("a", "firing"), ("b", "firing"), ("a", "resolved")]
            assert set(receiver.jsons[0]) == {"id", "startsAt", "endsAt", "status", "labels", "annotations"}
            hook.stop()

    def test_what_is_not_taken_is_posted_again_until_it_is_and_nothing_overtakes_it(self, webhook):
        answers = [503, 503, (302, {"Location": "/x"})]
        with Receiver(lambda _: answers.pop() if answers else 204) as receiver:
            hook = webhook(receiver.url)
            hook.set_alerts([outage("a")])
            hook.set_alerts([outage("a"), outage("b")])
            wait_until(lambda: hook.sent == 2, "both are taken", 10)
            assert [each["labels"]["slo"] for each in receiver.jsons] == ["a"] * 4 + ["b"]
            assert hook.failed == {"redirect": 1, "server_error": 2}
            hook.stop()

    def test_a_receiver_that_comes_later_gets_all(self, webhook):
        (port,) = free_ports(1)
        hook = webhook(f"http://127.0.0.1:{port}/")
        hook.set_alerts([outage()])
        hook.set_alerts([])
        wait_until(lambda: hook.failed["connection"] > 1, "it is tried", 5)
        with Receiver(port=port) as receiver:
            wait_until(lambda: [each["status"] for each in receiver.jsons] == ["firing", "resolved"], "both", 10)
            hook.stop()

    def test_one_that_is_refused_for_what_is_in_it_keeps_no_other_back(self, webhook):
        with Receiver(lambda posted: 422 if posted["labels"]["slo"] == "bad" else 200) as receiver:
            hook = webhook(receiver.url)
            hook.set_alerts([outage("bad"), outage("good")])
            wait_until(lambda: hook.sent == 1, "the good one is taken", 5)
            assert hook.dropped == {"webhook_refused": 1, "webhook_overflow": 0}
            hook.stop()

    def test_more_than_can_wait_drops_the_oldest_and_counts_them(self):
        hook = Webhook(Endpoint("http://127.0.0.1:1/"))
        hook.set_alerts([outage(str(number)) for number in range(10_003)])
        assert hook.dropped["webhook_overflow"] == 3
