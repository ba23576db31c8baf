"""Lightning's command line for this project: `python -m bench.lightning fit --model SwishNet --data ESC50 ...`.

The model is sized by the data, so its front-end, features, frames and classes are not asked for. The harness has no
part in this: any Trainer option, logger and callback works, and no record is written.
"""

import csv
import importlib
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import torch
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.cli import LightningArgumentParser, LightningCLI

from bench import catalog, shadows
from bench.errors import ArgumentError, BenchError, SuiteError
from bench.extras import install
from bench.runner.settings import data_folder
from datamodules.base import AudioDataModule, DataError
from datamodules.foreign import ForeignData
from models.base import AudioModel, ModelError
from models.errors import TrainingError
from models.recipe import Recipe

PROGRAM = "python -m bench.lightning"

SIZES = ("frontend", "features", "frames", "classes")
"""Constructor arguments of every model that the data and the front-end give."""

OF_THE_TRAINER = ("epochs", "batch_size", "precision", "balanced", "init", "teacher")
"""Fields of a recipe that are the Trainer's or the data's here, or that need the harness's store."""


class BenchCLI(LightningCLI):
    """Lightning's command line with a recipe, a front-end by name, and a model that is sized by the data.

    Args:
        arguments: of the command line.
    """

    def __init__(self, arguments: Sequence[str]) -> None:
        self._arguments = list(translated(arguments))
        super().__init__(
            seed_everything_default=0, auto_configure_optimizers=False, load_from_checkpoint_support=False,
            parser_kwargs={"prog": PROGRAM},
        )  # fmt: skip

    def parse_arguments(self, parser: LightningArgumentParser, args: Any) -> None:
        """Parse this object's arguments, in which names of the catalogue are classes."""
        self.config = parser.parse_args(self._arguments)

    def _parse_ckpt_path(self) -> None:
        """Leave the names in a checkpoint alone: none of them may lead to an import."""

    def add_core_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        """Add the options of Trainer, model and data."""
        parser.add_lightning_class_args(pl.Trainer, "trainer")
        parser.add_subclass_arguments(AudioModel, "model", skip=set(SIZES), required=True, instantiate=False)
        parser.add_subclass_arguments(pl.LightningDataModule, "data", required=True)

    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        """Add the options of recipe, front-end and checkpoints."""
        parser.add_class_arguments(Recipe, "recipe", skip=set(OF_THE_TRAINER))
        parser.add_argument("--frontend", type=str | None, default=None, help="Of `bench list frontends`.")
        parser.add_lightning_class_args(ModelCheckpoint, "checkpoint")
        parser.set_defaults({"checkpoint.monitor": "val_score", "checkpoint.mode": "max"})

    def instantiate_classes(self) -> None:
        """Build the data, then the model that fits them, or the checkpoint's model, then the Trainer.

        Raises:
            BenchError: the command needs a checkpoint, or the checkpoint's model does not fit the data.
        """
        self.config_init = self.parser.instantiate(self.config)
        given = self._get(self.config_init, "data")
        self.datamodule = given if isinstance(given, AudioDataModule) else ForeignData(given)
        chosen = self._get(self.config_init, "model")
        kind: type[AudioModel] = _imported(chosen["class_path"])
        if self.subcommand == "fit":
            self.model = self._new_model(kind, chosen.get("init_args") or {})
        else:
            self.model = self._trained_model(kind)
        self.trainer = self.instantiate_trainer()

    def _new_model(self, kind: type[AudioModel], arguments: Mapping[str, Any]) -> AudioModel:
        name = self._get(self.config_init, "frontend")
        frontend = None
        if name is not None:
            entry = catalog.frontend(name)

            def frontend(sample_rate: int) -> Any:
                return catalog.load(entry.target)(sample_rate, **entry.arguments)

        recipe = self._get(self.config_init, "recipe")
        own = {name: value for name, value in dict(arguments).items() if name not in SIZES}
        self.datamodule.prepare_data()
        return kind.for_data(self.datamodule, frontend=frontend, recipe=recipe, **own)

    def _trained_model(self, kind: type[AudioModel]) -> AudioModel:
        path = self._get(self.config_init, "ckpt_path")
        if path is None or not Path(path).is_file():
            what = "needs the checkpoint of a training" if path is None else f"finds no checkpoint {path}"
            raise BenchError(f"{self.subcommand} {what}: give --ckpt_path lightning_logs/.../checkpoints/....ckpt")
        model = kind.load_from_checkpoint(path, map_location="cpu", weights_only=True)
        self.datamodule.prepare_data()
        self.datamodule.setup("test")
        for what, trained, here in (
            ("classes", model.labels, tuple(self.datamodule.classes)),
            ("sample rate", model.sample_rate, self.datamodule.sample_rate),
        ):
            if trained != here:
                raise BenchError(f"the checkpoint's {what} are {trained}, the data's {here}: give the data of training")
        return model

    def predict(self, model: AudioModel, datamodule: AudioDataModule, **options: Any) -> None:
        """Write each test clip's probabilities to predictions.csv in the folder of the logs."""
        options["return_predictions"] = True
        predicted = torch.cat(self.trainer.predict(model, datamodule=datamodule, **options))  # type: ignore[arg-type]
        path = Path(self.trainer.log_dir or ".") / "predictions.csv"
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("w", newline="", encoding="utf-8") as file:
            table = csv.writer(file)
            table.writerow(["clip", *datamodule.classes])
            for clip, row in zip(datamodule.splits.test.ids, predicted.tolist(), strict=True):
                table.writerow([clip, *(f"{value:.9g}" for value in row)])
        sys.stdout.write(f"predictions: {path}\n")


