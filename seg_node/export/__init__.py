# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""`seg_node export`: compile a network's dense part for one image size, and run the file in its place.

`open_model` opens every model, with or without such a file.
"""
