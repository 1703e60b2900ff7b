"""Published checkpoints, downloaded from a real server on loopback that can be cut off."""

import hashlib
import http.server
import threading
import zipfile
from pathlib import Path

import pytest
import torch
from helpers import d2l_model, write_checkpoint
from quiet_handler import QuietHandler

from hf_nli.core.errors import InputError
from hf_nli.d2l import download as published
from hf_nli.d2l.checkpoint import read_checkpoint
from hf_nli.d2l.download import PUBLISHED, Published

SIZES = {"vocab_size": 20, "num_hiddens": 16, "ffn_num_hiddens": 24, "num_heads": 2, "num_blks": 1, "max_len": 12}
NAME = "bert.tiny.torch.zip"


@pytest.fixture(scope="module")
def state(d2l):
    return d2l_model(d2l, **SIZES).state_dict()


class Handler(QuietHandler):
    """Serves one file, from where it is asked to, and as much of it as it is allowed to."""

    def do_GET(self):
        server = self.server
        server.requests.append((self.path, self.headers.get("Range")))
        if self.path != f"/{NAME}":
            return self.send_error(404)
        start = int(self.headers["Range"].removeprefix("bytes=").removesuffix("-")) if "Range" in self.headers else 0
        if start >= len(server.content):
            return self.send_error(416)
        self.send_response(206 if start else 200)
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(server.content) - 1}/{len(server.content)}")
        self.send_header("Content-Length", str(len(server.content) - start))
        self.end_headers()
        part = server.content[start : start + server.allowed]
        self.wfile.write(part)
        if start + len(part) < len(server.content):
            self.wfile.flush()
            self.connection.close()


@pytest.fixture
def server(state, monkeypatch, tmp_path):
    """A real server on loopback in the place of d2l's, publishing a zip; counts the requests."""
    folder = write_checkpoint(tmp_path / "checkpoint", state)
    with zipfile.ZipFile(tmp_path / NAME, "w") as file:
        for name in ("pretrained.params", "vocab.json"):
            file.write(folder / name, f"bert.tiny.torch/{name}")
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.content, server.requests, server.allowed = (tmp_path / NAME).read_bytes(), [], 10**9
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setattr(published, "DATA_URL", f"http://127.0.0.1:{server.server_port}/")
    monkeypatch.setattr(published.constants, "HF_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(published.constants, "HF_HUB_OFFLINE", False)
    publish(monkeypatch, NAME, hashlib.sha1(server.content).hexdigest())
    yield server
    server.shutdown()
    server.server_close()


def publish(monkeypatch, name: str, sha1: str) -> None:
    monkeypatch.setitem(PUBLISHED, "bert.tiny", Published(num_heads=2, files={"pytorch": (name, sha1)}))


def test_published_name_is_downloaded_once(server, state):
    for _ in range(2):
        checkpoint = read_checkpoint("bert.tiny")
        assert checkpoint.sizes.num_heads == 2
        assert torch.equal(checkpoint.tensors["hidden.0.bias"], state["hidden.0.bias"])
    assert server.requests == [(f"/{NAME}", None)]


def test_lost_connection_is_taken_up_again(server, state, monkeypatch):
    monkeypatch.setattr(published.constants, "DOWNLOAD_CHUNK_SIZE", 1000)  # of 10 MB
    server.allowed = 13_500
    assert torch.equal(read_checkpoint("bert.tiny").tensors["hidden.0.bias"], state["hidden.0.bias"])
    assert [range_ for _, range_ in server.requests] == [None, "bytes=13000-"]


def test_next_call_goes_on_where_one_was_killed(server, state, tmp_path):
    part = tmp_path / "cache/hf_nli" / f"{NAME}.part"
    part.parent.mkdir(parents=True)
    part.write_bytes(server.content[:1000])
    assert torch.equal(read_checkpoint("bert.tiny").tensors["hidden.0.bias"], state["hidden.0.bias"])
    assert server.requests == [(f"/{NAME}", "bytes=1000-")]
    assert [path.name for path in part.parent.iterdir()] == [NAME]


def test_killed_between_the_last_byte_and_the_name(server, tmp_path):
    part = tmp_path / "cache/hf_nli" / f"{NAME}.part"
    part.parent.mkdir(parents=True)
    part.write_bytes(server.content)
    assert read_checkpoint("bert.tiny").sizes.num_heads == 2


def test_download_with_another_hash_is_refused(server, monkeypatch, tmp_path):
    publish(monkeypatch, NAME, "0" * 40)
    with pytest.raises(InputError, match="could not download .*bert.tiny.torch.zip"):
        read_checkpoint("bert.tiny")
    assert not list((tmp_path / "cache/hf_nli").iterdir())


def test_download_that_fails_says_how_to_go_on(server, monkeypatch):
    publish(monkeypatch, "missing.zip", "0" * 40)
    with pytest.raises(InputError, match="404.*--source FILE --num_heads 2"):
        read_checkpoint("bert.tiny")


def test_offline_mode_is_kept(server, monkeypatch):
    monkeypatch.setattr(published.constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(InputError, match="offline mode is enabled"):
        read_checkpoint("bert.tiny")
    assert not server.requests


def test_nobody_answers(server, monkeypatch):
    monkeypatch.setattr(published, "DATA_URL", "http://127.0.0.1:9/")
    monkeypatch.setattr("huggingface_hub.file_download.time.sleep", lambda _: None)
    with pytest.raises(InputError, match="could not download"):
        read_checkpoint("bert.tiny")


def test_published_names_and_address(d2l):
    """The address is in d2l's package; the files and their hashes are in the book alone."""
    assert published.DATA_URL == d2l.DATA_URL
    assert {name: each.num_heads for name, each in PUBLISHED.items()} == {"bert.small": 4, "bert.base": 12}
    assert all(Path(file).stem.startswith(name) for name, each in PUBLISHED.items() for file, _ in each.files.values())


def test_framework_chooses_the_file(monkeypatch):
    wanted = []

    def download(url, *_, **__):
        wanted.append(url)
        raise OSError("no network")

    monkeypatch.setattr(published.pooch, "retrieve", download)
    for framework in (None, "pytorch", "mxnet"):
        with pytest.raises(InputError, match="no network"):
            read_checkpoint("bert.small", framework=framework)
    assert [url.rpartition("/")[2] for url in wanted] == [
        "bert.small.torch.zip",
        "bert.small.torch.zip",
        "bert.small.zip",
    ]
