"""The command line: commands only; what they do is in the packages below."""

from bench.cli.main import app, main

__all__ = ["app", "main"]
