# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""Camera frames to network input tensors, resized as each reference implementation does.

Nothing here depends on a model family.
"""
