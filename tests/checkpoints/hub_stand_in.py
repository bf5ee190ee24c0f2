"""A stand-in of the hub on this machine: repositories are made, large files go to its store, commits are kept."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

LARGE = ".safetensors"


@dataclass
class StandIn:
    """What the stand-in was told.

    Attributes:
      url: where it listens.
      token: who may write.
      repositories: names, with whether each is private.
      branches: that were made, as NAME:BRANCH.
      files: content by NAME:BRANCH/PATH.
      stored: large files by their sha256.
    """

    url: str = ""
    token: str = "hf_may_write"
    repositories: dict[str, bool] = field(default_factory=dict)
    branches: list[str] = field(default_factory=list)
    files: dict[str, bytes] = field(default_factory=dict)
    stored: dict[str, bytes] = field(default_factory=dict)

    def answer(self, method: str, path: str, body: bytes) -> tuple[int, Any]:
        """What a request gets: a status and JSON."""
        parts = path.partition("?")[0].strip("/").split("/")
        match method, parts:
            case "PUT", ["up", oid]:
                self.stored[oid] = body
                return 200, {}
            case "POST", ["api", "repos", "create"]:
                asked = json.loads(body)
                owner = asked.get("organization") or asked.get("namespace") or "me"
                name = asked["name"] if "/" in asked["name"] else f"{owner}/{asked['name']}"
                self.repositories.setdefault(name, bool(asked.get("private")) or asked.get("visibility") == "private")
                return 200, {"url": f"{self.url}/{name}", "name": name}
            case "POST", ["api", "models", owner, name, "branch", branch]:
                self.branches.append(f"{owner}/{name}:{branch}")
                return 200, {}
            case "POST", ["api", "models", _, _, "preupload", _]:
                modes = [
                    {"path": f["path"], "uploadMode": "lfs" if f["path"].endswith(LARGE) else "regular"}
                    for f in json.loads(body)["files"]
                ]
                return 200, {"files": [mode | {"shouldIgnore": False, "oid": None} for mode in modes]}
            case "POST", [_, _, "info", "lfs", "objects", "batch"]:
                asked = json.loads(body)["objects"]
                objects = [o | {"actions": {"upload": {"href": f"{self.url}/up/{o['oid']}"}}} for o in asked]
                return 200, {"transfer": "basic", "objects": objects}
            case "POST", ["api", "models", owner, name, "commit", branch]:
                for line in body.splitlines():
                    said = json.loads(line)
                    at = f"{owner}/{name}:{branch}/{said['value'].get('path')}"
                    if said["key"] == "file":
                        self.files[at] = base64.b64decode(said["value"]["content"])
                    elif said["key"] == "lfsFile":
                        self.files[at] = self.stored[said["value"]["oid"]]
                commit = "c" * 40
                return 200, {
                    "success": True,
                    "commitOid": commit,
                    "commitUrl": f"{self.url}/{owner}/{name}/commit/{commit}",
                }
            case "POST", ["api", "validate-yaml"]:
                return 200, {"warnings": [], "errors": []}
        return 404, {"error": f"{method} {path}"}


@contextmanager
def hub() -> Iterator[StandIn]:
    """A stand-in that listens until the end of the block."""
    stand_in = StandIn()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do(self) -> None:
            if self.headers.get("Transfer-Encoding") == "chunked":
                body = b""
                while size := int(self.rfile.readline(), 16):
                    body += self.rfile.read(size)
                    self.rfile.readline()
                self.rfile.readline()
            else:
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            may = self.headers.get("authorization") == f"Bearer {stand_in.token}" or self.path.startswith("/up/")
            status, value = stand_in.answer(self.command, self.path, body) if may else (401, {"error": "Unauthorized"})
            reply = json.dumps(value).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(reply)))
            self.end_headers()
            self.wfile.write(reply)

        do_GET = do_POST = do_PUT = do

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    stand_in.url = f"http://127.0.0.1:{server.server_port}"
    thread = Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield stand_in
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
