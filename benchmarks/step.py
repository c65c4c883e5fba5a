"""Where does the time of a training step go? Its parts by themselves, and what a trainer adds to them.

    python benchmarks/step.py [--compile] [--batch-size 128] [--steps 30] [--set NAME=VALUE] [SPEC…]

A batch is taken from memory, augmented, normalised; the network computes its loss and the gradients, the optimizer
steps. Each part is timed by itself over many steps, with the device waited for before and after; then all of them in a
loop, without waiting in between, and `archspec train` with its logs, callbacks and checkpoints. On a GPU, the number of
kernels and graphs launched in a step of the loop, and how often the host waits for the device, are counted as well: a
step that launches more than the GPU computes is bound by the host.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from cifar import trust, write_data
from sides import now, spec_of

GPU = torch.cuda.is_available()
DEVICE = torch.device("cuda" if GPU else "cpu")


class Parts:
    """The parts of a step, as `archspec train` does them."""

    def __init__(self, name: str, folder: Path, settings: list[str], epochs: int) -> None:
        from trainer.input.loaders import loader
        from trainer.runs.job import prepare
        from trainer.steps.compute import move_to_device, optimize_execution
        from trainer.steps.module import SpecModule
        from trainer.steps.optim import make_optimizer, make_schedule

        spec = spec_of(name, epochs, settings)
        job = prepare(spec, folder)
        self.recipe = job.recipe
        self.module = SpecModule(job.spec.resolved | {"train": job.recipe.to_dict()}).to(DEVICE)
        self.optimizer = make_optimizer(job.recipe, self.module.network)
        self.batches = loader(move_to_device(job.train, DEVICE), job.recipe.batch_size, shuffle_by=42)
        self.schedule = make_schedule(job.recipe, self.optimizer, 10_000, 100)
        optimize_execution(self.module.network, job.recipe, DEVICE)
        self.fetched = self.endless()
        self.images, self.labels = self.fetch()

    def endless(self) -> Any:
        while True:
            yield from self.batches

    def fetch(self) -> Any:
        images, labels = next(self.fetched)
        return images.to(DEVICE), labels.to(DEVICE)

    def augment(self) -> Any:
        return self.module.augmentation(self.images, self.labels)

    def normalize(self) -> Any:
        return self.module.normalize(self.images)

    def autocast(self) -> Any:
        return torch.autocast(DEVICE.type, torch.bfloat16, enabled=self.recipe.precision == "bf16-mixed")

    def loss(self, images: Any, labels: Any) -> Any:
        with self.autocast():
            output = self.module.network(self.module.normalize(images))
            return self.module.loss(output[0] if isinstance(output, tuple) else output, labels)

    def forward_backward(self) -> None:
        self.optimizer.zero_grad()
        self.loss(self.images, self.labels).backward()

    def forward(self) -> None:
        with torch.no_grad():
            self.loss(self.images, self.labels)

    def optimize(self) -> None:
        self.optimizer.step()
        if self.schedule is not None:
            self.schedule.step()

    def optimize_fused(self) -> None:
        """The same by torch's fused kernels, where it has them."""
        if not hasattr(self, "fused"):
            self.fused = make_fused(self.optimizer)
        self.fused.step()

    def augment_compiled(self) -> Any:
        if not hasattr(self, "compiled"):
            torch._inductor.config.fallback_random = True  # the same numbers are drawn
            self.compiled = torch.compile(self.module.augmentation)
        return self.compiled(self.images, self.labels)

    def whole(self) -> None:
        from trainer.steps.seeding import seed_generators, step_seed

        seed_generators(step_seed(42, 0), DEVICE)
        images, labels = self.fetch()
        with self.autocast():
            loss = self.module.training_step((images, labels), 0)
        self.optimizer.zero_grad()
        loss.backward()
        self.optimize()


def make_fused(optimizer: torch.optim.Optimizer) -> torch.optim.Optimizer:
    taken = {
        key: value for key, value in optimizer.defaults.items() if key not in ("foreach", "fused", "differentiable")
    }
    made: torch.optim.Optimizer = type(optimizer)(
        [one for group in optimizer.param_groups for one in group["params"]], **taken, fused=True
    )
    return made


