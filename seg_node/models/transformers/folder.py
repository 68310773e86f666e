# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""Loading of models from folders of the Hugging Face `transformers` library (extra `transformers`).

Everything is read from the folder: nothing is downloaded, and no code in it is run.
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from seg_node.models.files.load_error import loading
from seg_node.models.transformers.checks import check_folder
from seg_node.models.transformers.model import TransformersModel
from seg_node.models.transformers.pretrained import import_library
from seg_node.models.transformers.rf_detr import RfDetrModel
from seg_node.models.transformers.rf_detr_folder import load_rf_detr_folder
from seg_node.models.transformers.sam3 import Sam3
from seg_node.models.transformers.sam3_folder import SAM3_KINDS, load_sam3
from seg_node.models.transformers.universal import load_universal
from seg_node.types import LabelSet

Model = TransformersModel | RfDetrModel | Sam3
# loads from: the library, the folder, its model_type, the user's labels
Reader = Callable[[Any, Path, str, LabelSet | None], Model]

# model_type of config.json → its reader
_READERS: Mapping[str, Reader] = {
    "mask2former": load_universal,
    "maskformer": load_universal,
    "oneformer": load_universal,
    "eomt": load_universal,
    "eomt_dinov3": load_universal,
    "videomt": load_universal,
    "detr": load_universal,
    "rf_detr": load_rf_detr_folder,
    **dict.fromkeys(SAM3_KINDS, load_sam3),
}


def is_transformers_folder(path: Path) -> bool:
    """Whether the path is a folder with a config.json."""
    return (path / "config.json").is_file()


def load_transformers(folder: Path, labels: LabelSet | None = None) -> Model:
    """Load the model of a folder with config.json, preprocessor_config.json and safetensors to the CPU.

    labels: the user's, which separate stuff from things, by the checkpoint's names or by class ids; missing
    classes are things. None: OneFormer's own, COCO's if the checkpoint has its panoptic names, else all
    classes are things (with a warning).

    Raises LoadError if the library or the folder is missing, or the folder does not fit.
    """
    with loading(folder):
        model_type = check_folder(folder, tuple(_READERS))
        return _READERS[model_type](import_library(folder, model_type), folder, model_type, labels)
