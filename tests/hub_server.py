"""A Hub on loopback: repositories, branches, pull requests, large files, permissions. And faults, where a test asks.

It speaks what `huggingface_hub` asks of huggingface.co for creating, publishing, listing and downloading.
"""

import base64
import hashlib
import json
import re
import tempfile
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote, urlsplit

LARGE = 4096  # bytes from which a file is stored as a large one, by its SHA-256
FIRST = "0" * 40


def git_hash(data):
    return hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()


@dataclass
class Repository:
    """Commits `{hash: {path: bytes}}`, branches `{name: hash}` (pull requests among them), and who may see it."""

    private: bool = False
    gated: bool = False
    commits: dict = field(default_factory=lambda: {FIRST: {}})
    branches: dict = field(default_factory=lambda: {"main": FIRST})

    def resolve(self, revision):
        """The commit of a branch or hash, or `None`."""
        commit = self.branches.get(revision, revision)
        return commit if commit in self.commits else None

    def commit(self, branch, files):
        commit = hashlib.sha1(f"{len(self.commits)} {branch} {sorted(files)}".encode()).hexdigest()
        self.commits[commit] = files
        self.branches[branch] = commit
        return commit

    @property
    def files(self):
        """`{path: bytes}` of main."""
        return self.commits[self.branches["main"]]


class Cut(Exception):
    """The connection ends here."""


class Hub(ThreadingHTTPServer):
    """A running Hub; `url` is for HF_ENDPOINT.

    Attributes:
        repositories: `{"user/name": Repository}`.
        tokens: `{token: "read" or "write"}`.
        log: `(method, path)` of every request.
        fault: from `(number, method, path)` of a request, counted from 0, to `None` or what shall go wrong: a status;
            "cut" (no answer, nothing done), "lose" (all done, but no answer), "truncate" (half an answer), "damage"
            (other bytes of the same length).
        before: called with `(number, method, path)` before a request is taken up.
    """

    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server_port}"
        self.home = tempfile.TemporaryDirectory()  # for HF_HOME; removed at exit
        self.lock = threading.RLock()
        self.clear()
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def clear(self):
        self.repositories, self.large, self.log = {}, {}, []
        self.tokens = {"hf_writer": "write", "hf_reader": "read"}
        self.restart()

    def restart(self):
        """No faults, and requests are counted from 0 again."""
        self.fault = self.before = lambda number, method, path: None
        self.log.clear()

    def handle_error(self, request, client_address):
        """A client that hangs up is not worth a traceback."""


