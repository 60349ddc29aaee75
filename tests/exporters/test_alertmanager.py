"""Alerts sent over real connections: to servers that answer what a test wants, and to a real Alertmanager."""

from __future__ import annotations

import base64
import logging
import socket
import time
from contextlib import contextmanager

import bcrypt
import httpx
import pytest
import yaml

from exporters.alertmanager import AlertSender, Target, alerts_url
from exporters.alerts import alert
from exporters.endpoint import REASONS, ClientTls, Endpoint
from tests.exporters.receiver import Receiver
from tests.servers.alertmanager import Alertmanager
from tests.servers.server import free_ports, wait_until


def outage(slo="checkout", *, age_seconds=1.0, **labels):
    labels = {"alertname": "SLOBurnRate", "severity": "critical", "slo": slo, **labels}
    return alert(labels, {"summary": slo}, starts_at_ns=time.time_ns() - round(age_seconds * 1e9))


@contextmanager
def sending(*receivers, resend=60.0, **settings):
    """A sender to receivers, or to endpoints; stopped at the end."""
    ends = [each if isinstance(each, Endpoint) else Endpoint(alerts_url(each.url), each.url) for each in receivers]
    sender = AlertSender([Target(end, resend) for end in ends], **settings)
    sender.start()
    try:
        yield sender
    finally:
        sender.stop()


def failed(sender, *, name=None):
    """What failed: (reason, how often), without zeros."""
    return {reason: n for (which, reason), n in sender.counters().failed.items() if n and name in (None, which)}


def slos(posted):
    return sorted(each["labels"]["slo"] for each in posted)


class TestSending:
    def test_an_alert_is_posted_within_a_second_and_counted(self):
        with Receiver() as receiver, sending(receiver) as sender:
            begun = time.monotonic()
            sender.set_alerts([outage()])
            wait_until(lambda: receiver.posts, "it is posted", 5)
            at, path, headers, posted = receiver.posts[0]
            assert at - begun < 1.0
            assert path == "/api/v2/alerts"
            assert headers["Content-Type"] == "application/json"
            assert slos(posted) == ["checkout"]
            wait_until(lambda: sender.counters().sent == {receiver.url: 1}, "it is counted")
            sender.set_alerts([outage(), outage("search")])
            wait_until(lambda: len(receiver.posts) == 2, "the change is posted", 5)
        assert failed(sender) == {}

    def test_what_fires_is_sent_again_while_its_judges_live(self):
        with Receiver() as receiver, sending(receiver, resend=0.3) as sender:
            sender.set_alerts([outage()])
            until = time.monotonic() + 1.5
            while time.monotonic() < until:
                sender.touch()
                time.sleep(0.05)
            while_alive = len(receiver.posts)
            time.sleep(1.5)
            assert while_alive >= 3
            assert len(receiver.posts) <= while_alive + 1

    def test_one_that_does_not_answer_delays_no_other(self):
        """The dead one takes connections and says nothing, which is the slowest way to be dead."""
        with Receiver() as receiver, socket.create_server(("127.0.0.1", 0)) as dead:
            silent = Endpoint(f"http://127.0.0.1:{dead.getsockname()[1]}/", "silent", timeout_seconds=0.5)
            with sending(silent, receiver) as sender:
                for number in range(5):
                    begun = time.monotonic()
                    sender.set_alerts([outage(str(number))])
                    wait_until(lambda n=number: len(receiver.posts) > n, "the other has it", 5)
                    assert time.monotonic() - begun < 1.0
                wait_until(lambda: failed(sender, name="silent").get("timeout"), "it is counted", 5)

    def test_many_alerts_go_in_several_posts(self):
        with Receiver() as receiver, sending(receiver) as sender:
            sender.set_alerts([outage(str(number)) for number in range(200)])
            wait_until(lambda: sender.counters().sent[receiver.url] == 200, "all are there", 5)
            assert max(map(len, receiver.jsons)) <= 64
            assert len({slo for posted in receiver.jsons for slo in slos(posted)}) == 200

    def test_every_counter_begins_with_zero(self):
        sender = AlertSender([Target(Endpoint("http://127.0.0.1:1/", "am"))])
        assert sender.counters() == (
            {"am": 0},
            {("am", reason): 0 for reason in REASONS},
            {"bad_alert": 0, "undelivered": 0},
        )

    def test_a_text_without_utf8_keeps_nothing_back(self):
        with Receiver() as receiver, sending(receiver) as sender:
            sender.set_alerts([outage("\ud800"), outage("search")])
            wait_until(lambda: sender.counters().sent[receiver.url] == 2, "both are there", 5)


