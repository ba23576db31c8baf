"""MUSAN, the division by source, and clips that are pieces of recordings: on a fake tree and on the stand-in."""

import io
import json
import os
import threading
import time
import warnings
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import soundfile
from fakes import musan as fake_musan
from fakes.paths import DATA
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.console import Console

from bench import suites
from bench.records import Store
from bench.runner.driver import Runner
from bench.runner.progress import Progress
from bench.runner.settings import RunSettings
from datamodules.base import DataError, DatasetMissing
from datamodules.clips import segments
from datamodules.clips.folds import grouped_shares, merged
from datamodules.clips.segments import prepare_all
from datamodules.musan import MUSAN

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # librosa's own dependencies warn when they are imported
    import librosa

STAND_IN = DATA / "speech_music_noise"
RATE = 16_000


def setup(root, **arguments):
    data = MUSAN(root, **arguments)
    data.setup()
    return data


def parts(data):
    return data.splits.train, data.splits.val, data.splits.test


def files(clips):
    """Return the files that pieces are from."""
    return {name.split("[")[0] for name in clips.ids}


# Division


@pytest.mark.parametrize(
    ("clips", "wanted"), [(3, [1, 1, 1]), (12, [8, 1, 3]), (20, [13, 2, 5]), (660, [429, 66, 165])]
)
def test_single_clips_are_divided_to_the_nearest_clip(clips, wanted):
    found = grouped_shares([str(i) for i in range(clips)], [0] * clips, (0.65, 0.10, 0.25))
    assert np.bincount(found).tolist() == wanted


def test_a_group_larger_than_a_part_goes_where_it_fits():
    groups = ["large"] * 6 + list("abcdef")  # 6 of 12 fit into 65 % only; then 2, 1 and 3 are left to deal
    found = grouped_shares(groups, [0] * 12, (0.65, 0.10, 0.25))
    assert found[:6] == [0] * 6
    assert np.bincount(found).tolist() == [8, 1, 3]


@pytest.mark.slow
@settings(max_examples=30)
@given(st.integers(0, 1000), st.sampled_from([(0.65, 0.10, 0.25), (0.1875, 0.0625, 0.75), (0.5, 0.5)]))
def test_shares_of_musans_size_are_met_and_no_group_is_torn(seed, shares):
    draw = np.random.default_rng(seed)
    labels = [0] * 660 + [1] * 426 + [2] * 930
    artists = draw.zipf(1.7, 660).clip(max=200)  # a few artists have many pieces
    groups = [f"artist{a}" for a in artists] + [str(i) for i in range(426 + 930)]
    found = np.array(grouped_shares(groups, labels, shares, seed))
    for name in {g for g in groups if g.startswith("artist")}:
        assert len(set(found[[g == name for g in groups]])) == 1
    for label, largest in ((0, np.bincount(artists).max()), (1, 1), (2, 1)):
        counts = np.bincount(found[np.array(labels) == label], minlength=len(shares))
        assert counts.min() > 0
        assert np.abs(counts - np.array(shares) * counts.sum()).max() <= largest


def test_the_division_follows_its_seed():
    groups, labels = [str(i) for i in range(50)], [i % 3 for i in range(50)]
    shares = (0.65, 0.10, 0.25)
    assert grouped_shares(groups, labels, shares, 1) == grouped_shares(groups, labels, shares, 1)
    assert grouped_shares(groups, labels, shares, 1) != grouped_shares(groups, labels, shares, 2)


def test_groups_that_share_audio_are_one():
    # b's second clip is a's first, c's is b's first: a, b and c hang together; d shares with itself alone
    groups = ["a", "b", "b", "c", "d", "d"]
    assert merged(groups, ["1", "2", "1", "2", "3", "3"]) == ["a", "a", "a", "a", "d", "d"]
    assert merged(groups, list("123456")) == groups


# The corpus


def test_the_tree_is_read(tmp_path):
    root = fake_musan.write(tmp_path)
    data = setup(root)
    assert data.classes == ("music", "speech", "noise")
    assert (data.sample_rate, data.clip_shape, data.folds) == (16_000, (16_000,), 1)
    assert (data.clips_available, data.clips_official) == (30, 2016)
    assert "10 of 660 music files, 10 of 426 speech files, 10 of 930 noise files" in data.note
    assert "sources: the artist of music, else the file; 2 pieces of music without an artist" in data.note
    assert "left out" not in data.note
    found = [files(part) for part in parts(data)]
    assert set().union(*found) == {
        f"{settings}/{settings.replace('/', '-')}-{i:04}.wav"
        for settings, count in fake_musan.FILES.items()
        for i in range(count)
    }
    assert sum(map(len, found)) == 30
    for label, name in enumerate(data.classes):
        for part, names in zip(parts(data), found, strict=True):
            assert any(file.startswith(name) for file in names)
            assert {n.startswith(name) for n, y in zip(part.ids, part.targets.tolist(), strict=True) if y == label} == {
                True
            }
    x, y = next(iter(data.train_dataloader()))
    assert (x.shape, str(x.dtype), str(y.dtype)) == ((32, 16_000), "torch.float32", "torch.int64")


