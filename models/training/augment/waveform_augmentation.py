"""The waveform augmentations of a recipe, applied before the front-end."""

from collections.abc import Callable

from torch import Tensor

from models.recipe import Recipe
from models.training.augment import noise, speed, waveform
from models.training.augment.chance import replace_at_random


class WaveformAugmentation:
    """Shift, crop, speed, tempo, pitch, gain, noise and background, in this order: `(B, S)` to `(B, S)`.

    Args:
        recipe: sets the strength of each.
        background: the noises of the recipe's `background`; None if it has none.
    """

    def __init__(self, recipe: Recipe, background: noise.Background | None = None) -> None:
        r = recipe
        self.steps: list[Callable[[Tensor], Tensor]] = []
        self.share = r.augmented
        if r.waveform_shift > 0:
            self.steps.append(lambda x: waveform.shift(x, r.waveform_shift))
        if r.waveform_crop < 1:
            self.steps.append(lambda x: waveform.crop(x, r.waveform_crop, keep_length=True))
        if r.speed > 0:
            self.steps.append(lambda x: self._replace(x, speed.random_speed(x, r.speed)))
        if r.tempo > 0:
            self.steps.append(lambda x: self._replace(x, speed.random_time_stretch(x, r.tempo)))
        if r.pitch_semitones > 0:
            self.steps.append(lambda x: self._replace(x, speed.random_pitch_shift(x, r.pitch_semitones)))
        if r.gain_db > 0:
            self.steps.append(lambda x: waveform.gain(x, r.gain_db))
        if snr := r.noise_snr_db:
            self.steps.append(lambda x: self._replace(x, noise.noise(x, *snr)))
        if background is not None:
            self.steps.append(lambda x: self._replace(x, noise.background(x, background, *r.background_snr_db)))

    def __call__(self, x: Tensor) -> Tensor:
        """Augment a batch of waveforms."""
        for step in self.steps:
            x = step(x)
        return x

    def _replace(self, clips: Tensor, changed: Tensor) -> Tensor:
        return replace_at_random(clips, changed, self.share) if self.share < 1 else changed
