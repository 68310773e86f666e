"""Bounds on what comes from outside: text, YAML and JSON, memory, cache sizes and names of output files.

Formats of images, bags and checkpoints are read elsewhere, within these bounds.
"""
