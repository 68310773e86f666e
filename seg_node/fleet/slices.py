# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""The parts into which recordings are cut, and the frames that are read from one part."""

from dataclasses import dataclass
from typing import Literal

from seg_node.types import Frame

FileKind = Literal["mcap", "sqlite", "stream", "images"]


@dataclass(frozen=True)
class Slice:
    """A part of a recording that is read without the rest of it.

    bag: key of the recording: its name and the start of its content hash; also the name of its folder
    of results.
    content_hash: of the recording (64 hex digits). uri: the file to read, a local path or a URI that
    pyarrow.fs opens; for images their folder.
    kind: how `first` and `last`, a half-open range, are meant: mcap, offsets of chunks in the file;
    sqlite, row ids; images, places in `names`; stream, a file that can only be read whole (0, 0).
    number: its place in the recording, from 0; the result file is part-{number:06d}.parquet.
    first_sequence: number of messages of the topic in the file before this slice, so that every Nth
    frame of the file is the same however it is cut. previous_ns: time of recording of the last of them,
    None without one.
    frames: the expected number of messages, 0 if unknown.
    names: of the images, relative to the folder; empty for bags.
    """

    bag: str
    content_hash: str
    uri: str
    kind: FileKind
    topic: str
    number: int
    first: int = 0
    last: int = 0
    first_sequence: int = 0
    previous_ns: int | None = None
    frames: int = 0
    names: tuple[str, ...] = ()


@dataclass(frozen=True)
class Selection:
    """Which frames of a recording are labelled.

    every: of N frames of a file the first. fps: the first frame of each 1/fps seconds, by time of
    recording (None: all).
    start_ns, end_ns: half-open range of the time of recording (None: no bound). Images without times
    have places only.
    """

    every: int = 1
    fps: float | None = None
    start_ns: int | None = None
    end_ns: int | None = None


@dataclass(frozen=True)
class SliceFrame:
    """One selected message or image, and its frame or the reason for having none.

    frame_id: 32 hex digits, the same in every run: a hash of content_hash, topic, stamp and sequence,
    for images of content_hash and name. sequence: place of the message among those of its topic in the
    file; of the image in the folder. name: as `seg_node segment` names the frame. stamp_ns: of the
    header. recorded_ns: time of recording, 0 for images. reason: one line, empty where there is a
    frame; its first word is the kind ("undecodable: …").
    """

    frame_id: str
    sequence: int
    name: str
    stamp_ns: int
    recorded_ns: int
    frame: Frame | None
    reason: str = ""
