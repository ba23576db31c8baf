"""The parts of `gpu.py`, one in a process: python benchmarks/gpu_parts.py PART ROWS OUT DEVICE QUICK DATA.

A part is a list of rows by name. Each row's figures are appended to the file ROWS as soon as they are there, after a
line that says that the row begins; rows that the file has are left out.
"""

import copy
import json
import logging
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import torch
from torch import Tensor, nn

from bench import catalog
from bench.errors import BenchError
from bench.training import build
from models import ltc, wirings
from models.base import AudioModel
from models.cfc import CfCLayer
from models.layers import closed_form
from models.recipe import Recipe

Row = dict[str, Any]
RATE = 32_000
MODELS: Mapping[str, tuple[str, dict[str, Any]]] = {
    "cnn14": ("cnn14", {}),
    "rann-8x4-6": ("rann", {"t_m": 4, "width": 6}),
}
QUICK_MODELS: Mapping[str, tuple[str, dict[str, Any]]] = {
    "cnn14": ("cnn14", {"scale": 1 / 32}),
    "rann-8x4-6": ("rann", {"t_m": 4, "width": 1, "t_c": 1}),
}


@dataclass(frozen=True)
class Given:
    """The options of the script."""

    out: Path
    device: str
    quick: bool
    data: Path | None

    def wait(self) -> None:
        """Wait until the device has done its work."""
        if self.device == "cuda":
            torch.cuda.synchronize()

    def seconds(self, call: Callable[[], object]) -> float:
        """Return the seconds of a call."""
        self.wait()
        start = time.perf_counter()
        call()
        self.wait()
        return time.perf_counter() - start

    def turns(self, calls: Mapping[str, Callable[[], object]], limit: float) -> tuple[Row, dict[str, list[float]]]:
        """Call two functions in turns, seven or what fits the limit in seconds, at least three; the first ones warm up.

        Returns:
            The ratio of the second's seconds to the first's (median, least, greatest), and all seconds.
        """
        found: dict[str, list[float]] = {name: [] for name in calls}
        for call in calls.values():
            call()
        least, most = (1, 1) if self.quick else (3, 7)
        start = time.perf_counter()
        while len(next(iter(found.values()))) < most:
            if time.perf_counter() - start > limit and len(next(iter(found.values()))) >= least:
                break
            for name, call in calls.items():
                found[name].append(self.seconds(call))
        ours, theirs = (np.array(each) for each in found.values())
        low, ratio, high = (float(value) for value in np.quantile(theirs / ours, (0, 0.5, 1)))
        return {"times as fast": ratio, "least": low, "greatest": high, "turns": len(ours)}, found


def relative(found: Tensor, wanted: Tensor) -> float:
    """Return the norm of the difference as a share of the wanted norm."""
    found, wanted = found.detach().double().cpu(), wanted.detach().double().cpu()
    return float((found - wanted).norm() / wanted.norm().clamp_min(1e-30))


def gradients(layer: nn.Module, x: Tensor, spans: Tensor | None) -> tuple[Tensor, list[Tensor]]:
    """Return a layer's outputs, and the gradients of its input and parameters."""
    layer.zero_grad()
    x = x.clone().requires_grad_()
    y = layer(x, None, spans)[0]
    y.square().sum().backward()
    assert x.grad is not None
    return y, [x.grad, *(p.grad.clone() for p in layer.parameters() if p.grad is not None)]


Found = tuple[Tensor, list[Tensor]]


def judged(found: Found, defined: Found, exact: Found, bound: float = 1e-4) -> Row:
    """Compare a kernel's outputs and gradients with the definition's in float64.

    A gradient that is a small difference of large sums has few digits in any float32, as the one of the capacities in a
    layer that has settled. So the definition in float32 is compared too, and a gradient may be twice as far off as its.
    """

    def slopes(ours: Found) -> list[float]:
        return [relative(a, b) for a, b in zip(ours[1], exact[1], strict=True)]

    row = {
        "outputs": relative(found[0], exact[0]),
        "gradients": max(slopes(found)),
        "of the definition": max(slopes(defined)),
    }
    limits = [max(bound, 2 * one) for one in slopes(defined)]
    holds = row["outputs"] <= bound and all(a <= b for a, b in zip(slopes(found), limits, strict=True))
    return row | {"bound": bound, "holds": holds}


