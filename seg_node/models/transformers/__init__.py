# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""Universal segmentation networks of the Hugging Face transformers library, from local folders.

The library builds the network; validation, input and results are done here.
"""
