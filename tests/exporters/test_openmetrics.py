"""The file with timestamps, judged by `prometheus_client`'s strict parser and by promtool."""

from __future__ import annotations

import math
import re
import shutil
import subprocess
import sys
from itertools import groupby
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from prometheus_client.openmetrics.parser import text_string_to_metric_families

from exporters import names
from exporters.labels import LabelSet
from exporters.openmetrics import OpenMetricsSpool, merge
from exporters.samples import Samples, bucket_columns, by_label, single, window_columns
from exporters.spool import SpoolError

SECOND = 1_000_000_000
START = 1_700_000_000
ANY_TEXT = st.text(st.characters(codec=None), max_size=20)


def blocks_at(second: int, services: list[str], step: int) -> list[Samples]:
    """What a flow hands over when a pane closes: counters, histograms, two windows."""
    at_ns = second * SECOND
    labels = [LabelSet([("service_name", service), ("span_name", "GET /")]) for service in services]
    scale = np.arange(1, len(services) + 1)
    counts = np.outer(scale, [1, 2, 3]) * step
    quantiles = np.outer(scale, [0.25, 0.5]) / 7
    quantiles[step % len(services), 0] = math.nan
    return [
        by_label(names.CALLS, at_ns, labels, scale * step),
        Samples(names.DURATION_MILLISECONDS, at_ns, labels, counts, bucket_columns((2, 10)), scale * step * 2.5),
        Samples(names.SPAN_DURATION, at_ns, labels, quantiles, window_columns("1m", (0.5, 0.99))),
        Samples(names.SPAN_DURATION, at_ns, labels, quantiles * 2, window_columns("5m", (0.5, 0.99))),
        Samples(names.SPAN_CALLS, at_ns, labels, scale[:, None] * step, window_columns("1m")),
        single(names.RECORDS, at_ns, step, LabelSet([("source", "recording")])),
    ]


def spooled(directory: Path, blocks, budget_bytes: int = 1_000) -> Path:
    """A closed spool with these blocks, in many runs."""
    spool = OpenMetricsSpool(directory, budget_bytes)
    for block in blocks:
        spool.append(block)
    spool.close()
    return directory


HISTOGRAM_LINE = re.compile(r"^(traces_span_metrics_duration_milliseconds_\w+)\{(.*)\} (\S+) (\S+)$", re.MULTILINE)


def parseable(text: str) -> str:
    """The file with the time of every point of a histogram as a label too.

    The strict parser takes no histogram with two points, in whatever order: of the second point it drops all but the
    first line as duplicates, and then misses +Inf. With a label of its own every point is checked, lines and grouping;
    that points of one label set stand together is checked by `pieces_of`.
    """
    return HISTOGRAM_LINE.sub(r'\1{at="\4",\2} \3 \4', text)


def samples_of(text: str) -> dict[tuple[str, frozenset[tuple[str, str]], float], float]:
    """All samples by name, labels and time; the parser itself refuses what is out of order or in two pieces."""
    return {
        (sample.name, frozenset((name, value) for name, value in sample.labels.items() if name != "at"), at): value
        for family in text_string_to_metric_families(parseable(text))
        for sample in family.samples
        for at, value in [(float(sample.timestamp), sample.value)]
    }


def pieces_of(text: str) -> list[tuple[str, list[float]]]:
    """The times of every run of lines that are one series, or one histogram, as they stand in the file."""
    lines = [line.rsplit(" ", 2) for line in text.splitlines() if not line.startswith("#")]
    named = [
        (re.sub(r'_(bucket|count|sum)\{(.*?)(,le="[^"]*")?\}$', r"{\2}", name), float(at)) for name, _, at in lines
    ]
    return [(name, [at for _, at in group]) for name, group in groupby(named, key=lambda line: line[0])]


def expected_samples(blocks) -> dict[tuple[str, frozenset[tuple[str, str]], float], float]:
    """The slow, obviously right twin."""
    found = {}
    for block in blocks:
        for row, label in enumerate(block.labels):
            at = block.at_ns / SECOND
            pairs = label.pairs()
            stem = block.family.page_name + ("_bucket" if block.family.kind == "histogram" else "")
            for place, column in enumerate(block.columns):
                value = block.values[row, place]
                if not math.isnan(value):
                    found[stem, frozenset((*pairs, *column)), at] = value
            if block.sums is not None:
                found[f"{block.family.name}_count", frozenset(pairs), at] = block.values[row, -1]
                found[f"{block.family.name}_sum", frozenset(pairs), at] = block.sums[row]
    return found


