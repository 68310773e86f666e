# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""Take every Nth frame of a source, or its first ones."""

import itertools
from dataclasses import replace

from seg_node.sources.find_images import image_names
from seg_node.sources.image_files import read_images
from seg_node.sources.left_out import OnError
from seg_node.sources.source import Source


def select_frames(
    source: Source, every: int = 1, limit: int | None = None, on_error: OnError | None = None
) -> Source:
    """Return the source with its 1st, (1 + every)th, (1 + 2 every)th … frame, at most `limit` of them.

    Images that are not among them are not read; frames of a video or bag that cannot be read do not count.
    on_error: as in `open_source`; called for images.
    """
    if every == 1 and limit is None:
        return source
    end = None if limit is None else (limit - 1) * every + 1
    if source.kind == "images":
        paths = source.paths[:end:every]
        frames = read_images(paths, on_error)
        return replace(source, frames=frames, paths=paths, names=image_names(paths), count=len(paths))
    return replace(
        source,
        frames=itertools.islice(source.frames, 0, end, every),
        count=None if source.count is None else len(range(source.count)[:end:every]),
        fps=None if source.fps is None else source.fps / every,
    )