def liquid(given: Given, wiring: wirings.Wiring, inputs: int, frames: int, with_spans: bool) -> Row:
    """Compare the kernel of the liquid layer with its definition."""
    module = ltc.kernels(given.device)
    if module is None:
        raise BenchError("triton is not installed" if given.device == "cuda" else "numba is not installed")
    torch.manual_seed(0)
    layer = ltc.LTCLayer(inputs, wiring).to(given.device)
    x = torch.randn(8, frames, inputs, device=given.device)
    if ltc._kernels(x.transpose(0, 1), wiring.units) is None:
        raise BenchError("the kernel does not take these sizes")
    spans = 0.1 + torch.rand(8, frames, device=given.device) if with_spans else None
    found = gradients(layer, x, spans)
    with mock.patch.object(ltc, "_kernels", return_value=None):
        defined = gradients(copy.deepcopy(layer), x, spans)
        exact = gradients(copy.deepcopy(layer).double(), x.double(), None if spans is None else spans.double())
    return {"kernel": module.__name__.rpartition(".")[2], **judged(found, defined, exact)}


def closed(given: Given, mode: str, frames: int) -> Row:
    """Compare the closed-form layer as one operation with its definition."""
    torch.manual_seed(0)
    layer = CfCLayer(64, 64, mode=mode).to(given.device)
    x = torch.randn(8, frames, 64, device=given.device)
    exact = gradients(copy.deepcopy(layer).double(), x.double(), None)
    defined = gradients(copy.deepcopy(layer), x, None)
    if not closed_form.enter(layer):
        raise BenchError("the layer does not become one operation")
    return {"kernel": "closed_form", **judged(gradients(layer, x, None), defined, exact)}


def kernels(given: Given) -> dict[str, Callable[[], Row]]:
    """Compare kernels with their definitions."""
    frames = 4 if given.quick else 50
    cases: dict[str, tuple[wirings.Wiring, int]] = {
        "FullyConnected(20), 7 inputs": (wirings.FullyConnected(20), 7),
        "FullyConnected(64), 64 inputs": (wirings.FullyConnected(64), 64),
        "AutoNCP(100, 10), 64 inputs": (wirings.AutoNCP(100, 10), 64),
        "FullyConnected(128), 128 inputs": (wirings.FullyConnected(128), 128),
    }
    found: dict[str, Callable[[], Row]] = {}
    for name, (wiring, inputs) in list(cases.items())[: 1 if given.quick else None]:
        found[f"LTC, {name}"] = partial(liquid, given, wiring, inputs, frames, False)
        found[f"LTC, {name}, time spans"] = partial(liquid, given, wiring, inputs, frames, True)
    for mode in ("default", "no_gate"):
        found[f"CfC(64), {mode}"] = partial(closed, given, mode, frames)
    return found


def against_ncps(given: Given, name: str, arguments: tuple[int, ...], frames: int, what: str) -> Row:
    """Time the liquid layer and that of ncps."""
    from ltc import BATCH, INPUTS, both, forward, layers  # type: ignore[attr-defined]

    theirs, ours = (layer.to(given.device) for layer in layers(name, arguments))
    call = forward if what == "forward" else both
    x = torch.randn(BATCH, frames, INPUTS, device=given.device)
    ratio, taken = given.turns({"here": partial(call, ours, x), "ncps": partial(call, theirs, x)}, 4)
    return {f"{key} ms": 1e3 * float(np.median(times)) for key, times in taken.items()} | ratio


