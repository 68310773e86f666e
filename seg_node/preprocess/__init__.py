"""Camera frames become a network's input tensor, resized as each reference does it.

Nothing here knows a family.
"""
