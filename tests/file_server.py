"""A web server on loopback that serves files as good and as bad servers do."""

import contextlib
import re
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class FileServer:
    """Serves ``files`` (name -> bytes) and remembers what it was asked for.

    Attributes:
        cut_after: list of numbers of bytes after which the next answers break off; then whole ones.
        answers: list of codes that the next answers have instead of a file.
        ranges: whether a part of a file can be asked for. wrong_ranges: answers with another part.
        lengths: whether the length is told. stall: an Event; answers wait for it before the body.
        requests: (name, value of the Range header or None) of each request.
    """

    def __init__(self, files):
        self.files, self.requests = dict(files), []
        self.cut_after, self.answers = [], []
        self.ranges, self.wrong_ranges, self.lengths = True, False, True
        self.stall = None
        self._lock = threading.Lock()

    def __enter__(self):
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self):
                outer._answer(self)

            def log_message(self, *_):
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._server.handle_error = lambda *_: None  # clients that go away are meant to
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()
        return self

    def __exit__(self, *_):
        if self.stall is not None:
            self.stall.set()
        self._server.shutdown()
        self._server.server_close()

    def _answer(self, handler):
        name = handler.path.rpartition("/")[2]
        asked = handler.headers.get("Range")
        with self._lock:
            self.requests.append((name, asked))
            code = self.answers.pop(0) if self.answers else 200
            cut = self.cut_after.pop(0) if self.cut_after else None
        data = self.files.get(name)
        if data is None or code != 200:
            handler.send_response(code if code != 200 else 404)
            handler.send_header("Content-Length", "0")
            handler.end_headers()
            return
        first = int(re.fullmatch(r"bytes=(\d+)-", asked)[1]) if asked and self.ranges else 0
        if asked and self.ranges and first >= len(data):
            handler.send_response(416)
            handler.send_header("Content-Length", "0")
            handler.end_headers()
            return
        body = data[first:]
        handler.send_response(206 if asked and self.ranges else 200)
        if asked and self.ranges:
            told = first + 1 if self.wrong_ranges else first
            handler.send_header("Content-Range", f"bytes {told}-{len(data) - 1}/{len(data)}")
        if self.lengths:
            handler.send_header("Content-Length", str(len(body)))
        handler.send_header("Connection", "close")
        handler.end_headers()
        if self.stall is not None:
            self.stall.wait(30)
        with contextlib.suppress(OSError):
            handler.wfile.write(body if cut is None else body[:cut])
        handler.close_connection = True