class TestFile:
    def test_a_strict_parser_finds_every_sample_at_its_time(self, tmp_path):
        services = [f"service-{number}" for number in range(7)]
        blocks = [block for step in range(20) for block in blocks_at(START + 5 * step, services, step)]
        out = tmp_path / "x.om"
        lines = merge([spooled(tmp_path / "spool", blocks)], out)
        found = samples_of(out.read_text())
        assert found == expected_samples(blocks)
        assert lines == len(found)

    def test_every_label_set_of_a_family_is_one_piece_and_its_times_increase(self, tmp_path):
        blocks = [block for step in range(9) for block in blocks_at(START + 5 * step, ["b", "a"], step)]
        out = tmp_path / "x.om"
        merge([spooled(tmp_path / "spool", blocks)], out)
        pieces = pieces_of(out.read_text())
        assert len({name for name, _ in pieces}) == len(pieces)
        assert all(times == sorted(times) for _, times in pieces)
        assert len(pieces) == 2 * (1 + 1 + 4 + 1) + 1

    def test_times_are_seconds_with_a_fraction_only_where_there_is_one(self, tmp_path):
        blocks = [single(names.RECORDS, at, 1) for at in (START * SECOND, START * SECOND + 500_000_000)]
        merge([spooled(tmp_path / "spool", blocks)], tmp_path / "x.om")
        assert (tmp_path / "x.om").read_text() == (
            f"# HELP streamgauge_records {names.RECORDS.help}\n# TYPE streamgauge_records counter\n"
            f"streamgauge_records_total 1 {START}\nstreamgauge_records_total 1 {START}.5\n# EOF\n"
        )

    def test_samples_that_come_out_of_order_are_put_in_order(self, tmp_path):
        blocks = [single(names.RECORDS, at * SECOND, at) for at in (30, 10, 20)]
        merge([spooled(tmp_path / "spool", blocks, budget_bytes=1)], tmp_path / "x.om")
        assert [value for *_, value in samples_of((tmp_path / "x.om").read_text()).items()] == [10, 20, 30]

    def test_without_samples_it_is_a_file_that_ends(self, tmp_path):
        assert merge([spooled(tmp_path / "spool", [])], tmp_path / "x.om") == 0
        assert (tmp_path / "x.om").read_text() == "# EOF\n"

    @settings(deadline=None, max_examples=30)
    @given(st.lists(ANY_TEXT, min_size=1, max_size=5, unique=True))
    def test_whatever_the_label_values_are_the_file_parses(self, tmp_path_factory, values):
        root = tmp_path_factory.mktemp("hostile")
        blocks = [block for step in (1, 2) for block in blocks_at(START + 5 * step, values, step)]
        merge([spooled(root / "spool", blocks)], root / "x.om")
        assert samples_of((root / "x.om").read_text("utf-8")) == expected_samples(blocks)

    def test_progress_ends_at_the_total(self, tmp_path):
        seen = []
        blocks = [block for step in range(3) for block in blocks_at(START + 5 * step, ["a", "b"], step)]
        merge([spooled(tmp_path / "spool", blocks)], tmp_path / "x.om", lambda *state: seen.append(state))
        assert seen[-1][0] == seen[-1][1] == 3 * (5 * 2 + 1)


class TestSeveralSpools:
    def test_workers_share_of_the_services_changes_no_byte(self, tmp_path):
        """One spool of all, and two spools of half each, in different orders."""
        services = [f"service-{number}" for number in range(6)]
        whole, parts = [], [[], []]
        for step in range(10):
            for block in blocks_at(START + 5 * step, services, step)[:-1]:
                whole.append(block)
                for worker, part in enumerate(parts):
                    mine = list(range(worker, 6, 2))[:: 1 - 2 * worker]
                    part.append(
                        Samples(
                            block.family,
                            block.at_ns,
                            [block.labels[row] for row in mine],
                            block.values[mine],
                            block.columns,
                            None if block.sums is None else block.sums[mine],
                        )
                    )
        merge([spooled(tmp_path / "one", whole)], tmp_path / "one.om")
        merge([spooled(tmp_path / str(n), part, 777) for n, part in enumerate(parts)], tmp_path / "two.om")
        assert (tmp_path / "two.om").read_bytes() == (tmp_path / "one.om").read_bytes()

    def test_a_label_set_of_two_spools_is_combined_as_its_family_says(self, tmp_path):
        labels = [LabelSet([("service_name", "__overflow__")])]

        def share(calls: int, quantile: float) -> list[Samples]:
            return [
                by_label(names.CALLS, SECOND, labels, np.array([calls])),
                Samples(
                    names.DURATION_MILLISECONDS,
                    SECOND,
                    labels,
                    np.array([[calls, 2 * calls]]),
                    bucket_columns([2]),
                    np.array([calls / 2]),
                ),
                Samples(names.SPAN_DURATION, SECOND, labels, np.array([[quantile]]), window_columns("1m", [0.5])),
            ]

        spools = [spooled(tmp_path / "0", share(1, 0.5)), spooled(tmp_path / "1", share(40, math.nan))]
        merge(spools, tmp_path / "x.om")
        assert list(samples_of((tmp_path / "x.om").read_text()).values()) == [41, 41, 82, 82, 20.5, 0.5]

    def test_a_label_set_that_moved_from_one_worker_to_another_is_one_piece(self, tmp_path):
        spools = [
            spooled(tmp_path / str(worker), blocks_at(START + 5 * worker, ["a", "b"], worker)) for worker in (1, 0)
        ]
        merge(spools, tmp_path / "x.om")
        assert len(samples_of((tmp_path / "x.om").read_text())) == len(
            expected_samples([*blocks_at(START, ["a", "b"], 0), *blocks_at(START + 5, ["a", "b"], 1)])
        )


