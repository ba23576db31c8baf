"""RAVDESS, the spoken part: eight emotions acted by twelve men and twelve women.

Livingstone & Russo, "The Ryerson Audio-Visual Database of Emotional Speech and Song", PLoS ONE 13(5), 2018,
https://doi.org/10.1371/journal.pone.0196391. CC BY-NC-SA 4.0. Layout: `Actor_01` to `Actor_24`, each with files
modality-channel-emotion-intensity-statement-repetition-actor, such as `03-01-06-01-02-01-12.wav` (or .flac).

There is no official split. PANNs and ERANN report four folds of which the actors are not given, so here are four of
whole actors; one validates, so half of the actors train where theirs are three quarters, and figures do not compare.
"""

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import torch

from datamodules import layouts
from datamodules.base import DataError, DatasetMissing, Splits
from datamodules.clips.folds import rotated
from datamodules.clips.waveform_data import WaveformDataModule
from datamodules.listing import AudioFile, Listing
from datamodules.tables.csv_table import inside, safe

CLASSES = ("neutral", "calm", "happy", "sad", "angry", "fearful", "disgust", "surprised")  # 01 to 08
ACTORS = 24
CLIPS_PER_ACTOR = 60  # 2 statements x 2 repetitions x (7 emotions x 2 intensities + neutral)
SOURCE = layouts.RAVDESS_SOURCE

AUDIO_ONLY, SPEECH = 3, 1
_ENDINGS = ("wav", "flac", "mp4")
_NAME = re.compile(rf"((?:[0-9]{{2}}-){{6}}[0-9]{{2}})\.({'|'.join(_ENDINGS)})", re.IGNORECASE)
_MAX_PARTS = (3, 2, len(CLASSES), 2, 2, 2, ACTORS)  # of each part of a name


