"""`/status` and `/` for people: HTML that needs nothing but itself, on a phone too.

Topics, services and reasons come from data and may be hostile: every text goes through `html.escape`, and the pages are
served with a policy that lets no script run.
"""

from __future__ import annotations

import html
from datetime import UTC, datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from exporters.status import PartitionStatus, SloStatus, Status

MOST_SERVICES = 20
"""How many services the table of overflow shows."""

MOST_SLOS = 100
"""How many objectives are shown, and how many alerts."""

_STYLE = """
:root { color-scheme: light dark; --line: #8885; --bad: #b3261e; --good: #19703a; }
@media (prefers-color-scheme: dark) { :root { --bad: #ff8a80; --good: #7fd89b; } }
body { font: 15px/1.45 system-ui, sans-serif; margin: 1rem auto; padding: 0 1rem; max-width: 62rem; }
h1 { font-size: 1.3rem; } h2 { font-size: 1.05rem; margin: 1.6rem 0 .3rem; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; min-width: 18rem; font-variant-numeric: tabular-nums; }
th, td { text-align: left; padding: .25rem .9rem .25rem 0; border-bottom: 1px solid var(--line); vertical-align: top; }
td { overflow-wrap: anywhere; } th { font-weight: 600; white-space: nowrap; }
td.n, th.n { text-align: right; white-space: nowrap; }
.good { color: var(--good); } .bad { color: var(--bad); } .none { opacity: .65; }
"""
_UNITS = ("B", "KiB", "MiB", "GiB", "TiB")
_MINUTE, _HOUR, _DAY = 60, 3_600, 86_400


def render(status: Status) -> str:
    """The status as one HTML page; ages are seen from `status.at_seconds`, no clock is read."""
    good = status.state == "running" and not status.reasons
    mark = "good" if good else "bad"
    parts = [
        f'<h1>streamgauge is <span class="{mark}">{_text(status.state)}</span></h1>',
        _list(status.reasons),
        _pairs(_overview(status)),
        "<h2>Alerts</h2>",
        _alerts(status),
        "<h2>SLOs</h2>",
        _slos(status),
        "<h2>Sources</h2>",
        _table(
            ("topic", "partition", "state", "lag, records", "position", "frontier", "idle for"),
            [
                [f"{source.topic} ({source.encoding})" if source.encoding else source.topic, *_partition(part, status)]
                for source in status.sources
                for part in source.partitions
            ],
        ),
        "<h2>Workers</h2>",
        _table(
            ("worker", "pid", "state", "memory", "restarts"),
            [
                [worker.worker, _known(worker.pid), worker.state, size(worker.resident_bytes), worker.restarts]
                for worker in status.workers
            ],
        ),
        "<h2>Late spans</h2>",
        _counts("reason", status.late_by_reason),
        "<h2>Dead letters</h2>",
        _counts("reason", status.dead_letters_by_reason),
        "<h2>Overflow</h2>",
        _counts("service", status.overflow_by_service, MOST_SERVICES),
        '<p><a href="/status?format=json">as JSON</a> · <a href="/">all pages</a></p>',
    ]
    return _page(f"streamgauge: {status.state}", parts)


def index(version: str) -> str:
    """The page at `/`: what is served here."""
    links = (
        ("/metrics", "what Prometheus scrapes"),
        ("/status", "alerts, SLOs, sources, lag, watermark, state, workers; JSON for who asks for it"),
        ("/-/ready", "200 when the metrics are complete and current, else 503 with the reasons"),
        ("/-/healthy", "200 while the process lives"),
    )
    rows = "".join(f'<tr><td><a href="{path}">{path}</a></td><td>{_text(what)}</td></tr>' for path, what in links)
    return _page("streamgauge", [f"<h1>streamgauge {_text(version)}</h1>", f"<table>{rows}</table>"])


def size(n_bytes: int | None) -> str:
    """Bytes for people.

    >>> size(1536), size(5 * 2**30), size(None)
    ('1.5 KiB', '5.0 GiB', '–')
    """
    if n_bytes is None:
        return "–"
    amount, unit = float(n_bytes), 0
    while amount >= 1024 and unit < len(_UNITS) - 1:
        amount, unit = amount / 1024, unit + 1
    return f"{amount:.1f} {_UNITS[unit]}" if unit else f"{n_bytes} B"


def age(seconds: float | None) -> str:
    """A span of time for people, in its two largest units.

    >>> age(7.26), age(65), age(7300), age(200_000), age(None)
    ('7.3 s', '1 min 5 s', '2 h 1 min', '2 d 7 h', '–')
    """
    if seconds is None:
        return "–"
    if seconds < _MINUTE:
        return f"{seconds:.1f} s"
    whole = int(seconds)
    for unit, name, below, small in ((_DAY, "d", _HOUR, "h"), (_HOUR, "h", _MINUTE, "min")):
        if whole >= unit:
            return f"{whole // unit} {name} {whole % unit // below} {small}"
    return f"{whole // _MINUTE} min {whole % _MINUTE} s"


def moment(unix_seconds: float | None) -> str:
    """A time in UTC; one that no calendar has is shown as its number.

    >>> moment(0), moment(None), moment(1e20)
    ('1970-01-01 00:00:00 UTC', '–', '1e+20')
    """
    if unix_seconds is None:
        return "–"
    try:
        return f"{datetime.fromtimestamp(unix_seconds, UTC):%Y-%m-%d %H:%M:%S} UTC"
    except (ValueError, OverflowError, OSError):
        return str(unix_seconds)


