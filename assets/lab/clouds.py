#!/usr/bin/env python3
"""
What Railway's and Cloudflare's APIs would say of the practice shop, in one process.

POST /graphql/v2     Railway: answers exactly the fields that are asked for, and refuses those it does not know.
/client/v4/...       Cloudflare: the zone, its rules and settings, and what its cache did.

Both take the one token in CLOUDS_TOKEN. It may not use Cloudflare's request tracer, so that a missing permission
can be seen. Nothing can be changed here, and nothing goes out.
"""

import argparse
import hmac
import json
import os
import re
from datetime import datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

BODY_LIMIT = 1 << 20
ID = "0123456789abcdef0123456789abcdef"
ZONE = "shop.example"
BORN = "2026-01-01T00:00:00.000Z"
WORDS = re.compile(r'#[^\n]*|"[^"]*"|[A-Za-z_]\w*|[{}()]')


class Refused(Exception):
    """Status, code and message of an answer that says no."""

    def __init__(self, status, code, message):
        super().__init__(message)
        self.status, self.code, self.message = status, code, message


# ------------------------------------------------------------------------------------------------------ Railway


def selection(question):
    """The fields that a question asks for, each with those within it (none: it is a plain value)."""
    words = [word for word in WORDS.findall(question) if not word.startswith("#")]
    at = 0

    def skip_arguments():
        nonlocal at
        if at < len(words) and words[at] == "(":
            depth = 0
            while True:
                depth += {"(": 1, ")": -1}.get(words[at], 0)
                at += 1
                if depth == 0:
                    return

    def fields():
        nonlocal at
        at += 1  # the opening brace
        found = {}
        while words[at] != "}":
            name = words[at]
            at += 1
            skip_arguments()
            found[name] = fields() if words[at] == "{" else None
        at += 1
        return found

    try:
        if words[at] == "query":
            at += 1
        skip_arguments()
        return fields()
    except (IndexError, RecursionError):
        raise Refused(400, "GRAPHQL_VALIDATION_FAILED", "Syntax Error: the question ends too early") from None


def chosen(value, asked, of="Query"):
    """Of a value, the fields that are asked for."""
    if isinstance(value, list):
        return [chosen(item, asked, of) for item in value]
    if value is None or asked is None:
        return value
    for name in asked:
        if name not in value:
            raise Refused(400, "GRAPHQL_VALIDATION_FAILED", f'Cannot query field "{name}" on type "{of}".')
    return {name: chosen(value[name], inner, name) for name, inner in asked.items()}


def connection(nodes):
    return {"edges": [{"node": node} for node in nodes], "pageInfo": {"hasNextPage": False, "endCursor": None}}


def service(name, command, health):
    latest = {
        "id": f"deployment-{name}",
        "status": "SUCCESS",
        "createdAt": BORN,
        "instances": [{"id": f"instance-{name}", "status": "RUNNING"}],
    }
    return {
        "serviceId": f"service-{name}",
        "serviceName": name,
        "numReplicas": 1,
        "startCommand": command,
        "healthcheckPath": health,
        "restartPolicyType": "ON_FAILURE",
        "restartPolicyMaxRetries": 10,
        "sleepApplication": False,
        "cronSchedule": None,
        "domains": {"customDomains": [], "serviceDomains": []},
        "latestDeployment": latest,
    }


def metric(measurement, value):
    return {
        "measurement": measurement,
        "tags": {"deploymentInstanceId": "instance-web"},
        "values": [{"ts": int(datetime.now().timestamp()), "value": value}],
    }