def liquid_speed(given: Given) -> dict[str, Callable[[], Row]]:
    """Time liquid layers."""
    return {
        f"{name}{arguments}, {frames} frames, {what}": partial(against_ncps, given, name, arguments, frames, what)
        for name, arguments in (("FullyConnected", (64,)), ("AutoNCP", (64, 10)))[: 1 if given.quick else 2]
        for frames in ((4,) if given.quick else (100, 500))
        for what in ("forward", "forward + backward")
    }


def frontend(given: Given, name: str) -> Row:
    """Compare a front-end on the device with one on the processor, and time both."""
    entry = catalog.frontend(name)
    torch.manual_seed(0)
    own = catalog.load(entry.target)(RATE, **entry.arguments).eval()
    clips, seconds = (2, 1) if given.quick else (32, 5)
    t = torch.arange(seconds * RATE) / RATE
    x = 0.2 * torch.randn(clips, len(t)) * torch.exp(-t) + 0.3 * torch.sin(2 * torch.pi * 440 * t)
    moved, there = copy.deepcopy(own).to(given.device), x.to(given.device)
    with torch.inference_mode():
        wanted, found = own(x), moved(there).cpu()
        ratio, taken = given.turns({"device": lambda: moved(there), "processor": lambda: own(x)}, 1)
    return {
        "greatest difference": float((found - wanted).abs().max()), "relative": relative(found, wanted),
        "device ms": 1e3 * float(np.median(taken["device"])),
        "processor ms": 1e3 * float(np.median(taken["processor"])),
        "audio s/s": clips * seconds / float(np.median(taken["device"])), **ratio,
    }  # fmt: skip


def frontends(given: Given) -> dict[str, Callable[[], Row]]:
    """Compare all front-ends of the catalogue."""
    names = [name for name in catalog.FRONTENDS if name not in ("none", "waveform")]
    return {name: partial(frontend, given, name) for name in (["logmel-panns", "mfcc"] if given.quick else names)}


def timed(given: Given, name: str, arguments: dict[str, Any]) -> Row:
    """Time a model of the catalogue on one clip."""
    from bench.profiling import measure

    torch.manual_seed(0)
    model, shape, length = build.untrained(name, 10, 1.0 if given.quick else None, RATE, None, None, arguments)
    x = 2 * torch.rand(1, *shape) - 1
    with torch.inference_mode():
        logits = model.eval()(x).clone()
    tier = measure.Tier(warm_seconds=0.05, warm_limit_seconds=0.5, seconds=0.2, limit_seconds=1.5, warm_group=3,
                        warm_grows=True)  # fmt: skip
    sentinel = measure.Sentinel(given.device, 0.1)
    timings, refused = [], {}
    for backend, scope in (
        ("eager", "end-to-end"), ("eager", "model"), ("cuda-graphs", "model"), ("cuda-graphs-bf16", "model")
    ):  # fmt: skip
        try:
            timings.append(measure.measure_latency(
                model, x, length, device=given.device, scope=scope, tier=tier, backend_name=backend,  # type: ignore[arg-type]
                logits=logits, sentinel=sentinel,
            ))  # fmt: skip
        except (BenchError, RuntimeError) as error:
            if "CUDA error" in str(error):  # the process has no GPU any more
                raise
            refused[backend] = str(error).partition("\n")[0]
    sentinel.end()
    graded = [asdict(sentinel.judged(one)) for one in timings]
    return {"model": name, "clip_seconds": length, "timings": graded, "not_timed": refused}


def latency(given: Given) -> dict[str, Callable[[], Row]]:
    """Time all models of the catalogue."""
    names = ["fc", "cnn"] if given.quick else [name for name in catalog.MODELS if name != "rann"]
    found: dict[str, Callable[[], Row]] = {name: partial(timed, given, name, {}) for name in names}
    if not given.quick:
        found |= {name: partial(_named, given, name) for name in MODELS if name not in names}
    return found


def _named(given: Given, name: str) -> Row:
    return timed(given, *MODELS[name]) | {"model": name}


