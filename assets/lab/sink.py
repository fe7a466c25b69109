#!/usr/bin/env python3
"""
The far side of the practice shop, in one process: what Sentry, a mail server
and a statsd server would be in production.

HTTP   takes what sentry-sdk sends, and answers the few calls of Sentry's API that
       find it again (`Authorization: Bearer TOKEN`), and /stats.
SMTP   takes mail as slowly as a far mail server: 0.4 s a mail, many at once.
UDP    counts statsd lines.

Everything is kept in memory, the oldest dropped first.
"""

import argparse
import asyncio
import gzip
import json
import os
import re
import signal
import time
import zlib
from collections import OrderedDict, deque
from urllib.parse import parse_qs, urlsplit

TRACES_KEPT = 20_000
ERRORS_KEPT = 2_000
TRANSACTIONS_PER_TRACE = 100
BODY_LIMIT = 20 * 1024 * 1024
MAIL_SECONDS = 0.4
ORGANIZATION, PROJECT, PROJECT_ID, PUBLIC_KEY = "practice", "shop", 1, "practice"


class Kept:
    """What has arrived. No sockets here."""

    def __init__(self):
        self.counts = {"envelopes": 0, "transactions": 0, "spans": 0, "errors": 0, "mails": 0, "statsd": 0}
        self.traces = OrderedDict()  # trace id -> its transactions
        self.errors = deque(maxlen=ERRORS_KEPT)

    def item(self, kind, payload):
        trace = (payload.get("contexts") or {}).get("trace") or {}
        if kind == "transaction":
            spans = payload.get("spans") or []
            ops = {}
            for op in [trace.get("op") or "default", *(span.get("op") or "default" for span in spans)]:
                ops[op] = ops.get(op, 0) + 1
            self.counts["transactions"] += 1
            self.counts["spans"] += 1 + len(spans)
            kept = self.traces.setdefault(trace.get("trace_id", ""), deque(maxlen=TRANSACTIONS_PER_TRACE))
            kept.append(
                {
                    "event_id": payload.get("event_id", ""),
                    "transaction": payload.get("transaction", ""),
                    "parent_span_id": trace.get("parent_span_id"),
                    "span_id": trace.get("span_id"),
                    "status": trace.get("status"),
                    "start": payload.get("start_timestamp"),
                    "ops": ops,
                }
            )
            while len(self.traces) > TRACES_KEPT:
                self.traces.popitem(last=False)
        elif kind == "event":
            self.counts["errors"] += 1
            raised = ((payload.get("exception") or {}).get("values") or [{}])[-1]
            message = (payload.get("logentry") or {}).get("message") or payload.get("message") or ""
            self.errors.append(
                {
                    "id": payload.get("event_id", ""),
                    "title": f"{raised['type']}: {raised.get('value', '')}" if raised.get("type") else message,
                    "transaction": payload.get("transaction", ""),
                    "trace": trace.get("trace_id", ""),
                    "timestamp": payload.get("timestamp"),
                }
            )

    def trace_meta(self, trace_id):
        found = self.traces.get(trace_id, [])
        ops = {}
        for transaction in found:
            for op, count in transaction["ops"].items():
                ops[op] = ops.get(op, 0) + count
        return {
            "errorsCount": sum(error["trace"] == trace_id for error in self.errors),
            "logsCount": 0,
            "metricsCount": 0,
            "performanceIssuesCount": 0,
            "spansCount": sum(ops.values()),
            "spansCountMap": ops,
            "transactionChildCountMap": [
                {"transaction.event_id": t["event_id"], "count()": sum(t["ops"].values())} for t in found
            ],
        }

    def trace(self, trace_id):
        return [
            {
                "event_id": t["span_id"],
                "transaction_id": t["event_id"],
                "transaction": t["transaction"],
                "description": t["transaction"],
                "parent_span_id": t["parent_span_id"],
                "is_transaction": True,
                "event_type": "span",
                "project_slug": PROJECT,
                "project_id": PROJECT_ID,
                "sdk_name": "sentry.python.django",
                "children": [],
                "errors": [],
            }
            for t in self.traces.get(trace_id, [])
        ]

    def events(self, asked):
        """Errors, newest first; of Sentry's query language only `trace:ID` and a bare title."""
        query = (asked.get("query") or [""])[0]
        wanted = re.search(r"\btrace:([0-9a-f]{32})\b", query)
        fields = asked.get("field") or ["id", "title"]
        rows = []
        for error in reversed(self.errors):
            if wanted and error["trace"] != wanted[1]:
                continue
            row = {**error, "project": PROJECT, "project.name": PROJECT}
            rows.append({field: row.get(field) for field in fields})
        return {"data": rows[:100], "meta": {"fields": {field: "string" for field in fields}}}


