# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""Loading of a model from a weights file of any supported software."""

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

from seg_node.choices import MODEL_FAMILIES
from seg_node.class_groups import group_classes
from seg_node.groups_file import read_groups
from seg_node.labels import check_labels, read_labels
from seg_node.models.files.checkpoint import Checkpoint, read_checkpoint
from seg_node.models.files.config_file import read_config
from seg_node.models.files.diagnose_file import is_onnx
from seg_node.models.files.load_error import LoadError, loading
from seg_node.models.files.prefixes import without_prefix
from seg_node.models.files.published import cached_weights
from seg_node.models.grouped import GroupedModel
from seg_node.models.model import SegmentationModel
from seg_node.models.rcnn.detectron2 import is_detectron2, load_detectron2
from seg_node.models.rcnn.torchvision import is_embedded, is_torchvision_rcnn, load_torchvision
from seg_node.models.solo.checkpoint import is_solo, load_solo
from seg_node.models.transformers.folder import is_transformers_folder, load_transformers
from seg_node.models.transformers.rf_detr_file import is_rf_detr, load_rf_detr
from seg_node.models.yolact.checkpoint import is_yolact, load_yolact
from seg_node.models.yolo.file import load_yolo
from seg_node.models.yolo.metadata import EXPORT
from seg_node.types import LabelSet

logger = logging.getLogger(__name__)

Model = SegmentationModel[Any, Any]
Loader = Callable[[Checkpoint, Mapping[str, Any], str, LabelSet | None], Model]


@dataclass(frozen=True)
class Family:
    """A family of networks whose weights are a single file.

    recognise: whether a checkpoint belongs to it.
    load: builds the model of a checkpoint, a configuration, its name in messages, and the user's labels.
    first_class_id: id of the first class in a file of labels.
    """

    recognise: Callable[[Checkpoint], bool]
    load: Loader
    first_class_id: int = 0


# in the order in which they are tried: an embedded model has torchvision's names too
_FAMILIES: Mapping[str, Family] = {
    "embedded": Family(is_embedded, load_torchvision, first_class_id=1),
    "torchvision": Family(is_torchvision_rcnn, load_torchvision, first_class_id=1),
    "detectron2": Family(is_detectron2, load_detectron2),
    "yolact": Family(is_yolact, load_yolact),
    "solo": Family(is_solo, load_solo),
    "transformers": Family(is_rf_detr, load_rf_detr),
}
_WEIGHTS_SUFFIXES = (".pth", ".pt", ".pkl", ".safetensors")
EMBEDDED_WEIGHTS = Path(__file__).parents[1] / "weights" / "embedded.safetensors"


def load_model(
    family: str = "auto",
    weights: str | Path | None = None,
    config: str | Path | None = None,
    labels: str | Path | None = None,
) -> Model:
    """Load the model of a checkpoint to the CPU.

    family: one of `MODEL_FAMILIES`; "auto": recognised from the names of the tensors; an ONNX file is a yolo.
    weights: a file, for transformers a folder, or the name of a published model that `seg_node fetch-weights
    NAME` has downloaded; None for the model that comes with seg_node.
    config: the reference's own configuration file, for settings that are not in the weights.
    labels: a file with class names, groups of classes or both, see `read_labels` and `groups_file`.
    Raises only LoadError, which names the file, the tensor or key, and the expected value or the cure.
    """
    with loading(labels):
        rules = read_groups(Path(labels).expanduser()) if labels else None
    with loading(weights or EMBEDDED_WEIGHTS, config, labels):
        model = _load(family, weights, config, labels)
        check_labels(model.labels)
    if rules is None:
        return model
    with loading(labels):
        if model.default_options.prompts is not None:
            raise ValueError(f"{labels}: groups do not apply to text prompts; prompts are the classes")
        return GroupedModel(model, group_classes(rules, model.labels))


