"""The commands of `lfi benchmark`. What takes long to import is imported when a command runs."""

from bench.commands.benchmark import commands

__all__ = ["commands"]
