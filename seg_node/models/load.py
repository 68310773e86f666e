"""Weights file → the model it holds, whatever software wrote it."""

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
    checkpoint = read_checkpoint(_find_weights(family, weights))
    content = _read_config(Path(config)) if config else {}
    if family == "auto":
        family = _recognise(checkpoint)
        logger.info("%s: taken for a checkpoint of family %s", checkpoint.path, family)
    return FAMILIES[family](checkpoint, content, str(config))


def _find_weights(family: str, weights: str | Path | None) -> Path:
    if weights is None:
        if family not in ("embedded", "auto"):
            raise ValueError(f"model family {family!r} needs a weights file or the name of a published model")
        if not EMBEDDED_WEIGHTS.is_file():
            raise FileNotFoundError(f"{EMBEDDED_WEIGHTS}: the embedded model's weights are not installed")
        return EMBEDDED_WEIGHTS
    path = Path(weights).expanduser()
    if path.is_file() or path.suffix or len(path.parts) > 1:
        return path
    return cached_weights(str(weights))


def _recognise(checkpoint: Checkpoint) -> str:
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


def _load_torchvision(checkpoint: Checkpoint, content: Mapping[str, Any], source: str) -> SegmentationModel:
    config = read_rcnn_config(content, source)
    network = load_torchvision_rcnn(checkpoint, config.settings, config.frozen_bn_eps)
    num_classes = network.box_head.cls_score.out_features
    if config.num_classes not in (None, num_classes):
        raise ValueError(f"{checkpoint.path}: {num_classes} classes, but {source} says {config.num_classes}")
    return RCNNModel(network, labels_for(num_classes), config.input_spec, config.options)


def _load_embedded(checkpoint: Checkpoint, content: Mapping[str, Any], source: str) -> SegmentationModel:
    raise FileNotFoundError(f"{checkpoint.path}: the embedded model's weights are not installed")


Loader = Callable[[Checkpoint, Mapping[str, Any], str], SegmentationModel]
FAMILIES: Mapping[str, Loader] = {"torchvision": _load_torchvision, "embedded": _load_embedded}
