# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""The score above which a network's objects count as found."""

import numpy as np

from seg_node.types import Instances

NODE_THRESHOLD = 0.5  # the node's default score_threshold
TYPICAL = 15, 25  # objects in an image


def typical_threshold(found: list[Instances]) -> float:
    """A score that leaves about 20 objects an image: within the widest gap there, as no tie may decide.

    Raises RuntimeError when a network finds too few.
    """
    scores = np.sort(np.concatenate([instances.scores for instances in found]))[::-1]
    least, most = (count * len(found) for count in TYPICAL)
    if len(scores) <= least:
        raise RuntimeError(
            f"the random weights find {len(scores)} objects in {len(found)} images, fewer than {least}; "
            "give trained ones with --weights"
        )
    candidates = scores[least - 1 : most + 1]
    gap = int(np.argmin(np.diff(candidates)))
    return float(candidates[gap] + candidates[gap + 1]) / 2
