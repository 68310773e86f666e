"""`scripts/gpu-check`: what only a GPU can settle, in one run of eight minutes; see benchmarks/README.md."""
