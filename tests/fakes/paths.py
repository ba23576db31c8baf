"""Where the tests, the project and the real data lie."""

import os
from pathlib import Path

TESTS = Path(__file__).resolve().parents[1]
PROJECT = TESTS.parent
DATA = Path(os.environ.get("BENCH_DATA", PROJECT.parent / "shared" / "data"))