class RAVDESS(WaveformDataModule):
    """RAVDESS speech: 1,440 clips, 8 emotions, folds of whole actors; group = the actor.

    Actors 01 and 02 (odd: a man, even: a woman), 03 and 04 and so on are pairs, dealt in turn to four folds: the first
    tests 01, 02, 09, 10, 17, 18. Of fewer than four pairs on disk each is a fold; three are needed. Songs (channel 02)
    and videos (modality 01 and 02) are left out and counted in `note`: songs have other emotions, videos the same
    voice once more. Only the actors' own folders are read.

    Arguments as for `WaveformDataModule`; the root holds `Actor_01` and so on.
    """

    source = "ravdess"
    folds = 4
    split = "by actor: pairs of a man and a woman dealt to 4 folds (3 pairs: 3 folds); test = k, validation = k + 1"
    clips_official = ACTORS * CLIPS_PER_ACTOR
    default_clip_seconds = 5.3  # the longest clip lasts 5.27 s

    @classmethod
    def find(cls, root: Path) -> str | None:
        """Look for any actor's folder."""
        return layouts.ravdess(root)

    def listing(self) -> Listing:
        """Read the names of the speech that is here."""
        files, _, problems = self._files()
        fold_of = self._deal(sorted({file.actor for file in files}))
        return Listing(
            [
                AudioFile(
                    file.path.name,
                    file.path,
                    (CLASSES[file.emotion - 1],),
                    f"Actor_{file.actor:02}",
                    str(fold_of[file.actor]),
                )
                for file in files
            ],
            problems,
        )

    def _files(self) -> tuple[list["_SpeechFile"], Counter[str], list[str]]:
        return _files(layouts.ravdess_base(self.checked_root()))

    def read(self) -> Splits:
        """Decode the speech of the actors that are here and rotate the folds of actors."""
        files, left_out, problems = self._files()
        if problems:
            raise DataError(
                f"{len(problems)} entries do not belong to RAVDESS: {'; '.join(problems[:10])}. "
                "Correct the names (modality-channel-emotion-intensity-statement-repetition-actor.wav) or remove them"
            )
        actors = sorted({file.actor for file in files})
        fold_of = self._deal(actors)
        test, val = self.fold, (self.fold + 1) % self.folds

        paths = [file.path for file in files]
        self.classes = CLASSES
        clips = self.decode(
            paths,
            [path.name for path in paths],
            [f"Actor_{file.actor:02}" for file in files],
            torch.tensor([file.emotion - 1 for file in files]),
        )
        count = Counter(file.actor for file in files)
        remarks = [
            f"tested on actors {_numbers(a for a in actors if fold_of[a] == test)}, "
            f"validated on {_numbers(a for a in actors if fold_of[a] == val)}"
        ]
        if len(actors) < ACTORS:
            remarks.append(f"{len(actors)} of {ACTORS} actors are here ({_numbers(actors)})")
        remarks += [
            f"actor {actor:02} has {count[actor]} of {CLIPS_PER_ACTOR} clips"
            for actor in actors
            if count[actor] < CLIPS_PER_ACTOR
        ]
        remarks += [f"{number} {what} left out" for what, number in sorted(left_out.items())]
        remarks += self.silence(clips)
        self.note = "; ".join(remarks)
        return rotated(clips, [fold_of[file.actor] for file in files], self.fold)

    def _deal(self, actors: list[int]) -> dict[int, int]:
        """Return each actor's fold, 0 to `folds` - 1, and set `folds` to how many there are."""
        pairs = sorted({(actor - 1) // 2 for actor in actors})
        self.folds = min(type(self).folds, len(pairs))
        if self.folds < 3 or self.fold >= self.folds:
            raise DatasetMissing(
                f"RAVDESS has no `fold` {self.fold} with {len(pairs)} pairs of actors: {max(3, self.fold + 1)} pairs "
                f"(01-02, 03-04, ...) are needed, and in {str(self.root)!r} are actors {_numbers(actors) or 'none'}. "
                f"Fetch the others from {SOURCE}" + (f", or ask for fold 0 to {self.folds - 1}" * (self.folds >= 3))
            )
        return {actor: pairs.index((actor - 1) // 2) % self.folds for actor in actors}


@dataclass(frozen=True)
class _SpeechFile:
    path: Path
    emotion: int
    actor: int


def _files(root: Path) -> tuple[list[_SpeechFile], Counter[str], list[str]]:
    """Return the spoken clips, the number of songs and videos next to them, and the problems of other names."""
    files: dict[str, _SpeechFile] = {}
    left_out: Counter[str] = Counter()
    problems: list[str] = []
    for folder in sorted(path for path in root.iterdir() if path.is_dir() and path.name.lower().startswith("actor_")):
        actor = folder.name.removeprefix("Actor_")
        if not re.fullmatch("[0-9]{2}", actor) or not 1 <= int(actor) <= ACTORS:
            problems.append(f"{safe(folder.name)} is not one of Actor_01 to Actor_{ACTORS}")
            continue
        for path in sorted(path for path in folder.iterdir() if not path.name.startswith(".")):
            shown = safe(str(path.relative_to(root)))
            try:
                modality, channel, emotion, speaker = _parts(path.name)
            except ValueError as error:
                problems.append(f"{shown} {error}")
                continue
            if speaker != int(actor):
                problems.append(f"{shown} is of actor {speaker:02}")
            elif channel != SPEECH:
                left_out["songs"] += 1
            elif modality != AUDIO_ONLY:
                left_out["videos"] += 1
            elif path.suffix.lower() == ".mp4":
                problems.append(f"{shown} is named as audio only but is a video: extract its audio as wav")
            elif (other := files.get(path.stem)) is not None:
                problems.append(f"{shown} exists as {other.path.name}, too: remove one of them")
            else:
                files[path.stem] = _SpeechFile(inside(root, str(path.relative_to(root)), "RAVDESS"), emotion, speaker)
    return list(files.values()), left_out, problems


def _parts(name: str) -> tuple[int, int, int, int]:
    """Return modality, channel, emotion and actor of a file.

    Raises:
        ValueError: it is not named as RAVDESS names its files; the message says what is wrong.
    """
    match = _NAME.fullmatch(name)
    if not match:
        raise ValueError(f"is not seven numbers of two digits and {' or '.join(_ENDINGS)}")
    parts = [int(part) for part in match[1].split("-")]
    for place, (part, highest) in enumerate(zip(parts, _MAX_PARTS, strict=True), start=1):
        if not 1 <= part <= highest:
            raise ValueError(f"has {part:02} in place {place}, not 01 to {highest:02}")
    modality, channel, emotion, intensity, _, _, actor = parts
    if CLASSES[emotion - 1] == "neutral" and intensity != 1:
        raise ValueError("is neutral with strong intensity, which RAVDESS does not have")
    return modality, channel, emotion, actor


def _numbers(actors: Iterable[int]) -> str:
    return ", ".join(f"{actor:02}" for actor in actors)
