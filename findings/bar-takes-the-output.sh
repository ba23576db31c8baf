#!/usr/bin/env bash
# A progress bar of rich on standard error takes what the program prints to standard output away from it.
#
# Guess:    Progress(console=Console(stderr=True)) draws on standard error and leaves standard output alone, so that
#           `program | head` or `program > file` gets the program's rows while the terminal shows the bar.
# Happens:  While the bar is shown, print() and sys.stdout.write() go to the bar's console, which is standard error. The
#           pipe or file gets nothing. It happens only where standard error is a terminal: not in tests, not in a batch
#           job, where the rows arrive.
# Cause:    Live replaces sys.stdout by a FileProxy that prints through the bar's console, if that console is a
#           terminal; whether sys.stdout itself is one is not asked.
# Matters:  A script that writes predictions to a pipe below a bar on standard error loses all of them, with exit code 0.
#           redirect_stdout=False leaves standard output alone.
# Versions: rich 15.0.0, Python 3.11.7.
# Date:     2026-11
# Output:
#   rich 15.0.0
#   standard error is a terminal: the pipe gets ''
#   standard error is a terminal, redirect_stdout=False: the pipe gets 'row\n'
#   standard error is a file: the pipe gets 'row\n'
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/python -m pip install --quiet --disable-pip-version-check rich==15.0.0

cat > rows.py <<'PYTHON'
import sys

from rich.console import Console
from rich.progress import Progress

settings = {"redirect_stdout": False} if "apart" in sys.argv else {}
with Progress(console=Console(stderr=True), **settings):
    print("row")
PYTHON

cat > check.py <<'PYTHON'
import os
import pty
import subprocess
import sys
from importlib.metadata import version


def piped(stderr, *arguments):
    command = [sys.executable, "rows.py", *arguments]
    environment = os.environ | {"TERM": "xterm"}
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=stderr, text=True, check=True, env=environment)
    return done.stdout


print("rich", version("rich"))
terminal, theirs = pty.openpty()
taken, apart = piped(theirs), piped(theirs, "apart")
with open("errors", "w") as file:
    to_file = piped(file)
print(f"standard error is a terminal: the pipe gets {taken!r}")
print(f"standard error is a terminal, redirect_stdout=False: the pipe gets {apart!r}")
print(f"standard error is a file: the pipe gets {to_file!r}")
assert (taken, apart, to_file) == ("", "row\n", "row\n")
PYTHON
venv/bin/python check.py
