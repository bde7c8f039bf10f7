"""A hub of one's own: what the Hugging Face hub's client asks of the real one, over HTTP, kept in memory."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Hub:
    """Repositories by name: their files, whether they are private, and what else was sent. It answers at `url`."""

    def __init__(self) -> None:
        self.repositories: dict[str, dict[str, bytes]] = {}
        self.private: dict[str, bool] = {}
        self.messages: list[str] = []
        self.cards: list[str] = []
        self.url = ""

    def commit(self, name: str) -> str:
        """The commit of a repository, 40 hex digits of its contents."""
        contents = repr(sorted(self.repositories[name].items())).encode()
        return hashlib.sha1(contents, usedforsecurity=False).hexdigest()


@contextmanager
def running() -> Iterator[Hub]:
    hub = Hub()

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *arguments: object) -> None:
            pass

        def answer(self, body: object, status: int = 200, **headers: str) -> None:
            data = body if isinstance(body, bytes) else json.dumps(body).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(data)))
            for key, value in headers.items():
                self.send_header(key.replace("_", "-"), value)
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(data)

        def do_HEAD(self) -> None:
            self.do_GET()

        def do_GET(self) -> None:
            path = self.path.partition("?")[0]
            if path == "/":
                return self.answer({})
            if match := re.fullmatch(r"/api/models/([^/]+/[^/]+)(/revision/[^/]+)?", path):
                name = match[1]
                if name not in hub.repositories:
                    return self.answer({"error": "Repository not found"}, 404, X_Error_Code="RepoNotFound")
                return self.answer({"id": name, "modelId": name, "sha": hub.commit(name), "siblings": [], "tags": []})
            if match := re.fullmatch(r"/api/models/([^/]+/[^/]+)/tree/[^/]+", path):
                files = hub.repositories[match[1]].items()
                return self.answer(
                    [
                        {"type": "file", "path": each, "size": len(data), "oid": hashlib.sha256(data).hexdigest()[:40]}
                        for each, data in files
                    ]
                )
            if match := re.fullmatch(r"/([^/]+/[^/]+)/resolve/[^/]+/(.+)", path):
                data = hub.repositories.get(match[1], {}).get(match[2])
                if data is None:
                    return self.answer({"error": "Entry not found"}, 404, X_Error_Code="EntryNotFound")
                tag = hashlib.sha256(data).hexdigest()[:40]
                return self.answer(data, ETag=f'"{tag}"', X_Repo_Commit=hub.commit(match[1]))
            return self.answer({"error": path}, 404)

        def do_POST(self) -> None:
            data = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            path = self.path.partition("?")[0]
            if path == "/api/validate-yaml":
                front = json.loads(data)["content"].split("---")[1]
                hub.cards.append(front)
                return self.answer({"errors": [], "warnings": []})
            if path == "/api/repos/create":
                asked = json.loads(data)
                name = "/".join(filter(None, (asked.get("organization"), asked["name"])))
                if asked.get("organization") == "closed":
                    return self.answer({"error": "You don't have the rights"}, 403)
                hub.repositories.setdefault(name, {})
                hub.private[name] = bool(asked.get("private")) or asked.get("visibility") == "private"
                return self.answer({"url": f"{hub.url}/{name}"})
            if "/preupload/" in path:
                modes = [
                    {"path": each["path"], "uploadMode": "regular", "shouldIgnore": False}
                    for each in json.loads(data)["files"]
                ]
                return self.answer({"files": modes})
            if match := re.fullmatch(r"/api/models/([^/]+/[^/]+)/commit/[^/]+", path):
                for line in map(json.loads, data.splitlines()):
                    if line["key"] == "file":
                        hub.repositories[match[1]][line["value"]["path"]] = base64.b64decode(line["value"]["content"])
                    else:
                        hub.messages.append(line["value"]["summary"])
                commit = hub.commit(match[1])
                return self.answer({"commitUrl": f"{hub.url}/{match[1]}/commit/{commit}", "commitOid": commit})
            return self.answer({"error": path}, 404)

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    hub.url = f"http://127.0.0.1:{server.server_address[1]}"
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()
