"""Which of the configurations in YOLACT's `data/config.py` some weights are for."""

import logging
import re
from collections.abc import Mapping
from typing import Any

from seg_node.models.files.load_error import some_of

logger = logging.getLogger(__name__)

# epoch and iteration at the end of the reference's names of weights
_TRAINING_STATE = re.compile(r"(_\d+){0,2}(_interrupt)?\.[^.]*$")


def choose_yolact_config(content: Mapping[str, Any], source: str, weights_name: str) -> Mapping[str, Any]:
    """The one of the configurations in the reference's `data/config.py` that the weights are for.

    As there, the file's name tells: yolact_base_54_800000.pth is of yolact_base_config; else it is `cfg`.
    Other content is returned as it is. Raises ValueError for such a file without either.
    """
    known = [name for name, value in content.items() if name.endswith("_config") and isinstance(value, dict)]
    if not known and not isinstance(content.get("cfg"), dict):
        return content
    own = f"{_TRAINING_STATE.sub('', weights_name)}_config"
    if own not in known and not isinstance(content.get("cfg"), dict):
        raise ValueError(
            f"{source}: no {own}, and cfg could not be read; known: {some_of(known)}; name the weights "
            "after one, or assign it: cfg = NAME.copy()"
        )
    chosen = own if own in known else "cfg"
    logger.info("%s: %s is taken for %s", source, chosen, weights_name)
    settings: Mapping[str, Any] = content[chosen]
    if not settings:
        raise ValueError(f"{source}: {chosen} has no settings")
    return settings