class TestFailing:
    @pytest.mark.parametrize(
        ("answer", "reason"),
        [
            (500, "server_error"),
            (503, "server_error"),
            ((429, {"Retry-After": "1"}), "throttled"),
            ((307, {"Location": "http://elsewhere/"}), "redirect"),
            (401, "unauthorized"),
            (404, "other"),
        ],
    )
    def test_what_is_refused_for_now_is_counted_and_sent_again(self, answer, reason, caplog):
        answers = [answer, answer]
        with (
            caplog.at_level(logging.INFO, "exporters.alertmanager"),
            Receiver(lambda _: answers.pop() if answers else 200) as receiver,
            sending(receiver) as sender,
        ):
            sender.set_alerts([outage()])
            wait_until(lambda: sender.counters().sent[receiver.url] == 1, "it is taken", 10)
        assert failed(sender) == {reason: 2}
        assert len(receiver.posts) == 3
        assert [record.levelname for record in caplog.records] == ["WARNING", "INFO"]

    def test_nobody_there_is_counted_and_sent_again_when_somebody_is(self):
        (port,) = free_ports(1)
        with sending(Endpoint(f"http://127.0.0.1:{port}/", "am")) as sender:
            sender.set_alerts([outage()])
            wait_until(lambda: failed(sender).get("connection", 0) > 1, "it is tried")
            with Receiver(port=port) as receiver:
                wait_until(lambda: receiver.posts, "it is there", 10)

    def test_a_bad_alert_is_found_dropped_and_keeps_no_other_back(self, caplog):
        """The receiver takes nothing of a batch with a bad alert in it, which is harder than Alertmanager."""
        bad = {"17", "63", "101"}
        with (
            caplog.at_level(logging.ERROR, "exporters.alertmanager"),
            Receiver(lambda posted: 400 if bad & set(slos(posted)) else 200) as receiver,
            sending(receiver, resend=1.0) as sender,
        ):
            alerts = [outage(str(number)) for number in range(130)]
            sender.set_alerts(alerts)
            wait_until(lambda: sender.counters().dropped["bad_alert"] == 3, "the bad ones are found", 10)
            wait_until(lambda: sender.counters().sent[receiver.url] == 127, "all others are taken", 10)
            assert failed(sender) == {"bad_alert": 3}
            first = len(receiver.posts)
            sender.set_alerts(alerts)
            wait_until(
                lambda: sender.touch() or failed(sender)["bad_alert"] == 6, "they are tried again, each alone", 10
            )
            again = [posted for posted in receiver.jsons[first:] if bad & set(slos(posted))]
            assert sorted(map(slos, again)) == [["101"], ["17"], ["63"]]
        assert sender.counters().dropped["bad_alert"] == 3
        assert sorted(record.getMessage().split("'slo': ")[1][:5].strip("'},") for record in caplog.records) == sorted(
            bad
        )

    def test_stopping_does_not_wait_for_the_dead(self):
        with socket.create_server(("127.0.0.1", 0)) as dead:
            silent = Endpoint(f"http://127.0.0.1:{dead.getsockname()[1]}/", "silent", timeout_seconds=1.0)
            sender = AlertSender([Target(silent)])
            sender.start()
            sender.set_alerts([outage()])
            begun = time.monotonic()
            sender.stop(0.2)
            assert time.monotonic() - begun < 0.8
            sender.stop(5)  # until its connection is closed