def test_pieces_of_one_artist_stay_together(tmp_path):
    data = setup(fake_musan.write(tmp_path))
    groups = {}
    for part in parts(data):
        groups |= {name.split("[")[0]: group for name, group in zip(part.ids, part.groups, strict=True)}
    by_artist = ["music/fma/music-fma-0001.wav", "music/fma/music-fma-0002.wav", "music/jamendo/music-jamendo-0000.wav"]
    assert {groups[name] for name in by_artist} == {"cullah"}
    assert groups["music/fma/music-fma-0000.wav"] == groups["music/jamendo/music-jamendo-0001.wav"] == "ana_tu"
    assert groups["music/rfm/music-rfm-0000.wav"] == "music/rfm/music-rfm-0000.wav"
    assert groups["speech/librivox/speech-librivox-0001.wav"] == "speech/librivox/speech-librivox-0001.wav"
    assert sum(any(file in files(part) for file in by_artist) for part in parts(data)) == 1
    assert len(set(groups.values())) == 27


def test_what_is_no_wav_file_is_counted(tmp_path):
    root = fake_musan.write(tmp_path)
    (root / "noise/free-sound/extra.mp3").touch()
    (root / "music/fma/notes.txt").touch()
    (root / "speech/linked").symlink_to(root / "noise")
    data = setup(root)
    assert "3 entries that are no wav files left out" in data.note
    assert data.clips_available == 30
    (root / "music/fma/outside.wav").symlink_to(tmp_path.parent / "elsewhere.wav")
    with pytest.raises(DataError, match="outside"):
        setup(root)


@pytest.mark.slow
def test_the_manifest_names_length_content_and_source(tmp_path):
    root = fake_musan.write(tmp_path)
    original = setup(root).manifest()
    assert setup(root, seed=5, batch_size=2, cache=tmp_path / "cache").manifest() == original
    assert len({original, *(setup(root, clip_seconds=s).manifest() for s in (0.5, 2.0))}) == 3
    annotations = root / "music/fma/ANNOTATIONS"
    annotations.write_text(annotations.read_text().replace("Mid-Air_Machine", "Cullah"))
    assert setup(root).manifest() != original
    with pytest.raises(DataError, match="fold 1 does not exist"):
        MUSAN(root, fold=1)


def test_missing_data_says_where_and_how(tmp_path):
    assert "openslr.org/17" in (MUSAN.find(tmp_path) or "")
    with pytest.raises(DatasetMissing, match=r"missing .*music"):
        setup(tmp_path)
    root = fake_musan.write(tmp_path)
    assert MUSAN.find(root) is None
    assert MUSAN.find(tmp_path) is None  # the folder that holds it
    assert setup(tmp_path).manifest() == setup(root).manifest()
    for path in root.rglob("*.wav"):
        path.unlink()
    with pytest.raises(DatasetMissing, match="no wav files"):
        setup(root)


def test_too_few_sources_are_shown_in_a_table(tmp_path):
    root = fake_musan.write(tmp_path)
    for i in range(4):
        (root / f"speech/us-gov/speech-us-gov-{i:04}.wav").unlink()
    for i in range(2, 6):
        (root / f"speech/librivox/speech-librivox-{i:04}.wav").unlink()
    with pytest.raises(DataError, match=r"too few sources(?s:.*)speech +1 +0 +1|too few sources(?s:.*)speech +1 +1 +0"):
        setup(root)


def test_files_of_one_sound_are_one_source(tmp_path):
    root = fake_musan.write(tmp_path)
    same = (root / "noise/free-sound/noise-free-sound-0000.wav").read_bytes()
    for i in range(1, 5):
        (root / f"noise/free-sound/noise-free-sound-{i:04}.wav").write_bytes(same)
    data = setup(root)
    assert "4 files that sound as another does" in data.note
    copies = [f"noise/free-sound/noise-free-sound-{i:04}.wav" for i in range(5)]
    assert sum(any(file in files(part) for file in copies) for part in parts(data)) == 1


