"""The configuration described: as a page for people, as a JSON schema for editors, as YAML with everything in force.

`python -m flows.config.reference > docs/configuration.md` writes the page anew; a test keeps the two equal.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, get_args, get_origin

import yaml
from pydantic import BaseModel

from flows.config.model import Config
from flows.units import DURATION_PATTERN, format_duration

if TYPE_CHECKING:
    from collections.abc import Iterator

INTRODUCTION = """\
# Configuration

Everything has a default: streamgauge needs no file. Where the defaults do not fit, write a YAML file with what differs
and give it with `--config FILE`. It is read once, at start; a change takes effect at the next one.

A first file for a live run; a replay needs none:

```yaml
kafka:
  bootstrap_servers: 127.0.0.1:9092
  topics:
    - {name: otlp_spans, signal: spans, encoding: otlp_proto}
```

What could stand in it besides:

```yaml
dimensions:
  - deployment.environment.name
  - label: http_status
    from: [http.response.status_code, http.status_code]
time:
  lateness: 10s
span_metrics:
  latency_thresholds: [300ms, 1s]
limits:
  services:
    checkout: {series: 5000}
```

- **Durations** have units, the largest first: `1h`, `1m30s`, `250ms` (d, h, m, s, ms, us, ns). **Sizes** have them too:
  `64MiB` is 67,108,864 bytes, `4MB` is 4,000,000; a bare number is bytes.
- **`${NAME}`** is replaced by the environment variable, in values, not in keys. A variable that is not set is an error;
  `$${NAME}` is the text `${NAME}` itself. Within `{…}` and `[…]`, quote it: `["${NAME}"]`.
- **Unknown keys are refused**, with the nearest right one. A key with nothing after it keeps its default.
- `streamgauge config check FILE` says what is wrong, all of it at once, with lines; `streamgauge config show` prints
  what is in force; `streamgauge config schema` prints a JSON schema. To have an editor use it, save that as
  `streamgauge.schema.json` and begin the file with `# yaml-language-server: $schema=streamgauge.schema.json`.

## Secrets

Security is librdkafka's: its properties go under `kafka.properties`. A secret is best left where it is kept:

```yaml
kafka:
  bootstrap_servers: [kafka-1:9093, kafka-2:9093]
  topics:
    - {name: otlp_spans, signal: spans, encoding: otlp_proto}
  properties:
    security.protocol: sasl_ssl
    sasl.mechanism: SCRAM-SHA-512
    sasl.username: streamgauge
    sasl.password: {file: /run/secrets/kafka-password}   # or {env: KAFKA_PASSWORD}
    ssl.ca.location: /etc/ssl/certs/kafka.pem
```

A file or variable is read when a client is made, without the white space around its value. Neither `config show` nor
an error nor a log shows a secret: that is what `${NAME}` put into a property, the value of a property that is called
password, secret, token or the like, and a URL with a user in it. What `config show` prints as `<hidden>` is refused
when it is read again.

## What stays as it is

A state directory keeps what it was made with; another value is refused when a live run starts on it: `kafka.slots`,
`time.pane`, `windows`, `span_metrics.bounds_ms`. What cannot be configured, because
state and recordings depend on it: 64 shards, 8 lanes of a recording, and histograms of scale 5 (relative error at most
1.1 %).

## Settings

| key | default | what it is |
|---|---|---|
"""


def markdown() -> str:
    """The page `docs/configuration.md`."""
    rows = [f"| `{key}` | {default} | {text} |" for key, default, text in _settings(Config, "", shown=True)]
    return INTRODUCTION + "\n".join(rows) + "\n"


def as_values(config: Config) -> dict[str, Any]:
    """The configuration as plain values, durations and sizes as text, under the keys of the file."""
    values: dict[str, Any] = config.model_dump(mode="json", by_alias=True)
    return values


def as_yaml(config: Config) -> str:
    """The configuration as a file would have it, every default written out."""
    return yaml.dump(as_values(config), sort_keys=False, allow_unicode=True, width=100, Dumper=_Dumper)


def schema() -> dict[str, Any]:
    """The JSON schema (draft 2020-12) of the file."""
    described = _as_written(Config.model_json_schema(by_alias=True, mode="validation"))
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **described, "title": "streamgauge"}


def _as_written(part: Any) -> Any:
    """A part of the schema with durations as text in its defaults, and descriptions without their examples."""
    if isinstance(part, list):
        return [_as_written(each) for each in part]
    if not isinstance(part, dict):
        return part
    part = {key: _as_written(each) for key, each in part.items()}
    if isinstance(text := part.get("description"), str):
        part["description"] = text.partition("\n\n")[0]
    if isinstance(part.get("default"), int) and part.get("pattern") == DURATION_PATTERN:
        part["default"] = format_duration(part["default"])
    if part.get("default") and part.get("items", {}).get("pattern") == DURATION_PATTERN:
        part["default"] = [format_duration(each) for each in part["default"]]
    return part


class _Dumper(yaml.SafeDumper):
    """Lists of plain values stand on one line."""


def _represent_list(dumper: yaml.SafeDumper, values: list[Any]) -> yaml.Node:
    flow = not any(isinstance(each, dict | list) for each in values)
    return dumper.represent_sequence("tag:yaml.org,2002:seq", values, flow_style=flow)


_Dumper.add_representer(list, _represent_list)


def _settings(section: type[BaseModel], path: str, *, shown: bool) -> Iterator[tuple[str, str, str]]:
    """Every key below a section with its default and its description, sections before what is in them.

    Defaults are `shown` unless the section is one of many in a list, or by name.
    """
    defaults = section.model_construct().model_dump(mode="json", by_alias=True)
    for name, field in section.model_fields.items():
        key = field.alias or name
        yield f"{path}{key}", _default(defaults[key]) if shown and key in defaults else "", field.description or ""
        for inner, suffix in _sections(field.annotation):
            yield from _settings(inner, f"{path}{key}{suffix}.", shown=shown and not suffix)


def _sections(annotation: Any) -> Iterator[tuple[type[BaseModel], str]]:
    """The sections that a field holds, with what stands between its key and theirs: nothing, `[]` or `.NAME`."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation, ""
        return
    origin = get_origin(annotation)
    mark = "[]" if origin is tuple else ".NAME" if origin is dict else ""
    for argument in get_args(annotation):
        yield from ((inner, mark + suffix) for inner, suffix in _sections(argument))


def _default(value: Any) -> str:
    """A default as Markdown, empty for sections."""
    if isinstance(value, dict) and value:
        return ""
    text = yaml.dump(value, default_flow_style=True, width=1000, Dumper=_Dumper).removesuffix("...\n").strip()
    return f"`{text}`"


if __name__ == "__main__":
    sys.stdout.write(markdown())
