"""Augmentation of a batch on its device, in the training step.

`waveform`, `speed` and `noise` work on waveforms `(B, S)` before the front-end, `features` on `(B, F, T)` after it, and
`mixing` on both. Each clip of a batch has its own random parameters. Random numbers come from torch's global generator
of the batch's device; the weights of mixup and the positions in background noise come from the CPU's generator. The
training step runs in the main process, so the number of data workers changes nothing, and on one machine the same seed
gives the same batches (bit for bit on a CPU). Nothing keeps state from one batch to the next.
"""

from models.training.augment.features import augment
from models.training.augment.mixing import between_class, mixup

__all__ = ["augment", "between_class", "mixup"]