class Handler(BaseHTTPRequestHandler):
    disable_nagle_algorithm = True  # an answer in two parts must not wait for an acknowledgement
    protocol_version = "HTTP/1.1"

    def log_message(self, *args):
        pass

    def handle_any(self):
        hub, path = self.server, urlsplit(self.path).path
        body = self.read_body()
        with hub.lock:
            number = len(hub.log)
            hub.log.append((self.command, path))
            hub.before(number, self.command, path)
            self.fault = hub.fault(number, self.command, path)
        try:
            if self.fault == "cut":
                raise Cut
            if isinstance(self.fault, int):
                self.error(self.fault, "Fault", "a fault of the test")
                return
            with hub.lock:
                answer = self.route(path, body)
            answer()
        except Cut:
            self.close_connection = True

    do_GET = do_POST = do_PUT = do_HEAD = do_DELETE = handle_any

    def read_body(self):
        if self.headers.get("Transfer-Encoding") == "chunked":
            data = b""
            while size := int(self.rfile.readline(), 16):
                data += self.rfile.read(size)
                self.rfile.readline()
            self.rfile.readline()
            return data
        return self.rfile.read(int(self.headers.get("Content-Length") or 0))

    # Answers

    def send(self, status, data, headers):
        if self.fault == "lose":
            raise Cut
        if self.fault == "damage":
            data = bytes(byte ^ 1 for byte in data)
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        if self.fault == "truncate":
            self.wfile.write(data[: len(data) // 2])
            raise Cut
        if self.command != "HEAD":
            self.wfile.write(data)

    def json(self, value, status=200, headers=None):
        self.send(status, json.dumps(value).encode(), {"Content-Type": "application/json"} | (headers or {}))

    def error(self, status, code, message):
        self.json({"error": message}, status, {"X-Error-Code": code, "X-Error-Message": message})

    # Requests

    def route(self, path, body):
        """A function that answers; what it answers is settled here, under the lock."""
        for pattern, method in ROUTES:
            if match := re.fullmatch(pattern, path):
                return method(self, body, **{name: unquote(value or "") for name, value in match.groupdict().items()})
        return lambda: self.error(404, "NotFound", f"{self.command} {path} is not served")

    @property
    def right(self):
        """ "write", "read" or `None`, by the token."""
        return self.server.tokens.get((self.headers.get("Authorization") or "").removeprefix("Bearer "))

    def repository(self, repo_id, write=False):
        """The repository, or `None` and the answer that says why not."""
        found = self.server.repositories.get(repo_id)
        if found is None or (found.private and self.right is None):
            return None, lambda: self.error(404 if self.right else 401, "RepoNotFound", "Repository not found")
        if found.gated and self.right != "write":
            return None, lambda: self.error(403, "GatedRepo", f"Access to model {repo_id} is restricted")
        if write and self.right != "write":
            return None, lambda: self.error(403 if self.right else 401, "Forbidden", "the token cannot write here")
        return found, None

    def whoami(self, body):
        if self.right is None:
            return lambda: self.error(401, "Unauthorized", "Invalid username or password.")
        return lambda: self.json({"type": "user", "name": "me", "orgs": []})

    def validate(self, body):
        return lambda: self.json({"errors": [], "warnings": []})

    def create(self, body):
        if self.right != "write":
            return lambda: self.error(403 if self.right else 401, "Forbidden", "the token cannot create repositories")
        request = json.loads(body)
        repo_id = f"{request.get('organization') or 'me'}/{request['name']}"
        url = f"{self.server.url}/{repo_id}"
        if repo_id in self.server.repositories:
            return lambda: self.json({"error": "You already created this model repo", "url": url}, 409)
        self.server.repositories[repo_id] = Repository(
            private=request.get("visibility") == "private" or bool(request.get("private"))
        )
        return lambda: self.json({"url": url, "name": repo_id, "id": repo_id})

    def delete(self, body):
        request = json.loads(body)
        repo_id = f"{request.get('organization') or 'me'}/{request['name']}"
        found, refusal = self.repository(repo_id, write=True)
        if found is None:
            return refusal
        del self.server.repositories[repo_id]
        return lambda: self.json({})

    def store(self, body, digest):
        self.server.large[digest] = body
        return lambda: self.json({})

    def batch(self, body, repo_id):
        found, refusal = self.repository(repo_id, write=True)
        if found is None:
            return refusal
        objects = []
        for item in json.loads(body)["objects"]:
            upload = {"actions": {"upload": {"href": f"{self.server.url}/large/{item['oid']}"}}}
            objects.append(item | ({} if item["oid"] in self.server.large else upload))
        return lambda: self.json({"transfer": "basic", "objects": objects})

    def info(self, body, repo_id, revision):
        return self.at(repo_id, revision, self.describe)

    def at(self, repo_id, revision, function):
        """The answer of `function(commit, files)` at a revision, or the refusal."""
        found, refusal = self.repository(repo_id)
        if found is None:
            return refusal
        commit = found.resolve(revision or "main")
        if commit is None:
            return lambda: self.error(404, "RevisionNotFound", f"Invalid rev id: {revision}")
        answer = function(repo_id, commit, found.commits[commit])
        return lambda: self.json(answer)

    def describe(self, repo_id, commit, files):
        siblings = [
            {"rfilename": path, "size": len(data), "blobId": git_hash(data)}
            | (
                {"lfs": {"sha256": hashlib.sha256(data).hexdigest(), "size": len(data), "pointerSize": 134}}
                if len(data) >= LARGE
                else {}
            )
            for path, data in sorted(files.items())
        ]
        return {"_id": "x", "id": repo_id, "sha": commit, "private": False, "tags": [], "siblings": siblings}

    def tree(self, body, repo_id, revision):
        def listing(repo_id, commit, files):
            return [
                {"type": "file", "path": path, "size": len(data), "oid": git_hash(data)}
                | (
                    {"lfs": {"oid": hashlib.sha256(data).hexdigest(), "size": len(data), "pointerSize": 134}}
                    if len(data) >= LARGE
                    else {}
                )
                for path, data in sorted(files.items())
            ]

        return self.at(repo_id, revision, listing)

    def branch(self, body, repo_id, revision):
        found, refusal = self.repository(repo_id, write=True)
        if found is None:
            return refusal
        if self.command == "DELETE":
            found.branches.pop(revision, None)
        elif revision in found.branches:
            return lambda: self.error(409, "Conflict", "Reference already exists")
        else:
            found.branches[revision] = found.resolve(json.loads(body or b"{}").get("startingPoint") or "main")
        return lambda: self.json({})

    def preupload(self, body, repo_id, revision):
        found, refusal = self.repository(repo_id, write=True)
        if found is None:
            return refusal
        files = found.commits[found.resolve(revision)]
        answer = []
        for item in json.loads(body)["files"]:
            data = files.get(item["path"])
            large = item["size"] >= LARGE
            old = None if data is None else hashlib.sha256(data).hexdigest() if large else git_hash(data)
            mode = "lfs" if large else "regular"
            answer.append({"path": item["path"], "uploadMode": mode, "shouldIgnore": False, "oid": old})
        return lambda: self.json({"files": answer})

    def commit(self, body, repo_id, revision):
        found, refusal = self.repository(repo_id, write=True)
        if found is None:
            return refusal
        head = found.branches.get(revision)
        if head is None:
            return lambda: self.error(404, "RevisionNotFound", f"Invalid rev id: {revision}")
        files, header = dict(found.commits[head]), {}
        for line in body.splitlines():
            operation = json.loads(line)
            value = operation["value"]
            if operation["key"] == "header":
                header = value
            elif operation["key"] == "file":
                files[value["path"]] = base64.b64decode(value["content"])
            elif operation["key"] == "lfsFile":
                if value["oid"] not in self.server.large:
                    return lambda: self.error(400, "BadRequest", "a large file was not sent")
                files[value["path"]] = self.server.large[value["oid"]]
            elif operation["key"] == "deletedFile":
                files.pop(value["path"], None)
        if header.get("parentCommit") not in (None, head):
            return lambda: self.error(412, "PreconditionFailed", "A commit has happened since.")
        answer = {"success": True}
        if "create_pr=1" in self.path:
            number = 1 + sum(name.startswith("refs/pr/") for name in found.branches)
            revision = f"refs/pr/{number}"
            answer["pullRequestUrl"] = f"{self.server.url}/{repo_id}/discussions/{number}"
        answer["commitOid"] = found.commit(revision, files)
        answer["commitUrl"] = f"{self.server.url}/{repo_id}/commit/{answer['commitOid']}"
        return lambda: self.json(answer)

    def resolve(self, body, repo_id, revision, path):
        found, refusal = self.repository(repo_id)
        if found is None:
            return refusal
        commit = found.resolve(revision)
        if commit is None:
            return lambda: self.error(404, "RevisionNotFound", f"Invalid rev id: {revision}")
        data = found.commits[commit].get(path)
        if data is None:
            return lambda: self.error(404, "EntryNotFound", "Entry not found")
        tag = hashlib.sha256(data).hexdigest() if len(data) >= LARGE else git_hash(data)
        headers = {"X-Repo-Commit": commit, "ETag": f'"{tag}"', "Accept-Ranges": "bytes"}
        wanted = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range") or "")
        if wanted is None:
            return lambda: self.send(200, data, headers)
        start, stop = int(wanted[1]), int(wanted[2] or len(data) - 1) + 1
        headers["Content-Range"] = f"bytes {start}-{stop - 1}/{len(data)}"
        return lambda: self.send(206, data[start:stop], headers)


REPO = r"(?P<repo_id>[^/]+/[^/]+)"
REVISION = r"(?P<revision>[^/]+)"
ROUTES = [
    (r"/api/whoami-v2", Handler.whoami),
    (r"/api/validate-yaml", Handler.validate),
    (r"/api/repos/create", Handler.create),
    (r"/api/repos/delete", Handler.delete),
    (r"/large/(?P<digest>[0-9a-f]{64})", Handler.store),
    (rf"/{REPO}\.git/info/lfs/objects/batch", Handler.batch),
    (rf"/api/models/{REPO}(?:/revision/{REVISION})?", Handler.info),
    (rf"/api/models/{REPO}/tree/{REVISION}", Handler.tree),
    (rf"/api/models/{REPO}/branch/{REVISION}", Handler.branch),
    (rf"/api/models/{REPO}/preupload/{REVISION}", Handler.preupload),
    (rf"/api/models/{REPO}/commit/{REVISION}", Handler.commit),
    (rf"/{REPO}/resolve/{REVISION}/(?P<path>.+)", Handler.resolve),
]


HUB = Hub()
