# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""One description of a model and how to run it, and the engine made from it."""

from dataclasses import dataclass
from pathlib import Path

from seg_node.export.dense_part import open_engine
from seg_node.inference.device_errors import watch_device
from seg_node.inference.engine import Engine, choose_device
from seg_node.models.load import load_model


@dataclass(frozen=True)
class ModelSource:
    """The files of a model, and what to run it on.

    family, weights, config, labels: see `load_model`; without weights the embedded model.
    device: see `choose_device`.
    precision: see `choose_precision`; None: exact, or that of `engine`.
    engine: a file of `seg_node export` for images of one size; see `load_exported`.
    """

    family: str = "auto"
    weights: str | Path | None = None
    config: str | Path | None = None
    labels: str | Path | None = None
    device: str = "auto"
    precision: str | None = None
    engine: str | Path | None = None


def open_model(source: ModelSource) -> Engine:
    """Load the model and open its engine on the device.

    Raises LoadError for files or a precision that cannot be used, ValueError for an unknown device,
    RuntimeError for a GPU that is not there, and DeviceLost when this process can no longer use it.
    """
    model = load_model(source.family, source.weights, source.config, source.labels)
    device = choose_device(source.device)
    with watch_device(device):
        return open_engine(model, device, source.precision, source.engine)
