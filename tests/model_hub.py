"""A Hub on the loopback interface that models are pushed to, with faults on demand."""

from __future__ import annotations

import base64
import json
import re
from dataclasses import dataclass, field
from hashlib import sha1, sha256
from http.server import ThreadingHTTPServer
from threading import Lock, Thread
from urllib.parse import parse_qs, unquote, urlsplit

from quiet_handler import QuietHandler

Files = dict[str, bytes]
TOKENS = {"hf_write": "write", "hf_read": "read", "hf_fine": "fineGrained"}
LFS = (".safetensors", ".png")


def blob_id(content: bytes) -> str:
    return sha1(b"blob %d\0" % len(content) + content).hexdigest()


@dataclass
class Repository:
    private: bool = False
    commits: dict[str, tuple[str, Files]] = field(default_factory=dict)
    branches: dict[str, str] = field(default_factory=dict)
    pulls: list[str] = field(default_factory=list)

    def commit(self, title: str, files: Files, branch: str) -> str:
        oid = sha1(f"{len(self.commits)}{title}".encode()).hexdigest()
        self.commits[oid], self.branches[branch] = (title, files), oid
        return oid

    def find(self, revision: str) -> str | None:
        return self.branches.get(revision) or (revision if revision in self.commits else None)


@dataclass
class Fault:
    """What happens, once or more, to requests that match.

    A status; "drop" before or "lose" after they are done; or "damage" to the last byte of the answer.
    """

    request: str
    what: int | str
    times: int = 1


@dataclass
class Hub:
    address: str = ""
    tokens: dict[str, str] = field(default_factory=lambda: dict(TOKENS))
    repositories: dict[str, Repository] = field(default_factory=dict)
    uploads: dict[str, bytes] = field(default_factory=dict)
    faults: list[Fault] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)
    lock: Lock = field(default_factory=Lock)

    def fault(self, request: str, what: int | str, times: int = 1) -> None:
        self.faults.append(Fault(request, what, times))

    def files(self, repo_id: str, revision: str = "main") -> Files:
        repository = self.repositories[repo_id]
        return repository.commits[repository.find(revision)][1]


