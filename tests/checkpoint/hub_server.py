"""As much of the Hugging Face Hub as a download needs, on this machine."""

import hashlib
import http.server
import threading
from collections.abc import Iterator
from contextlib import contextmanager

COMMIT = "0123456789abcdef0123456789abcdef01234567"
REVISIONS = ("main", "v2", COMMIT)


@contextmanager
def serve_hub(repositories: dict[str, dict[str, bytes]]) -> Iterator[str]:
    """Serves files by repository and name, at the revisions :data:`REVISIONS`; yields the address."""

    class Hub(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_HEAD(self) -> None:
            self.answer(body=False)

        def do_GET(self) -> None:
            self.answer(body=True)

        def answer(self, body: bool) -> None:
            owner, name, _, revision, file = self.path.strip("/").split("/", 4)
            files = repositories.get(f"{owner}/{name}")
            if files is None:
                return self.refuse(401, "RepoNotFound")
            if revision not in REVISIONS:
                return self.refuse(404, "RevisionNotFound")
            if file not in files:
                return self.refuse(404, "EntryNotFound")
            content = files[file]
            self.send_response(200)
            self.send_header("ETag", f'"{hashlib.sha256(content).hexdigest()}"')
            self.send_header("X-Repo-Commit", COMMIT)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            if body:
                self.wfile.write(content)

        def refuse(self, status: int, code: str) -> None:
            self.send_response(status)
            self.send_header("X-Error-Code", code)
            self.send_header("X-Repo-Commit", COMMIT)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *arguments: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Hub) as server:
        threading.Thread(target=server.serve_forever, args=[0.02], daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