def milliseconds(part: Callable[[], Any], steps: int) -> float:
    """The median time of a part; on a GPU several in a row are one measurement, since it works behind the host."""
    found = []
    for _ in range(3):
        part()
    for _ in range(5):
        began = now()
        for _ in range(steps // 5):
            part()
        found.append((now() - began) / (steps // 5))
    return 1e3 * statistics.median(found)


def trained(name: str, folder: Path, settings: list[str]) -> float:
    """Milliseconds of a step of `archspec train`, validation and checkpoints left out: those of its later epochs."""
    from pytorch_lightning.callbacks import Callback

    from trainer import session
    from trainer.runs.job import prepare

    found: list[float] = []

    class Clock(Callback):
        def on_train_batch_end(self, trainer: Any, module: Any, outputs: Any, batch: Any, index: int) -> None:
            if index == 2:
                self.began = now()
            if index + 1 == trainer.num_training_batches:
                found.append((now() - self.began) / (index - 2))

    make_engine: Any = session.make_engine

    def with_clock(*arguments: Any, **named: Any) -> Any:
        engine = make_engine(*arguments, **named)
        engine.callbacks.append(Clock())
        return engine

    session.make_engine = with_clock
    job = prepare(spec_of(name, 4, settings), folder)
    session.train(job, folder / "runs", session.Options(pictures=False))
    session.make_engine = make_engine
    return 1e3 * statistics.median(found[1:])


def launches(parts: Parts, steps: int = 5) -> tuple[Counter[str], str]:
    """What a step of the loop asks of the driver, by name; and the operations that take the host's time."""
    from torch.profiler import ProfilerActivity, profile

    with profile(activities=[ProfilerActivity.CPU, ProfilerActivity.CUDA]) as profiled:
        for _ in range(steps):
            parts.whole()
        now()
    averages = profiled.key_averages()
    counts = Counter({one.key: round(one.count / steps) for one in averages if one.key.startswith("cuda")})
    top = sorted((one for one in averages if one.self_cpu_time_total), key=lambda one: -one.self_cpu_time_total)[:12]
    told = [f"{one.key[:40]} ×{one.count / steps:.0f} {one.self_cpu_time_total / steps / 1e3:.2f}" for one in top]
    return counts, "; ".join(told)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("specs", nargs="*", metavar="SPEC", default=["resnet"])
    parser.add_argument("--compile", action="store_true")
    parser.add_argument("--more", action="store_true", help="also a fused step, and compiled augmentation")
    parser.add_argument("--batch-size", type=int, default=128)
    parser.add_argument("--steps", type=int, default=30)
    parser.add_argument("--set", action="append", default=[], metavar="NAME=VALUE", help="a setting of the recipe")
    given = parser.parse_args()
    fast = ["train.compile=true", "train.channels_last=true"] if given.compile else []
    settings = [f"train.batch_size={given.batch_size}", *fast, *given.set]
    for name in given.specs:
        with tempfile.TemporaryDirectory() as made:
            folder = Path(made)
            write_data(folder, given.batch_size * given.steps)
            trust(folder)
            parts = Parts(name, folder, settings, 1)
            print(
                f"{name}, batches of {given.batch_size}, {' '.join(settings[1:]) or 'by default'}: ms a step",
                flush=True,
            )
            titles = ["fetch", "augment", "normalize", "forward", "forward_backward", "optimize", "whole"]
            for title in [*titles, *(["optimize_fused", "augment_compiled"] if given.more else [])]:
                print(f"  {title:<18}{milliseconds(getattr(parts, title), given.steps):8.2f}", flush=True)
            print(f"  {'archspec train':<18}{trained(name, folder, settings):8.2f}", flush=True)
            if GPU:  # last: a process that was profiled launches more slowly from then on
                counts, top = launches(parts)
                print("  calls a step: " + ", ".join(f"{key} {count}" for key, count in counts.most_common(8)))
                print(f"  host, ms a step: {top}")
                skips = torch._dynamo.utils.counters["inductor"]
                print("  inductor: " + ", ".join(f"{key} {count}" for key, count in skips.items() if "graph" in key))


if __name__ == "__main__":
    main()
