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
from datetime import datetime
from urllib.parse import parse_qs, urlsplit

TRACES_KEPT = 20_000
ERRORS_KEPT = 2_000
TRANSACTIONS_PER_TRACE = 100
BODY_LIMIT = 20 * 1024 * 1024
MAIL_SECONDS = 0.4
ORGANIZATION = "practice"
PROJECTS = {1: "shop", 2: "staging"}
BORN = "2026-01-01T00:00:00.000000Z"


class Key:
    """What a DSN is made of. A limit is (how many events, in how many seconds)."""

    def __init__(self, public, project, label, active=True, limit=None):
        self.public, self.project, self.label, self.active, self.limit = public, project, label, active, limit
        self.taken = deque()

    def room(self, now):
        """True when the key's own limit leaves room for one more event; it is then counted."""
        if not self.limit:
            return True
        count, window = self.limit
        while self.taken and self.taken[0] <= now - window:
            self.taken.popleft()
        if len(self.taken) >= count:
            return False
        self.taken.append(now)
        return True


# The practice shop is given the first. The others are what people mix it up with.
KEYS = {
    key.public: key
    for key in (
        Key("practice", 1, "Default"),
        Key("retired", 1, "Last year's", active=False),
        Key("trickle", 1, "Three a minute", limit=(3, 60)),
        Key("staging", 2, "Default"),
    )
}