# The table beside it

HEADER = "file,label,source_group,seconds,license\n"


def index(root, change=lambda row: row):
    """Write an index.csv beside the corpus in which the first two files of each source are one group."""
    lines = []
    for i, path in enumerate(sorted(p for p in root.rglob("*.wav") if not p.name.startswith("."))):
        name = str(path.relative_to(root))
        group = path.parent.name if path.stem[-1] in "01" else f"g{i}"
        lines.append(change([name, name.split("/")[0], group, "1.5", "CC0"]))
    (root.parent / "index.csv").write_text(HEADER + "".join(",".join(line) + "\n" for line in lines if line))


def test_an_index_beside_the_corpus_names_the_sources(tmp_path):
    root = fake_musan.write(tmp_path)
    index(root)
    data = setup(root)
    assert "sources: index.csv" in data.note
    assert "artist" not in data.note
    for part in parts(data):
        for name, group in zip(part.ids, part.groups, strict=True):
            folder, file = name.split("[")[0].split("/")[1:]
            assert (group == folder) == (file[-5] in "01")
    with (tmp_path / "index.csv").open("a") as table:
        table.write("music/fma/music-fma-0099.wav,music,gone,1,CC0\n")
    assert "1 files of index.csv are not there" in setup(root).note


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda row: None if row[0].endswith("fma-0003.wav") else row, "fma-0003.wav' is not in index.csv"),
        (
            lambda row: [row[0], "noise", *row[2:]] if row[0].endswith("fma-0003.wav") else row,
            "line 5: .*is 'noise' but",
        ),
        (lambda row: ["music/fma/music-fma-0000.wav", *row[1:]], "line 3: .*is in line 2 already"),
        (lambda row: [*row[:2], "", *row[3:]], "line 2 has 5 cells"),
    ],
)
def test_an_index_that_does_not_fit_is_refused(tmp_path, change, said):
    root = fake_musan.write(tmp_path)
    index(root, change)
    with pytest.raises(DataError, match=said):
        setup(root)


# Pieces


