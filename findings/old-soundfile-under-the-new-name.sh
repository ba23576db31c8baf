#!/usr/bin/env bash
# Installing acoustic-toolbox puts the soundfile module of 2017 in the place of the new one, which is still listed.
#
# Guess:    pip install soundfile==0.14.0 gives version 0.14.0 until something asks for another version, which pip would show.
# Happens:  acoustic-toolbox asks for PySoundFile, whose only module is called soundfile, too. Afterwards soundfile.py is that of 0.9.0.
#           `pip list` and importlib.metadata still say soundfile 0.14.0, and `pip check` finds nothing. Uninstalling the two additions
#           leaves no module, and soundfile 0.14.0 is still listed.
# Cause:    soundfile had the name PySoundFile until 0.9.0. To pip the two are different packages, and it overwrites files without a word.
# Matters:  the old module does not know MP3, and takes libsndfile from the system instead of the one that was pinned with the wheel:
#           it fails where there is none, and decodes with another version where there is one. A record of the environment names
#           a version that did not run. Compare `soundfile.__version__` with the version of the package; `pip install --force-reinstall
#           --no-deps soundfile` brings it back.
# Versions: acoustic-toolbox 0.2.2, PySoundFile 0.9.0.post1, soundfile 0.14.0, numpy 2.4.6, Python 3.11.7 on Linux.
# Date:     2026-11
# Output:
#   soundfile alone: listed 0.14.0, module 0.14.0, with MP3
#   after acoustic-toolbox: listed 0.14.0, module 0.9.0, without MP3
#   pip check: No broken requirements found.
#   after uninstalling acoustic-toolbox and PySoundFile: listed 0.14.0, no module
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
pip() { venv/bin/python -m pip --disable-pip-version-check "$@"; }

cat > check.py <<'PYTHON'
import re
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from sysconfig import get_path

when, *expected = sys.argv[1:]
try:
    listed = version("soundfile")
except PackageNotFoundError:
    listed = "none"
module = Path(get_path("purelib"), "soundfile.py")  # read, not imported: the old one needs a library of the system
text = module.read_text() if module.exists() else ""
found = (re.findall(r'^__version__ = "(.*)"', text, re.MULTILINE) or ["none"])[0]
formats = "with" if re.search(r"""['"]MP3['"]""", text) else "without"
print(f"{when}: listed {listed}, " + (f"module {found}, {formats} MP3" if text else "no module"))
sys.exit(0 if [listed, found, formats] == expected else "the behaviour has changed")
PYTHON
pip install --quiet numpy==2.4.6 soundfile==0.14.0
venv/bin/python check.py "soundfile alone" 0.14.0 0.14.0 with
pip install --quiet acoustic-toolbox==0.2.2 PySoundFile==0.9.0.post1
venv/bin/python check.py "after acoustic-toolbox" 0.14.0 0.9.0 without
checked=$(pip check 2>&1)
echo "pip check: $checked"
[ "$checked" = "No broken requirements found." ]
pip uninstall --quiet --yes acoustic-toolbox PySoundFile
venv/bin/python check.py "after uninstalling acoustic-toolbox and PySoundFile" 0.14.0 none without
