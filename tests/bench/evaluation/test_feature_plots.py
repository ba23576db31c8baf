"""The picture of front-ends, and the command that draws it."""

import sys

import numpy as np
import pytest
import soundfile
from matplotlib.image import imread
from typer.testing import CliRunner

from bench import catalog
from bench.cli import app, main
from bench.evaluation import feature_plots

RATE = 16000
FIXED = ["logmel", "logmel-20ms", "mfcc", "logmel-1s", "waveform"]


def tone(seconds=1.5, hertz=1000.0):
    return (0.5 * np.sin(2 * np.pi * hertz * np.arange(int(seconds * RATE)) / RATE)).astype(np.float32)


@pytest.fixture
def clip(tmp_path):
    path = tmp_path / "clip.wav"
    soundfile.write(path, tone(), RATE)
    return path


@pytest.fixture
def refused(monkeypatch, capsys):
    """Run the command line and return what it says when it refuses, which is one line."""

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["bench", "features", *map(str, arguments)])
        with pytest.raises(SystemExit) as stopped:
            main()
        assert stopped.value.code == 2
        said = capsys.readouterr().err
        assert said.startswith("error: ")
        assert said.count("\n") == 1
        return said

    return run


def test_a_panel_for_the_waveform_and_for_each_front_end():
    panels, left_out = feature_plots.panels_of(tone(), RATE, FIXED)
    assert [panel.name for panel in panels] == FIXED
    assert left_out == {}
    drawn = feature_plots.figure(tone(), RATE, panels, "clip.wav")
    assert len(drawn.axes) == 1 + len(FIXED)
    assert [ax.get_title(loc="left").split("  ")[0] for ax in drawn.axes] == ["waveform", *FIXED]
    assert [ax.get_ylabel() for ax in drawn.axes] == ["amplitude", "Hz", "Hz", "coefficient", "Hz", "amplitude"]
    assert drawn.axes[-1].get_xlabel() == "seconds"
    assert all(ax.get_xlim() == (0, 1.5) for ax in drawn.axes)
    assert drawn.axes[1].get_images()[0].get_extent() == [0, 1.5, -0.5, 63.5]  # 150 frames at 100 a second
    assert drawn.axes[4].get_images()[0].get_extent() == [0, 2, -0.5, 127.5]  # a last second that is half there


@pytest.mark.parametrize("hertz", [200.0, 1000.0, 5000.0])
def test_the_loudest_band_of_a_tone_is_labelled_with_its_pitch(hertz):
    (panel,), _ = feature_plots.panels_of(tone(hertz=hertz), RATE, ["logmel"])
    assert panel.hertz[panel.features.mean(1).argmax()] == pytest.approx(hertz, rel=0.15)


def test_all_front_ends_that_take_a_waveform_are_drawn_and_the_others_named():
    panels, left_out = feature_plots.panels_of(tone(), RATE)
    assert {*(panel.name for panel in panels), *left_out} == set(catalog.FRONTENDS)
    assert {panel.name for panel in panels} >= set(FIXED)
    assert "takes embeddings" in left_out["none"]


def test_a_learned_front_end_is_drawn_only_when_it_is_asked_for(monkeypatch):
    monkeypatch.setitem(catalog.FRONTENDS, "learned", catalog.Frontend(target="test_plots:Learned", line="x"))
    monkeypatch.setattr(
        catalog, "load", lambda target, load=catalog.load: Learned if "Learned" in target else load(target)
    )
    assert "--frontend learned" in feature_plots.panels_of(tone(), RATE)[1]["learned"]
    assert [panel.name for panel in feature_plots.panels_of(tone(), RATE, ["learned"])[0]] == ["learned"]


def Learned(sample_rate):  # noqa: N802 - stands for a class
    import torch

    from models.frontends.waveform import Waveform

    frontend = Waveform(sample_rate)
    frontend.gain = torch.nn.Parameter(torch.ones(1))
    return frontend


@pytest.mark.slow
@pytest.mark.parametrize("samples", [1, 100, 200_000])
def test_clips_of_any_length_are_drawn(tmp_path, samples):
    x = np.resize(tone(), samples)
    panels, _ = feature_plots.panels_of(x, RATE, ["logmel", "mfcc", "waveform"])
    feature_plots.save(feature_plots.figure(x, RATE, panels, "a $strange^ näme \udcff 音"), tmp_path / "a" / "x.png")
    assert imread(tmp_path / "a" / "x.png").ndim == 3


def test_long_waveforms_keep_their_peaks():
    x = np.zeros(100_000, np.float32)
    x[54_321] = 1
    drawn = feature_plots.figure(x, RATE, [], "")
    (area,) = drawn.axes[0].collections
    assert area.get_paths()[0].vertices[:, 1].max() == 1


@pytest.mark.slow
def test_the_command_writes_a_png(clip, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(app, ["features", str(clip), "--frontend", "logmel", "--frontend", "mfcc"])
    assert result.exit_code == 0, result.output
    assert imread(tmp_path / "clip-features.png").shape[1] == 900
    result = CliRunner().invoke(app, ["features", str(clip), "--out", str(tmp_path / "all.png")])
    assert result.exit_code == 0, result.output
    assert imread(tmp_path / "all.png").shape[0] > imread(tmp_path / "clip-features.png").shape[0]


def test_what_cannot_be_drawn_is_a_line_with_a_remedy(clip, tmp_path, refused):
    text = tmp_path / "notes.wav"
    text.write_text("not audio at all")
    picture = tmp_path / "x.png"
    assert "replace it; if it is sound of another kind, convert it by `ffmpeg -i OLD NEW.wav`" in refused(
        text, "--out", picture
    )
    assert "cannot be opened" in refused(tmp_path / "absent.wav", "--out", picture)
    assert "is not a regular file" in refused(tmp_path, "--out", picture)
    assert "Did you mean 'logmel'?" in refused(clip, "--frontend", "logmell", "--out", picture)
    assert "name another front-end for waveforms" in refused(clip, "--frontend", "none", "--out", picture)
    assert "ends in .png" in refused(clip, "--out", tmp_path / "x.jpg")
    assert not picture.exists()


@pytest.mark.slow
def test_a_picture_that_cannot_be_written_is_a_line_with_a_remedy(clip, tmp_path, refused):
    (tmp_path / "file").write_text("")
    (tmp_path / "folder.png").mkdir()
    assert "name another file with --out" in refused(clip, "--frontend", "mfcc", "--out", tmp_path / "file" / "x.png")
    assert "name another file with --out" in refused(clip, "--frontend", "mfcc", "--out", tmp_path / "folder.png")
    sound = clip.rename(tmp_path / "sound.png")
    assert "would take the place" in refused(sound, "--out", sound)


def test_long_files_are_refused(tmp_path, refused):
    path = tmp_path / "long.wav"
    soundfile.write(path, np.zeros(int(4000 * (feature_plots.MAX_SECONDS + 1)), np.int16), 4000)
    assert "cut it to at most 120 s" in refused(path, "--out", tmp_path / "x.png")
