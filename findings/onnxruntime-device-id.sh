#!/usr/bin/env bash
# Importing ONNX Runtime writes an identifier of the machine and a database.
#
# Guess:    `import onnxruntime` only reads files. A program that computes nothing with it leaves nothing behind.
# Happens:  The import writes `deviceid` and `onnxruntime.db` to the user's cache and `.ses` to the temporary folder.
# Cause:    The library opens a store of that kind when it is loaded; which part of it does so was not looked at.
# Matters:  torchmetrics 1.9.0 imports onnxruntime for one audio metric where librosa is installed, too, so a program
#           that wants an accuracy leaves the files as well. A check that a service leaves no file in its temporary
#           folder finds one that is none of its own, and a home folder that is kept gets an identifier.
# Versions: onnxruntime 1.31.1, numpy 2.4.6, Python 3.11.7, Linux.
# Date:     2026-11
# Output:
#   onnxruntime 1.31.1 wrote: .cache/Microsoft/DeveloperTools/.onnxruntime/deviceid
#   onnxruntime 1.31.1 wrote: .cache/Microsoft/DeveloperTools/.onnxruntime/onnxruntime.db
#   onnxruntime 1.31.1 wrote: tmp/.ses
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/python -m pip install --quiet --disable-pip-version-check numpy==2.4.6 onnxruntime==1.31.1

mkdir -p home/tmp
version=$(env -u XDG_CACHE_HOME HOME="$folder/home" TMPDIR="$folder/home/tmp" \
  venv/bin/python -c "import onnxruntime; print(onnxruntime.__version__)")
for file in .cache/Microsoft/DeveloperTools/.onnxruntime/deviceid \
  .cache/Microsoft/DeveloperTools/.onnxruntime/onnxruntime.db tmp/.ses; do
  test -f "home/$file"
  echo "onnxruntime $version wrote: $file"
done