def railway(question, variables):
    """The data of an answer."""
    project = {"id": "project-practice", "name": "practice"}
    environment = {"id": "environment-practice", "name": "production"}
    services = [service("web", "gunicorn config.wsgi", "/healthz"), service("worker", "celery -A config worker", None)]
    if variables.get("environment", environment["id"]) != environment["id"]:
        raise Refused(200, "NOT_FOUND", "Environment not found")
    known = {
        "projectToken": {"project": project, "environment": environment},
        "project": {**project, "environments": connection([environment])},
        "environment": {**environment, "serviceInstances": connection(services)},
        "variables": {"DATABASE_URL": "${{Postgres.DATABASE_URL}}", "SECRET_KEY": "not-for-anyone"},
        "metrics": [
            metric("CPU_USAGE", 0.4),
            metric("CPU_LIMIT", 8.0),
            metric("MEMORY_USAGE_GB", 0.3),
            metric("MEMORY_LIMIT_GB", 8.0),
        ],
        "httpLogs": [],
        "deploymentLogs": [],
    }
    return chosen(known, selection(question))


# --------------------------------------------------------------------------------------------------- Cloudflare


def zone():
    return {
        "id": ID,
        "name": ZONE,
        "status": "active",
        "paused": False,
        "development_mode": 0,
        "meta": {},
        "account": {"id": ID, "name": "practice"},
        "owner": {},
        "name_servers": [],
        "original_name_servers": None,
        "original_registrar": None,
        "original_dnshost": None,
        "created_on": BORN,
        "modified_on": BORN,
        "activated_on": BORN,
    }


SETTINGS = {"ssl": "full", "cache_level": "aggressive", "development_mode": "off", "browser_cache_ttl": 14400}


def setting(name, value):
    return {"id": name, "value": value, "modified_on": BORN, "editable": True}


def cloudflare(path, query):
    """The result of an answer."""
    in_zone = f"zones/{ID}/"
    if path == "user/tokens/verify":
        return {"id": ID, "status": "active"}
    if path == "zones":
        return [zone()] if query.get("name", [ZONE]) == [ZONE] else []
    if path.endswith("/request-tracer/trace"):
        raise Refused(403, 10000, "Authentication error")
    rest = path[len(in_zone) :] if path.startswith(in_zone) else ""
    if rest.startswith("rulesets/phases/"):
        raise Refused(404, 10003, "could not find entrypoint ruleset")
    if rest in ("pagerules", "workers/routes"):
        return []
    if rest in ("argo/tiered_caching", "cache/tiered_cache_smart_topology_enable"):
        return setting(rest.split("/")[1], "off")
    name = rest.removeprefix("settings/")
    if name != rest and name in SETTINGS:
        return setting(name, SETTINGS[name])
    raise Refused(404, 7003, "Could not route to this path, perhaps your object identifier is invalid?")


def figures(question):
    """Analytics: a shop whose cache answers nine of ten cacheable requests."""
    if "settings" in question:
        limits = {"enabled": True, "maxDuration": 86400, "notOlderThan": 2678400}
        found = {"settings": {"httpRequestsAdaptiveGroups": limits}}
    else:
        counts = {"hit": 9000, "miss": 1000, "dynamic": 5000}
        groups = [
            {"count": count, "avg": {"sampleInterval": 1}, "dimensions": {"cacheStatus": status}}
            for status, count in counts.items()
        ]
        found = {"httpRequestsAdaptiveGroups": groups}
    return {"viewer": {"zones": [found]}}


# --------------------------------------------------------------------------------------------------------- HTTP


class Answering(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = 20
    token = ""

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
        graphql = url.path in ("/graphql/v2", "/client/v4/graphql")
        try:
            if not self.is_known(url.path):
                raise Refused(200 if url.path == "/graphql/v2" else 401, 1000, "Not Authorized")
            if graphql and body is None:
                raise Refused(405, "METHOD", "questions are posted")
            if url.path == "/graphql/v2":
                data = railway(str(body.get("query")), body.get("variables") or {})
                return self.send(200, {"data": data})
            if url.path == "/client/v4/graphql":
                return self.send(200, {"data": figures(str(body.get("query"))), "errors": None})
            result = cloudflare(url.path.removeprefix("/client/v4/"), parse_qs(url.query))
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
    port = options.parse_args().port
    Answering.token = os.environ.get("CLOUDS_TOKEN", "")
    server = Server(("127.0.0.1", port), Answering)
    print(f"clouds: port {server.server_address[1]}", flush=True)
    server.serve_forever()


if __name__ == "__main__":
    main()
