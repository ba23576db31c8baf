#!/usr/bin/env bash
# After Trainer.fit, the handlers of faulthandler are gone: a stack that was asked for by a signal ends the process.
#
# Guess:    faulthandler.register(SIGUSR1) and faulthandler.enable() hold until they are taken back. A watchdog that asks a
#           training process for its stack gets it before, during and after fit.
# Happens:  Before and during fit it does. After fit, neither SIGUSR1 nor SIGSEGV has a handler any more, though
#           faulthandler.is_enabled() still says True: the first signal ends the process without a stack, and a crash would
#           be as silent. faulthandler.register again changes nothing; unregister and then register helps.
# Cause:    At its end the Trainer sets every signal to the handler that signal.getsignal named at its start. Python's
#           module knows only handlers that were set through it, and names the default action for those of faulthandler.
# Matters:  Whoever looks at hanging jobs by signals kills those that hang after their training, in evaluation or export.
#           pytest's own reports of crashes are off after the first test that fits.
# Versions: lightning 2.6.6, torch 2.13.0, Python 3.11.7 on Linux.
# Date:     2026-11
# Output:
#   lightning 2.6.6
#   before fit: SIGUSR1 handled True, SIGSEGV handled True
#   in fit:     SIGUSR1 handled True, SIGSEGV handled True
#   after fit:  SIGUSR1 handled False, SIGSEGV handled False, is_enabled() True
#   registered again: SIGUSR1 handled False
#   unregistered, then registered: SIGUSR1 handled True, its stack names main: True
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/python -m pip install --quiet --disable-pip-version-check numpy==2.4.6 torch==2.13.0 lightning==2.6.6

cat > check.py <<'PYTHON'
import faulthandler
import logging
import os
import signal
import warnings

import lightning
import lightning.pytorch as pl
import torch

warnings.simplefilter("ignore")
logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)


def handled(number):
    """Return whether this process has a handler of a signal, as the kernel sees it."""
    with open("/proc/self/status") as file:
        mask = next(line.split()[1] for line in file if line.startswith("SigCgt"))
    return bool(int(mask, 16) >> (number - 1) & 1)


class Net(pl.LightningModule):
    def __init__(self):
        super().__init__()
        self.layer = torch.nn.Linear(4, 1)

    def training_step(self, batch, index):
        seen["in fit"] = handled(signal.SIGUSR1), handled(signal.SIGSEGV)
        return self.layer(batch).mean()

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), 0.1)


def main():
    out = open("stack.txt", "w+")
    faulthandler.enable()
    faulthandler.register(signal.SIGUSR1, file=out)
    seen["before fit"] = handled(signal.SIGUSR1), handled(signal.SIGSEGV)
    trainer = pl.Trainer(
        max_epochs=1, accelerator="cpu", logger=False, enable_checkpointing=False, enable_progress_bar=False,
        enable_model_summary=False,
    )
    trainer.fit(Net(), torch.utils.data.DataLoader(torch.ones(8, 4), batch_size=4))
    seen["after fit"] = handled(signal.SIGUSR1), handled(signal.SIGSEGV)

    print("lightning", lightning.__version__)
    for when in ("before fit", "in fit", "after fit"):
        more = f", is_enabled() {faulthandler.is_enabled()}" if when == "after fit" else ""
        print(f"{when + ':':<11} SIGUSR1 handled {seen[when][0]}, SIGSEGV handled {seen[when][1]}{more}")
    faulthandler.register(signal.SIGUSR1, file=out)
    again = handled(signal.SIGUSR1)
    print("registered again: SIGUSR1 handled", again)
    faulthandler.unregister(signal.SIGUSR1)
    faulthandler.register(signal.SIGUSR1, file=out)
    helped = handled(signal.SIGUSR1)
    os.kill(os.getpid(), signal.SIGUSR1)
    out.seek(0)
    named = "in main" in out.read()
    print(f"unregistered, then registered: SIGUSR1 handled {helped}, its stack names main: {named}")
    assert seen == {"before fit": (True, True), "in fit": (True, True), "after fit": (False, False)}
    assert faulthandler.is_enabled() and not again and helped and named


seen = {}
main()
PYTHON
venv/bin/python check.py
