"""GTZAN's music and speech collection, prepared as in SwishNet's transfer experiment.

Tzanetakis & Cook, https://marsyas.info/downloads/datasets.html, `music_speech.tar.gz`; no licence is stated. 128 tracks
of 30 s at 22,050 Hz. Layout: `music_wav/*.wav` and `speech_wav/*.wav`, in `music_speech/` or directly in the root.

SwishNet (Hussain & Haque 2018, https://arxiv.org/abs/1812.00149) is trained on MUSAN. The paper removes noise from
these tracks by log-MMSE, prepares them like MUSAN, fine-tunes on 25 % of the files and tests on 75 %. Here a quarter of
the 25 % is for validation. The division is by file; `acomic` and `acomic2` count as one source.
"""

from pathlib import Path

from datamodules import layouts
from datamodules.audio.preparation import Samples, cut_silence, equalise_loudness, log_mmse
from datamodules.clips.segments import Recording, SegmentedRecordings, files_of


class GTZANMusicSpeech(SegmentedRecordings):
    """GTZAN music/speech: 128 tracks, 2 classes, one seeded split; noise is removed, then prepared and cut as MUSAN.

    Arguments as for `SegmentedRecordings`; the root holds `music_speech/`, or `music_wav/` and `speech_wav/`.
    """

    source = "gtzan-music-speech"
    split = "one seeded split by file, 18.75/6.25/75 % of each class"
    shares = (0.1875, 0.0625, 0.75)
    official = {"music": 64, "speech": 64}  # noqa: RUF012 - a ClassVar in the base
    clips_official = 128
    longest_seconds = 120.0

    @classmethod
    def find(cls, root: Path) -> str | None:
        """Look for the two folders."""
        return layouts.gtzan_music_speech(root)

    @staticmethod
    def prepare(waveform: Samples, sample_rate: int) -> Samples:
        """Remove noise, cut silence, and equalise loudness.

        Tracks begin in the middle of a sound, so the noise is estimated from their quietest frames.
        """
        quiet = log_mmse(waveform, sample_rate, noise_from="quietest")
        return equalise_loudness(cut_silence(quiet, sample_rate), sample_rate)

    @staticmethod
    def prepare_in_time(waveform: Samples, sample_rate: int) -> Samples:
        """Remove noise and equalise loudness, as `prepare` does, without cutting silence, so that times stay."""
        return equalise_loudness(log_mmse(waveform, sample_rate, noise_from="quietest"), sample_rate)

    def recordings(self, root: Path) -> tuple[list[Recording], list[str]]:
        """List the wav files of each class."""
        found: list[Recording] = []
        left_out = 0
        for label, folder in layouts.gtzan_places(root).items():
            files, others = files_of(folder, folder, ())
            left_out += others
            stems = {path.stem for _, path in files}
            for here, path in files:
                plain = path.stem.rstrip("0123456789")
                group = plain if plain in stems else path.stem
                name = f"{layouts.GTZAN_FOLDERS[label]}/{here}"  # whatever the folder is called here
                found.append(Recording(name, path, label, f"{label}/{group}"))
        return found, [f"{left_out} entries that are no wav files left out"] if left_out else []