def prepared_by_hand(path):
    """Return a file after SwishNet's chain: librosa's silence, loudness over 250 ms by plain loops, int16."""
    x, rate = soundfile.read(path, dtype="float32")
    intervals = librosa.effects.split(x, top_db=40, frame_length=round(0.025 * rate), hop_length=round(0.010 * rate))
    x = np.concatenate([x[a:b] for a, b in intervals]).astype(np.float64)
    window, hop = round(0.25 * rate), round(0.010 * rate)
    total, windows = np.zeros(len(x)), np.zeros(len(x))
    for centre in range(0, len(x) + window, hop):
        part = slice(max(0, centre - window // 2), max(0, centre - window // 2 + window))
        if len(x[part]):
            total[part] += 0.1 / max(np.sqrt(np.mean(x[part] ** 2)), 1e-3)
            windows[part] += 1
    return np.clip(np.rint(x * total / windows * 32768), -32768, 32767)


@pytest.mark.slow
@pytest.mark.parametrize("seconds", [0.5, 1.0, 2.0])
def test_pieces_are_cut_from_files_after_the_papers_chain(tmp_path, seconds):
    root = fake_musan.write(tmp_path)
    data = setup(root, clip_seconds=seconds, cache=tmp_path / "cache")
    size = round(seconds * RATE)
    seen = 0
    for part in parts(data):
        whole = {name: prepared_by_hand(root / name) for name in files(part)}
        starts = {name: [] for name in whole}
        x = part.load(range(len(part))).numpy() * 32768
        for row, name in zip(x, part.ids, strict=True):
            file, _, settings = name[:-1].partition("[")
            start, end = map(int, settings.split(":"))
            assert end - start == size
            samples = whole[file]
            np.testing.assert_allclose(row, samples[np.arange(start, end) % len(samples)], atol=1)  # a rounding
            starts[file].append(start)
        for file, found in starts.items():
            last = len(whole[file]) - size
            wanted = [*range(0, last, size // 2), last] if last > 0 else [last]  # the rest ends with the file
            assert sorted(found) == wanted
            seen += last < 0
    assert (f"{seen} files shorter than a clip" in data.note) == (seen > 0) == (seconds > 0.5)
    assert [part.load([0]).shape for part in parts(data)] == [(1, size)] * 3


def test_overlap_is_not_stored(tmp_path):
    root, cache = fake_musan.write(tmp_path), tmp_path / "cache"
    for seconds in (0.5, 1.0, 2.0):
        data = setup(root, clip_seconds=seconds, cache=cache)
        (samples,) = cache.glob("*.npy")  # one for all lengths of clips
        (facts,) = cache.glob("*.json")
        length = sum(json.loads(facts.read_text())["facts"]["lengths"])
        assert np.load(samples, mmap_mode="r").shape == (length,)
        assert samples.stat().st_size == 128 + 2 * length  # a header of 128 bytes
        for part in parts(data):
            assert isinstance(part.audio, np.memmap)
            assert part.audio.shape == (length,)
        assert sum(map(len, parts(data))) * data.clip_shape[0] > 1.4 * length


# Preparation and its cache


def scale(x, rate):
    return x * np.float32(0.5)


def ramps(folder, count=5):
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / f"{i}.wav" for i in range(count)]
    for i, path in enumerate(paths):
        soundfile.write(path, np.arange(100 * (i + 1), dtype=np.int16), 8_000)
    return paths


def test_recordings_stand_end_to_end(tmp_path):
    for cache in (None, tmp_path / "cache"):
        found = prepare_all(ramps(tmp_path), scale, 8_000, 10, cache, "x")
        assert found.lengths == [100, 200, 300, 400, 500]
        wanted = np.concatenate([np.rint(np.arange(n) / 2) for n in found.lengths])
        np.testing.assert_array_equal(found.audio, wanted)
        assert found.clipped == [0] * 5
        assert found.silent == [False] * 5


def test_what_leaves_full_scale_is_clipped_and_counted(tmp_path):
    soundfile.write(tmp_path / "a.wav", [0.9, -0.9, 0.4, -0.5, 0.5], 8_000, subtype="FLOAT")
    soundfile.write(tmp_path / "b.wav", np.zeros(10), 8_000)
    found = prepare_all([tmp_path / "a.wav", tmp_path / "b.wav"], lambda x, rate: 2 * x, 8_000, 10, None, "x")
    assert found.audio[:5].tolist() == [32767, -32768, 26214, -32768, 32767]
    assert found.clipped == [3, 0]  # 1.8, -1.8 and 1.0, which int16 does not reach
    assert found.silent == [False, True]


def test_the_cache_is_used_and_its_key_covers_what_matters(tmp_path):
    cache, paths = tmp_path / "cache", ramps(tmp_path)
    calls = []

    def counted(x, rate):
        calls.append(rate)
        return x

    first = prepare_all(paths, counted, 8_000, 10, cache, "x")
    again = prepare_all(paths, counted, 8_000, 10, cache, "x")
    assert len(calls) == 5
    assert (again.audio.tolist(), again.hashes) == (first.audio.tolist(), first.hashes)
    prepare_all(paths, counted, 4_000, 10, cache, "x")
    assert len(calls) == 10
    prepare_all(paths, scale, 8_000, 10, cache, "x")
    assert len(list(cache.glob("*.npy"))) == 3
    os.utime(paths[2], ns=(5, 5))
    prepare_all(paths, counted, 8_000, 10, cache, "x")
    assert len(calls) == 15


@pytest.mark.parametrize("damage", ["npy gone", "npy cut", "json gone", "json cut", "json list", "json short"])
def test_a_damaged_cache_is_made_anew(tmp_path, damage):
    cache, paths = tmp_path / "cache", ramps(tmp_path)
    wanted = prepare_all(paths, scale, 8_000, 10, cache, "x")
    samples = wanted.audio.tolist()
    (victim,) = cache.glob(f"*.{damage.split()[0]}")
    content = victim.read_bytes()
    victim.unlink()
    if damage.endswith("cut"):
        victim.write_bytes(content[:-10])
    if damage.endswith("list"):
        victim.write_text("[]")
    if damage.endswith("short"):
        index = json.loads(content)
        index["facts"]["hashes"] = []
        victim.write_text(json.dumps(index))
    found = prepare_all(paths, scale, 8_000, 10, cache, "x")
    assert (found.audio.tolist(), found.hashes, found.lengths) == (samples, wanted.hashes, wanted.lengths)


def test_several_writers_share_a_cache(tmp_path):
    paths = ramps(tmp_path)
    wanted = prepare_all(paths, scale, 8_000, 10, None, "x").audio.tolist()
    with ThreadPoolExecutor(6) as pool:
        found = list(pool.map(lambda _: prepare_all(paths, scale, 8_000, 10, tmp_path / "cache", "x"), range(6)))
    assert all(each.audio.tolist() == wanted for each in found)
    assert sorted(path.suffix for path in (tmp_path / "cache").iterdir()) == [".json", ".npy"]


def test_every_bad_file_is_listed_and_nothing_is_left_behind(tmp_path):
    root, cache = fake_musan.write(tmp_path), tmp_path / "cache"
    (root / "music/fma/music-fma-0002.wav").write_bytes(b"")
    (root / "noise/sound-bible/noise-sound-bible-0001.wav").write_text("<html>404</html>")
    with pytest.raises(
        DataError, match=r"2 of 30 files(?s:.*)'music-fma-0002\.wav'(?s:.*)'noise-sound-bible-0001\.wav'"
    ):
        setup(root, cache=cache)
    assert list(cache.iterdir()) == []


@pytest.mark.slow
def test_files_of_more_than_ten_minutes_are_read_and_endless_ones_refused(tmp_path):
    for name, seconds in (("long", 700), ("endless", 4001)):
        soundfile.write(tmp_path / f"{name}.wav", np.zeros(seconds * 4_000, np.int16), 4_000, format="FLAC")
    found = prepare_all([tmp_path / "long.wav"], MUSAN.prepare, 4_000, MUSAN.longest_seconds, None, "x")
    assert found.lengths == [700 * 4_000]
    with pytest.raises(DataError, match=r"'endless\.wav' says it lasts 4,001 s"):
        prepare_all([tmp_path / "endless.wav"], MUSAN.prepare, 4_000, MUSAN.longest_seconds, None, "x")


@pytest.mark.slow
def test_preparation_runs_in_parallel_and_only_a_few_files_ahead(monkeypatch):
    monkeypatch.setattr(segments, "WORKERS", 2)
    threads, begun = set(), []

    def work(path):
        begun.append(path)
        threads.add(threading.get_ident())
        time.sleep(0.02)
        return path

    paths = [Path(str(i)) for i in range(20)]
    results = segments._in_order(work, paths)
    assert next(results) == paths[0]
    time.sleep(0.2)  # a slow machine only begins fewer
    assert len(begun) <= 4  # a consumer that waits does not let the rest pile up in memory
    assert list(results) == paths[1:]
    assert len(threads) == 2


# The stand-in, and a training


@pytest.mark.skipif(not STAND_IN.is_dir(), reason=f"the stand-in for MUSAN is not in {DATA}: set BENCH_DATA")
@pytest.mark.parametrize("seconds", [0.5, 1.0, 2.0])
def test_the_stand_in(seconds):
    """36 files, 12 per class; two pieces of music occur twice and six speech clips are of one reader."""
    data = setup(STAND_IN, clip_seconds=seconds)
    assert data.clips_available == 36
    found = [files(part) for part in parts(data)]
    assert Counter(file.split("/")[0] for part in found for file in part) == {"music": 12, "speech": 12, "noise": 12}
    assert [len(part) for part in found] == [24, 3, 9]  # 8, 1 and 3 of each class
    sources = [set(part.groups) for part in parts(data)]
    assert sum(map(len, sources)) == len(set().union(*sources)) == 29  # 36 - 2 - 5
    ljspeech = {f"speech/open/speech-open-{i:04}.wav" for i in range(6, 12)}
    assert [len(ljspeech & part) for part in found] == [6, 0, 0]
    assert "12 of 660 music files" in data.note


@pytest.mark.process
def test_a_training_scores_speech_against_the_rest(tmp_path):
    fake_musan.write(tmp_path)
    (tmp_path / "suite.toml").write_text(
        """
        models = ["swishnet"]
        datasets = ["musan"]
        [recipe]
        like = "swishnet"
        epochs = 2
        batch_size = 16
        [dataset.musan]
        clip_seconds = 0.5
        """
    )
    suite = suites.read(str(tmp_path / "suite.toml"))
    settings = RunSettings(store=tmp_path / "runs", data_dir=tmp_path, device="cpu", workers=1)
    outcome = Runner(suite, settings, Progress(Console(file=io.StringIO())), "serial").run(suite.runs(), False)
    assert not outcome.failed
    record = Store(tmp_path / "runs").get(suite.runs()[0].key)
    assert record.status == "ok"
    right = np.array(record.confusion)
    assert record.classes == ("music", "speech", "noise")
    told = right[1, 1] + right[np.ix_([0, 2], [0, 2])].sum()
    assert record.scores["sns"] == pytest.approx(told / right.sum())
    assert (record.data.clips_available, record.data.clips_official) == (30, 2016)
    assert record.complexity.parameters == 5483  # the paper's