class Kept:
    """What has arrived. No sockets here."""

    def __init__(self):
        self.counts = {"envelopes": 0, "transactions": 0, "spans": 0, "errors": 0, "mails": 0, "statsd": 0}
        self.traces = OrderedDict()  # trace id -> its transactions
        self.errors = deque(maxlen=ERRORS_KEPT)
        self.outcomes = {}  # (hour, project, category, outcome, reason) -> how many

    def outcome(self, project, category, outcome, reason="", quantity=1):
        row = (int(time.time()) // 3600, project, category, outcome, reason)
        self.outcomes[row] = self.outcomes.get(row, 0) + quantity

    def item(self, kind, payload, key):
        """Takes one item of an envelope, or counts why it was not taken; false when the key's limit said no."""
        if kind == "client_report":
            for row in payload.get("discarded_events") or []:
                self.outcome(key.project, row["category"], "client_discard", row.get("reason", ""), row["quantity"])
            return True
        category = "transaction" if kind == "transaction" else "error"
        weight = 1 + len(payload.get("spans") or [])
        taken = key.room(time.monotonic())
        outcome = ("accepted", "") if taken else ("rate_limited", "key_quota")
        self.outcome(key.project, category, *outcome)
        if kind == "transaction":
            self.outcome(key.project, "span", *outcome, quantity=weight)
        if taken:
            self._keep(kind, payload, key.project)
        return taken

    def _keep(self, kind, payload, project):
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
                    "start": _seconds(payload.get("start_timestamp")),
                    "end": _seconds(payload.get("timestamp")),
                    "op": trace.get("op") or "default",
                    "sdk": (payload.get("sdk") or {}).get("name", ""),
                    "project": project,
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
                    "project": PROJECTS[project],
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
                "name": t["op"],
                "op": t["op"],
                "start_timestamp": t["start"],
                "end_timestamp": t["end"],
                "duration": max(0.0, t["end"] - t["start"]) * 1000,
                "project_slug": PROJECTS[t["project"]],
                "project_id": t["project"],
                "sdk_name": t["sdk"],
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
            row = {**error, "project.name": error["project"]}
            rows.append({field: row.get(field) for field in fields})
        return {"data": rows[:100], "meta": {"fields": {field: "string" for field in fields}}}

    def stats(self, asked):
        """Outcomes of this hour and the last, grouped as asked."""
        now = int(time.time()) // 3600
        hours = [now - 1, now]
        groups = asked.get("groupBy") or []
        projects = {int(project) for project in asked.get("project") or []}
        series = {}
        for (hour, project, category, outcome, reason), quantity in self.outcomes.items():
            if hour not in hours or (projects and project not in projects):
                continue
            row = {"project": project, "category": category, "outcome": outcome, "reason": reason}
            by = tuple(row[group] for group in groups)
            series.setdefault(by, [0] * len(hours))[hours.index(hour)] += quantity
        return {
            "start": _date(hours[0]),
            "end": _date(now + 1),
            "intervals": [_date(hour) for hour in hours],
            "groups": [
                {
                    "by": dict(zip(groups, by)),
                    "totals": {"sum(quantity)": sum(counts)},
                    "series": {"sum(quantity)": counts},
                }
                for by, counts in series.items()
            ],
        }


def _date(hour):
    return time.strftime("%Y-%m-%dT%H:00:00Z", time.gmtime(hour * 3600))


def _seconds(stamp):
    """An SDK's time stamp, be it a number or a date in UTC."""
    if isinstance(stamp, str):
        return datetime.fromisoformat(stamp.replace("Z", "+00:00")).timestamp()
    return float(stamp or 0)


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
    def __init__(self, kept, token):
        self.kept, self.token, self.port = kept, token, None

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
                status, answer, *more = self._answer(method, target, headers, body)
                text = json.dumps(answer).encode()
                writer.write(
                    f"HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {len(text)}\r\n".encode()
                    + "".join(f"{line}\r\n" for line in more).encode()
                    + b"\r\n"
                    + text
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
        key = KEYS.get(sent[1]) if sent else None
        if not key or project != str(key.project) or not key.active:
            return "403 Forbidden", {"detail": "event submission rejected: unknown or disabled key"}
        try:
            event_id, all_taken = None, True
            for kind, payload in items(unpacked(body, headers.get("content-encoding", ""))):
                if kind in ("transaction", "event", "client_report"):
                    parsed = json.loads(payload)
                    event_id = event_id or parsed.get("event_id")
                    all_taken &= self.kept.item(kind, parsed, key)
        except (KeyError, ValueError, OSError, zlib.error) as error:
            return "400 Bad Request", {"detail": str(error)}
        self.kept.counts["envelopes"] += 1
        if not all_taken:
            wait = key.limit[1]
            limits = f"X-Sentry-Rate-Limits: {wait}:error;transaction;span:key:key_quota"
            return "429 Too Many Requests", {"detail": "rate limit"}, f"Retry-After: {wait}", limits
        return "200 OK", {"id": event_id}

    def _api(self, path, asked):
        match path:
            case ["organizations", org, "trace-meta", trace_id] if org == ORGANIZATION:
                return self.kept.trace_meta(trace_id)
            case ["organizations", org, "trace", trace_id] if org == ORGANIZATION:
                return self.kept.trace(trace_id)
            case ["organizations", org, "events"] if org == ORGANIZATION:
                return self.kept.events(asked)
            case ["organizations", org, "stats_v2"] if org == ORGANIZATION:
                return self.kept.stats(asked)
            case ["projects", org, project, "keys"] if org == ORGANIZATION and project in PROJECTS.values():
                return [
                    {
                        "id": key.public,
                        "name": key.label,
                        "label": key.label,
                        "public": key.public,
                        "projectId": key.project,
                        "isActive": key.active,
                        "rateLimit": {"count": key.limit[0], "window": key.limit[1]} if key.limit else None,
                        "dateCreated": BORN,
                        "dsn": {"public": f"http://{key.public}@127.0.0.1:{self.port}/{key.project}"},
                    }
                    for key in KEYS.values()
                    if PROJECTS[key.project] == project
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
    http = Http(kept, ports.token)
    web = await asyncio.start_server(http.serve, "127.0.0.1", ports.http, limit=1 << 20, backlog=512)
    http.port = web.sockets[0].getsockname()[1]  # with --http 0 the system picks one
    await asyncio.start_server(Smtp(kept).serve, "127.0.0.1", ports.smtp, limit=1 << 20, backlog=512)
    await loop.create_datagram_endpoint(lambda: Statsd(kept), local_addr=("127.0.0.1", ports.statsd))
    print(f"{time.strftime('%H:%M:%S')} http {http.port}, smtp {ports.smtp}, statsd {ports.statsd}", flush=True)
    await stop.wait()


if __name__ == "__main__":
    asyncio.run(main())