def _overview(status: Status) -> list[tuple[str, str]]:
    """The lines above the tables."""
    storage, watermark = status.storage, status.watermark
    shown = [
        ("version", status.version or "–"),
        ("started", moment(status.started_seconds)),
        ("as of", moment(status.at_seconds)),
        ("watermark", f"{moment(watermark.timestamp_seconds)}{_behind(watermark.timestamp_seconds, status)}"),
        ("held by", watermark.held_by or "–"),
        ("last epoch", f"{_known(storage.epoch)}, {age(storage.epoch_age_seconds)} ago"),
        ("state", f"{size(storage.size_bytes)}, {size(storage.free_bytes)} free in {storage.directory or '–'}"),
    ]
    return shown if storage.epoch is not None else [(name, text) for name, text in shown if name != "last epoch"]


def _alerts(status: Status) -> str:
    """The alerts, those that fire first, the newest of them first."""
    ordered = sorted(status.alerts, key=lambda each: (each.status != "firing", -each.starts_seconds))
    rows = [
        [
            each.status,
            each.labels.get("severity", ""),
            each.labels.get("alertname", ""),
            each.labels.get("service", ""),
            each.annotations.get("summary", ""),
            f"{moment(each.starts_seconds)}{_behind(each.starts_seconds, status)}",
        ]
        for each in ordered[:MOST_SLOS]
    ]
    return _table(("state", "severity", "alert", "service", "what", "since"), rows) + _more(len(ordered) - len(rows))


def _slos(status: Status) -> str:
    """The objectives, those with the least budget first."""
    ordered = sorted(status.slos, key=lambda each: (each.budget_remaining is None, each.budget_remaining, each.slo))
    rows = [
        [
            f"{each.slo} ({each.group})" if each.group else each.slo,
            each.service,
            each.objective,
            "–" if each.budget_remaining is None else f"{each.budget_remaining:.1%}",
            age(each.exhausted_in_seconds),
            ", ".join(f"{name} {_burn(window.burn_rate)}" for name, window in each.windows.items()),
            _remarks(each),
        ]
        for each in ordered[:MOST_SLOS]
    ]
    head = ("SLO", "service", "objective", "budget left", "spent in", "burn rate by window", "")
    return _table(head, rows) + _more(len(ordered) - len(rows))


def _burn(rate: float | None) -> str:
    return "–" if rate is None else f"{rate:.3g}"


def _remarks(slo: SloStatus) -> str:
    """What keeps an objective from being judged in full, or its alerts from being sent."""
    said = ((slo.mode == "shadow", "shadow"), (not slo.armed, "not all tiers armed"), (slo.unknown, "no events"))
    return ", ".join(words for is_so, words in said if is_so)


def _partition(part: PartitionStatus, status: Status) -> list[object]:
    """A partition's cells after its topic."""
    idle = None if part.idle_since_seconds is None else max(0.0, status.at_seconds - part.idle_since_seconds)
    return [
        part.partition,
        part.state,
        _known(part.lag_records),
        _known(part.position),
        f"{moment(part.frontier_seconds)}{_behind(part.frontier_seconds, status)}",
        age(idle),
    ]


def _behind(unix_seconds: float | None, status: Status) -> str:
    """How old a time is; nothing for one that is unknown or still to come."""
    if unix_seconds is None or unix_seconds > status.at_seconds:
        return ""
    return f" ({age(status.at_seconds - unix_seconds)} ago)"


def _known(number: int | None) -> int | str:
    return "–" if number is None else number


def _counts(what: str, counts: Mapping[str, int], most: int | None = None) -> str:
    """A table of counts, the largest first, and a line that says how many were left out."""
    ordered = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    shown = ordered[:most]
    table = _table((what, "spans" if what == "service" else "count"), [list(item) for item in shown])
    return table + _more(len(ordered) - len(shown))


def _more(left: int) -> str:
    """How many rows were left out."""
    return f'<p class="none">and {left:,} more</p>' if left else ""


def _table(head: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """A table; a column is flush right when it has a number. One that is wider than the screen scrolls by itself."""
    if not rows:
        return '<p class="none">none</p>'
    right = [any(isinstance(row[column], int) for row in rows) for column in range(len(head))]
    lines = [_row("th", head, right), *(_row("td", row, right) for row in rows)]
    return f'<div class="scroll"><table>{"".join(lines)}</table></div>'


def _row(tag: str, cells: Iterable[object], right: Iterable[bool]) -> str:
    classes = (f'<{tag} class="n">' if flush else f"<{tag}>" for flush in right)
    texts = (f"{cell:,}" if isinstance(cell, int) else _text(str(cell)) for cell in cells)
    return "<tr>" + "".join(f"{begin}{text}</{tag}>" for begin, text in zip(classes, texts, strict=True)) + "</tr>"


def _pairs(pairs: Iterable[tuple[str, str]]) -> str:
    rows = "".join(f"<tr><th>{_text(name)}</th><td>{_text(text)}</td></tr>" for name, text in pairs)
    return f'<div class="scroll"><table>{rows}</table></div>'


def _list(sentences: Sequence[str]) -> str:
    return "<ul>" + "".join(f"<li>{_text(each)}</li>" for each in sentences) + "</ul>" if sentences else ""


def _text(text: str) -> str:
    """Escaped; what no encoding can write (half a surrogate pair, say) becomes a question mark."""
    return html.escape(text.encode("utf-8", "replace").decode())


def _page(title: str, parts: Iterable[str]) -> str:
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{_text(title)}</title><style>{_STYLE}</style></head><body>{''.join(parts)}</body></html>"
    )
