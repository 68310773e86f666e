"""CUDA helpers of the families: transfers through pinned memory, checks of Triton kernels.

CUDA graphs and precision belong to inference/.
"""
