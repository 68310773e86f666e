# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""Published weights are fetched from a real HTTP server on this machine."""

import hashlib
import http.server
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from seg_node.cli import main
from seg_node.models.files import published

PAYLOAD = bytes(range(256)) * 9000  # 2.3 MB: more than one chunk
HASH = hashlib.sha256(PAYLOAD).hexdigest()[:8]


class Handler(http.server.BaseHTTPRequestHandler):
    requests: list[str] = []  # noqa: RUF012 - one server a test, cleared by the fixture

    def do_GET(self) -> None:
        self.requests.append(self.path)
        if self.path.startswith("/missing"):
            self.send_error(404)
            return
        self.send_response(200)
        self.send_header("Content-Length", str(len(PAYLOAD)))
        self.end_headers()
        self.wfile.write(PAYLOAD[: len(PAYLOAD) // 2] if self.path.startswith("/dropped") else PAYLOAD)

    def log_message(self, format: str, *arguments: object) -> None:
        pass


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[str]:
    """Serve PAYLOAD; the cache is tmp_path / "cache", which does not exist yet."""
    monkeypatch.setenv("SEG_NODE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    Handler.requests.clear()
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as httpd:
        threading.Thread(target=httpd.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{httpd.server_port}"
        weights = {
            "good": f"{url}/good-{HASH}.pth",
            "bad": f"{url}/bad-00000000.pth",
            "dropped": f"{url}/dropped-{HASH}.pth",
            "missing": f"{url}/missing-{HASH}.pth",
        }
        monkeypatch.setattr(published, "WEIGHTS", weights)
        yield url
        httpd.shutdown()


def test_a_download_is_complete_and_happens_once(server: str, tmp_path: Path) -> None:
    path = published.fetch_weights("good")
    assert path == tmp_path / "cache" / f"good-{HASH}.pth"
    assert path.read_bytes() == PAYLOAD
    assert published.fetch_weights("good") == published.cached_weights("good") == path
    assert len(Handler.requests) == 1
    assert list(path.parent.iterdir()) == [path]


def test_a_damaged_file_in_the_cache_is_fetched_again(server: str) -> None:
    path = published.fetch_weights("good")
    path.write_bytes(PAYLOAD[:-1])
    published.fetch_weights("good")
    assert path.read_bytes() == PAYLOAD


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("bad", f"SHA-256 begins {HASH}, expected 00000000"),
        ("dropped", "after 1152000 of 2304000 bytes|IncompleteRead"),
        ("missing", "404"),
    ],
)
def test_a_failed_download_leaves_nothing_behind(
    server: str, tmp_path: Path, name: str, message: str
) -> None:
    with pytest.raises(RuntimeError, match=message):
        published.fetch_weights(name)
    assert not any((tmp_path / "cache").glob("*"))
    with pytest.raises(FileNotFoundError):
        published.cached_weights(name)


def test_offline_is_a_clear_error(server: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(published, "WEIGHTS", {"good": f"http://127.0.0.1:9/good-{HASH}.pth"})
    with pytest.raises(RuntimeError, match=r"good: download of http.* failed .*online.* put at .*cache/good"):
        published.fetch_weights("good")
    assert not (tmp_path / "cache").exists()


def test_a_file_that_has_changed_since_is_not_loaded(server: str) -> None:
    path = published.fetch_weights("good")
    path.write_bytes(PAYLOAD[:-1] + b"x")
    with pytest.raises(ValueError, match=r"good-.*\.pth: is damaged, .* seg_node fetch-weights good$"):
        published.cached_weights("good")
    assert main(["fetch-weights", "--list"]) == 0


def test_the_whole_hash_counts_where_it_is_known(server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = hashlib.sha256(PAYLOAD).hexdigest()
    monkeypatch.setattr(published, "_SHA256", {published.WEIGHTS["good"]: whole[:8] + "0" * 56})
    with pytest.raises(RuntimeError, match=f"SHA-256 begins {HASH}, expected {HASH}0000"):
        published.fetch_weights("good")
    monkeypatch.setattr(published, "_SHA256", {published.WEIGHTS["good"]: whole})
    assert published.fetch_weights("good").read_bytes() == PAYLOAD


def test_whole_hashes_are_known_of_all_that_is_published() -> None:
    for url in published.WEIGHTS.values():
        assert len(published._SHA256[url]) == 64 and f"-{published._SHA256[url][:8]}." in url


def test_missing_weights_name_the_command_that_fetches_them(server: str) -> None:
    with pytest.raises(FileNotFoundError, match=r"seg_node fetch-weights good$"):
        published.cached_weights("good")
    assert Handler.requests == []


def test_an_unknown_name_lists_the_known(server: str) -> None:
    for look_up in (published.cached_weights, published.fetch_weights):
        with pytest.raises(ValueError, match="'yolo'; known: good, bad"):
            look_up("yolo")


def test_the_command_fetches_and_prints_the_licence(server: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["fetch-weights", "--list"]) == 0
    assert f"good: not downloaded; {server}/good-{HASH}.pth" in capsys.readouterr().out
    assert main(["fetch-weights", "good"]) == 0
    output = capsys.readouterr()
    assert "licence" in output.out and "100%" in output.err
    assert main(["fetch-weights", "--list"]) == 0
    assert f"good: {published.cached_weights('good')}" in capsys.readouterr().out
    assert main(["fetch-weights", "bad"]) == 1
    assert "seg_node: " in capsys.readouterr().err


def test_urls_are_those_of_torchvision() -> None:
    detection = pytest.importorskip("torchvision.models.detection")
    enums = {
        "maskrcnn_resnet50_fpn": detection.MaskRCNN_ResNet50_FPN_Weights,
        "maskrcnn_resnet50_fpn_v2": detection.MaskRCNN_ResNet50_FPN_V2_Weights,
    }
    assert dict(published.WEIGHTS) == {name: weights.COCO_V1.url for name, weights in enums.items()}
