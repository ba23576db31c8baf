"""MUSAN: music, speech and noise, prepared as for SwishNet.

Snyder, Chen & Povey, "MUSAN: A Music, Speech, and Noise Corpus", 2015, https://arxiv.org/abs/1510.08484; 109 hours at
16 kHz, https://www.openslr.org/17, CC BY 4.0. Layout: `{music,speech,noise}/<source>/*.wav`, each source with a LICENSE
and most with ANNOTATIONS.

Preparation and split are those of SwishNet (Hussain & Haque 2018, https://arxiv.org/abs/1812.00149), which divides
files at random, 65/10/25 % of each class. Here files of one source stay together:

* where an `index.csv` (`file,label,source_group`) lies next to the folder, its `source_group`;
* else the artist of a piece of music: its line in ANNOTATIONS from the fourth word on
  (`music-fma-0026 blues Y Cullah`);
* else the file. ANNOTATIONS state sex and language of speech but no speaker, and no source of noise.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path

from datamodules import layouts
from datamodules.audio.preparation import Samples, cut_silence, equalise_loudness
from datamodules.base import DataError
from datamodules.clips.segments import Recording, SegmentedRecordings, files_of
from datamodules.tables.csv_table import rows

NO_CLIPS = ("ANNOTATIONS", "LICENSE", "README", "README.md")


class MUSAN(SegmentedRecordings):
    """MUSAN: 2,016 files, 3 classes, one seeded split; silence is cut, loudness is equalised, clips last 0.5, 1 or 2 s.

    Arguments as for `SegmentedRecordings`; the root is `musan/` or the folder that holds it.
    """

    source = "musan"
    split = "one seeded split by file, 65/10/25 % of each class; files of one source stay together"
    shares = (0.65, 0.10, 0.25)
    official = {"music": 660, "speech": 426, "noise": 930}  # noqa: RUF012 - a ClassVar in the base
    clips_official = 2016
    longest_seconds = 4000.0

    @classmethod
    def find(cls, root: Path) -> str | None:
        """Look for a folder of each class."""
        return layouts.musan(root)

    @staticmethod
    def prepare(waveform: Samples, sample_rate: int) -> Samples:
        """Cut silence (40 dB below the loudest frame of 25 ms, every 10 ms) and equalise loudness over 250 ms."""
        waveform = cut_silence(waveform, sample_rate)  # frees the longer array: a file may last an hour
        return equalise_loudness(waveform, sample_rate)

    @staticmethod
    def prepare_in_time(waveform: Samples, sample_rate: int) -> Samples:
        """Equalise loudness, as `prepare` does, without cutting silence, so that times stay."""
        return equalise_loudness(waveform, sample_rate)

    def recordings(self, root: Path) -> tuple[list[Recording], list[str]]:
        """List the wav files of each class, with their sources as far as they are known."""
        base = layouts.musan_base(root)
        listed = _indexed(base) if (base.parent / "index.csv").is_file() else None
        artists = _artists(base / "music") if listed is None else {}
        found: list[Recording] = []
        left_out = unknown = 0
        for label in self.official:
            files, others = files_of(base, base / label, NO_CLIPS)
            left_out += others
            for name, path in files:
                if listed is not None:
                    group = _group(listed, name, label)
                else:
                    group = artists.get(path.stem, name) if label == "music" else name
                    unknown += label == "music" and group == name
                found.append(Recording(name, path, label, group))
        remarks = [f"sources: {'index.csv' if listed is not None else 'the artist of music, else the file'}"]
        if listed is not None and (absent := len(listed.keys() - {file.name for file in found})):
            remarks.append(f"{absent} files of index.csv are not there")
        if unknown:
            remarks.append(f"{unknown} pieces of music without an artist in ANNOTATIONS")
        if left_out:
            remarks.append(f"{left_out} entries that are no wav files left out")
        return found, remarks


def _indexed(base: Path) -> dict[str, tuple[int, str, str]]:
    """Return line, label and source group of each file that the index next to the corpus lists."""
    table = base.parent / "index.csv"
    listed: dict[str, tuple[int, str, str]] = {}
    for line, row in rows(table, ("file", "label", "source_group"), ("seconds", "license")):
        if row["file"] in listed:
            raise DataError(
                f"{table.name!r} line {line}: {row['file']!r} is in line {listed[row['file']][0]} already: "
                f"remove one of them"
            )
        listed[row["file"]] = line, row["label"], row["source_group"]
    return listed


def _group(listed: Mapping[str, tuple[int, str, str]], name: str, label: str) -> str:
    """Return the source group of a file; raise `DataError` unless the index lists it under its own class."""
    if name not in listed:
        raise DataError(f"{name!r} is not in index.csv: add its row, or remove index.csv")
    line, listed_label, group = listed[name]
    if listed_label != label:
        raise DataError(f"'index.csv' line {line}: {name!r} is {listed_label!r} but lies in {label!r}: correct the row")
    return group


def _artists(music: Path) -> dict[str, str]:
    """Return the artist of each file for which a source's ANNOTATIONS name one."""
    return {words[0]: " ".join(words[3:]).casefold() for words in _annotations(music) if words[2] in ("Y", "N")}


def _annotations(folder: Path) -> Iterator[list[str]]:
    """Yield the words of each line of four or more in the sources' ANNOTATIONS."""
    for path in sorted(folder.glob("*/ANNOTATIONS")):
        if path.is_file():
            for line in path.read_text(encoding="utf-8", errors="backslashreplace").splitlines():
                if len(words := line.split()) >= 4:
                    yield words
