# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""The training loop: steps, logs, validations and checkpoints until the schedule ends."""

import copy
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from tqdm import tqdm

from seg_node.models.rcnn.model import RCNNModel
from seg_node.training.checkpoint import State, restore_state, save_state
from seg_node.training.csv_log import LOSSES_FILE, VALIDATION_FILE, append_row, forget_after
from seg_node.training.examples import Batch, Examples, batches
from seg_node.training.export import export_model
from seg_node.training.interruption import interruption
from seg_node.training.losses import Losses
from seg_node.training.network import freeze_first_layers
from seg_node.training.plot import plot_training
from seg_node.training.schedule import Schedule, learning_rate
from seg_node.training.validate import Validation, validate

MODEL_FILE = "model.safetensors"
BODY_RATE = 0.3  # of the learning rate, for layers pretrained on ImageNet
WEIGHT_DECAY = 1e-4
MAX_GRADIENT = 10.0
SAVE_SECONDS = 180.0
LOG_STEPS = 10


@dataclass(frozen=True)
class Settings:
    """Settings of a training.

    rate: peak learning rate. validations: their number, evenly spread over the training.
    fixed: values that must be the same when the training resumes.
    """

    schedule: Schedule
    batch: int
    rate: float
    seed: int
    workers: int
    device: torch.device
    validations: int
    fixed: Mapping[str, Any]


class Training:
    """The training of one model in one folder."""

    def __init__(
        self, model: RCNNModel, settings: Settings, validation: Sequence[Validation], folder: Path
    ) -> None:
        self._model, self._settings, self._validation, self._folder = model, settings, validation, folder
        network = model.network.to(settings.device)
        if settings.device.type == "cpu":
            network.to(memory_format=torch.channels_last)  # a third faster
        freeze_first_layers(network)
        self._losses = Losses(network)
        mean = {name: value.detach().clone() for name, value in network.state_dict().items()}
        self._state = State(network, _optimizer(network, settings.rate), mean)
        if restore_state(self._state, settings.fixed, folder):
            print(f"resuming from step {self._state.step} in {folder}")
            for file in (LOSSES_FILE, VALIDATION_FILE):
                forget_after(folder / file, self._state.step)

    def run(self, examples: Examples) -> None:
        """Train to the schedule's end, then write the last validation, plot and weights file.

        Raises KeyboardInterrupt when interrupted, ValueError when a picture cannot be read; the state to
        resume from is saved in both cases.
        """
        state, settings = self._state, self._settings
        stream = batches(examples, self._model.input_spec, settings.batch, state.step, settings.workers)
        with interruption() as interrupted:
            try:
                self._run(stream, interrupted)
            finally:
                save_state(state, settings.fixed, self._folder)
            if interrupted():
                print(f"stopped at step {state.step}; run the same command to resume")
                raise KeyboardInterrupt
        self._report(last=True)

    def _run(self, stream: Iterator[Batch], interrupted: Callable[[], bool]) -> None:
        state, settings = self._state, self._settings
        started = time.monotonic() - state.seconds
        saved = state.seconds
        recent: list[dict[str, float]] = []
        with tqdm(unit="step", initial=state.step, total=settings.schedule.steps, disable=None) as bar:
            while (done := settings.schedule.done(state.step, state.seconds)) < 1 and not interrupted():
                rate = learning_rate(settings.rate, state.step, done)
                recent.append(self._step(next(stream), rate))
                state.seconds = time.monotonic() - started
                bar.update()
                if state.step % LOG_STEPS == 0:
                    means = {name: sum(row[name] for row in recent) / len(recent) for name in recent[0]}
                    row = {"step": state.step, "seconds": state.seconds, "rate": rate, **means}
                    append_row(self._folder / LOSSES_FILE, row)
                    bar.set_postfix_str(f"loss {means['loss']:.3f}")
                    recent.clear()
                after = settings.schedule.done(state.step, state.seconds)
                if after < 1 and int(after * settings.validations) > int(done * settings.validations):
                    self._report(last=False)
                    started = time.monotonic() - state.seconds  # time of validation does not count
                if state.seconds - saved > SAVE_SECONDS:
                    save_state(state, settings.fixed, self._folder)
                    saved = state.seconds

    def _step(self, batch: Batch, rate: float) -> dict[str, float]:
        """Run one update; return the losses. Raises RuntimeError when their sum is not finite."""
        state, device = self._state, self._settings.device
        # sampling is random: repeat a step identically after an interruption
        torch.manual_seed(self._settings.seed * 1_000_003 + state.step)
        for group in state.optimizer.param_groups:
            group["lr"] = rate * group["share"]
        state.optimizer.zero_grad(set_to_none=True)
        losses = self._losses(batch.to(device))
        total = torch.stack(list(losses.values())).sum()
        if not total.isfinite():
            raise RuntimeError(f"the loss is not finite at step {state.step}; use a lower --lr")
        total.backward()
        nn.utils.clip_grad_norm_(state.network.parameters(), MAX_GRADIENT)
        state.optimizer.step()
        state.step += 1
        _update_mean(state.mean, state.network, state.step)
        return {"loss": total.item(), **{name: loss.item() for name, loss in losses.items()}}

    def _report(self, last: bool) -> None:
        """Write the running mean as a weights file, validate it and update the plot."""
        network = copy.deepcopy(self._model.network)
        network.load_state_dict(self._state.mean)
        model = replace(self._model, network=network)
        export_model(model, self._folder / MODEL_FILE)
        if self._validation:
            found = validate(model, self._validation, self._settings.device, self._folder / "validation")
            forget_after(self._folder / VALIDATION_FILE, self._state.step - 1)  # of a run that ended here
            append_row(self._folder / VALIDATION_FILE, {"step": self._state.step, **found})
            text = ", ".join(f"{key} {value:.3f}" for key, value in found.items() if value is not None)
            tqdm.write(f"step {self._state.step}: {text}")
        plot_training(self._folder)
        if last:
            size = (self._folder / MODEL_FILE).stat().st_size / 1e6
            print(f"{self._folder / MODEL_FILE}: {size:.1f} MB, after {self._state.step} steps")


def _optimizer(network: nn.Module, rate: float) -> torch.optim.Optimizer:
    learning = [(name, p) for name, p in network.named_parameters() if p.requires_grad]
    body = [p for name, p in learning if name.startswith("backbone.")]
    rest = [p for name, p in learning if not name.startswith("backbone.")]
    groups = [{"params": body, "share": BODY_RATE}, {"params": rest, "share": 1.0}]
    return torch.optim.AdamW(groups, lr=rate, weight_decay=WEIGHT_DECAY, fused=True)


def _update_mean(mean: dict[str, Tensor], network: nn.Module, step: int) -> None:
    """Update the exponential mean over about the last 500 steps, fewer at the beginning."""
    decay = min(0.998, (1 + step) / (10 + step))
    for name, value in network.state_dict().items():
        if value.is_floating_point():
            mean[name].lerp_(value, 1 - decay)
