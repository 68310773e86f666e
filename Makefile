# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
setup demo test check lint:
	scripts/$@

.PHONY: setup demo test check lint
