"""What the families need on a CUDA device: transfers through pinned memory, checks of Triton kernels.

CUDA graphs and precision belong to inference/.
"""
