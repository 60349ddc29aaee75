"""Properties of librdkafka as the file has them: plain values, or where to read them; secrets are shown to nobody."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import BeforeValidator, Field, InstanceOf, PlainSerializer, WithJsonSchema

from flows.config.secrets import HIDDEN, FromEnvironment, is_secret
from flows.errors import ConfigError, ConfigErrors

if TYPE_CHECKING:
    from collections.abc import Mapping

_ENDS = "where reading ends, what is skipped and what is counted rest on it"
OWNED = {
    "bootstrap.servers": "it has a place of its own: kafka.bootstrap_servers",
    "metadata.broker.list": "it has a place of its own: kafka.bootstrap_servers",
    "group.id": "it has a place of its own: kafka.group",
    "auto.offset.reset": "it has a place of its own: kafka.start",
    "enable.auto.commit": "offsets are stored with the state, and committed after it",
    "auto.commit.enable": "offsets are stored with the state, and committed after it",
    "auto.commit.interval.ms": "offsets are stored with the state, and committed after it",
    "enable.auto.offset.store": "offsets are stored with the state, and committed after it",
    "isolation.level": _ENDS,
    "enable.partition.eof": _ENDS,
    "allow.auto.create.topics": "a topic that does not exist is reported, not made",
    "statistics.interval.ms": "who is idle and who does not answer is read from the statistics",
    "default.topic.config": "it is not text: write the properties of topics beside the others",
}
"""Properties that are streamgauge's own, and why."""

_LARGEST_FILE = 1 << 20
_WHERE = ("file", "env")


@dataclass(frozen=True, slots=True)
class Property:
    """The value of one property, or where it stands. Neither `repr` nor `str` show a secret.

    Args:
        text: the value, "" where it stands elsewhere.
        secret: whether it must not be shown.
        file: that holds it, read when a client is made.
        env: variable that holds it, likewise.
    """

    text: str = field(default="", repr=False)
    secret: bool = False
    file: Path | None = None
    env: str | None = None

    def __repr__(self) -> str:
        return f"Property({self.shown()!r})"

    __str__ = __repr__

    def shown(self) -> str | dict[str, str]:
        """What a person may see of it: the value, where it stands, or that it is hidden."""
        if self.file is not None:
            return {"file": str(self.file)}
        if self.env is not None:
            return {"env": self.env}
        return HIDDEN if self.secret else self.text

    def resolve(self, path: str, environment: Mapping[str, str]) -> str:
        """The value itself, white space around it removed where it was read from elsewhere.

        Args:
            path: of the setting, for errors.
            environment: variables and their values.

        Raises:
            ConfigError: the file or the variable is not there, or holds nothing.
        """
        if self.file is not None:
            return _content(self.file, path)
        if self.env is None:
            return self.text
        value = environment.get(self.env, "").strip()
        if not value:
            found = "there, but empty" if self.env in environment else "not there"
            hint = f"Set {self.env} where streamgauge is started."
            raise ConfigError(path, f"{{env: {self.env}}}, which is {found}", "the variable holds the value", hint)
        return value


def _content(file: Path, path: str) -> str:
    found, hint = f"{{file: {file}}}", "Name a file that the user streamgauge runs as can read."
    try:
        with file.open("rb") as opened:
            content = opened.read(_LARGEST_FILE + 1)
        value = content.decode().strip()
    except OSError as error:
        raise ConfigError(path, f"{found} ({error.strerror})", "the file holds the value", hint) from error
    except UnicodeDecodeError:  # whose own text quotes the content
        raise ConfigError(path, f"{found}, which is no text", "the file holds the value as UTF-8", hint) from None
    if not value or len(content) > _LARGEST_FILE:
        what = "larger than 1 MiB" if value else "empty"
        raise ConfigError(path, f"{found}, which is {what}", "the file holds the value and nothing else", hint)
    return value


@dataclass(frozen=True, slots=True)
class _Named:
    """A value with its key, for whether it may be shown hangs on that."""

    key: str
    value: object = field(repr=False)


def _with_names(value: object) -> object:
    """Tell every value its key."""
    return {key: _Named(str(key), each) for key, each in value.items()} if isinstance(value, dict) else value


def _as_property(named: object) -> object:
    """One property as the file has it, checked; what is said of it never quotes it."""
    if not isinstance(named, _Named):
        return named
    key, value = named.key, named.value
    if isinstance(value, Property):
        return value
    if key in OWNED:
        raise ConfigError("", "set here", OWNED[key], "Remove it from kafka.properties.")
    if key.endswith("_cb") or key in ("logger", "on_commit", "on_delivery"):
        raise ConfigError("", "set here", "that is a function of a program, no setting", "Remove it.")
    if isinstance(value, dict):
        return _elsewhere(value)
    secret = isinstance(value, FromEnvironment) or is_secret(key, str(value))
    if value == HIDDEN:
        hint = "Write {file: PATH} or {env: NAME} for what it stood for."
        raise ConfigError("", HIDDEN, "`config show` wrote that in the place of a secret", hint)
    if isinstance(value, bool):
        return Property("true" if value else "false", secret)
    if isinstance(value, int | float) and not is_secret(key):
        return Property(str(value), secret)
    if isinstance(value, str):
        return Property(str(value), secret)
    found = "a number" if isinstance(value, int | float) else "empty" if value is None else "a list"
    # YAML makes 7 of 007 and 493 of 0755: a password that is a number must be quoted to stay what it is.
    raise ConfigError("", found, "it must be text: quote it", "Or write {file: PATH} or {env: NAME}.")


def _elsewhere(value: dict[Any, Any]) -> Property:
    """`{file: PATH}` or `{env: NAME}`."""
    expected = "a value, {file: PATH} or {env: NAME}"
    if len(value) != 1 or next(iter(value)) not in _WHERE:
        raise ConfigError("", "a mapping of another form", f"it must be {expected}")
    where, what = next(iter(value.items()))
    if not isinstance(what, str) or not what:
        raise ConfigError(where, "not text or empty", f"it must be {expected}")
    return Property(secret=True, file=Path(what)) if where == "file" else Property(secret=True, env=str(what))


_ELSEWHERE = {
    "type": "object",
    "minProperties": 1,
    "maxProperties": 1,
    "additionalProperties": False,
    "properties": {
        "file": {"type": "string", "description": "A file that holds the value."},
        "env": {"type": "string", "description": "A variable of the environment that holds the value."},
    },
}

Properties = Annotated[
    dict[
        Annotated[str, Field(min_length=1)],
        Annotated[
            InstanceOf[Property],
            BeforeValidator(_as_property),
            PlainSerializer(Property.shown),
            WithJsonSchema({"anyOf": [{"type": ["string", "number", "boolean"]}, _ELSEWHERE]}),
        ],
    ],
    BeforeValidator(_with_names),
]
"""librdkafka's properties by name."""


def resolved(properties: Mapping[str, Property], environment: Mapping[str, str] | None = None) -> dict[str, str]:
    """Every property as the text that librdkafka takes; files and variables are read now.

    Raises:
        ConfigErrors: files or variables are not there, or hold nothing; all of them are named at once.
    """
    variables = os.environ if environment is None else environment
    found: dict[str, str] = {}
    problems: list[ConfigError] = []
    for name, each in properties.items():
        try:
            found[name] = each.resolve(f"kafka.properties.{name}", variables)
        except ConfigError as error:
            problems.append(error)
    if problems:
        raise ConfigErrors("configuration", tuple(problems))
    return found
