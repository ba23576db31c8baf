#!/usr/bin/env bash
# Lightning's trainer.predict and trainer.test read different clips from the same DataLoader.
#
# Guess:    Given one DataLoader with drop_last=True, trainer.test scores and trainer.predict returns the same clips.
# Happens:  test follows the loader and leaves the incomplete last batch out; predict replaces the loader's batch
#           sampler by one with drop_last=False and returns every clip. A user's own subclass of BatchSampler is replaced as
#           well: it is constructed again with drop_last=False. There is no warning.
#           Of ten clips in batches of four, test scores eight and predict returns ten.
# Cause:    _dataloader_init_kwargs_resolve_sampler in lightning/pytorch/utilities/data.py constructs the sampler again
#           for predicting, with its saved arguments and drop_last=False.
# Matters:  An accuracy computed from the saved predictions is not the accuracy that test has logged, although model,
#           data and loader are the same. If the clips are sorted by class, the last classes make the whole difference:
#           here test's accuracy is 1.0 and that of the predictions is 0.8.
# Versions: lightning 2.6.6, torch 2.13.0, numpy 2.4.6, Python 3.11.7.
# Date:     2026-11
# Output:
#   lightning 2.6.6 torch 2.13.0+cpu
#   drop_last=True: accuracy by test 1.0, of predict's answers 0.8; clips of the loader 8, of predict 10
#   own batch sampler: accuracy by test 1.0, of predict's answers 0.8; clips of the loader 8, of predict 10
#   warnings about drop_last: 0
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/python -m pip install --quiet --disable-pip-version-check numpy==2.4.6 torch==2.13.0 lightning==2.6.6

cat > check.py <<'PYTHON'
import logging
import warnings

logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
import lightning
import torch
from torch.utils.data import BatchSampler, DataLoader, SequentialSampler, TensorDataset

torch.set_num_threads(1)


class AlwaysZero(lightning.LightningModule):
    """A classifier that answers class 0 for every clip."""

    def test_step(self, batch, index):
        (target,) = batch
        self.log("accuracy", (target == 0).float().mean(), batch_size=len(target))

    def predict_step(self, batch, index):
        (target,) = batch
        return torch.zeros_like(target), target


class Backwards(BatchSampler):
    """Gives each batch in reverse order."""

    def __iter__(self):
        for batch in super().__iter__():
            yield batch[::-1]


def accuracies(loader):
    """Return test's accuracy, the accuracy of predict's answers, and the clips that the loader and predict give."""
    quiet = dict(logger=False, enable_checkpointing=False, enable_progress_bar=False, enable_model_summary=False)
    trainer = lightning.Trainer(accelerator="cpu", devices=1, **quiet)
    model = AlwaysZero()
    (tested,) = trainer.test(model, loader, verbose=False)
    predicted, target = (torch.cat(parts) for parts in zip(*trainer.predict(model, loader)))
    clips = sum(len(batch[0]) for batch in loader)
    return round(tested["accuracy"], 3), round((predicted == target).float().mean().item(), 3), clips, len(target)


clips = TensorDataset(torch.tensor([0, 0, 0, 0, 0, 0, 0, 0, 1, 1]))
with warnings.catch_warnings(record=True) as raised:
    warnings.simplefilter("always")
    plain = accuracies(DataLoader(clips, batch_size=4, drop_last=True))
    own = accuracies(DataLoader(clips, batch_sampler=Backwards(SequentialSampler(clips), 4, True)))
about = [str(w.message) for w in raised if "drop_last" in str(w.message)]
print("lightning", lightning.__version__, "torch", torch.__version__)
for name, found in (("drop_last=True", plain), ("own batch sampler", own)):
    by_test, by_predict, loaded, predicted = found
    print(f"{name}: accuracy by test {by_test}, of predict's answers {by_predict}", end="; ")
    print(f"clips of the loader {loaded}, of predict {predicted}")
print(f"warnings about drop_last: {len(about)}")
assert plain == own == (1.0, 0.8, 8, 10)
assert not about
PYTHON
venv/bin/python check.py
