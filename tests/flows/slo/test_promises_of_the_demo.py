"""`deploy/slos/` and the page `docs/slos.md`: what they say is what the code reads."""

from __future__ import annotations

import re
from pathlib import Path

import yaml

from flows.config.exclusions import exclusions
from flows.config.load import parse as parse_config
from flows.slo import load, parse

ROOT = Path(__file__).parents[3]
FILES = sorted((ROOT / "deploy" / "slos").glob("*.yaml"))


def test_the_platforms_promises_are_fine_without_dimensions_and_without_warnings() -> None:
    found = load(FILES, environment={})
    assert found.warnings == ()
    objectives = {(each.name, each.objective) for each in found.promises}
    assert objectives >= {
        ("platform-availability", 0.999),
        ("platform-latency", 0.95),
        ("platform-ai", 0.98),
        ("service-availability", 0.999),
        ("service-latency", 0.95),
        ("ai-writer-success", 0.98),
    }
    assert all(tiers for tiers, _ in (each.alert_tiers() for each in found.promises))
    limits = {each.indicator.threshold_ns for each in found.promises if each.indicator.kind == "latency"}
    assert limits == {500_000_000}


def test_every_service_and_operation_that_they_name_is_one_of_the_platform() -> None:
    platform = yaml.safe_load((ROOT / "datasets" / "platform.yaml").read_text(encoding="utf-8"))
    operations = [each for service in platform["services"].values() for each in service["operations"].values()]
    names = {str(each.get(key, "")) for each in operations for key in ("http", "rpc", "name")}
    for promise in load(FILES, environment={}).promises:
        selectors = [promise.indicator.total, promise.exclude]
        for matcher in (each for selector in selectors if selector for each in selector.matchers):
            if matcher.label == "service_name":
                assert set(matcher.values) <= set(platform["services"]), promise.name
            if matcher.label == "span_name" and matcher.matching in ("in", "not_in"):
                assert set(matcher.values) <= names, promise.name


def test_the_examples_of_the_page_are_read_as_they_stand() -> None:
    text = (ROOT / "docs" / "slos.md").read_text(encoding="utf-8")
    first, threshold, selector, tiers, maintenance = re.findall(r"```yaml\n(.*?)```", text, re.DOTALL)
    (promise,) = parse(first).promises
    assert (promise.objective, promise.policy.critical, promise.labels) == (0.999, True, (("team", "shop"),))
    slow = first.partition("  indicator:")[0] + "  budgetingMethod: Occurrences\n" + threshold
    (latency,) = parse(slow).promises
    assert latency.indicator.at_most_ns == 500_000_000
    written = yaml.safe_load(first)
    written["spec"]["indicator"]["spec"]["ratioMetric"]["total"]["metricSource"] |= yaml.safe_load(selector)
    written["metadata"]["annotations"] |= yaml.safe_load(tiers)
    (all_of_it,) = parse(yaml.safe_dump(written), dimension_names=("http_route",)).promises
    assert len(all_of_it.indicator.total.matchers) == 5
    assert [each.name for each in all_of_it.tiers or ()] == ["page-1h", "page-6h", "ticket-1d"]
    (exclusion,) = exclusions(parse_config(maintenance).exclusions)
    assert exclusion.match == (("slo", "checkout-availability"),)
