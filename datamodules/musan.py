"""MUSAN: music, speech and noise, prepared as for SwishNet.

Snyder, Chen & Povey, "MUSAN: A Music, Speech, and Noise Corpus", 2015, https://arxiv.org/abs/1510.08484; 109 hours at
16 kHz, https://www.openslr.org/17, CC BY 4.0. Layout: `{music,speech,noise}/<source>/*.wav`, each source with a LICENSE
and most with ANNOTATIONS.

Preparation and split are those of SwishNet (Hussain & Haque 2018, https://arxiv.org/abs/1812.00149), which divides
files at random, 65/10/25 % of each class. Here files of one source stay together, as `datamodules.clips.musan_files`
finds sources.
"""

from pathlib import Path

from datamodules import layouts
from datamodules.audio.preparation import Samples, cut_silence, equalise_loudness
from datamodules.clips import musan_files
from datamodules.clips.musan_files import LONGEST_SECONDS, OFFICIAL, SHARES
from datamodules.clips.segments import Recording, SegmentedRecordings


class MUSAN(SegmentedRecordings):
    """MUSAN: 2,016 files, 3 classes, one seeded split; silence is cut, loudness is equalised, clips last 0.5, 1 or 2 s.

    Arguments as for `SegmentedRecordings`; the root is `musan/` or the folder that holds it.
    """

    source = "musan"
    split = "one seeded split by file, 65/10/25 % of each class; files of one source stay together"
    shares = SHARES
    official = OFFICIAL
    clips_official = 2016
    longest_seconds = LONGEST_SECONDS

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
        return musan_files.recordings(root)
