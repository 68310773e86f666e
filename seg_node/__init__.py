# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""seg_node: which pixels of a camera image belong to which object."""

from pkgutil import extend_path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from seg_node.predictor import Predictor as Predictor

# The generated messages (seg_node.msg) are installed in another folder of the same name.
__path__ = extend_path(__path__, __name__)
__version__ = "0.1.0"


def __getattr__(name: str) -> object:
    """`Predictor`, loaded when it is asked for: it brings torch, which messages do not need."""
    if name == "Predictor":
        from seg_node.predictor import Predictor

        return Predictor
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
