# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""One module a boundary; each has a TARGET (see fuzz.target)."""
