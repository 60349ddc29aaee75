"""`deploy/alertmanager`: the configuration is one, alerts go where they should, and what arrives can be read."""

from __future__ import annotations

import shutil
import subprocess
import time

import pytest
import yaml

from exporters.alertmanager import AlertSender, Target, alerts_url
from exporters.alerts import alert
from exporters.endpoint import Endpoint
from tests.exporters.receiver import Receiver
from tests.servers.alertmanager import Alertmanager
from tests.servers.server import wait_until

SECRETS = ("pagerduty-routing-key", "slack-url", "smtp-password")


@pytest.fixture
def deployed(repository, tmp_path):
    """The configuration in a folder of its own, which stands for /etc/alertmanager, secrets and all."""
    folder = tmp_path / "etc"
    shutil.copytree(repository / "deploy" / "alertmanager", folder)
    path = folder / "alertmanager.yaml"
    path.write_text(path.read_text().replace("/etc/alertmanager", str(folder)))
    (folder / "secrets").mkdir()
    for name in SECRETS:
        (folder / "secrets" / name).write_text("http://127.0.0.1:1/")
    return path


@pytest.fixture
def amtool(alertmanager_binary):
    """Runs it, which comes with Alertmanager; its output."""

    def run(*arguments):
        found = subprocess.run(["amtool", *arguments], capture_output=True, text=True, timeout=30, check=False)
        return found.returncode, found.stdout + found.stderr

    return run


def test_amtool_finds_the_configuration_and_its_templates_good(amtool, deployed):
    code, said = amtool("check-config", str(deployed))
    assert code == 0, said
    assert "SUCCESS" in said
    (deployed.parent / "templates" / "streamgauge.tmpl").write_text("{{ define }}")
    assert amtool("check-config", str(deployed))[0] != 0  # or the templates would not have been looked at


@pytest.mark.parametrize(
    ("labels", "receivers"),
    [
        ("alertname=SLOBurnRate severity=critical slo=checkout service=checkout", "pagerduty"),
        ("alertname=SLOAbsent severity=critical slo=checkout", "pagerduty"),
        ("alertname=SLOBurnRate severity=critical team=business", "pagerduty,product-team"),
        ("alertname=SLOBurnRate severity=warning team=business", "product-team"),
        ("alertname=SLOBurnRate severity=warning", "slack"),
        ("alertname=Anomaly severity=warning", "slack"),
        ("alertname=Summary severity=info", "mail-summary"),
        ("alertname=StreamgaugeAlive severity=info", "dead-man"),
        ("alertname=Other", "slack"),
    ],
)
def test_alerts_go_where_the_routes_say(amtool, deployed, labels, receivers):
    code, said = amtool(
        "config", "routes", "test", f"--config.file={deployed}", f"--verify.receivers={receivers}", *labels.split()
    )
    assert code == 0, said


def test_pages_are_grouped_by_what_they_are_about_and_wait_a_second_at_most(deployed):
    config = yaml.safe_load(deployed.read_text())
    assert config["route"]["group_by"] == ["alertname", "slo", "service", "severity"]
    (pages,) = [route for route in config["route"]["routes"] if route["receiver"] == "pagerduty"]
    assert pages["group_wait"] in ("0s", "1s")
    assert "group_by" not in pages


def test_every_secret_is_a_file(deployed):
    text = deployed.read_text()
    assert all(f"secrets/{name}" in text for name in SECRETS)
    for key in ("api_url:", "routing_key:", "service_key:", "password:"):
        assert key not in text


@pytest.mark.slow
def test_a_page_reaches_pagerduty_a_ticket_slack_and_a_ticket_of_an_slo_that_pages_nobody(
    alertmanager_binary, deployed, tmp_path
):
    """A real Alertmanager with the deployed configuration, but for addresses and the patience with tickets."""
    with Receiver(lambda _: 202) as pagerduty, Receiver() as slack, Receiver() as dead_man:
        (deployed.parent / "secrets" / "slack-url").write_text(slack.url)
        config = yaml.safe_load(deployed.read_text())
        config["global"]["pagerduty_url"] = pagerduty.url
        for route in config["route"]["routes"]:
            if route["receiver"] == "slack":
                route["group_wait"] = "2s"
        (watch,) = [each for each in config["receivers"] if each["name"] == "dead-man"]
        watch["webhook_configs"][0]["url"] = dead_man.url
        labels = {"alertname": "SLOBurnRate", "severity": "critical", "slo": "checkout", "service": "<!channel>"}
        notes = {
            "summary": "<!channel> fails at 20 %, p95 < 1 s",
            "description": "The budget lasts for 3 h.",
            "runbook": "https://wiki.example/checkout",
            "jaeger": "https://jaeger.example/search?service=a%26b",
        }
        page = alert(labels, notes, starts_at_ns=time.time_ns())
        ticket = alert({**labels, "severity": "warning"}, notes, starts_at_ns=time.time_ns())
        other = alert({**labels, "severity": "warning", "slo": "search"}, notes, starts_at_ns=time.time_ns())
        alive = alert({"alertname": "StreamgaugeAlive", "severity": "info"}, starts_at_ns=time.time_ns())
        with Alertmanager(tmp_path / "am", config) as alertmanager:
            sender = AlertSender([Target(Endpoint(alerts_url(alertmanager.url), "am"))])
            sender.start()
            try:
                begun = time.monotonic()
                sender.set_alerts([page, ticket, other, alive])
                wait_until(lambda: pagerduty.posts and slack.posts and dead_man.posts, "all are told", 15)
                time.sleep(1.5)
            finally:
                sender.stop()
            paged_after = pagerduty.posts[0][0] - begun
        (event,) = pagerduty.jsons
        (message,) = slack.jsons
    assert paged_after < 2.5
    assert event["payload"]["summary"] == "1 firing: SLOBurnRate checkout (‹!channel>) [critical]"
    assert (event["payload"]["severity"], event["payload"]["group"]) == ("critical", "checkout")
    (attachment,) = message["attachments"]
    assert attachment["title"] == "1 firing: SLOBurnRate search (‹!channel>) [warning]"
    assert attachment["color"] == "warning"
    since, *links = attachment["text"].strip().splitlines()[2:]
    assert attachment["text"].splitlines()[:2] == [
        "firing: ‹!channel> fails at 20 %, p95 < 1 s",
        "The budget lasts for 3 h.",
    ]
    assert since.startswith("since 20")
    assert since.endswith(" UTC")
    assert links == [
        "runbook: <https://wiki.example/checkout>",
        "jaeger: <https://jaeger.example/search?service=a%26b>",
    ]
