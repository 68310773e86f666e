# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""Names that options and parameters accept. Imports neither torch nor NumPy: wrong usage answers at once."""

from typing import Literal, get_args

ModelFamily = Literal["embedded", "torchvision", "detectron2", "yolact", "solo", "yolo", "transformers"]
MODEL_FAMILIES = ("auto", *get_args(ModelFamily))
# inference/precision.py says what they mean
Precision = Literal["exact", "fp32", "bf16", "fp16"]
PRECISIONS = ("auto", *get_args(Precision))
