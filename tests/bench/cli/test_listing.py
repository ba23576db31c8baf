"""`bench list`."""

import json

from typer.testing import CliRunner

from bench.catalog import FUSIONS, MODELS
from bench.cli import app


def listed(*arguments: str) -> str:
    result = CliRunner().invoke(app, ["list", *arguments])
    assert result.exit_code == 0, result.output
    return result.stdout


def test_the_json_has_fusions_of_their_own_and_among_the_models_as_before() -> None:
    everything = json.loads(listed("--json"))
    assert set(everything["fusions"]) == set(FUSIONS)
    assert list(everything["models"]) == [*MODELS, *FUSIONS]
    line = "members combined by Dempster's rule"
    assert everything["fusions"]["fusion-ds"] == {"line": line}
    assert everything["models"]["fusion-ds"] == {"line": line, "frontend": "none"}
    assert json.loads(listed("fusions", "--json")) == {"fusions": everything["fusions"]}


def test_the_text_names_each_fusion_once() -> None:
    text = listed()
    assert [text.count(f"  {name} ") for name in FUSIONS] == [1] * len(FUSIONS)
    assert text.index("fusions\n") > text.index("wavegram-logmel-cnn")
    assert "fusion-ds" in listed("models")
