"""Camera frames to network input tensors, resized as each reference implementation does.

Nothing here depends on a model family.
"""
