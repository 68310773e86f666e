# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""PyTorch's global settings of float32 products, restored after a test has changed them."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch


@contextmanager
def restored_float32_settings() -> Iterator[None]:
    """Restore each setting by itself: the general one overwrites the others, and does not give them back."""
    backends = torch.backends
    owners = (backends, backends.cudnn.conv, backends.cudnn.rnn, backends.cuda.matmul, backends.mkldnn.conv,
              backends.mkldnn.matmul)  # fmt: skip
    before = [owner.fp32_precision for owner in owners]
    try:
        yield
    finally:
        for owner, value in zip(owners, before, strict=True):
            owner.fp32_precision = value
