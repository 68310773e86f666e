# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""Loading of a network of the transformers library by its class, from a folder that is not trusted."""

from pathlib import Path
from typing import Any

import torch

from seg_node.models.transformers.checks import check_size

SAFE = {"local_files_only": True, "trust_remote_code": False}


def load_network(network_class: Any, config: Any, folder: Path) -> Any:
    """Load the folder's safetensors in float32, for inference.

    Raises ValueError if the configuration is of a larger network than the file, and for tensors that are
    missing or of another shape; besides, whatever the library raises.
    """
    config._attn_implementation = None  # the checkpoint's may name code on the hub
    with torch.device("meta"):
        check_size(network_class(config), folder)
    network, report = network_class.from_pretrained(
        folder,
        config=config,
        use_safetensors=True,
        ignore_mismatched_sizes=True,  # reported below
        output_loading_info=True,
        **SAFE,
    )
    odd = {*report["missing_keys"], *report["mismatched_keys"]}
    odd = {key if isinstance(key, str) else key[0] for key in odd}  # version 5 adds shapes
    odd &= dict(network.named_parameters()).keys()
    if odd:
        raise ValueError(f"{len(odd)} of its tensors are missing or of another shape, such as {min(odd)}")
    return network.float().eval()