class _Handler(QuietHandler):
    protocol_version = "HTTP/1.1"
    hub: Hub

    def handle_any(self) -> None:
        url = urlsplit(self.path)
        self.query, path = parse_qs(url.query), unquote(url.path)
        self.body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        request = f"{self.command} {path}"
        with self.hub.lock:
            self.hub.requests.append(request)
            fault = next((each for each in self.hub.faults if each.times and re.search(each.request, request)), None)
            if fault:
                fault.times -= 1
                if fault.what == "drop":
                    return self._hang_up()
                if isinstance(fault.what, int):
                    return self._json({"error": "out of order"}, fault.what)
            answer = self._route(request)
        if fault and fault.what != "damage":
            return self._hang_up()
        status, content, headers = answer if isinstance(answer, tuple) else (200, answer, {})
        body = content if isinstance(content, bytes) else json.dumps(content).encode()
        if fault:
            body = body[:-1] + b"?"
        self.send(status, body, headers)

    do_GET = do_HEAD = do_POST = do_PUT = handle_any

    def _hang_up(self) -> None:
        self.close_connection = True
        self.connection.close()

    def _json(self, content: object, status: int = 200) -> None:
        self.send(status, json.dumps(content).encode(), {})

    def _route(self, request: str) -> object:
        hub = self.hub
        token = (self.headers.get("Authorization") or "").removeprefix("Bearer ")
        if request == "PUT /upload" or request.startswith("PUT /upload/"):
            hub.uploads[request.removeprefix("PUT /upload/")] = self.body
            return {}
        if token and token not in hub.tokens:
            return 401, {"error": "Invalid credentials"}, {"X-Error-Message": "Invalid credentials"}
        role = hub.tokens.get(token)
        if request == "GET /api/whoami-v2":
            return {"name": "user", "orgs": [], "auth": {"accessToken": {"role": role}}} if role else (401, {}, {})
        if request == "POST /api/validate-yaml":
            return {"errors": [], "warnings": []}
        if request == "POST /api/repos/create":
            return self._create(role)
        if match := re.fullmatch(r"POST /([\w-]+/[\w.-]+)\.git/info/lfs/objects/batch", request):
            return self._batch(match[1])
        if match := re.fullmatch(r"(GET|HEAD) /([\w-]+/[\w.-]+)/resolve/(refs/[^/]+/\d+|[^/]+)/(.+)", request):
            return self._resolve(*match.groups()[1:])
        match = re.fullmatch(r"(\w+) /api/models/([\w-]+/[\w.-]+)(?:/([\w-]+))?(?:/(.+))?", request)
        repository = hub.repositories.get(match[2]) if match else None
        if repository is None or (repository.private and not role):
            return 404, {"error": "Repository not found"}, {"X-Error-Code": "RepoNotFound"}
        return getattr(self, f"_{(match[3] or 'revision').replace('-', '_')}")(
            repository, match[2], match[4] or "main", role
        )

    def _create(self, role: str | None) -> object:
        wanted = json.loads(self.body)
        repo_id = f"{wanted.get('organization') or 'user'}/{wanted['name']}"
        if role != "write" or not repo_id.startswith("user/"):
            return 403, {"error": "You don't have the rights to create a model under this namespace"}, {}
        if repo_id in self.hub.repositories:
            return 409, {"error": "You already created this model repo", "url": f"{self.hub.address}/{repo_id}"}, {}
        private = wanted.get("private") or wanted.get("visibility") == "private"
        self.hub.repositories[repo_id] = repository = Repository(bool(private))
        repository.commit("initial commit", {".gitattributes": b"*.safetensors filter=lfs\n"}, "main")
        return {"url": f"{self.hub.address}/{repo_id}", "id": repo_id, "name": repo_id}

    def _revision(self, repository: Repository, repo_id: str, revision: str, _: str | None) -> object:
        oid = repository.find(revision)
        if oid is None:
            return 404, {"error": "Invalid rev id"}, {"X-Error-Code": "RevisionNotFound"}
        siblings = [{"rfilename": name} for name in repository.commits[oid][1]]
        return {"id": repo_id, "sha": oid, "private": repository.private, "siblings": siblings, "tags": []}

    def _tree(self, repository: Repository, repo_id: str, revision: str, _: str | None) -> object:
        revision, _, folder = revision.partition("/")
        if folder:  # there is none
            return 404, {}, {"X-Error-Code": "EntryNotFound"}
        files = repository.commits[repository.find(revision)][1]
        sizes = {name: {"size": len(content), "oid": blob_id(content)} for name, content in files.items()}
        return [{"type": "file", "path": name, **size} for name, size in sizes.items()]

    def _branch(self, repository: Repository, repo_id: str, branch: str, role: str | None) -> object:
        repository.branches[branch] = repository.branches["main"]
        return {}

    def _preupload(self, repository: Repository, repo_id: str, revision: str, role: str | None) -> object:
        if role != "write":
            return 403, {"error": "Forbidden: you must use a write token"}, {}
        files = repository.commits[repository.find(revision)][1]
        answer = []
        for each in json.loads(self.body)["files"]:
            large, known = each["path"].endswith(LFS), files.get(each["path"])
            oid = known and (sha256(known).hexdigest() if large else blob_id(known))
            mode = "lfs" if large else "regular"
            answer.append({"path": each["path"], "uploadMode": mode, "shouldIgnore": False, "oid": oid})
        return {"files": answer}

    def _batch(self, repo_id: str) -> object:
        objects = []
        for each in json.loads(self.body)["objects"]:
            action = {"upload": {"href": f"{self.hub.address}/upload/{each['oid']}"}}
            known = {"actions": action} if each["oid"] not in self.hub.uploads else {}
            objects.append(each | known)
        return {"transfer": "basic", "objects": objects}

    def _commit(self, repository: Repository, repo_id: str, revision: str, role: str | None) -> object:
        if role != "write":
            return 403, {"error": "Forbidden: you must use a write token"}, {}
        header, *lines = (json.loads(line) for line in self.body.splitlines())
        files = dict(repository.commits[repository.find(revision)][1])
        for line in lines:
            path = line["value"]["path"]
            if line["key"] == "file":
                files[path] = base64.b64decode(line["value"]["content"])
            elif line["key"] == "lfsFile":
                files[path] = self.hub.uploads[line["value"]["oid"]]
            else:
                del files[path]
        pull = None
        if self.query.get("create_pr"):
            repository.pulls.append(header["value"]["summary"])
            revision, pull = (
                f"refs/pr/{len(repository.pulls)}",
                f"{self.hub.address}/{repo_id}/discussions/{len(repository.pulls)}",
            )
        oid = repository.commit(header["value"]["summary"], files, revision)
        return {"commitUrl": f"{self.hub.address}/{repo_id}/commit/{oid}", "commitOid": oid, "pullRequestUrl": pull}

    def _discussions(self, repository: Repository, repo_id: str, _: str, __: str | None) -> object:
        pulls = [
            {"title": title, "num": number, "author": {"name": "user"}, "isPullRequest": True, "status": "open",
             "createdAt": "2026-01-01T00:00:00.000Z", "repo": {"name": repo_id, "type": "model"}}
            for number, title in enumerate(repository.pulls, 1)
        ]  # fmt: skip
        return {"discussions": pulls, "count": len(pulls), "start": 0}

    def _resolve(self, repo_id: str, revision: str, name: str) -> object:
        repository = self.hub.repositories.get(repo_id)
        oid = repository and repository.find(revision)
        files = repository.commits[oid][1] if oid else {}
        if name not in files:
            kind = "EntryNotFound" if oid else "RevisionNotFound" if repository else "RepoNotFound"
            return 404, b"", {"X-Error-Code": kind}
        etag = sha256(files[name]).hexdigest() if name.endswith(LFS) else blob_id(files[name])
        return 200, files[name], {"X-Repo-Commit": oid, "ETag": f'"{etag}"'}


def serve() -> Hub:
    """Starts an empty Hub whose user is called `user`; it ends with the process."""
    hub = Hub()
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"hub": hub}))
    hub.address = f"http://127.0.0.1:{server.server_port}"
    Thread(target=server.serve_forever, daemon=True).start()
    return hub
