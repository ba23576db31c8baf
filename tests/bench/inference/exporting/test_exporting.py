"""Files of other runtimes give the model's numbers at other lengths, say what they are, or are not kept."""

import importlib.util
import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import bench
from bench.errors import ArgumentError, RunError
from bench.inference import Classifier
from bench.inference.exporting import earlier, export, files, gate, onnx_file, sounds, subject
from bench.inference.exporting.program import program

RATE = 8000
needs_onnx = pytest.mark.skipif(
    importlib.util.find_spec("onnxscript") is None,
    reason="needs the extra export: pip install onnx onnxscript onnxruntime",
)
needs_openvino = pytest.mark.skipif(
    importlib.util.find_spec("openvino") is None, reason="needs the extra openvino: pip install openvino"
)
needs_executorch = pytest.mark.skipif(
    importlib.util.find_spec("executorch") is None,
    reason="needs executorch, which brings some dozen packages: pip install executorch==1.5.1",
)


def classifier(module: nn.Module, samples: int = RATE) -> Classifier:
    return Classifier(
        name="net", module=module.eval(), classes=("a", "b", "c"), task="single", sample_rate=RATE,
        clip_shape=(samples,), clip_seconds=samples / RATE,
    )  # fmt: skip


def file_of(kept, name: str, folder: Path, format: str, **options: object) -> tuple[Classifier, files.Exported]:
    model = bench.load_model(kept.run(name).key, kept.store.root, device="cpu")
    return model, export(model, folder / f"model{files.FORMATS[format]}", format, **options)


