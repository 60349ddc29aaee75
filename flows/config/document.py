"""A YAML text as plain values, the environment put in, and the line on which every key stands."""

from __future__ import annotations

import re
from types import MappingProxyType
from typing import TYPE_CHECKING, NamedTuple

import yaml

from flows.config.secrets import FromEnvironment
from flows.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

Path = tuple[str | int, ...]
"""Keys and list positions from the top of the file to a value."""

_VARIABLE = re.compile(r"\$(\$)?\{([^}]*)\}")
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")

_KEY_TAGS = ("tag:yaml.org,2002:str", "tag:yaml.org,2002:merge")

MOST_NODES = 100_000
"""A file has no more values than this once its aliases are followed: nine lines of aliases can make a billion."""

DEEPEST = 30
"""Nor is anything nested deeper, which an alias to what holds it would be."""


SECRETS = ("kafka", "properties")
"""Below this, what the environment gives stays text and is marked: a password may be 007, and nobody is to see it."""

_FROM_ENVIRONMENT = "!from-environment"


class Document(NamedTuple):
    """A file's values, and where each stands."""

    values: object
    lines: dict[Path, int]  # from 1
    interpolated: Mapping[Path, str] = MappingProxyType({})  # values that variables gave, as written: `${NAME}`


class _Loader(yaml.SafeLoader):
    """Safe YAML in which dates stay text: a service may be called 2026-03-02."""


def _from_environment(_: yaml.Loader, node: yaml.ScalarNode) -> FromEnvironment:
    return FromEnvironment(node.value)


_Loader.yaml_constructors = {**yaml.SafeLoader.yaml_constructors, _FROM_ENVIRONMENT: _from_environment}

_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:timestamp"]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


def path_text(path: Path) -> str:
    """A path as people read it.

    >>> path_text(("limits", "services", "web", 2, "series"))
    'limits.services.web[2].series'
    """
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
    return text


def read_document(text: str, environment: Mapping[str, str]) -> Document:
    """The values of a YAML text; `${NAME}` is replaced from the environment, `$${` stands for `${`.

    A plain value is typed after the replacement (`${N}` can be a number), a quoted one stays text, and whatever the
    variable holds stays one value: it cannot add keys.

    Raises:
        ConfigError: The text is no YAML, a key stands twice, or a variable is not set; with the line.
    """
    loader = _Loader(text)
    try:
        node = loader.get_single_node()
        if node is None:
            return Document({}, {}, {})
        lines: dict[Path, int] = {}
        interpolated: dict[Path, str] = {}
        written: dict[int, str] = {}  # an alias is its anchor's node again: a variable's own text must not be replaced
        for path, each in _walk(node, ()):
            if len(lines) > MOST_NODES or len(path) > DEEPEST:
                raise ConfigError(
                    "", "too large or too deep once its aliases are followed", "a configuration is smaller"
                )
            lines[path] = each.start_mark.line + 1
            if not isinstance(each, yaml.ScalarNode):
                continue
            if each.tag == _FROM_ENVIRONMENT and id(each) not in written:
                raise ConfigError(path_text(path), f"tagged {each.tag}", "that tag is not for files", line=lines[path])
            if id(each) not in written:
                written[id(each)] = each.value
                _interpolate(loader, each, path, environment)
            if each.value != written[id(each)]:
                interpolated[path] = written[id(each)]
                each.tag = _FROM_ENVIRONMENT if _may_be_secret(path) else each.tag
        return Document(_constructed(loader, node), lines, interpolated)
    except yaml.YAMLError as error:
        raise _not_yaml(error, text) from error
    finally:
        loader.dispose()


def _may_be_secret(path: Path) -> bool:
    """Whether a value stands below `SECRETS`, also by way of merged mappings (`<<`, which may be a list)."""
    return tuple(part for part in path if isinstance(part, str) and part != "<<")[: len(SECRETS)] == SECRETS


def _constructed(loader: _Loader, node: yaml.Node) -> object:
    """The values of the whole; a tag that its value does not fit (`!!int x`) is said without quoting the value."""
    try:
        return loader.construct_document(node)
    except yaml.YAMLError:
        raise
    except ValueError:
        found = "not YAML: a value does not fit its tag or its form"
        raise ConfigError("", found, hint="Quote what should be text.") from None


def _walk(node: yaml.Node, path: Path) -> Iterator[tuple[Path, yaml.Node]]:
    """Every value below a node with its path, keys checked on the way."""
    yield path, node
    if isinstance(node, yaml.SequenceNode):
        for i, item in enumerate(node.value):
            yield from _walk(item, (*path, i))
    elif isinstance(node, yaml.MappingNode):
        seen: dict[str, int] = {}
        for key, value in node.value:
            line = key.start_mark.line + 1
            if not isinstance(key, yaml.ScalarNode) or key.tag not in _KEY_TAGS:
                found = "a mapping with a key that is no text"
                raise ConfigError(path_text(path), found, hint=f"Quote it: {key.value!r}.", line=line)
            if key.value in seen:
                here = path_text((*path, key.value))
                raise ConfigError(here, f"there twice, first on line {seen[key.value]}", "a key stands once", line=line)
            seen[key.value] = line
            yield from _walk(value, (*path, key.value))


def _interpolate(loader: _Loader, node: yaml.ScalarNode, path: Path, environment: Mapping[str, str]) -> None:
    """Put variables into one value, in place."""
    if "${" not in node.value:
        return

    def value_of(match: re.Match[str]) -> str:
        name = match[2]
        if match[1]:
            return f"${{{name}}}"
        where, line = path_text(path), node.start_mark.line + 1
        if not _NAME.fullmatch(name):
            raise ConfigError(where, match[0], "a variable's name has letters, digits and _", "Write $${ for ${.", line)
        if name not in environment:
            hint = f"Set it, or write $${{{name}}} if the text itself is meant."
            raise ConfigError(where, match[0], f"the environment has no variable {name}", hint, line)
        return environment[name]

    node.value = _VARIABLE.sub(value_of, node.value)
    if node.style is None:
        node.tag = loader.resolve(yaml.ScalarNode, node.value, (True, False))  # type: ignore[no-untyped-call]


def _not_yaml(error: yaml.YAMLError, text: str) -> ConfigError:
    """What the YAML parser says, as one sentence and a line."""
    mark = getattr(error, "problem_mark", None)
    problem = getattr(error, "problem", None) or str(error)
    context = getattr(error, "context", None)
    where = f"at column {mark.column + 1}: " if mark else ""
    sentence = f"not YAML {where}{problem}{f' ({context})' if context else ''}"
    hint = "Indent with spaces, and put a space after each colon."
    if mark and "${" in "".join(text.splitlines()[mark.line : mark.line + 1]):
        hint = 'Within {…} and […] quote a variable: "${NAME}".'
    return ConfigError("", sentence, hint=hint, line=mark.line + 1 if mark else None)
