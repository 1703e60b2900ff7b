"""A Hub on the loopback interface: what huggingface_hub asks of one to read a data set."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha1
from http.server import ThreadingHTTPServer
from threading import Thread
from urllib.parse import parse_qs, unquote, urlsplit

from quiet_handler import QuietHandler

Revisions = dict[str, dict[str, bytes]]


def _commit(files: dict[str, bytes]) -> str:
    return sha1(repr(sorted(files.items())).encode()).hexdigest()


class _Handler(QuietHandler):
    repo_id: str
    revisions: Revisions

    def do_GET(self) -> None:
        path = unquote(urlsplit(self.path).path)
        if path.startswith(f"/datasets/{self.repo_id}/resolve/"):
            return self._file(*path.removeprefix(f"/datasets/{self.repo_id}/resolve/").split("/", 1))
        if path != f"/api/datasets/{self.repo_id}" and not path.startswith(f"/api/datasets/{self.repo_id}/"):
            return self._answer(404, b"", **{"X-Error-Code": "RepoNotFound"})
        kind, _, revision = path.removeprefix(f"/api/datasets/{self.repo_id}").strip("/").partition("/")
        revision, _, folder = revision.partition("/")
        files = self._files(revision or "main")
        if files is None:
            return self._answer(404, b"", **{"X-Error-Code": "RevisionNotFound"})
        entries = [{"type": "file", "path": name, "size": len(files[name]), "oid": "0"} for name in files]
        if kind in ("", "revision"):
            siblings = [{"rfilename": name} for name in files]
            return self._json({"id": self.repo_id, "sha": _commit(files), "siblings": siblings, "private": False})
        if kind == "paths-info":
            asked = parse_qs(self.rfile.read(int(self.headers["Content-Length"])).decode())["paths"]
            return self._json([entry for entry in entries if entry["path"] in asked])
        if kind == "tree":
            return self._json([entry for entry in entries if entry["path"].startswith(folder)])
        return self._answer(404, b"")

    do_HEAD = do_POST = do_GET

    def _files(self, revision: str) -> dict[str, bytes] | None:
        return ({_commit(files): files for files in self.revisions.values()} | self.revisions).get(revision)

    def _file(self, revision: str, name: str) -> None:
        files = self._files(revision)
        if files is None or name not in files:
            code = "RevisionNotFound" if files is None else "EntryNotFound"
            return self._answer(404, b"", **{"X-Error-Code": code})
        etag = f'"{sha1(files[name]).hexdigest()}"'
        self._answer(200, files[name], **{"X-Repo-Commit": _commit(files), "ETag": etag})

    def _json(self, content: object) -> None:
        self._answer(200, json.dumps(content).encode(), **{"Content-Type": "application/json"})

    def _answer(self, status: int, body: bytes, **headers: str) -> None:
        self.send(status, body, headers)


@contextmanager
def hub(repo_id: str, revisions: Revisions) -> Iterator[str]:
    """Serves one data set and gives the address.

    Args:
        repo_id: Its id.
        revisions: The files of each branch or tag, by path; one is "main".
    """
    handler = type("Handler", (_Handler,), {"repo_id": repo_id, "revisions": revisions})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