@needs_onnx
@pytest.mark.slow
def test_swishnet_in_onnx_from_the_waveform_on(kept, tmp_path: Path) -> None:
    import onnx

    model, found = file_of(kept, "swishnet", tmp_path, "onnx")
    assert found.shape == (None, None)
    assert found.difference < 1e-4
    assert found.bytes == (tmp_path / "model.onnx").stat().st_size
    run = onnx_file.runner(found.path, "clips")
    for seconds in (0.1, 0.77, 2.5):
        clips = torch.rand(3, round(seconds * 16_000), generator=torch.Generator().manual_seed(0)) - 0.5
        torch.testing.assert_close(run(clips), model.logits(clips), atol=1e-4, rtol=0)
    with pytest.raises(Exception, match="Pad reflect"):  # a clip too short to be reflected at its ends
        run(torch.zeros(1, found.shortest // 3))
    about = {each.key: each.value for each in onnx.load(str(found.path)).metadata_props}
    assert json.loads(about["classes"]) == ["high", "low", "noise"]
    assert about["sample_rate"] == "16000"
    for words in ("# swishnet on mfcc on folder", "## Training data", "fold 0, seed 0", "at 16000 Hz, in"):
        assert words in about["card"]


@needs_onnx
@pytest.mark.slow
def test_eight_bits_leave_the_front_end_alone(kept, tmp_path: Path) -> None:
    import onnx

    model = bench.load_model(kept.run("cnn").key, kept.store.root, device="cpu")
    clips = sounds.labelled(model, kept.sounds, 6)
    assert {label for _, label in clips} == set(model.classes)
    found = export(model, tmp_path / "small.onnx", "onnx-int8", clips=clips)
    _, plain = file_of(kept, "cnn", tmp_path, "onnx")
    assert found.bytes < plain.bytes
    assert found.score is not None
    assert found.agreement >= 0.5
    nodes = onnx.load(str(found.path)).graph.node
    assert {"DequantizeLinear", "Conv"} <= {node.op_type for node in nodes}
    assert not any(node.op_type == "QuantizeLinear" and node.name.startswith("frontend_") for node in nodes)


def test_a_sound_that_cannot_be_used_is_left_out_of_the_check(kept, tmp_path: Path) -> None:
    model = bench.load_model(kept.run("cnn").key, kept.store.root, device="cpu")
    (tmp_path / "a.wav").write_text("no sound")
    with pytest.raises(RunError, match=r"none of the 1 sounds in .* can be used"):
        sounds.labelled(model, tmp_path, 6)
    shutil.copy(next(kept.sounds.rglob("*.wav")), tmp_path / "b.wav")
    said: list[str] = []
    assert len(sounds.labelled(model, tmp_path, 6, said.append)) == 1
    assert [words.split()[0] for words in said] == ["'a.wav'"]


@pytest.mark.slow
def test_the_command_and_pt2_from_the_features_on(kept, tmp_path: Path, monkeypatch, capsys) -> None:
    from bench.cli.main import main

    run, path = kept.run("swishnet").key, tmp_path / "model.pt2"
    options = ["--store", str(kept.store.root), "--format", "pt2", "--features", "--clips", str(kept.sounds), "--json"]
    monkeypatch.setattr(sys, "argv", ["bench", "export", "--run", run, "--out", str(path), *options])
    with pytest.raises(SystemExit) as end:
        main()
    printed = capsys.readouterr()
    assert not end.value.code, printed.err
    found = json.loads(printed.out)
    assert found["shape"] == [None, 20, None]
    assert found["score"][0] == found["score"][1]
    assert found["small"][1]
    about = {"bench.json": ""}
    stored = torch.export.load(path, extra_files=about).module()
    model = bench.load_model(run, kept.store.root, device="cpu")
    clips = torch.rand(2, 16_000, generator=torch.Generator().manual_seed(0)) - 0.5
    with torch.no_grad():
        torch.testing.assert_close(stored(model.module.extract(clips)), model.logits(clips), atol=1e-5, rtol=0)
    assert json.loads(about["bench.json"])["input"] == "features"


@needs_onnx
@needs_openvino
@pytest.mark.slow
def test_openvinos_files_count_together(kept, tmp_path: Path) -> None:
    _, found = file_of(kept, "swishnet", tmp_path, "openvino")
    assert [path.name for path in found.files] == ["model.bin", "model.xml"]
    assert found.bytes == sum(path.stat().st_size for path in tmp_path.iterdir())
    assert found.difference < 1e-4
    assert "noise" in found.path.read_text()


SEVERAL_FILES = """
import signal, sys
import torch
from bench.inference.exporting import openvino_file
signal.signal(signal.SIGUSR1, lambda *_: print("handled"))
first, second = (openvino_file.runner(sys.argv[1]) for _ in range(2))
found = [first(torch.ones(1, 8000)), second(torch.ones(1, 8000))]
del first, second
signal.raise_signal(signal.SIGUSR1)
found += [openvino_file.runner(sys.argv[1])(torch.ones(1, 8000)) for _ in range(4)]
print(all(torch.equal(found[0], each) for each in found))
"""


@needs_onnx
@needs_openvino
@pytest.mark.slow
@pytest.mark.process
def test_a_process_survives_several_of_openvinos_files(kept, tmp_path: Path) -> None:
    _, found = file_of(kept, "swishnet", tmp_path, "openvino")
    words = [sys.executable, "-c", SEVERAL_FILES, found.path]
    done = subprocess.run(words, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["handled", "True"]


class Levels(nn.Module):
    """Logits of a clip: a mean of a convolution."""

    def __init__(self) -> None:
        super().__init__()
        self.frames = nn.Conv1d(1, 3, 100, stride=50)

    def forward(self, x: Tensor) -> Tensor:
        return self.frames(x[:, None]).mean(-1)


@pytest.mark.parametrize(
    ("format", "names"),
    [
        ("onnx", ["model.onnx"]), ("onnx-int8", ["model.onnx"]), ("pt2", ["model.pt2"]), ("openvino", ["model.xml"]),
        ("openvino", ["model.bin"]), ("executorch", ["model.pte"]), ("executorch", ["model.json"]),
    ],
)  # fmt: skip
@pytest.mark.parametrize("kind", ["text", "archive", "link"])
def test_files_of_others_stay(tmp_path: Path, format: str, names: list[str], kind: str) -> None:
    if format.startswith("onnx"):
        pytest.importorskip("onnx", reason='onnx is not installed: pip install -e ".[export]"')
    for name in names:
        if kind == "link":
            (tmp_path / name).symlink_to("nothing")
        elif kind == "text":
            (tmp_path / name).write_text("{}")
        else:
            np.savez(tmp_path / "x.npz", x=np.zeros(3))
            (tmp_path / "x.npz").rename(tmp_path / name)
    before = {path: None if kind == "link" else path.read_bytes() for path in tmp_path.iterdir()}
    with pytest.raises(ArgumentError, match=f"{names[0]} is there already and is no file of `bench export`, so it"):
        export(classifier(Levels(), 800), tmp_path / f"model{files.FORMATS[format]}", format)
    assert {path: None if kind == "link" else path.read_bytes() for path in tmp_path.iterdir()} == before


@pytest.mark.parametrize(
    "format",
    [
        "pt2",
        pytest.param("onnx", marks=[needs_onnx, pytest.mark.slow]),
        pytest.param("openvino", marks=[needs_onnx, needs_openvino, pytest.mark.slow]),
        pytest.param("executorch", marks=[needs_executorch, pytest.mark.slow]),
    ],
)
def test_an_earlier_export_is_replaced(tmp_path: Path, format: str) -> None:
    place = tmp_path / f"model{files.FORMATS[format]}"
    export(classifier(Levels(), 800), place, format)
    before = {path: path.read_bytes() for path in tmp_path.iterdir()}
    export(classifier(LaidOut(), 800), place, format)
    assert set(before) == set(tmp_path.iterdir())
    assert place.read_bytes() != before[place]


def test_weights_beside_an_onnx_file_are_its_own_only_if_it_says_so(tmp_path: Path) -> None:
    onnx = pytest.importorskip("onnx", reason='onnx is not installed: pip install -e ".[export]"')
    tensor = onnx.TensorProto(name="w", data_type=1, dims=[1], data_location=onnx.TensorProto.EXTERNAL)
    model = onnx.helper.make_model(onnx.helper.make_graph([], "g", [], [], [tensor]))
    for key in earlier.KNOWN:
        model.metadata_props.add(key=key, value="")
    path, beside = tmp_path / "m.onnx", tmp_path / "m.onnx.data"
    beside.write_text("the user's")
    onnx.save(model, str(path))
    earlier.refuse_other(path, earlier.files_of(path, False))
    with pytest.raises(ArgumentError, match=r"m\.onnx\.data is there already"):
        earlier.refuse_other(path, earlier.files_of(path, True))
    model.graph.initializer[0].external_data.add(key="location", value="m.onnx.data")
    path.write_bytes(model.SerializeToString())
    earlier.refuse_other(path, earlier.files_of(path, True))


class LaidOut(nn.Module):
    """A net whose maps have their channels last in memory, as those of cnn-ltc and cnn-cfc."""

    def __init__(self) -> None:
        super().__init__()
        self.mix = nn.Conv2d(1, 3, 3, padding=1)

    def forward(self, clips: Tensor) -> Tensor:
        x = self.mix(clips.unflatten(1, (8, -1))[:, None]).contiguous(memory_format=torch.channels_last)
        return x.amax(2).mean(2)  # ExecuTorch's maximum needs the layout of its result


def test_graphs_have_no_layout() -> None:
    graph = program(subject(classifier(LaidOut(), 800)), True, True).graph.graph
    layouts = [node.meta["val"].is_contiguous() for node in graph.nodes if isinstance(node.meta.get("val"), Tensor)]
    assert len(layouts) > 5
    assert all(layouts)
    assert torch.channels_last not in [value for node in graph.nodes for value in node.kwargs.values()]


@needs_executorch
@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # executorch's own
def test_executorch_of_a_net_with_channels_last(tmp_path: Path) -> None:
    found = export(classifier(LaidOut(), 800), tmp_path / "model.pte", "executorch")
    assert found.difference < 1e-4


@needs_executorch
@pytest.mark.slow
def test_executorch(kept, tmp_path: Path) -> None:
    _, found = file_of(kept, "swishnet", tmp_path, "executorch")
    assert found.shape == (1, 16_000)
    assert found.difference < 1e-4


@pytest.mark.skipif(importlib.util.find_spec("executorch") is not None, reason="executorch is installed")
@pytest.mark.slow
def test_a_format_that_is_not_installed(kept, tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"needs executorch 1\.5\.1, which runs with torch 2\.13"):
        file_of(kept, "swishnet", tmp_path, "executorch")
    assert list(tmp_path.iterdir()) == []


class Unrolled(nn.Module):
    """A loop over the frames in Python, which exporters unroll."""

    def __init__(self) -> None:
        super().__init__()
        self.cell = nn.RNNCell(400, 3)

    def forward(self, x: Tensor) -> Tensor:
        h = x.new_zeros(len(x), 3)
        for frame in x.unfold(1, 400, 400).unbind(1):
            h = self.cell(frame, h)
        return h


@needs_onnx
@pytest.mark.slow
def test_an_unrolled_loop_has_one_length(tmp_path: Path) -> None:
    torch.manual_seed(0)
    found = export(classifier(Unrolled()), tmp_path / "net.onnx", "onnx")
    assert found.shape == (1, RATE)  # RNNCell fixes the number of clips, too
    run = onnx_file.runner(found.path, "clips")
    assert run(torch.zeros(1, RATE)).shape == (1, 3)
    for clips, samples in ((2, RATE), (1, RATE + 400)):
        with pytest.raises(Exception, match="Got invalid dimensions"):
            run(torch.zeros(clips, samples))


@needs_onnx
@pytest.mark.slow
def test_recurrent_layers_take_any_length(tmp_path: Path) -> None:
    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.frames = nn.Conv1d(1, 8, 100, stride=100)
            self.rnn = nn.RNN(8, 5, batch_first=True)
            self.head = nn.Linear(5, 3)

        def forward(self, x: Tensor) -> Tensor:
            return self.head(self.rnn(self.frames(x[:, None]).mT)[0].mean(1))

    torch.manual_seed(0)
    assert export(classifier(Net()), tmp_path / "net.onnx", "onnx").shape == (None, None)


@needs_onnx
@pytest.mark.slow
def test_an_operator_without_counterpart_is_named(tmp_path: Path) -> None:
    class Net(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return torch.linalg.eigvalsh(x[:, :9].reshape(-1, 3, 3))

    with pytest.raises(RunError, match=r"net cannot be exported to ONNX: operator aten\._linalg_eigh"):
        export(classifier(Net()), tmp_path / "net.onnx", "onnx")
    assert list(tmp_path.iterdir()) == []


def scaled(factor: float) -> Callable[[Tensor], Tensor]:
    return lambda x: factor * x[:, :3]


class First(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x[:, :3]


def test_a_file_that_differs_is_not_kept() -> None:
    of = subject(classifier(First()))
    assert gate.check(of, scaled(1.0), True, True).difference == 0
    with pytest.raises(RunError, match=r"differs from the model by .* at a length of 8000"):
        gate.check(of, scaled(1.01), True, True)
    assert gate.check(of, scaled(1.01), True, False).agreement == 1
    with pytest.raises(RunError, match="differs"):
        gate.check(of, scaled(float("nan")), True, True)


def test_a_file_of_one_length_must_refuse_others() -> None:
    of = subject(classifier(First()))
    with pytest.raises(RunError, match="answers for a length of"):
        gate.check(of, lambda x: x[:, :3] + (x.shape[1] != RATE), False, True)


@pytest.mark.parametrize(
    ("name", "format", "message"),
    [("net.onnx", "tflite", "no format 'tflite'"), ("net.bin", "onnx", r"ends in \.onnx: name it net\.onnx")],
)
def test_wrong_names(name: str, format: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(RunError, match=message):
        export(classifier(First()), tmp_path / name, format)


@pytest.mark.slow
def test_a_new_folder_and_nothing_but_the_reason(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    found = export(classifier(First()), tmp_path / "new" / "folder" / "net.pt2", "pt2")
    assert [path.name for path in (tmp_path / "new" / "folder").iterdir()] == ["net.pt2"]
    assert found.files == (tmp_path / "new" / "folder" / "net.pt2",)

    class Branch(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x[:, :3] if x.sum() > 0 else x[:, 3:6]

    with pytest.raises(RunError, match="net has no graph: Could not guard on data-dependent expression"):
        export(classifier(Branch()), tmp_path / "other" / "net.pt2", "pt2")
    assert not (tmp_path / "other").exists()
    assert capfd.readouterr() == ("", "")  # torch prints the graph


def test_signals_are_repeatable() -> None:
    of = subject(classifier(First()))
    np.testing.assert_array_equal(of.signals(2, 500), of.signals(2, 500))
