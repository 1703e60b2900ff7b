"""Two processes that prepare the same thing at once: neither fails, and both get it whole, every one of 50 times."""

from __future__ import annotations

import hashlib
import http.server
import multiprocessing
import threading
import zipfile
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing.synchronize import Barrier
from pathlib import Path

import pytest
from helpers import tiny_tokenizer, write_pairs
from nli_files import EXPECTED, PAIRS, write_jsonl
from quiet_handler import QuietHandler

from hf_nli.core.cache import cache_folder, kept_folder
from hf_nli.core.files import staged
from hf_nli.d2l.download import Published, download
from hf_nli.data.load import NLIData
from hf_nli.data.table import TokenTable
from hf_nli.text.encoding import encode

TIMES = 50
barrier: Barrier


def share(theirs: Barrier) -> None:
    """Gives a process what the two wait for each other with."""
    global barrier
    barrier = theirs


def race(work: Callable[[Path, int], object], folder: Path) -> list[object]:
    """Does the work again and again, each time together with the other process."""
    results = []
    for number in range(TIMES):
        barrier.wait(60)
        results.append(work(folder, number))
    return results


@pytest.fixture(scope="module")
def both():
    """Two processes, which may download."""
    context = multiprocessing.get_context("spawn")
    barrier = context.Barrier(2)
    with (
        pytest.MonkeyPatch.context() as patch,
        ProcessPoolExecutor(2, context, initializer=share, initargs=(barrier,)) as processes,
    ):
        patch.setenv("HF_HUB_OFFLINE", "0")

        def run(work: Callable[[Path, int], object], folder: Path) -> list[list[object]]:
            runs = [processes.submit(race, work, folder) for _ in range(2)]
            return [run.result(300) for run in runs]

        yield run


def write_files(folder: Path) -> None:
    for number in range(20):
        (folder / str(number)).write_text(f"content {number}")


def read_files(folder: Path) -> dict[str, str]:
    return {path.name: path.read_text() for path in folder.iterdir()}


def keep(folder: Path, number: int) -> object:
    return read_files(kept_folder(f"race-{folder.name}-{number}", write_files))


def stage(folder: Path, number: int) -> object:
    with staged(folder / str(number)) as temporary:
        write_files(temporary)
        barrier.wait(60)  # so that both put it in its place at once
    return read_files(folder / str(number))


def read(folder: Path, number: int) -> object:
    return NLIData(str(folder / f"{number}.jsonl")).read("train").to_list()


def unpack(folder: Path, number: int) -> object:
    data = NLIData(str(folder / f"{number}.zip"))
    return {name: data.read(name).to_list() for name in data.names}


def lay_out(folder: Path, number: int) -> object:
    tokenizer = tiny_tokenizer()
    pairs = NLIData(str(folder / "pairs.jsonl")).read("train").select(range(number, 144))
    table = TokenTable.open(encode(pairs, tokenizer, 32), tokenizer)
    return {name: values.tolist() for name, values in table.first(144).items()}


def test_staging_into_one_folder(both, tmp_path):
    expected = {str(number): f"content {number}" for number in range(20)}
    for work in (keep, stage):
        assert both(work, tmp_path) == [[expected] * TIMES] * 2
    assert not [path for folder in (tmp_path, cache_folder()) for path in folder.glob(".*")]


def test_reading_one_file(both, tmp_path):
    for number in range(TIMES):
        write_jsonl(tmp_path / f"{number}.jsonl", PAIRS)
    assert both(read, tmp_path) == [[EXPECTED] * TIMES] * 2


def test_unpacking_one_zip(both, tmp_path):
    write_jsonl(tmp_path / "pairs.jsonl", PAIRS)
    for number in range(TIMES):
        with zipfile.ZipFile(tmp_path / f"{number}.zip", "w") as archive:
            for name in ("train", "dev"):
                archive.write(tmp_path / "pairs.jsonl", f"a/{name}.jsonl")
    assert both(unpack, tmp_path) == [[{"train": EXPECTED, "validation": EXPECTED}] * TIMES] * 2


def test_encoding_one_data_set(both, tmp_path):
    write_pairs(tmp_path / "pairs.jsonl")
    first, second = both(lay_out, tmp_path)
    assert first == second == [lay_out(tmp_path, number) for number in range(TIMES)]
    assert [len(batch["labels"]) for batch in first] == [144 - number for number in range(TIMES)]


CONTENT = bytes(range(256)) * 4000


class Handler(QuietHandler):
    """Serves the same content under every name."""

    def do_GET(self) -> None:
        self.server.requests.append(self.path)
        self.send(200, CONTENT, {})


def fetch(folder: Path, number: int) -> object:
    sha1 = hashlib.sha1(CONTENT).hexdigest()
    url = (folder / "url").read_text()
    file = download(Published(2, {"pytorch": (f"{number}.zip", sha1)}, url), "pytorch", folder / "cache")
    return hashlib.sha1(file.read_bytes()).hexdigest() == sha1


def test_downloading_one_file(both, tmp_path):
    """One process downloads, the other waits."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.requests = []
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    (tmp_path / "url").write_text(f"http://127.0.0.1:{server.server_port}/")
    try:
        assert both(fetch, tmp_path) == [[True] * TIMES] * 2
    finally:
        server.shutdown()
        server.server_close()
    assert sorted(server.requests) == sorted(f"/{number}.zip" for number in range(TIMES))
    assert {path.suffix for path in (tmp_path / "cache").iterdir()} == {".zip"}
