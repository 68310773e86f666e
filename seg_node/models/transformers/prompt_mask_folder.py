# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""Loading of SAM, SAM 2 and SAM 3's tracker from folders of the transformers library."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from seg_node.models.files.load_error import loading
from seg_node.models.transformers.checks import check_folder
from seg_node.models.transformers.pretrained import SAFE, import_library, load_network, reading
from seg_node.models.transformers.prompt_mask import PromptMaskModel, SpatialPrompts
from seg_node.types import Frame

# model_type of config.json → the beginning of the library's names. Published folders of SAM 2 are for videos.
KINDS: Mapping[str, str] = {"sam": "Sam", "sam2": "Sam2", "sam2_video": "Sam2", "sam3_tracker": "Sam3Tracker"}


def load_prompt_mask(folder: Path) -> PromptMaskModel:
    """Load the model of a folder with config.json, the processor's files and safetensors to the CPU.

    Raises LoadError if the library or the folder is missing, or the folder does not fit.
    """
    with loading(folder):
        return _load(folder)


def _load(folder: Path) -> PromptMaskModel:
    kind = check_folder(folder, tuple(KINDS))
    transformers = import_library(folder, kind)
    with reading(folder):
        model = _read(transformers, KINDS[kind], folder)
        _try_box(model)
    return model


def _read(transformers: Any, name: str, folder: Path) -> PromptMaskModel:
    network_class, config_class, processor_class = (
        getattr(transformers, f"{name}{part}") for part in ("Model", "Config", "Processor")
    )
    config = config_class.from_pretrained(folder, **SAFE)
    network = load_network(network_class, config, folder)
    return PromptMaskModel(network, processor_class.from_pretrained(folder, **SAFE))


def _try_box(model: PromptMaskModel) -> None:
    """Run it once, which warms it up and shows whether the processor's images are the network's."""
    grey = Frame(np.full((48, 64, 3), 128, np.uint8), "rgb")
    box = np.array([[8, 8, 40, 40]], np.float32)
    model(grey, SpatialPrompts(box, np.zeros((0, 2), np.float32), np.zeros(0, np.bool_)))
