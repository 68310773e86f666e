# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""`scripts/gpu-check`: what only a GPU can settle, in one run of eight minutes; see benchmarks/README.md."""
