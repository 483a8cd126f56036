"""A web server on loopback that serves files as good and as bad servers do."""

import contextlib
import gzip
import re
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class FileServer:
    """Serves ``files`` (name -> bytes) at ``url`` and remembers what it was asked for.

    It compresses them for who takes that.

    Attributes:
        turns: name -> what the next answers of a file are instead of a good one, one for each GET: a
            status (500), ("cut", n) after n bytes, ("stall", n), ("whole",) where a part is asked for,
            ("shifted",) for another part, ("total", text) for another size in a part, or None.
        lengths: whether the length is told. requests: (name, value of the Range header or None) of
            each GET. before: called with the name before each answer.
    """

    def __init__(self, files=()):
        self.files, self.turns, self.requests = dict(files), {}, []
        self.lengths = True
        self.before = lambda name: None
        self._gone = threading.Event()

    def of(self, name):
        """The GETs of a file: (Range header or None) of each."""
        return [asked for got, asked in self.requests if got == name]

    def __enter__(self):
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self):
                name, asked = self.path.lstrip("/"), self.headers.get("Range")
                outer.requests.append((name, asked))
                outer.before(name)
                turns = outer.turns.get(name)
                outer._answer(self, outer.files.get(name), asked, turns.pop(0) if turns else None)

            def log_message(self, *_):
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._server.handle_error = lambda *_: None  # clients that go away are meant to
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()
        return self

    def __exit__(self, *_):
        self._gone.set()
        self._server.shutdown()
        self._server.server_close()

    def _answer(self, handler, data, asked, turn):
        turn = turn if isinstance(turn, tuple) else (turn or 200,)
        partial = bool(asked) and turn[0] != "whole"
        first = int(re.fullmatch(r"bytes=(\d+)-", asked)[1]) if partial else 0
        refused = 404 if data is None else 416 if first > 0 and first >= len(data) else None
        if turn[0] in range(300, 600):
            refused = turn[0]
        if refused:
            handler.send_response(refused)
            handler.send_header("Content-Length", "0")
            handler.end_headers()
            return
        handler.send_response(206 if partial else 200)
        if "gzip" in handler.headers.get("Accept-Encoding", ""):
            data, first = gzip.compress(data[first:]), 0
            handler.send_header("Content-Encoding", "gzip")
        if partial:
            begins = first + 1 if turn[0] == "shifted" else first
            total = turn[1] if turn[0] == "total" else len(data)
            handler.send_header("Content-Range", f"bytes {begins}-{len(data) - 1}/{total}")
        if self.lengths:
            handler.send_header("Content-Length", str(len(data) - first))
        handler.send_header("Connection", "close")
        handler.end_headers()
        with contextlib.suppress(OSError):
            if turn[0] in ("cut", "stall"):
                handler.wfile.write(data[first : first + turn[1]])
                handler.wfile.flush()
                if turn[0] == "stall":
                    self._gone.wait(30)  # until the client has gone, and the test is over
            else:
                handler.wfile.write(data[first:])
        handler.close_connection = True
