"""The exponential moving average of a model's weights, as a callback of Lightning's Trainer."""

from typing import Any

import lightning.pytorch as pl
from lightning.pytorch.callbacks import EMAWeightAveraging


class EMA(EMAWeightAveraging):
    """Average the weights, validate and save the average in place of the weights, and keep the average at the end.

    Some things differ from Lightning's callback (version 2.6.6), whose average also covers buffers:

    * Buffers are copied. Batch normalisation's statistics are averages already: an average of them describes weights
      that are long gone. Windows, filters and index tables are constants, which an average rounds. A module may create
      buffers in its steps.
    * After `fit`, the callback changes nothing. Lightning's `test(ckpt_path="best")` puts the weights of the last step
      in the place of the average that was validated.
    * `AudioModel` writes the average into checkpoints of weights only (`ModelCheckpoint(save_weights_only=True)`), too.

    Args:
        decay: share of the old average that each step keeps.
    """

    def __init__(self, decay: float) -> None:
        super().__init__(decay=decay, use_buffers=False)

    def on_train_batch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule, *args: Any) -> None:
        """Average the step, after the average has the same buffers: a module may create or remove one in a step."""
        if self._average_model is not None:
            for own, average in zip(pl_module.modules(), self._average_model.module.modules(), strict=True):
                for name, value in own._buffers.items():
                    other = average._buffers.get(name)
                    if value is None or other is None or value.shape != other.shape:
                        average._buffers[name] = None if value is None else value.detach().clone()
        super().on_train_batch_end(trainer, pl_module, *args)

    def averaged(self) -> dict[str, Any] | None:
        """Return the state of the averaged model; None outside `fit`."""
        if self._average_model is None:
            return None
        return self._average_model.module.state_dict()

    def on_load_checkpoint(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Restore the average when a training is continued; elsewhere the checkpoint's `state_dict` is the average."""
        if self._average_model is not None:
            super().on_load_checkpoint(trainer, pl_module, checkpoint)

    def teardown(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Forget the average, which the model has now."""
        self._average_model = None
