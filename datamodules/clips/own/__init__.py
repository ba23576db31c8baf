"""A user's own clips: reading a folder or a table of them, their classes, and their division. Never imports torch."""

from datamodules.clips.own.division import Division, divide
from datamodules.clips.own.reading import Options, OwnClips, read

__all__ = ["Division", "Options", "OwnClips", "divide", "read"]
