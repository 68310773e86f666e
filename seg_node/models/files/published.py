# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""Published weights by name: only `seg_node fetch-weights` downloads them; loading works offline."""

import hashlib
import http.client
import os
import re
import tempfile
import urllib.request
from collections.abc import Mapping
from pathlib import Path

# URLs of torchvision's weight enums (COCO_V1); the files' names end in the first digits of their SHA-256
WEIGHTS: Mapping[str, str] = {
    "maskrcnn_resnet50_fpn": "https://download.pytorch.org/models/maskrcnn_resnet50_fpn_coco-bf2d0c1e.pth",
    "maskrcnn_resnet50_fpn_v2": "https://download.pytorch.org/models/maskrcnn_resnet50_fpn_v2_coco-73cbd019.pth",
}
# whole, because anybody can make another file whose hash starts with the digits in the name
_SHA256: Mapping[str, str] = {
    WEIGHTS["maskrcnn_resnet50_fpn"]: "bf2d0c1efbc936eeee2bc95a48e80ebc86b891f61b0106485937fc29f9315fc0",
    WEIGHTS["maskrcnn_resnet50_fpn_v2"]: "73cbd0190fcbe3ba339921fbce2c3a0b6bb9126c9a133c85e43a2a8e060a109e",
}
LICENCE_NOTE = (
    "Weights by the torchvision project, trained on COCO. torchvision states no licence for them and says "
    "they may have terms derived from their training data: check that you may use them for your purpose."
)
_CHUNK_BYTES = 1 << 20
_TIMEOUT_S = 30.0


def cache_folder() -> Path:
    """Return $SEG_NODE_CACHE, or ~/.cache/seg_node."""
    return Path(os.environ.get("SEG_NODE_CACHE") or Path.home() / ".cache" / "seg_node")


def cached_weights(name: str) -> Path:
    """Find the file that `fetch_weights` stored and verify its SHA-256; nothing is downloaded.

    Raises ValueError for an unknown name or a changed file, FileNotFoundError with the command that fetches
    the file.
    """
    path = cache_folder() / _file_name(name)
    if not path.is_file():
        raise FileNotFoundError(
            f"weights {name} are not at {path}; fetch them once: seg_node fetch-weights {name}"
        )
    if not _sha256(path).startswith(_expected_hash(WEIGHTS[name])):
        raise ValueError(
            f"{path}: is damaged, or is another file than was published as {name} (by its SHA-256); fetch it "
            f"again: seg_node fetch-weights {name}"
        )
    return path


def fetch_weights(name: str) -> Path:
    """Download weights into the cache unless they are there, and return the file.

    The file appears only once it is complete and its SHA-256 verified; progress goes to stderr.

    Raises ValueError for an unknown name, RuntimeError if the download fails or the SHA-256 differs.
    """
    path = cache_folder() / _file_name(name)
    url = WEIGHTS[name]
    if path.is_file() and _sha256(path).startswith(_expected_hash(url)):
        return path
    try:
        _download(url, path)
    except (OSError, http.client.HTTPException) as error:
        raise RuntimeError(
            f"{name}: download of {url} failed ({error}); is this machine online? "
            f"A file fetched elsewhere can be put at {path}"
        ) from error
    return path


def _download(url: str, path: Path) -> None:
    """Write the url's bytes to path, all or nothing."""
    from tqdm import tqdm

    with urllib.request.urlopen(url, timeout=_TIMEOUT_S) as response:
        path.parent.mkdir(parents=True, exist_ok=True)
        expected = int(response.headers.get("Content-Length") or 0)
        digest = hashlib.sha256()
        descriptor, part = tempfile.mkstemp(dir=path.parent, prefix=path.name, suffix=".part")
        try:
            with (
                os.fdopen(descriptor, "wb") as file,
                tqdm(total=expected or None, unit="B", unit_scale=True, desc=path.name) as progress,
            ):
                while chunk := response.read(_CHUNK_BYTES):
                    file.write(chunk)
                    digest.update(chunk)
                    progress.update(len(chunk))
            received = Path(part).stat().st_size
            if received < expected:
                raise ConnectionError(f"the connection ended after {received} of {expected} bytes; try again")
            if not digest.hexdigest().startswith(_expected_hash(url)):
                raise RuntimeError(
                    f"{url}: SHA-256 begins {digest.hexdigest()[:8]}, expected {_expected_hash(url)}; "
                    "the file was changed in transit, so it was discarded"
                )
            Path(part).chmod(0o644)
            os.replace(part, path)
        finally:
            Path(part).unlink(missing_ok=True)


def _file_name(name: str) -> str:
    if name not in WEIGHTS:
        raise ValueError(f"no published weights named {name!r}; known: {', '.join(WEIGHTS)}")
    return WEIGHTS[name].rpartition("/")[2]


def _expected_hash(url: str) -> str:
    """Return the file's SHA-256, or its first digits from the name if the table does not have it."""
    match = re.search(r"-([0-9a-f]{8,64})\.pth$", url)
    assert match, url
    return _SHA256.get(url, match[1])


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK_BYTES):
            digest.update(chunk)
    return digest.hexdigest()
