"""A page and an interface for programs that classify one sound at a time with trained models: `bench serve`."""

from bench.inference.web.app import create_app
from bench.inference.web.guard import problems
from bench.inference.web.limits import Limits
from bench.inference.web.server import configured, serve

__all__ = ["Limits", "configured", "create_app", "problems", "serve"]
