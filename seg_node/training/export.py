# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""Write a trained model as a weights file for `load_model` and the node."""

import json
from pathlib import Path

import torch
from safetensors.torch import save

from seg_node.models.rcnn.model import RCNNModel
from seg_node.models.rcnn.torchvision import to_checkpoint_name
from seg_node.models.rcnn.torchvision_config import describe_rcnn


def export_model(model: RCNNModel, path: Path) -> None:
    """Write safetensors: float16, torchvision's names; metadata `config` in JSON (`torchvision_config`)."""
    tensors = {
        to_checkpoint_name(name): (value.half() if value.is_floating_point() else value).cpu().contiguous()
        for name, value in model.network.state_dict().items()
    }
    config = describe_rcnn(model.network.settings, model.input_spec, model.default_options)
    config |= {"class_names": list(model.labels.things.values())}
    if model.labels.stuff:
        config["stuff_names"] = list(model.labels.stuff.values())
    unfinished = path.with_suffix(".tmp")
    # save_file would make a file that other users, such as the node's, may not read
    unfinished.write_bytes(save(tensors, {"config": json.dumps(config)}))
    unfinished.replace(path)


def round_weights(model: RCNNModel) -> None:
    """Round the network's weights to the file's float16."""
    for value in model.network.state_dict().values():
        if value.is_floating_point():
            with torch.no_grad():
                value.copy_(value.half())