def unpacked(body, encoding):
    if encoding == "gzip":
        return gzip.decompress(body)
    if encoding == "deflate":
        return zlib.decompress(body)
    if encoding in ("", "identity"):
        return body
    raise ValueError(f"unknown content encoding {encoding}")


def items(envelope):
    """The items of a Sentry envelope: a header line, then (item header, payload) pairs."""
    rest = envelope.split(b"\n", 1)[1] if b"\n" in envelope else b""
    while rest.strip():
        line, _, rest = rest.lstrip(b"\n").partition(b"\n")
        header = json.loads(line)
        length = header.get("length")
        if length is None:
            payload, _, rest = rest.partition(b"\n")
        else:
            payload, rest = rest[:length], rest[length:]
        yield header.get("type"), payload


class Http:
    def __init__(self, kept, token, port):
        self.kept, self.token, self.port = kept, token, port

    async def serve(self, reader, writer):
        try:
            while True:
                try:
                    head = await reader.readuntil(b"\r\n\r\n")
                except (asyncio.IncompleteReadError, asyncio.LimitOverrunError):
                    return
                first, *lines = head.decode("latin-1").split("\r\n")
                method, target, _ = first.split(" ", 2)
                headers = {k.strip().lower(): v.strip() for k, _, v in (line.partition(":") for line in lines if line)}
                if headers.get("transfer-encoding", "").lower() == "chunked":
                    body = await self._chunks(reader)
                else:
                    length = int(headers.get("content-length") or 0)
                    if length > BODY_LIMIT:
                        return
                    body = await reader.readexactly(length)
                status, answer = self._answer(method, target, headers, body)
                text = json.dumps(answer).encode()
                writer.write(
                    f"HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {len(text)}\r\n\r\n".encode() + text
                )
                await writer.drain()
                if headers.get("connection", "").lower() == "close":
                    return
        except (ConnectionError, ValueError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    async def _chunks(self, reader):
        body = b""
        while size := int((await reader.readline()).split(b";")[0], 16):
            body += await reader.readexactly(size)
            await reader.readline()
            if len(body) > BODY_LIMIT:
                raise ValueError("body too large")
        await reader.readline()
        return body

    def _answer(self, method, target, headers, body):
        url = urlsplit(target)
        path = url.path.strip("/").split("/")
        if method == "GET" and path == ["stats"]:
            return "200 OK", {**self.kept.counts, "traces": len(self.kept.traces)}
        if method == "POST" and len(path) == 3 and path[0] == "api" and path[2] == "envelope":
            return self._envelope(path[1], headers, body)
        if method == "GET" and path[:2] == ["api", "0"]:
            if headers.get("authorization") != f"Bearer {self.token}":
                return "401 Unauthorized", {"detail": "Authentication credentials were not provided."}
            found = self._api(path[2:], parse_qs(url.query))
            if found is not None:
                return "200 OK", found
        return "404 Not Found", {"detail": "The requested resource does not exist"}

    def _envelope(self, project, headers, body):
        sent = re.search(r"sentry_key=([^,\s]+)", headers.get("x-sentry-auth", ""))
        if project != str(PROJECT_ID) or not sent or sent[1] != PUBLIC_KEY:
            return "403 Forbidden", {"detail": "unknown key or project"}
        try:
            event_id = None
            for kind, payload in items(unpacked(body, headers.get("content-encoding", ""))):
                if kind in ("transaction", "event"):
                    parsed = json.loads(payload)
                    event_id = event_id or parsed.get("event_id")
                    self.kept.item(kind, parsed)
        except (ValueError, OSError, zlib.error) as error:
            return "400 Bad Request", {"detail": str(error)}
        self.kept.counts["envelopes"] += 1
        return "200 OK", {"id": event_id}

    def _api(self, path, asked):
        match path:
            case ["organizations", org, "trace-meta", trace_id] if org == ORGANIZATION:
                return self.kept.trace_meta(trace_id)
            case ["organizations", org, "trace", trace_id] if org == ORGANIZATION:
                return self.kept.trace(trace_id)
            case ["organizations", org, "events"] if org == ORGANIZATION:
                return self.kept.events(asked)
            case ["projects", org, project, "keys"] if (org, project) == (ORGANIZATION, PROJECT):
                dsn = f"http://{PUBLIC_KEY}@127.0.0.1:{self.port}/{PROJECT_ID}"
                return [
                    {
                        "id": PUBLIC_KEY,
                        "name": "Default",
                        "label": "Default",
                        "public": PUBLIC_KEY,
                        "projectId": PROJECT_ID,
                        "isActive": True,
                        "rateLimit": None,
                        "dsn": {"public": dsn},
                    }
                ]
        return None


class Smtp:
    def __init__(self, kept):
        self.kept = kept

    async def serve(self, reader, writer):
        async def say(line):
            writer.write(line.encode() + b"\r\n")
            await writer.drain()

        try:
            await say("220 practice mail server")
            while line := await reader.readline():
                verb = line.split(b" ")[0].strip().upper()
                if verb == b"DATA":
                    await say("354 go on")
                    await reader.readuntil(b"\r\n.\r\n")
                    # The whole dialogue's delay in one place: a far server
                    # that checks the mail before it says yes.
                    await asyncio.sleep(MAIL_SECONDS)
                    self.kept.counts["mails"] += 1
                    await say("250 queued")
                elif verb == b"QUIT":
                    await say("221 bye")
                    return
                elif verb in (b"EHLO", b"HELO", b"MAIL", b"RCPT", b"RSET", b"NOOP"):
                    await say("250 ok")
                else:
                    await say("502 not here")
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            pass
        finally:
            writer.close()


class Statsd(asyncio.DatagramProtocol):
    def __init__(self, kept):
        self.kept = kept

    def datagram_received(self, data, _address):
        self.kept.counts["statsd"] += data.count(b"\n") + 1


async def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--http", type=int, required=True, metavar="PORT")
    parser.add_argument("--smtp", type=int, required=True, metavar="PORT")
    parser.add_argument("--statsd", type=int, required=True, metavar="PORT")
    parser.add_argument("--token", default=os.environ.get("SENTRY_AUTH_TOKEN"), help="or SENTRY_AUTH_TOKEN in the environment")
    ports = parser.parse_args()
    if not ports.token:
        parser.error("give the API's token: --token, or SENTRY_AUTH_TOKEN in the environment")

    kept, loop, stop = Kept(), asyncio.get_running_loop(), asyncio.Event()
    for name in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(name, stop.set)
    # Backlogs for a worker pool that opens many dialogues at once.
    await asyncio.start_server(Http(kept, ports.token, ports.http).serve, "127.0.0.1", ports.http, limit=1 << 20, backlog=512)
    await asyncio.start_server(Smtp(kept).serve, "127.0.0.1", ports.smtp, limit=1 << 20, backlog=512)
    await loop.create_datagram_endpoint(lambda: Statsd(kept), local_addr=("127.0.0.1", ports.statsd))
    print(f"{time.strftime('%H:%M:%S')} http {ports.http}, smtp {ports.smtp}, statsd {ports.statsd}", flush=True)
    await stop.wait()


if __name__ == "__main__":
    asyncio.run(main())
