# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""The running node under hostile messages, requests and failing models: `scripts/soak`, docs/reliability.md.

Every client is a process of its own, so that what breaks in a client is not taken for a fault of the node.
"""