def trained(given: Given, name: str, precision: str, clips: int = 32) -> Row:
    """Train a model through Lightning, and in a plain loop, in turns; with half the clips where memory is short."""
    try:
        return _trained(given, name, precision, 2 if given.quick else clips)
    except torch.OutOfMemoryError:
        torch.cuda.empty_cache()
        if clips < 4:
            raise
    return trained(given, name, precision, clips // 2)


def _trained(given: Given, name: str, precision: str, clips: int) -> Row:
    known, arguments = (QUICK_MODELS if given.quick else MODELS)[name]
    steps, samples = (4, RATE) if given.quick else (12, 10 * RATE)
    torch.manual_seed(0)
    entry = catalog.model(known)
    theirs = "logmel-torchlibrosa" if known == "cnn14" else entry.frontend
    ours, plain = (
        build.sized(known, front, {**entry.arguments, **arguments}, (samples,), RATE, 10)
        for front in (entry.frontend, theirs)
    )
    plain.to(given.device)
    x = [0.1 * torch.randn(clips, samples) for _ in range(2)]
    batches = [(x[i % 2], torch.randint(10, (clips,))) for i in range(steps)]
    if given.device == "cuda":
        batches = [(a.pin_memory(), b.pin_memory()) for a, b in batches]
    taken: dict[str, list[float]] = {"here": [], "plain loop": []}
    start = time.perf_counter()
    for turn in range(2 if given.quick else 8):
        for key, found in (("here", through_lightning(given, ours, batches, precision)),
                           ("plain loop", bare(given, plain, batches, precision))):  # fmt: skip
            taken[key] += [found] if turn else []  # the first ones warm up
        if turn >= 3 and time.perf_counter() - start > 18:
            break
    rates = {f"{key} clips/s": clips / float(np.median(each)) for key, each in taken.items()}
    low, ratio, high = np.quantile(np.array(taken["plain loop"]) / taken["here"], (0, 0.5, 1))
    counts = {"clips a step": clips, "turns": len(taken["here"])}
    return {**rates, "times as fast": float(ratio), "least": float(low), "greatest": float(high), **counts}


def through_lightning(given: Given, model: AudioModel, batches: list[Any], precision: str) -> float:
    """Return the seconds of a step through Lightning, front-end included."""
    import lightning.pytorch as pl

    class Clock(pl.Callback):
        ends: list[float]

        def on_train_batch_end(self, *args: Any) -> None:
            if args[-1] in (1, len(batches) - 1):
                given.wait()
                self.ends.append(time.perf_counter())

    clock = Clock()
    clock.ends = []
    layout = "contiguous" if precision == "32-true" else "channels-last"
    model.recipe = Recipe(epochs=1, batch_size=len(batches[0][0]), memory_format=layout)  # type: ignore[arg-type]
    trainer = pl.Trainer(
        accelerator="gpu" if given.device == "cuda" else "cpu", devices=1, max_epochs=1, precision=precision,  # type: ignore[arg-type]
        callbacks=[clock], logger=False, enable_progress_bar=False, enable_model_summary=False,
        enable_checkpointing=False,
    )  # fmt: skip
    trainer.fit(model, torch.utils.data.DataLoader(batches, batch_size=None))  # type: ignore[arg-type]
    return (clock.ends[1] - clock.ends[0]) / (len(batches) - 2)


def bare(given: Given, model: AudioModel, batches: list[Any], precision: str) -> float:
    """Return the seconds of a step in a loop as PANNs' own: features on the device, Adam, no clipping, no logging."""
    model.train()
    optimizer = torch.optim.Adam(model.parameters(), 1e-3, amsgrad=True)
    start = 0.0
    for i, (x, target) in enumerate(batches):
        x, target = x.to(given.device), target.to(given.device)
        features = model.frontend(x)
        with torch.autocast(given.device, torch.bfloat16, enabled=precision != "32-true"):
            loss = nn.functional.cross_entropy(model.classify(features), target)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if i == 1:
            given.wait()
            start = time.perf_counter()
    given.wait()
    return (time.perf_counter() - start) / (len(batches) - 2)


def training(given: Given) -> dict[str, Callable[[], Row]]:
    """Time trainings."""
    return {
        f"{name}, {precision}": partial(trained, given, name, precision)
        for precision in ("32-true", "bf16-mixed")[: 1 if given.quick else 2]
        for name in list(MODELS)[: 1 if given.quick else 2]
    }


def fold(given: Given, name: str, epochs: int) -> Row:
    """Train and score a model on the first fold of ESC-10, as `bench run` does; its record is kept."""
    import bench

    known, arguments = (QUICK_MODELS if given.quick else MODELS)[name]
    dataset = "synthetic" if given.quick else "esc10"
    if dataset == "esc10" and (given.data is None or not (given.data / "esc10").is_dir()):
        raise BenchError("needs --data-dir with esc10/")
    lines = [
        f'models = ["{name}"]', f'datasets = ["{dataset}"]', f'[model."{name}"]', f'model = "{known}"',
        *(f"{key} = {value}" for key, value in arguments.items()), f'[model."{name}".recipe]',
        f'like = "{"panns" if known == "cnn14" else "rann"}"', f"epochs = {epochs}", 'precision = "auto"',
        "batch_size = 16",
    ]  # fmt: skip
    lines += ["[dataset.synthetic]", "clips_per_class = 10"] if given.quick else []
    with tempfile.TemporaryDirectory() as folder:
        suite = Path(folder) / "gpu.toml"
        suite.write_text("\n".join(lines) + "\n", encoding="utf-8")
        results = bench.run(
            suite, folds=[0] if dataset == "esc10" else [], store=Path(folder) / "runs", data_dir=given.data,
            device=given.device, executor="serial", timing=False, quiet=True,  # type: ignore[arg-type]
        )  # fmt: skip
        (key, record), *_ = results.records.items() or [("", None)]
        if record is None or results.failed or not record.scores:
            raise BenchError("; ".join(map(str, results.failed.values())) or "the run has no record")
        (given.out / "records").mkdir(exist_ok=True)
        (given.out / "records" / f"{key}.json").write_text(record.to_json(), encoding="utf-8")
    low, high = record.intervals["accuracy"]
    accuracy = f"{100 * record.scores['accuracy']:.1f} [{100 * low:.1f}, {100 * high:.1f}]"
    return {"epochs": epochs, "accuracy, %": accuracy, "training, s": record.seconds["train"]}


def esc10(given: Given) -> dict[str, Callable[[], Row]]:
    """Train on a fold of ESC-10."""
    return {
        name: partial(fold, given, name, 1 if given.quick else 30) for name in list(MODELS)[: 1 if given.quick else 2]
    }


PARTS = {
    "kernels": kernels, "ltc": liquid_speed, "frontends": frontends, "latency": latency, "training": training,
    "esc10": esc10,
}  # fmt: skip


def main() -> None:
    """Measure the rows of a part that its file does not have."""
    name, rows, out, device, quick, data = sys.argv[1:]
    given = Given(Path(out), device, quick == "1", Path(data) if data else None)
    if device == "cuda" and not torch.cuda.is_available():
        raise SystemExit("needs a GPU: torch sees none here")
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    path = Path(rows)
    there = {json.loads(line).get("name") for line in path.read_text().splitlines()} if path.exists() else set()
    for title, measure in PARTS[name](given).items():
        if title in there:
            continue
        with path.open("a", encoding="utf-8") as file:
            file.write(json.dumps({"begins": title}) + "\n")
            file.flush()
            broken = False
            try:
                row = {"name": title, **measure()}
            except Exception as error:
                first = str(error).strip().partition("\n")[0]
                row = {"name": title, "error": f"{type(error).__name__}: {first}"[:300]}
                broken = "CUDA error" in str(error)  # nothing more runs in this process
            file.write(json.dumps(row) + "\n")
        if broken:
            raise SystemExit(row["error"])


if __name__ == "__main__":
    main()
