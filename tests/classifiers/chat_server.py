"""A real HTTP server on this machine that speaks OpenAI's chat protocol, or breaks it as a test asks."""

import hashlib
import json
import re
import socket
import struct
import threading
import time
from collections import Counter
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

EXTRACT = re.compile(r"\A<<< extract (\w+) >>>\n(.*)\n<<< end of extract \1 >>>", re.DOTALL)
USAGE = {"prompt_tokens": 1000, "completion_tokens": 20, "total_tokens": 1020}


def grade_of(text):
    """The grade that this server gives."""
    return hashlib.sha256(text.encode()).digest()[0] % 6


class Asked:
    """One request as it came."""

    def __init__(self, path, headers, body):
        self.path, self.headers, self.body, self.time = path, headers, body, time.monotonic()
        self.model = body["model"]
        self.user = body["messages"][-1]["content"]
        self.text = EXTRACT.match(self.user).group(2)


def chat(content, usage=USAGE, **more):
    """A 200 with a chat completion."""
    message = {"role": "assistant", "content": content}
    body = {"object": "chat.completion", "choices": [{"index": 0, "message": message, "finish_reason": "stop"}]}
    return reply(200, body | ({"usage": usage} if usage else {}), **more)


def graded(asked, **more):
    return chat(json.dumps({"reason": "as the server sees it", "score": grade_of(asked.text)}), **more)


def reply(status, body, headers=(), wait_s=0.0, declared_bytes=None):
    """Any answer; with ``declared_bytes`` beyond what is sent, it ends too early."""
    return status, body if isinstance(body, bytes) else json.dumps(body).encode(), dict(headers), wait_s, declared_bytes


def error(status, message, headers=(), code=None):
    return reply(status, {"error": {"message": message, "type": "error", "code": code}}, headers)


RESET = "reset"
"""The connection is torn down without a word."""


class ChatServer(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64

    def __init__(self, behave=graded):
        super().__init__(("127.0.0.1", 0), _Handler)
        self.behave, self.asked, self.answered, self.mutex = behave, [], Counter(), threading.Lock()
        self.now = self.most_at_once = 0

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server_port}/v1"

    @property
    def texts(self):
        return Counter(asked.text for asked in self.asked)

    def handle_error(self, request, client_address):
        """A client that was killed is no news."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        server = self.server
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        asked = Asked(self.path, self.headers, body)
        with server.mutex:
            server.asked.append(asked)
            server.now += 1
            server.most_at_once = max(server.most_at_once, server.now)
        try:
            self.answer(server.behave(asked))
        finally:
            with server.mutex:
                server.now -= 1

    def answer(self, what):
        if what is RESET:
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.connection.close()
            self.close_connection = True
            return
        status, content, headers, wait_s, declared = what
        time.sleep(wait_s)
        self.send_response(status)
        for name, value in ({"Content-Type": "application/json"} | headers).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(declared or len(content)))
        self.end_headers()
        self.wfile.write(content)
        self.close_connection = declared is not None

    def log_message(self, *_):
        """Quiet."""


@contextmanager
def chat_server(behave=graded):
    server = ChatServer(behave)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
