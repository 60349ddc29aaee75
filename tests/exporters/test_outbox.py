"""What is due when, with a time that is handed in."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from exporters.alerts import alert
from exporters.outbox import Instant, Outbox

START_NS = 1_772_443_800_000_000_000
SECOND_NS = 1_000_000_000
RESEND, KEEP = 60.0, 900.0


def at(seconds):
    return Instant(1000.0 + seconds, START_NS + round(seconds * 1e9))


def outage(slo="checkout", *, starts_at_ns=START_NS, **annotations):
    labels = {"alertname": "SLOBurnRate", "severity": "critical", "slo": slo}
    return alert(labels, annotations, starts_at_ns=starts_at_ns)


def take(outbox, seconds):
    """What is due, taken by the receiver: (slo, seconds from the start to endsAt)."""
    postings = outbox.due(at(seconds))
    outbox.delivered(postings, at(seconds))
    return [(dict(each.alert.labels)["slo"], (each.ends_at_ns - START_NS) / 1e9) for each in postings]


def filled(*alerts):
    outbox = Outbox(RESEND, KEEP)
    outbox.set(alerts, at(0))
    return outbox


def test_an_alert_is_due_at_once_and_then_every_interval_with_an_end_four_intervals_ahead():
    outbox = filled(outage())
    said = []
    for second in range(181):
        outbox.touch(at(second))
        said += [(second, end) for _, end in take(outbox, second)]
    assert said == [(0, 240), (60, 300), (120, 360), (180, 420)]


def test_an_end_is_never_before_a_start_that_lies_in_the_future():
    outbox = filled(outage(starts_at_ns=START_NS + 1000 * SECOND_NS))
    assert take(outbox, 0) == [("checkout", 1240)]


def test_a_resolved_alert_is_said_for_fifteen_minutes_with_an_end_that_stays():
    outbox = filled(outage())
    take(outbox, 0)
    outbox.set([outage().resolved(START_NS + 5 * SECOND_NS)], at(20))
    said = []
    for second in range(20, 1200):
        said += [(second, end) for _, end in take(outbox, second)]
    assert {end for _, end in said} == {20}
    assert [second for second, _ in said] == [20 + 60 * i for i in range(15)]


def test_the_end_of_an_alert_that_starts_in_the_future_is_its_start():
    late = outage(starts_at_ns=START_NS + 7 * SECOND_NS)
    assert take(filled(late.resolved(0)), 0) == [("checkout", 7)]


def test_an_alert_that_is_missing_is_resolved():
    outbox = filled(outage(), outage("search"))
    take(outbox, 0)
    outbox.set([outage("search")], at(10))
    assert take(outbox, 10) == [("checkout", 10)]


def test_what_changed_is_due_at_once_and_what_did_not_is_not():
    outbox = filled(outage(), outage("search"))
    take(outbox, 0)
    outbox.set([outage(), outage("search", tier="1h")], at(5))
    assert take(outbox, 5) == [("search", 245)]
    outbox.set([outage(), outage("search", tier="1h")], at(6))
    assert take(outbox, 6) == []


def test_what_changes_while_it_is_on_its_way_is_sent_as_it_is_now():
    outbox = filled(outage())
    on_its_way = outbox.due(at(0))
    outbox.set([], at(1))
    outbox.delivered(on_its_way, at(2))
    assert take(outbox, 2) == [("checkout", 1)]


def test_what_was_never_delivered_goes_first_and_what_is_due_soon_goes_along():
    outbox = filled(outage("a"), outage("b"))
    take(outbox, 0)
    outbox.set([outage("a"), outage("b"), outage("new")], at(57))
    assert [slo for slo, _ in take(outbox, 57)] == ["new", "a", "b"]


def test_of_two_alerts_with_the_same_labels_the_one_that_fires_is_sent():
    over = outage(starts_at_ns=START_NS - SECOND_NS).resolved(START_NS)
    for both in ([over, outage()], [outage(), over]):
        assert take(filled(*both), 0) == [("checkout", 240)]


def test_an_alert_that_comes_back_fires_again():
    outbox = filled(outage())
    take(outbox, 0)
    outbox.set([], at(10))
    take(outbox, 10)
    outbox.set([outage(starts_at_ns=START_NS + 20 * SECOND_NS)], at(20))
    assert take(outbox, 20) == [("checkout", 260)]


def test_a_resolved_alert_that_is_handed_in_further_is_not_said_anew():
    outbox = filled(outage())
    take(outbox, 0)
    over = outage().resolved(START_NS + SECOND_NS)
    said = 0
    for second in range(1, 4000):
        outbox.set([over], at(second))
        said += len(take(outbox, second))
    assert said == 15


class TestWhoJudgesIsDead:
    def test_firing_alerts_are_sent_for_one_more_interval_and_then_end_by_themselves(self):
        outbox = filled(outage())
        said = [(second, end) for second in range(1000) for _, end in take(outbox, second)]
        assert said == [(0, 240), (60, 300)]

    def test_resolved_ones_are_still_sent(self):
        outbox = filled(outage().resolved(START_NS))
        assert len([1 for second in range(1000) if take(outbox, second)]) == 15

    def test_a_new_alert_is_not_sent_by_the_dead(self):
        outbox = filled(outage())
        assert take(outbox, 61) == []

    def test_who_is_back_within_four_intervals_of_the_last_life_sign_leaves_no_gap(self):
        for dies in range(60):
            outbox = filled(outage())
            ends = 0
            for second in range(dies + 1):
                outbox.touch(at(second))
                ends = max([ends, *(end for _, end in take(outbox, second))])
            for second in range(dies + 1, dies + 240):
                ends = max([ends, *(end for _, end in take(outbox, second))])
            outbox.touch(at(dies + 239))
            assert ends >= dies + 239
            assert take(outbox, dies + 239) == [("checkout", dies + 479)]


class TestTheReceiverFails:
    def test_the_pause_doubles_up_to_fifteen_seconds(self):
        outbox = filled(outage())
        tries = []
        for tenth in range(1000):
            outbox.touch(at(tenth / 10))
            if outbox.due(at(tenth / 10)):
                tries.append(tenth / 10)
                outbox.failed(at(tenth / 10))
        gaps = [round(b - a, 1) for a, b in pairwise(tries)]
        assert gaps == [0.5, 1, 2, 4, 8, 15, 15, 15, 15, 15]

    def test_it_is_left_alone_for_as_long_as_it_asks_but_not_for_ever(self):
        for asked, waited in ((5, 5), (100_000, 15)):
            outbox = filled(outage())
            outbox.failed(at(0), asked)
            assert outbox.due(at(waited - 0.1)) == []
            assert len(outbox.due(at(waited))) == 1

    def test_what_it_takes_ends_the_doubling(self):
        outbox = filled(outage())
        for second in (0, 20, 40):
            outbox.failed(at(second))
        take(outbox, 60)
        outbox.set([], at(60))
        outbox.failed(at(60))
        assert outbox.due(at(60.4)) == []
        assert len(outbox.due(at(60.5))) == 1

    def test_the_newest_state_is_sent_when_it_is_back(self):
        outbox = filled(outage())
        outbox.failed(at(0))
        outbox.set([outage(tier="1h"), outage("search")], at(0.1))
        assert outbox.due(at(0.2)) == []
        outbox.set([outage("search")], at(0.3))
        assert take(outbox, 1) == [("checkout", 0.3), ("search", 241)]

    def test_an_end_that_nobody_could_be_told_is_counted(self):
        outbox = filled(outage().resolved(START_NS))
        for second in range(0, 890, 20):
            outbox.failed(at(second))
        assert outbox.undelivered == 0
        assert outbox.due(at(901)) == []
        assert outbox.undelivered == 1


class TestAnAlertIsRefused:
    def test_it_is_tried_again_alone_with_every_interval_and_is_news_once(self):
        outbox = filled(outage("bad"), outage("good"))
        bad, good = outbox.due(at(0))
        assert outbox.refused(bad, at(0))
        outbox.delivered([good], at(0))
        assert outbox.due(at(1)) == []
        outbox.touch(at(60))
        postings = outbox.due(at(60))
        assert [(dict(each.alert.labels)["slo"], each.alone) for each in postings] == [("good", False), ("bad", True)]
        assert not outbox.refused(postings[1], at(60))

    def test_a_change_of_it_goes_alone_too_until_it_is_taken(self):
        outbox = filled(outage("bad"))
        outbox.refused(outbox.due(at(0))[0], at(0))
        outbox.set([outage("bad", tier="1h")], at(1))
        (posting,) = outbox.due(at(1))
        assert posting.alone
        outbox.delivered([posting], at(1))
        outbox.touch(at(61))
        assert not outbox.due(at(61))[0].alone


def test_a_posting_is_what_the_api_takes():
    posted = replace(outage(tier="1h"), generator_url="http://streamgauge:9464/alerts")
    assert filled(posted).due(at(0))[0].as_json() == {
        "labels": {"alertname": "SLOBurnRate", "severity": "critical", "slo": "checkout"},
        "annotations": {"tier": "1h"},
        "startsAt": "2026-03-02T09:30:00Z",
        "endsAt": "2026-03-02T09:34:00Z",
        "generatorURL": "http://streamgauge:9464/alerts",
    }


STATES = st.lists(
    st.tuples(st.sets(st.sampled_from("abcd")), st.integers(1, 100), st.booleans(), st.booleans()), max_size=40
)


@given(states=STATES)
def test_a_receiver_that_answers_in_time_always_knows_just_what_fires(states):
    """A receiver as Alertmanager is: an alert fires until its endsAt. It is down at times, for less than four intervals
    together, and what is on its way when the state changes is delivered after.
    """
    outbox, known, now, firing = Outbox(RESEND, KEEP), {}, 0, {}
    for slos, seconds, is_down, is_slow in states:
        firing = {slo: firing.get(slo, START_NS + now * SECOND_NS) for slo in slos}
        before = outbox.due(at(now)) if is_slow else []
        outbox.set([outage(slo, starts_at_ns=start) for slo, start in firing.items()], at(now))
        known |= {dict(each.alert.labels)["slo"]: each.ends_at_ns for each in before}
        outbox.delivered(before, at(now))
        for _ in range(seconds):
            outbox.touch(at(now))
            postings = outbox.due(at(now))
            if is_down and now % 120 < 60:
                if postings:
                    outbox.failed(at(now))
            else:
                known |= {dict(each.alert.labels)["slo"]: each.ends_at_ns for each in postings}
                outbox.delivered(postings, at(now))
            now += 1
        if not is_down and seconds > 20:
            assert {slo for slo, end in known.items() if end > at(now).unix_ns} == set(firing)