class TestCredentials:
    def test_a_user_and_a_password_are_sent_and_a_token_is_and_no_secret_is_shown(self):
        endpoints = [
            Endpoint("", user="ana", password=lambda: "süß:x"),
            Endpoint("", bearer=lambda: "t0ken"),
            Endpoint(""),
        ]
        basic, bearer, none = [endpoint.authorization() for endpoint in endpoints]
        assert base64.b64decode(basic["Authorization"].removeprefix("Basic ")).decode() == "ana:süß:x"
        assert bearer == {"Authorization": "Bearer t0ken"}
        assert none == {}
        assert "süß" not in repr(endpoints)

    def test_a_token_that_is_renewed_is_used_and_one_that_is_gone_is_counted(self, tmp_path):
        token = tmp_path / "token"

        def read():
            try:
                return token.read_text()
            except OSError as error:
                raise ValueError(f"{token} cannot be read") from error

        with Receiver(lambda _: 200) as receiver:
            end = Endpoint(receiver.url, "am", bearer=read)
            with sending(end) as sender:
                sender.set_alerts([outage()])
                wait_until(lambda: failed(sender).get("credentials"), "that it is missing is counted", 5)
                for value in ("one", "two"):
                    token.write_text(value)
                    sender.set_alerts([outage(value)])
                    wait_until(
                        lambda v=value: receiver.posts and receiver.posts[-1][2]["Authorization"] == f"Bearer {v}",
                        "the token is sent",
                        10,
                    )

    def test_a_token_that_no_header_may_hold_is_refused_and_not_quoted(self):
        with pytest.raises(ValueError, match="printable ASCII") as caught:
            Endpoint("", bearer=lambda: "geheim\r\nX: y").authorization()
        assert "geheim" not in str(caught.value)

    @pytest.mark.parametrize("key", ["ca_file", "cert_file"])
    def test_certificates_that_are_none_are_named(self, key, tmp_path):
        with pytest.raises(ValueError, match=f"{key} .* cannot be read"):
            ClientTls(**{key: tmp_path / "none.pem"}).context()
        (tmp_path / "bad.pem").write_text("no certificate")
        with pytest.raises(ValueError, match=f"{key} .*bad.pem.* cannot be used"):
            ClientTls(**{key: tmp_path / "bad.pem"}).context()


class Guarded(Alertmanager):
    """An Alertmanager that asks for a client's certificate and for a password (`tide` of `ana`)."""

    def __init__(self, folder, certificates):
        super().__init__(folder)
        web = {
            "tls_server_config": {
                "cert_file": str(certificates.server),
                "key_file": str(certificates.server_key),
                "client_ca_file": str(certificates.ca),
                "client_auth_type": "RequireAndVerifyClientCert",
            },
            "basic_auth_users": {"ana": bcrypt.hashpw(b"tide", bcrypt.gensalt(4)).decode()},
        }
        (folder / "web.yml").write_text(yaml.safe_dump(web))
        self.argv.append(f"--web.config.file={folder / 'web.yml'}")
        self.url = self.url.replace("http:", "https:")
        self.tls = ClientTls(certificates.ca, certificates.client, certificates.client_key)

    def answers(self):
        try:
            with httpx.Client(verify=self.tls.context(), timeout=2.0) as client:
                return client.get(f"{self.url}/-/ready", auth=("ana", "tide")).is_success
        except httpx.TransportError:
            return False


def states(alertmanager):
    """What an Alertmanager has that has not ended: SLO → startsAt."""
    return {each["labels"]["slo"]: each["startsAt"] for each in alertmanager.alerts()}


def notifying(receiver, **route):
    """A configuration that tells a webhook, at once."""
    return {
        "route": {
            "receiver": "hook",
            "group_by": ["alertname", "slo"],
            "group_wait": "500ms",
            "group_interval": "1s",
            **route,
        },
        "receivers": [{"name": "hook", "webhook_configs": [{"url": receiver.url, "send_resolved": True}]}],
    }


def told(receiver):
    return [(post["status"], slos(post["alerts"])) for post in receiver.jsons]


