# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""The segmentation node: receives images, runs the model in a worker thread, publishes results.

How a message is built belongs to ros/messages/.
"""
