"""From a file to a checked `Config`."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from pydantic import ValidationError

from flows.config.document import read_document
from flows.config.model import Config
from flows.config.problems import problems
from flows.config.scalars import FROM_FILE
from flows.errors import ConfigError, ConfigErrors, InputError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


def load(path: Path | None, environment: Mapping[str, str] | None = None) -> Config:
    """The configuration in a YAML file, or the defaults where there is no path.

    Args:
        path: The file, or None.
        environment: What `${NAME}` is taken from; by default the process's environment.

    Raises:
        InputError: The file cannot be read.
        ConfigErrors: Something in it cannot be used; all of it is named at once.
    """
    if path is None:
        return Config()
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise InputError(f"{path}: {error.strerror}", hint="Name a YAML file that can be read.") from error
    except UnicodeDecodeError as error:
        raise InputError(f"{path} is not UTF-8 text", hint="Name a YAML file.") from error
    return parse(text, str(path), environment)


def parse(text: str, source: str = "configuration", environment: Mapping[str, str] | None = None) -> Config:
    """The configuration in a YAML text; `source` names it in errors.

    >>> parse("time: {lateness: 10s}").time.lateness_ns
    10000000000

    Raises:
        ConfigErrors: Something in it cannot be used; all of it is named at once.
    """
    try:
        document = read_document(text, os.environ if environment is None else environment)
    except ConfigError as error:
        raise ConfigErrors(source, (error,)) from error
    try:
        return Config.model_validate(document.values, by_alias=True, by_name=False, context=FROM_FILE)
    except ValidationError as error:
        # From nothing: pydantic's own words quote values, which may be secrets, and a traceback may end in a log.
        raise ConfigErrors(source, problems(error, document, Config)) from None
