"""Run a model on a device: precision, CUDA graphs, batches and timing.

Nothing here knows a family or a file format.
"""
