"""Weights file → the model it holds, whatever software wrote it."""

import json
import logging
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import yaml

from seg_node.fetch import cached_weights
from seg_node.labels import labels_for
from seg_node.models.checkpoint import Checkpoint, read_checkpoint
from seg_node.models.model import SegmentationModel
from seg_node.models.rcnn_config import read_rcnn_config
from seg_node.models.rcnn_model import RCNNModel
from seg_node.models.torchvision_rcnn import is_torchvision_rcnn, load_torchvision_rcnn

logger = logging.getLogger(__name__)

_METADATA_KEY = "config"
EMBEDDED_WEIGHTS = Path(__file__).parents[1] / "weights" / "embedded.safetensors"


def load_model(
    family: str = "auto", weights: str | Path | None = None, config: str | Path | None = None
) -> SegmentationModel:
    """The model of a weights file, on the CPU.

    family: one of FAMILIES, or "auto": recognised from the names of the tensors.
    weights: a file, or the name of a published model that `seg_node fetch-weights NAME` has downloaded;
    None for the model that comes with seg_node.
    config: a YAML file with what the weights do not tell.
    Raises FileNotFoundError, and ValueError for a file that does not fit, naming the file, the tensor or key
    and what is expected.
    """
    if family not in (*FAMILIES, "auto"):
        raise ValueError(f"model family {family!r} is not known; known: auto, {', '.join(FAMILIES)}")
    content = _read_config(Path(config)) if config else {}
    checkpoint = read_checkpoint(_find_weights(family, weights))
    if family == "auto":
        family = _recognise(checkpoint)
        logger.info("%s: taken for a checkpoint of the %s family", checkpoint.path, family)
    return FAMILIES[family](checkpoint, content, str(config))


def _find_weights(family: str, weights: str | Path | None) -> Path:
    if weights is None:
        if family not in ("embedded", "auto"):
            raise ValueError(f"model family {family!r} needs a weights file or the name of a published model")
        if not EMBEDDED_WEIGHTS.is_file():
            raise FileNotFoundError(
                f"{EMBEDDED_WEIGHTS}: the embedded model is missing from this installation"
            )
        return EMBEDDED_WEIGHTS
    path = Path(weights).expanduser()
    if path.is_file() or path.suffix or len(path.parts) > 1:
        return path
    return cached_weights(str(weights))


def _recognise(checkpoint: Checkpoint) -> str:
    if _METADATA_KEY in checkpoint.metadata:
        return "embedded"
    if is_torchvision_rcnn(checkpoint.tensors):
        return "torchvision"
    some = ", ".join(list(checkpoint.tensors)[:3])
    raise ValueError(
        f"{checkpoint.path}: the tensors ({some}, …) are of no known family; known: {', '.join(FAMILIES)}"
    )


def _read_config(path: Path) -> Mapping[str, Any]:
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such configuration file")
    try:
        content = yaml.safe_load(path.read_text())
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ValueError(f"{path}: not a YAML file: {error}") from error
    if not isinstance(content, dict):
        raise ValueError(f"{path}: holds a {type(content).__name__}, expected keys with values")
    return content


def _load_rcnn(checkpoint: Checkpoint, content: Mapping[str, Any], source: str) -> SegmentationModel:
    """Mask R-CNN with torchvision's names; its own metadata first, then the configuration."""
    config = read_rcnn_config(_read_metadata(checkpoint), str(checkpoint.path))
    config = read_rcnn_config(content, source, config)
    network = load_torchvision_rcnn(checkpoint, config.settings, config.frozen_bn_eps)
    num_classes = network.box_head.cls_score.out_features
    if config.num_classes not in (None, num_classes):
        raise ValueError(f"{checkpoint.path}: {num_classes} classes, but {source} says {config.num_classes}")
    try:
        labels = labels_for(num_classes, config.class_names)
    except ValueError as error:
        raise ValueError(f"{checkpoint.path}: {error}") from error
    return RCNNModel(network, labels, config.input_spec, config.options)


def _read_metadata(checkpoint: Checkpoint) -> Mapping[str, Any]:
    """The configuration, JSON with the keys of `rcnn_config`, that a file of our own training carries."""
    try:
        return dict(json.loads(checkpoint.metadata.get(_METADATA_KEY, "{}")))
    except (TypeError, ValueError) as error:
        raise ValueError(f"{checkpoint.path}: its metadata {_METADATA_KEY!r} is damaged: {error}") from error


Loader = Callable[[Checkpoint, Mapping[str, Any], str], SegmentationModel]
FAMILIES: Mapping[str, Loader] = {"embedded": _load_rcnn, "torchvision": _load_rcnn}