def translated(arguments: Sequence[str]) -> Iterator[str]:
    """Yield arguments in which names of the catalogue, and classes of it, are full paths of classes.

    A name's own arguments, and the folder of a dataset, follow it, so that later arguments replace them.

    Raises:
        SuiteError: a name is none of the catalogue, and no class.
    """
    rest = iter(arguments)
    for argument in rest:
        option, equals, value = argument.partition("=")
        if option not in ("--model", "--data"):
            yield argument
            continue
        if not equals:
            value = next(rest, "")
        kind = option.removeprefix("--")
        target, own = _named(kind, value)
        yield from (option, target)
        for name, one in own.items():
            yield f"{option}.{name}={one}"


def _named(kind: str, name: str) -> tuple[str, Mapping[str, Any]]:
    """Return path and arguments of the class that a name stands for; a path as it is."""
    table = catalog.MODELS if kind == "model" else catalog.DATASETS
    targets = [table[each].target for each in table]
    if found := next((target for target in targets if target.rpartition(":")[2] == name), None):
        return found.replace(":", "."), {}
    if "." in name:  # a class of any package, or a file of arguments
        path = name.replace(":", ".")
        _check_class(kind, path)
        return path, {}
    if kind == "model":
        model = catalog.model(name)
        return model.target.replace(":", "."), dict(model.arguments)
    dataset = catalog.dataset(name)
    folder = {} if dataset.folder is None else {"root": catalog.place(name, data_folder(None))}
    return dataset.target.replace(":", "."), folder


def _check_class(kind: str, path: str) -> None:
    """Check that a path leads to a class that this command line takes, where it leads to a class at all.

    Raises:
        SuiteError: the class is of another kind; the message says what does take it.
    """
    module, _, name = path.rpartition(".")
    try:
        found = getattr(importlib.import_module(module), name, None)
    except Exception:  # of any code: the parser says what it looked for
        return
    if not isinstance(found, type):
        return
    if kind == "data" and not issubclass(found, pl.LightningDataModule):
        raise SuiteError(f"--data {path} is no LightningDataModule: give one, or wrap its loaders in one")
    if kind == "model" and not issubclass(found, AudioModel):
        what = "a LightningModule" if issubclass(found, pl.LightningModule) else "a class"
        raise SuiteError(
            f"--model {path} is {what}, but no models.base.AudioModel, which this command line sizes by the data. "
            f'Train it with `bench run` and `model = "{module}:{name}"` in a suite (docs/your-model.md), or with a '
            f"LightningCLI or a Trainer of your own"
        )


def _imported(path: str) -> Any:
    """Return a class that the parser has imported already."""
    module, _, name = path.rpartition(".")
    return getattr(sys.modules[module], name)


def _import_all() -> None:
    """Import the classes of the catalogue, which the parser then finds by their names alone."""
    for target in [one.target for one in catalog.MODELS.values()] + [one.target for one in catalog.DATASETS.values()]:
        catalog.load(target)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run Lightning's command line; a known error is one line and exit code 1, or 2 where the call itself is wrong.

    Args:
        arguments: None takes those of the process.
    """
    try:
        shadows.check()
        try:
            import jsonargparse  # noqa: F401
        except ImportError:
            raise BenchError(f"Lightning's command line needs the package jsonargparse: {install('cli')}") from None
        _import_all()
        BenchCLI(sys.argv[1:] if arguments is None else arguments)
    except (BenchError, DataError, ModelError, TrainingError) as error:
        sys.stderr.write(f"error: {error}\n")
        sys.exit(2 if isinstance(error, (SuiteError, ArgumentError)) else 1)


if __name__ == "__main__":
    main()
