#!/usr/bin/env bash
# Importing ONNX Runtime opens connections to a collector, also after `disable_telemetry_events()`.
#
# Guess:    `import onnxruntime` opens no connection, and if it did, `onnxruntime.disable_telemetry_events()` right after
#           the import would prevent it.
# Happens:  Within 15 seconds of the import the process asks for `mobile.events.data.microsoft.com:443`, whether that
#           function is called or not. With `ORT_DISABLE_TELEMETRY=1` in the environment it asks for nothing and writes
#           no file.
# Cause:    The Linux wheel sends events of its own when it is loaded. What is sent was not looked at.
# Matters:  torchmetrics 1.9.0 imports onnxruntime where librosa is installed, too, so a program that computes an
#           accuracy does it as well. `import bench` sets the variable unless it is set.
# Versions: onnxruntime 1.31.1, numpy 2.4.6, Python 3.11.7, Linux.
# Date:     2026-11
# Output:
#   as it is: asks for mobile.events.data.microsoft.com:443
#   disable_telemetry_events(): asks for mobile.events.data.microsoft.com:443
#   ORT_DISABLE_TELEMETRY=1: asks for nothing
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/python -m pip install --quiet --disable-pip-version-check numpy==2.4.6 onnxruntime==1.31.1
cat > program.py <<'PY'
import os
import socket
import sys
import threading
import time

asked = set()  # what a proxy on this machine is asked for; nothing is passed on
server = socket.create_server(("127.0.0.1", 0))


def serve():
    while True:
        connection, _ = server.accept()
        connection.settimeout(2)
        asked.add(connection.recv(200).split(b" ")[1].decode())
        connection.close()


threading.Thread(target=serve, daemon=True).start()
for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"):
    os.environ[name] = f"http://127.0.0.1:{server.getsockname()[1]}"
import onnxruntime

if sys.argv[1] == "disable":
    onnxruntime.disable_telemetry_events()
time.sleep(15)
print("asks for", " ".join(sorted(asked)) or "nothing", flush=True)
os._exit(0)
PY
mkdir home
run() { env -u XDG_CACHE_HOME HOME="$folder/home" TMPDIR="$folder/home" no_proxy= NO_PROXY= "$@"; }
echo "as it is: $(run venv/bin/python program.py as-it-is)"
echo "disable_telemetry_events(): $(run venv/bin/python program.py disable)"
echo "ORT_DISABLE_TELEMETRY=1: $(run ORT_DISABLE_TELEMETRY=1 venv/bin/python program.py as-it-is)"
