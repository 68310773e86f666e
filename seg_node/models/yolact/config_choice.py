# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""Selection of the configuration in YOLACT's `data/config.py` that belongs to a weights file."""

import logging
import re
from collections.abc import Mapping
from typing import Any

from seg_node.untrusted.printable import listed

logger = logging.getLogger(__name__)

# epoch and iteration at the end of the reference's file names
_TRAINING_STATE = re.compile(r"(_\d+){0,2}(_interrupt)?\.[^.]*$")


def choose_yolact_config(content: Mapping[str, Any], source: str, weights_name: str) -> Mapping[str, Any]:
    """Choose the configuration in the reference's `data/config.py` that belongs to the weights.

    As in the reference, the file's name decides: yolact_base_54_800000.pth belongs to yolact_base_config, any
    other name to `cfg`. Content without configurations is returned as it is.
    Raises ValueError if the file has neither.
    """
    known = [name for name, value in content.items() if name.endswith("_config") and isinstance(value, dict)]
    if not known and not isinstance(content.get("cfg"), dict):
        return content
    own = f"{_TRAINING_STATE.sub('', weights_name)}_config"
    if own not in known and not isinstance(content.get("cfg"), dict):
        raise ValueError(
            f"{source}: no {own}, and cfg could not be read; known: {listed(known)}; name the weights "
            "after one, or assign it: cfg = NAME.copy()"
        )
    chosen = own if own in known else "cfg"
    logger.info("%s: using %s for %s", source, chosen, weights_name)
    settings: Mapping[str, Any] = content[chosen]
    if not settings:
        raise ValueError(f"{source}: {chosen} has no settings")
    return settings
