"""The command: thin, one file a command. What they do is done elsewhere, and imported only when a command runs."""

from __future__ import annotations

from flows.cli.app import main

__all__ = ["main"]
