# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""Save the state of a training, and resume from it as if it had not stopped."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

FILE = "last.pt"


@dataclass
class State:
    """State that changes with each step. mean: running mean of the weights. seconds: training time so far."""

    network: nn.Module
    optimizer: torch.optim.Optimizer
    mean: dict[str, Tensor]
    step: int = 0
    seconds: float = 0.0


def save_state(state: State, settings: Mapping[str, Any], folder: Path) -> None:
    """Replace the folder's checkpoint atomically, so that an interruption leaves the old one intact.

    settings: values that must be the same when the training resumes.
    """
    content = {
        "network": state.network.state_dict(),
        "optimizer": state.optimizer.state_dict(),
        "mean": state.mean,
        "step": state.step,
        "seconds": state.seconds,
        "settings": dict(settings),
    }
    unfinished = folder / f"{FILE}.tmp"
    with unfinished.open("wb") as file:
        torch.save(content, file)
        file.flush()
        os.fsync(file.fileno())
    unfinished.replace(folder / FILE)


def restore_state(state: State, settings: Mapping[str, Any], folder: Path) -> bool:
    """Restore the folder's checkpoint into the state; return whether there was one.

    Raises ValueError when its settings differ.
    """
    path = folder / FILE
    if not path.is_file():
        return False
    saved = torch.load(path, map_location="cpu", weights_only=True)
    for key, value in settings.items():
        if saved["settings"].get(key) != value:
            raise ValueError(
                f"{path}: trained with {key} {saved['settings'].get(key)!r}, now it is {value!r}; "
                "choose another --out"
            )
    state.network.load_state_dict(saved["network"])
    state.optimizer.load_state_dict(saved["optimizer"])
    for name, value in state.mean.items():
        value.copy_(saved["mean"][name])
    state.step, state.seconds = saved["step"], saved["seconds"]
    return True