@pytest.mark.slow
class TestAlertmanager:
    def test_an_alert_arrives_is_announced_within_a_second_lives_by_resending_and_resolves(
        self, alertmanager_binary, tmp_path
    ):
        """Its life is four intervals, 2 s here; without re-sending it would be over in the middle of this."""
        with (
            Receiver() as hook,
            Alertmanager(tmp_path / "am", notifying(hook)) as alertmanager,
            sending(alertmanager, resend=0.5) as sender,
        ):
            begun = time.monotonic()
            fires = outage()
            sender.set_alerts([fires])
            wait_until(lambda: told(hook) == [("firing", ["checkout"])], "it is announced", 5)
            assert hook.posts[0][0] - begun < 1.5  # group_wait, and a second
            until = time.monotonic() + 5
            while time.monotonic() < until:
                sender.touch()
                assert list(states(alertmanager)) == ["checkout"]
                time.sleep(0.1)
            assert told(hook) == [("firing", ["checkout"])]
            sender.set_alerts([fires.resolved(time.time_ns())])
            wait_until(lambda: told(hook)[1:] == [("resolved", ["checkout"])], "its end is announced", 5)
            assert states(alertmanager) == {}

    def test_it_ends_by_itself_when_its_judges_are_dead_and_no_second_page_follows_a_short_absence(
        self, alertmanager_binary, tmp_path
    ):
        with (
            Receiver() as hook,
            Alertmanager(tmp_path / "am", notifying(hook)) as alertmanager,
            sending(alertmanager, resend=1.0) as sender,
        ):
            sender.set_alerts([outage(age_seconds=5)])
            wait_until(lambda: told(hook), "it is announced", 5)
            time.sleep(2.5)  # with what has passed, less than four intervals
            sender.touch()
            time.sleep(1.5)
            assert told(hook) == [("firing", ["checkout"])]
            wait_until(lambda: told(hook)[1:] == [("resolved", ["checkout"])], "it ends by itself", 15)
            assert sender.counters().failed == dict.fromkeys(sender.counters().failed, 0)

    def test_what_fired_while_it_was_down_is_delivered_and_what_was_over_by_then_pages_nobody(
        self, alertmanager_binary, tmp_path
    ):
        with Receiver() as hook:
            alertmanager = Alertmanager(tmp_path / "am", notifying(hook))
            with sending(alertmanager, resend=1.0) as sender:
                passing, lasting = outage("passing"), outage("lasting")
                sender.set_alerts([passing, lasting])
                wait_until(lambda: failed(sender).get("connection", 0) >= 3, "it is tried", 20)
                sender.set_alerts([lasting])
                with alertmanager:
                    until = time.monotonic() + 20
                    while not told(hook) and time.monotonic() < until:
                        sender.touch()
                        time.sleep(0.1)
                    time.sleep(2)
                    assert {tuple(slo) for _, slo in told(hook)} == {("lasting",)}
                    alertmanager.stop()

    def test_two_alertmanagers_are_both_told(self, alertmanager_binary, tmp_path):
        with Alertmanager(tmp_path / "a") as one, Alertmanager(tmp_path / "b") as other, sending(one, other) as sender:
            sender.set_alerts([outage(), outage("search")])
            for each in (one, other):
                wait_until(lambda am=each: set(states(am)) == {"checkout", "search"}, "it has both", 5)
            wait_until(lambda: sender.counters().sent == {one.url: 2, other.url: 2}, "they are counted", 5)

    def test_an_alert_that_it_refuses_keeps_no_other_back(self, alertmanager_binary, tmp_path):
        """Alertmanager 0.25 stores the good ones of a batch and answers 400."""
        bad = [outage("dotted", **{"team.name": "x"}), outage("digit", **{"2xx": "x"})]
        with Alertmanager(tmp_path / "am") as alertmanager, sending(alertmanager) as sender:
            sender.set_alerts([outage("a"), bad[0], outage("b"), bad[1], outage("c")])
            wait_until(lambda: sender.counters().dropped["bad_alert"] == 2, "both are found", 5)
            assert set(states(alertmanager)) == {"a", "b", "c"}
            wait_until(lambda: sender.counters().sent == {alertmanager.url: 3}, "the others are counted", 5)
            assert failed(sender) == {"bad_alert": 2}

    def test_certificates_and_a_password_open_one_that_is_guarded_and_a_wrong_password_is_counted(
        self, alertmanager_binary, certificates, tmp_path
    ):
        with Guarded(tmp_path / "am", certificates) as alertmanager:
            url = alerts_url(alertmanager.url)
            right = Endpoint(url, "right", tls=alertmanager.tls, user="ana", password=lambda: "tide")
            wrong = Endpoint(url, "wrong", tls=alertmanager.tls, user="ana", password=lambda: "ebb")
            nobody = Endpoint(url, "nobody", tls=ClientTls(certificates.ca))
            stranger = Endpoint(url, "stranger", user="ana", password=lambda: "tide")
            with sending(right, wrong, nobody, stranger) as sender:
                sender.set_alerts([outage()])
                wait_until(lambda: sender.counters().sent["right"] == 1, "it is taken", 10)
                wait_until(lambda: set(failed(sender, name="wrong")) == {"unauthorized"}, "401 is counted", 10)
                wait_until(lambda: set(failed(sender, name="nobody")) == {"connection"}, "no certificate", 10)
                wait_until(lambda: set(failed(sender, name="stranger")) == {"connection"}, "an unknown CA", 10)
                assert [sender.counters().sent[name] for name in ("wrong", "nobody", "stranger")] == [0, 0, 0]
