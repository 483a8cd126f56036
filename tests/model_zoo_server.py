"""A repository of weights behind a real web server on loopback, which misbehaves as it is told."""

import contextlib
import hashlib
import json
import re
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

NAME = "ssd_128_resnet10_v1_0.125_shapes_gkd_resnet10_v1_0.5"
CLASSES = ["cross", "disc", "ring", "square", "star", "triangle"]


def entry(content, name=NAME, published="2026-01-01T00:00:00+00:00", **changes):
    """What an index says of weights of that content."""
    sha1 = hashlib.sha1(content).hexdigest()
    return {
        "name": name,
        "file": f"{name}-{sha1[:8]}.params",
        "sha1": sha1,
        "sha256": hashlib.sha256(content).hexdigest(),
        "size": len(content),
        "classes": CLASSES,
        "data_shape": 128,
        "mAP": 0.25,
        "published": published,
        **changes,
    }


def index(*entries):
    """An index of these versions, as bytes."""
    models = {}
    for one in entries:
        models.setdefault(one["name"], []).append(one)
    return json.dumps({"format": 1, "models": models}).encode()


class Answers:
    """What the server does with a GET: files by path, and misbehaviours, one for each GET in turn.

    A misbehaviour is a status (500), ("cut", n) after n bytes, ("stall", n), ("whole",) for a server
    that knows no Range, ("shifted",) for a part that was not asked for, or None.
    """

    def __init__(self):
        self.files, self.turns, self.gets = {}, {}, []
        self.event = threading.Event()
        self.before = lambda path: None

    def of(self, path):
        """The GETs of a path: (Range header or None) of each."""
        return [sent for got, sent in self.gets if got == path]


@contextlib.contextmanager
def serving():
    """An :class:`Answers` whose server listens at ``.url``; it is gone afterwards."""
    answers = Answers()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_):
            pass

        def do_GET(self):
            path = self.path.lstrip("/")
            answers.gets.append((path, self.headers.get("Range")))
            answers.before(path)
            turns = answers.turns.get(path, [])
            turn = turns.pop(0) if turns else None
            content = answers.files.get(path)
            if isinstance(turn, int) or content is None:
                self.send_response(turn if isinstance(turn, int) else 404)
                self.send_header("Content-Length", "0")
                self.end_headers()
                return
            self._send(content, turn or ("good",))

        def _send(self, content, turn):
            start, asked = 0, re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
            if asked and turn[0] != "whole":
                start = int(asked[1]) + (1 if turn[0] == "shifted" else 0)
                self.send_response(206)
                self.send_header(
                    "Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}"
                )
            else:
                self.send_response(200)
            body = content[start:]
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if turn[0] == "cut":
                self.wfile.write(body[: turn[1]])
                self.close_connection = True
            elif turn[0] == "stall":
                self.wfile.write(body[: turn[1]])
                self.wfile.flush()
                answers.event.wait(20)  # until the client has gone, and the test says so
                self.close_connection = True
            else:
                self.wfile.write(body)

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    answers.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield answers
    finally:
        answers.event.set()
        server.shutdown()
        server.server_close()
        thread.join()
