#!/usr/bin/env python3
"""
What Railway's and Cloudflare's APIs would say of the practice shop, in one process.

POST /graphql/v2     Railway: answers exactly the fields that are asked for, and refuses those it does not know.
/client/v4/...       Cloudflare: the zone, its rules and settings, and what its cache did.

Both take the one token in CLOUDS_TOKEN. It may not use Cloudflare's request tracer, so that a missing permission
can be seen. Nothing can be changed here, and nothing goes out. What is said is true of the stack that --stack tells of,
by its logs and processes; without one, it is said of a shop that does not exist.
"""

import argparse
import hmac
import json
import os
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

sys.dont_write_bytecode = True  # its folder holds files that are looked at for changes

from clouds_cloudflare import cloudflare, figures  # noqa: E402
from clouds_graphql import Refused  # noqa: E402
from clouds_railway import railway  # noqa: E402
from clouds_stack import Stack  # noqa: E402

BODY_LIMIT = 1 << 20


class Answering(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = 20
    token = ""
    stack = None

    def do_GET(self):
        self.answer(None)

    def do_POST(self):
        length = int(self.headers.get("content-length") or 0)
        if length > BODY_LIMIT:
            self.close_connection = True
            return self.send(413, {})
        try:
            body = json.loads(self.rfile.read(length))
            self.answer(body if isinstance(body, dict) else {})
        except ValueError:
            self.send(400, {"errors": [{"message": "the body is no JSON"}]})

    def answer(self, body):
        url = urlsplit(self.path)
        if url.path == "/":
            return self.send(200, {"clouds": ["railway", "cloudflare"]})
        graphql = {"/graphql/v2": railway, "/client/v4/graphql": figures}.get(url.path)
        try:
            if not self.is_known(url.path):
                raise Refused(200 if url.path == "/graphql/v2" else 401, 1000, "Not Authorized")
            if graphql and body is None:
                raise Refused(405, "METHOD", "questions are posted")
            if graphql:
                variables = body.get("variables")
                data = graphql(self.stack, str(body.get("query")), variables if isinstance(variables, dict) else {})
                # Cloudflare always says whether there were errors.
                return self.send(200, {"data": data} if graphql is railway else {"data": data, "errors": None})
            result = cloudflare(self.stack, url.path.removeprefix("/client/v4/"), parse_qs(url.query))
            self.send(200, {"success": True, "errors": [], "messages": [], "result": result})
        except Refused as no:
            if graphql:
                error = {"message": no.message, "extensions": {"code": str(no.code)}}
                return self.send(no.status, {"errors": [error], "data": None})
            errors = [{"code": no.code, "message": no.message}]
            self.send(no.status, {"success": False, "errors": errors, "messages": [], "result": None})

    def is_known(self, path):
        bearer = (self.headers.get("authorization") or "").removeprefix("Bearer ")
        shown = self.headers.get("project-access-token") or "" if path == "/graphql/v2" else bearer
        return bool(self.token) and hmac.compare_digest(shown.encode(), self.token.encode())

    def send(self, status, answer):
        text = json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, *_):
        """Says nothing: a line would hold what somebody asked."""


class Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request, client_address):
        """Whoever hangs up early has heard enough."""


def main():
    options = argparse.ArgumentParser()
    options.add_argument("--port", type=int, required=True)
    options.add_argument("--stack", help="what is known of the stack, as JSON; nginx.conf lies beside it")
    options = options.parse_args()
    Answering.token = os.environ.get("CLOUDS_TOKEN", "")
    Answering.stack = Stack(options.stack)
    server = Server(("127.0.0.1", options.port), Answering)
    print(f"clouds: port {server.server_address[1]}", flush=True)
    server.serve_forever()


if __name__ == "__main__":
    main()
