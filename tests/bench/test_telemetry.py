"""Nothing that this project imports sends anything."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from fakes.paths import PROJECT

pytest.importorskip("onnxruntime", reason='needs ONNX Runtime: pip install -e ".[export]"')


@pytest.mark.process
@pytest.mark.slow
@pytest.mark.parametrize("given", [None, "0"])
def test_onnx_runtime_is_asked_to_send_nothing_unless_the_user_has_said(tmp_path: Path, given: str | None) -> None:
    variables = os.environ | {"PYTHONPATH": str(PROJECT), "TMPDIR": str(tmp_path), "HOME": str(tmp_path)}
    variables.pop("ORT_DISABLE_TELEMETRY", None)
    script = "import os, bench; print(os.environ['ORT_DISABLE_TELEMETRY'])"
    if given is None:
        script += "; import onnxruntime"
    else:
        variables["ORT_DISABLE_TELEMETRY"] = given
    done = subprocess.run([sys.executable, "-c", script], env=variables, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == (given or "1")
    assert not list(tmp_path.rglob("*"))
