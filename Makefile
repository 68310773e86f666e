setup demo test check lint:
	scripts/$@

.PHONY: setup demo test check lint
