"""The commands `bench` and `audio-bench`; `python -m audio_bench` starts them as well.

This module lies outside of the package `bench`, because Python may find another project's package of that name first:
`frappe-bench` installs one.
"""

import importlib.util
import sys
from pathlib import Path


def main() -> None:
    """Run the command line, if the package `bench` is the one beside this file; end with exit code 1 if not."""
    here = Path(__file__).resolve().parent
    found = importlib.util.find_spec("bench")
    place = Path(found.origin) if found is not None and found.origin else None
    if place is None or place.resolve() != here / "bench" / "__init__.py":
        sys.stderr.write(
            f"error: the package bench is {place or 'missing'}, and not audio-classification-bench's in {here}: "
            "install audio-classification-bench in a virtual environment of its own, or take that file's folder off "
            "PYTHONPATH\n"
        )
        sys.exit(1)
    from bench.shadows import stop_at_shadows

    stop_at_shadows()  # first, because the command line imports the packages that may be shadowed
    from bench.cli import main as start

    start()


if __name__ == "__main__":
    main()