def _load(
    family: str, weights: str | Path | None, config: str | Path | None, labels: str | Path | None
) -> Model:
    if family not in MODEL_FAMILIES:
        raise LoadError(f"model family {family!r} is not known; known: {', '.join(MODEL_FAMILIES)}")
    if weights is None and config is not None and family == "auto":
        raise LoadError(f"{config} is given without its weights")
    path = _find_weights(family, weights)
    if family == "auto" and is_transformers_folder(path):
        family = _log_family("transformers", path)
    if family == "transformers" and not path.is_file():
        return load_transformers(path, _read_labels(labels, first_id=0))
    content: Mapping[str, Any] = {}
    if config:
        with loading(config):
            content = read_config(Path(config).expanduser())
    if family == "auto" and is_onnx(path):
        family = _log_family("yolo", path)
    if family == "yolo":
        _check_is_onnx(path)
        return load_yolo(path, content, str(config), _read_labels(labels, first_id=0))
    checkpoint = without_prefix(read_checkpoint(path), lambda part: _recognise(part) is not None)
    own = _recognise(checkpoint)
    if family == "auto":
        family = _log_family(own or _refuse(checkpoint), path)
    elif own is not None and _FAMILIES[own].load is not _FAMILIES[family].load:
        raise ValueError(f"{path}: a checkpoint of the {own} family, not of {family}")
    chosen = _FAMILIES[family]
    return chosen.load(checkpoint, content, str(config), _read_labels(labels, chosen.first_class_id))


def _find_weights(family: str, weights: str | Path | None) -> Path:
    if weights is None:
        if family not in ("embedded", "auto"):
            raise LoadError(f"model family {family!r} needs a weights file or the name of a published model")
        if not EMBEDDED_WEIGHTS.is_file():
            raise FileNotFoundError(
                f"{EMBEDDED_WEIGHTS}: the embedded model is missing from this installation"
            )
        return EMBEDDED_WEIGHTS
    path = Path(weights).expanduser()
    if path.is_dir() and family != "transformers" and not is_transformers_folder(path):
        files = sorted(file.name for file in path.iterdir() if file.suffix in _WEIGHTS_SUFFIXES)
        raise ValueError(
            f"{path}: a folder without a config.json of the transformers library; "
            + (f"name the file in it: {', '.join(files)}" if files else "name a weights file")
        )
    if path.exists() or path.suffix or len(path.parts) > 2 or path.is_absolute():
        return path
    if len(path.parts) == 2:
        raise FileNotFoundError(
            f"{weights}: no such file or folder; a model of the Hugging Face hub must be on disk: "
            f"hf download {weights} --local-dir FOLDER, then give FOLDER"
        )
    return cached_weights(str(weights))


def _check_is_onnx(path: Path) -> None:
    """Raise LoadError for a file of another format."""
    if not is_onnx(path):
        read_checkpoint(path)  # names what is wrong with most files
        raise ValueError(f"{path}: not an ONNX file, of which the yolo family is; export the model: {EXPORT}")


def _recognise(checkpoint: Checkpoint) -> str | None:
    return next((name for name, family in _FAMILIES.items() if family.recognise(checkpoint)), None)


def _log_family(family: str, path: Path) -> str:
    logger.info("%s: recognised as a checkpoint of the %s family", path, family)
    return family


def _refuse(checkpoint: Checkpoint) -> NoReturn:
    """Raise ValueError for a checkpoint that no family recognises."""
    path = checkpoint.path
    if is_transformers_folder(path.parent):
        raise ValueError(f"{path}: belongs to a folder of transformers; give the folder: {path.parent}")
    some = ", ".join(list(checkpoint.tensors)[:3])
    raise ValueError(
        f"{path}: the tensors ({some}, …) are of no known family; known: "
        f"{', '.join(_FAMILIES)} (RF-DETR-Seg of rfdetr), and folders of transformers"
    )


def _read_labels(labels: str | Path | None, first_id: int) -> LabelSet | None:
    if not labels:
        return None
    with loading(labels):
        return read_labels(Path(labels).expanduser(), first_id)