class TestRefusals:
    def test_a_family_that_is_not_described_is_refused(self, tmp_path):
        stranger = names.Family("streamgauge_stranger", "gauge", "Not in the list.")
        with pytest.raises(ValueError, match=r"streamgauge_stranger is not in exporters/names\.py"):
            OpenMetricsSpool(tmp_path / "spool").append(single(stranger, 0, 1))

    def test_blocks_that_share_only_some_columns_are_refused_since_a_series_would_be_in_two_pieces(self, tmp_path):
        labels = [LabelSet([("service_name", "a")])]
        blocks = [
            Samples(names.SPAN_DURATION, 0, labels, np.zeros((1, len(quantiles))), window_columns("1m", quantiles))
            for quantiles in ([0.5], [0.5, 0.9])
        ]
        with pytest.raises(SpoolError, match="part of their columns"):
            merge([spooled(tmp_path / "spool", blocks)], tmp_path / "x.om")
        assert not (tmp_path / "x.om").exists()

    def test_a_failure_leaves_the_old_file_and_no_half_one(self, tmp_path):
        out = tmp_path / "x.om"
        out.write_text("old")

        def fail(_done: int, _total: int) -> None:
            raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            merge([spooled(tmp_path / "spool", [single(names.RECORDS, 0, 1)])], out, fail)
        assert out.read_text() == "old"
        assert [path.name for path in tmp_path.iterdir() if path.is_file()] == ["x.om"]


MEASURE_MEMORY = """
import resource, sys
from pathlib import Path
import numpy as np
from exporters import names
from exporters.labels import LabelSet
from exporters.openmetrics import OpenMetricsSpool, merge
from exporters.samples import Samples, bucket_columns

root, steps = Path(sys.argv[1]), int(sys.argv[2])
labels = [LabelSet([("service_name", f"service-{n}"), ("span_name", "GET /")]) for n in range(200)]
counts = np.cumsum(np.ones((200, 17), np.int64), axis=1)
spool = OpenMetricsSpool(root / "spool", budget_bytes=2 << 20)
for step in range(steps):
    columns = bucket_columns(names.CLASSIC_BOUNDS_MS)
    spool.append(Samples(names.DURATION_MILLISECONDS, step * 10**9, labels, counts * step, columns, np.ones(200)))
spool.close()
merge([root / "spool"], root / "x.om")
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024)
"""


class TestMemory:
    @pytest.mark.slow
    def test_memory_does_not_grow_with_the_length_of_a_replay(self, tmp_path):
        """Ten times the samples (3.8 million, 600 MB of text) in the memory of a tenth, give or take 32 MiB."""
        peaks = []
        for steps in (100, 1000):
            (tmp_path / str(steps)).mkdir()
            command = [sys.executable, "-c", MEASURE_MEMORY, str(tmp_path / str(steps)), str(steps)]
            done = subprocess.run(command, capture_output=True, text=True, check=True)
            peaks.append(int(done.stdout))
        assert peaks[1] <= peaks[0] + 32, f"peak resident memory in MiB: {peaks}"


class TestPromtool:
    @pytest.mark.slow
    def test_promtool_makes_blocks_with_every_sample(self, tmp_path):
        promtool = shutil.which("promtool")
        if promtool is None:
            pytest.skip("promtool is not installed; on Debian: apt-get install prometheus")
        hostile = ["a", 'b"\n\\', "c\0\ud800", "ü" * 1000, ""]
        blocks = [block for step in range(60) for block in blocks_at(START + 60 * step, hostile, step)]
        out = tmp_path / "x.om"
        lines = merge([spooled(tmp_path / "spool", blocks)], out)
        command = [promtool, "tsdb", "create-blocks-from", "openmetrics", str(out), str(tmp_path / "blocks")]
        made = subprocess.run(command, capture_output=True, text=True, check=False)
        assert made.returncode == 0, made.stderr
        table = [line.split() for line in made.stdout.splitlines() if line.startswith("01")]
        assert sum(int(row[4]) for row in table) == lines
        assert min(int(row[1]) for row in table) == START * 1000
