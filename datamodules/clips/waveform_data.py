"""Base class of datasets of waveforms: common arguments, and decoding of all clips to one rate and one length."""

import inspect
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

from torch import Tensor

from datamodules.audio import AudioSource
from datamodules.audio.decoder import MAX_RATE, MIN_RATE
from datamodules.base import AudioDataModule, DataError
from datamodules.clips.array_clips import WaveformClips, decode_files, silent


class WaveformDataModule(AudioDataModule):
    """A dataset whose clips are decoded to one sample rate and one length.

    A subclass sets its own defaults as class attributes, and `inspect.signature` shows them.

    Args:
        root: as in `AudioDataModule`.
        cache: as in `AudioDataModule`.
        fold: as in `AudioDataModule`.
        seed: as in `AudioDataModule`.
        batch_size: as in `AudioDataModule`.
        sample_rate: to resample to, in hertz; None is `default_sample_rate`.
        clip_seconds: clips are padded with zeros or cropped at the end to this length; None is `default_clip_seconds`.
        download: as in `AudioDataModule`.

    Attributes:
        default_sample_rate: in hertz.
        default_clip_seconds: length of a clip.
        own_rates: sample rates of the files, in hertz, as far as they were read (after `setup`).

    Raises:
        DataError: the sample rate is not a whole number of 4,000 to 192,000 Hz.
    """

    default_sample_rate: ClassVar[int] = 32_000
    default_clip_seconds: ClassVar[float]
    sample_rate: int
    own_rates: Sequence[int] = ()

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        shown = inspect.signature(cls.__init__)
        arguments = [
            argument.replace(default=getattr(cls, f"default_{argument.name}", None))
            if argument.default is None and argument.kind is argument.KEYWORD_ONLY
            else argument
            for argument in list(shown.parameters.values())[1:]
        ]
        cls.__signature__ = shown.replace(parameters=arguments)  # type: ignore[attr-defined]

    def __init__(
        self,
        root: str | Path | None = None,
        cache: str | Path | None = None,
        fold: int = 0,
        seed: int = 0,
        batch_size: int = 32,
        *,
        sample_rate: int | None = None,
        clip_seconds: float | None = None,
        download: bool = False,
    ) -> None:
        super().__init__(root, cache, fold, seed, batch_size, download=download)
        self.sample_rate = checked_rate(self.default_sample_rate if sample_rate is None else sample_rate)
        self.clip_seconds = self.default_clip_seconds if clip_seconds is None else clip_seconds

    def decode(
        self, sources: Sequence[AudioSource], ids: Sequence[str], groups: Sequence[str], targets: Tensor
    ) -> WaveformClips:
        """Decode the clips of all splits, through the cache, and set `clip_shape`.

        Args:
            sources: file or shard member of each clip.
            ids: as in `ClipSet`.
            groups: as in `ClipSet`.
            targets: as in `ClipSet`.

        Raises:
            DataError: some files cannot be used; the message lists all of them.
        """
        name = type(self).__name__.lower()
        found = decode_files(sources, self.sample_rate, self.clip_seconds, self.cache, name, report=self.report)
        self.clip_shape = (found.clips.shape[1],)
        self.own_rates = found.rates
        self.contents = dict(zip(ids, found.contents, strict=True))
        return WaveformClips(found.clips, ids, groups, found.hashes, targets)

    def setup(self, stage: str | None = None) -> None:
        """Read the dataset once, whatever the stage; files below the sample rate that was asked for are noted."""
        known = hasattr(self, "splits")
        super().setup(stage)
        if not known and (line := lower_rates(self.own_rates, self.sample_rate)):
            self.note = "; ".join(filter(None, (self.note, line)))
            self.remarks = (*self.remarks, line)

    @staticmethod
    def silence(clips: WaveformClips) -> list[str]:
        """Return a remark for `note` on how many clips are digital silence; none where no clip is."""
        quiet = silent(clips.hashes, clips.array.shape[1])
        return [f"{quiet} clips are silent"] if quiet else []


def checked_rate(sample_rate: Any) -> int:
    """Return a sample rate in hertz.

    Raises:
        DataError: it is not a whole number, or is out of the range that is read.
    """
    whole = isinstance(sample_rate, int | float) and not isinstance(sample_rate, bool) and sample_rate % 1 == 0
    if not whole or not MIN_RATE <= sample_rate <= MAX_RATE:
        raise DataError(
            f"sample_rate is {sample_rate!r}: give the hertz to which clips are resampled as a whole number of "
            f"{MIN_RATE} to {MAX_RATE}, such as 16000"
        )
    return int(sample_rate)


def lower_rates(own: Sequence[int], sample_rate: int) -> str | None:
    """Say how many files have a lower sample rate than the data; None where none has.

    Args:
        own: of each file, in hertz.
        sample_rate: of the clips, in hertz.
    """
    lower = [rate for rate in own if rate < sample_rate]
    if not lower:
        return None
    least, most = min(lower), max(lower)
    which = f"{least:,} Hz" if least == most else f"{least:,} to {most:,} Hz"
    remedy = f"; sample_rate = {max(own)} would lose nothing of them" if len(lower) == len(own) else ""
    return (
        f"{len(lower):,} of {len(own):,} files have a sample rate of {which}, below the {sample_rate:,} Hz of the "
        f"clips: they have no sound above {most // 2:,} Hz{remedy}"
    )
