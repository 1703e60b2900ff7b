"""Published checkpoints, downloaded from a real server on loopback that can be cut off."""

import hashlib
import http.server
import threading
import zipfile
from pathlib import Path

import huggingface_hub.constants
import pytest
import torch
from helpers import d2l_model, write_checkpoint
from quiet_handler import QuietHandler

from hf_nli.core.errors import InputError
from hf_nli.d2l.checkpoint import read_checkpoint
from hf_nli.d2l.download import PUBLISHED, Published, download
from hf_nli.data.cache import cache_entries

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
    """A real server on loopback that publishes a zip; counts the requests."""
    folder = write_checkpoint(tmp_path / "checkpoint", state)
    with zipfile.ZipFile(tmp_path / NAME, "w") as file:
        for name in ("pretrained.params", "vocab.json"):
            file.write(folder / name, f"bert.tiny.torch/{name}")
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.content, server.requests, server.allowed = (tmp_path / NAME).read_bytes(), [], 10**9
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", False)
    yield server
    server.shutdown()
    server.server_close()


def published(server, name: str = NAME, sha1: str | None = None) -> Published:
    sha1 = sha1 or hashlib.sha1(server.content).hexdigest()
    return Published(2, {"pytorch": (name, sha1)}, f"http://127.0.0.1:{server.server_port}/")


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_published_name_is_downloaded_once(server, state, monkeypatch):
    """Through the registry, into the cache."""
    monkeypatch.setitem(PUBLISHED, "bert.tiny", published(server, NAME))
    for _ in range(2):
        checkpoint = read_checkpoint("bert.tiny")
        assert checkpoint.sizes.num_heads == 2
        assert torch.equal(checkpoint.tensors["hidden.0.bias"], state["hidden.0.bias"])
    assert server.requests == [(f"/{NAME}", None)]
    (entry,) = (entry for entry in cache_entries() if entry.path.name == NAME)
    assert (entry.kind, entry.bytes) == ("checkpoint", len(server.content))
    entry.path.unlink()


def test_a_damaged_copy_is_downloaded_again(server, tmp_path):
    (tmp_path / "cache").mkdir()
    (tmp_path / "cache" / NAME).write_bytes(server.content[:-1])
    file = download(published(server), "pytorch", tmp_path / "cache")
    assert file.read_bytes() == server.content and names(file.parent) == [NAME]


def test_lost_connection_is_taken_up_again(server, tmp_path):
    server.content *= 20
    server.allowed = len(server.content) // 3
    file = download(published(server), "pytorch", tmp_path / "cache")
    assert file.read_bytes() == server.content and names(file.parent) == [NAME]
    starts = [int(start.removeprefix("bytes=").removesuffix("-")) for _, start in server.requests if start]
    assert len(server.requests) == len(starts) + 1 > 3
    assert starts == sorted(set(starts)) and starts[0] > 0


def test_next_call_goes_on_where_one_was_killed(server, tmp_path):
    part = tmp_path / f"cache/{NAME}.part"
    part.parent.mkdir(parents=True)
    part.write_bytes(server.content[:1000])
    file = download(published(server), "pytorch", part.parent)
    assert file.read_bytes() == server.content
    assert server.requests == [(f"/{NAME}", "bytes=1000-")]
    assert names(part.parent) == [NAME]


def test_killed_between_the_last_byte_and_the_name(server, tmp_path):
    part = tmp_path / f"cache/{NAME}.part"
    part.parent.mkdir(parents=True)
    part.write_bytes(server.content)
    assert download(published(server), "pytorch", part.parent).read_bytes() == server.content
    assert server.requests == []


@pytest.mark.parametrize("there", [None, 100, 10**6])
def test_what_has_another_hash_is_refused(there, server, tmp_path):
    """Also what was there already; the next call begins anew."""
    part = tmp_path / f"cache/{NAME}.part"
    part.parent.mkdir(parents=True)
    if there:
        part.write_bytes(bytes(there))
    else:
        server.content, good = server.content[::-1], server.content
    wanted = published(server, sha1=hashlib.sha1(server.content if there else good).hexdigest())
    with pytest.raises(InputError, match="could not download .*bert.tiny.torch.zip .its SHA-1 is not"):
        download(wanted, "pytorch", part.parent)
    assert names(part.parent) == []
    server.content = server.content if there else good
    assert download(wanted, "pytorch", part.parent).read_bytes() == server.content


def test_download_that_fails_says_how_to_go_on(server, tmp_path):
    with pytest.raises(InputError, match="404.*--source FILE --num_heads 2"):
        download(published(server, "missing.zip"), "pytorch", tmp_path)
    assert len(server.requests) == 1


def test_offline_mode_is_kept(server, monkeypatch, tmp_path):
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(InputError, match="offline mode is enabled"):
        download(published(server), "pytorch", tmp_path / "cache")
    assert not server.requests


def test_nobody_answers(server, tmp_path):
    nobody = Published(2, {"pytorch": (NAME, "0" * 40)}, "http://127.0.0.1:9/")
    with pytest.raises(InputError, match="could not download .*--source FILE"):
        download(nobody, "pytorch", tmp_path)


def test_a_folder_that_cant_be_written_to(server, tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="could not download"):
        download(published(server), "pytorch", tmp_path / "file")


def test_published_names_and_address(d2l):
    """The address is in d2l's package; the files and their hashes are in the book alone."""
    assert {each.url for each in PUBLISHED.values()} == {d2l.DATA_URL}
    assert {name: each.num_heads for name, each in PUBLISHED.items()} == {"bert.small": 4, "bert.base": 12}
    assert all(Path(file).stem.startswith(name) for name, each in PUBLISHED.items() for file, _ in each.files.values())


@pytest.mark.parametrize("framework, ending", [(None, ".torch.zip"), ("pytorch", ".torch.zip"), ("mxnet", ".zip")])
def test_framework_chooses_the_file(framework, ending):
    with pytest.raises(InputError, match=f"could not download http://d2l-data.*/bert.small{ending} .offline mode"):
        read_checkpoint("bert.small", framework=framework)
