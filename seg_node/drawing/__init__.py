"""Pictures for people: annotated images, videos and Rerun recordings.

No result depends on it.
"""
