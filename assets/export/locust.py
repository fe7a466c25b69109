"""Written by rampup from rampup.toml: the same flows for Locust.

From the environment: the test users' passwords by their names, and on several machines or processes RAMPUP_WORKERS,
the number of workers, so that no two users have the same number. A CSS selector needs: pip install beautifulsoup4
For `rampup ramp STEP --engine locust` the master needs RAMPUP_BRIDGE and RAMPUP_TOKEN; the workers need nothing.
"""

import csv
import errno
import heapq
import hmac
import html
import io
import json
import math
import os
import random
import re
import socket
import ssl
import sys
import time
import uuid
from pathlib import Path
from urllib.parse import urlencode, urljoin, urlsplit

import gevent
import gevent.event
import gevent.queue
from locust import FastHttpUser, events, task
from locust.contrib.fasthttp import LocustBadStatusCode as BadStatusCode
from locust.runners import MasterRunner, WorkerRunner

# ---- how the words of a flow are spoken in Locust ----

HEADERS = {}
FEEDERS = {}
PROMISE = {}


class Wrong(Exception):
    """What came back is not what was expected: the pass ends."""


class WrongStatus(Wrong):
    """Its status says so already."""


class Unknown(Wrong):
    """Its value comes from a step that was not made: the request is not, either."""


def even(least, most):
    return lambda: random.uniform(least, most)


def lognormal(median, spread):
    return lambda: median * min(math.exp(random.gauss(0.0, spread)), 10)


class Numbers:
    """Users' numbers from 0; one that a user gave back is dealt again. Workers take turns."""

    free, next = [], 0

    @classmethod
    def take(cls, environment):
        index, workers = 0, 1
        if isinstance(environment.runner, WorkerRunner):
            index, workers = environment.runner.worker_index, worker_count()
        if cls.free:
            return heapq.heappop(cls.free)
        cls.next += 1
        return (cls.next - 1) * workers + index


def worker_count():
    return Bridge.workers or int(os.environ["RAMPUP_WORKERS"])


class Feeder:
    """Rows for users, from a file beside this one or a range."""

    def __init__(self, deal, end, csv=None, jsonl=None, range=None):
        self.per_user, self.stop, self.dealt = deal == "per-user", end == "stop", 0
        self.range, self.rows = range, None
        if range is None:
            text = (Path(__file__).parent / (csv or jsonl)).read_text(encoding="utf-8")
            self.rows = read_csv(text) if csv else [json.loads(line) for line in text.splitlines() if line.strip()]

    def row(self, user):
        count = len(self.rows) if self.rows is not None else self.range[1] - self.range[0] + 1
        runner = user.environment.runner
        if self.per_user:
            place = user.number
        elif isinstance(runner, WorkerRunner):
            place = self.dealt * worker_count() + runner.worker_index
        else:
            place = self.dealt
        self.dealt += 1
        if place >= count and self.stop:
            Bridge.trouble = "a feeder has run dry"
            if Bridge.workers is None:
                runner.quit()
            raise Wrong(Bridge.trouble)
        return self.rows[place % count] if self.rows is not None else self.range[0] + place % count


def read_csv(text):
    return list(csv.DictReader(io.StringIO(text, newline="")))


def pointer(value, path):
    """A JSON pointer (RFC 6901); None where nothing is."""
    for part in path.split("/")[1:]:
        part = part.replace("~1", "/").replace("~0", "~")
        try:
            value = value[int(part)] if isinstance(value, list) else value[part]
        except (KeyError, IndexError, ValueError, TypeError):
            return None
    return value


def page(response):
    from bs4 import BeautifulSoup

    return BeautifulSoup(response.text or "", "html.parser")


def multipart(fields, field, upload):
    """Body and content type of a form with one made-up file."""
    boundary = uuid.uuid4().hex
    parts = [f'--{boundary}\r\nContent-Disposition: form-data; name="{k}"\r\n\r\n{v}\r\n' for k, v in fields.items()]
    head = f'--{boundary}\r\nContent-Disposition: form-data; name="{field}"; filename="upload"\r\n'
    head += f"Content-Type: {upload['content_type']}\r\n\r\n"
    body = "".join(parts).encode() + head.encode() + b"x" * upload["bytes"] + f"\r\n--{boundary}--\r\n".encode()
    return body, f"multipart/form-data; boundary={boundary}"


class Visitor(FastHttpUser):
    """A user with a number, a session and a memory of its own."""

    abstract = True
    login = None

    def on_start(self):
        self.number = Numbers.take(self.environment)
        self.kept, self.rows, self.signed_in = {}, {}, False
        self.due, self.first_byte, self.playing, self.fresh = None, None, False, True
        fetch = self.client.client.urlopen

        def until_the_headers(*args, **named):
            try:
                return fetch(*args, **named)
            finally:
                self.first_byte = time.monotonic()

        self.client.client.urlopen = until_the_headers

    def on_stop(self):
        heapq.heappush(Numbers.free, self.number)
        Bridge.playing -= self.playing

    def think(self, own=None):
        """The usual pause, or a step's own one."""
        pause = own() * Pauses.own if own else Pauses.usual()
        if self.fresh:
            # Users who came in together do not march in step.
            pause, self.fresh = pause * random.random(), False
        self.due = time.monotonic() + pause
        gevent.sleep(pause)

    def leave(self):
        """When the request that leaves now should have left. Nobody leaves through a shut gate."""
        if not GATE.is_set():
            GATE.wait()
            self.due = None
        if Bridge.timeout:
            self.client.client.clientpool.client_args.update(
                network_timeout=Bridge.timeout, connection_timeout=Bridge.timeout)
        now = time.monotonic()
        due, self.due = self.due or now, None
        if Bridge.workers:
            Bridge.waits.append(micros(now - due))
        # A timer's own coarseness is nobody's lag.
        return now if now - due <= 0.002 else due

    @task
    def one_pass(self):
        try:
            self.rows = {name: feeder.row(self) for name, feeder in FEEDERS.items()}
            if self.login and not self.signed_in:
                self.sign_in(**self.login)
            self.play()
        except Wrong:
            gevent.sleep(0 if self.signed_in or not self.login else 1)
        except Exception as why:
            Bridge.trouble = f"a user broke off: {why!r}"
            raise

    def hole(self, name):
        if name == "user":
            return self.number
        if name == "user.ip":
            high, low = divmod(self.number, 254)
            return f"10.{high // 256 % 256}.{high % 256}.{low + 1}"
        words = name.split()
        if len(words) == 3 and words[0] == "random":
            return random.randint(int(words[1]), int(words[2]))
        feeder, _, column = name.partition(".")
        if feeder in self.rows:
            return self.rows[feeder][column] if column else self.rows[feeder]
        if name not in self.kept:
            raise Unknown(f"nothing was extracted for {name}")
        return self.kept[name]

    def fill(self, text, escape=str):
        return re.sub(r"\{\{\s*(.*?)\s*\}\}", lambda hole: escape(str(self.hole(hole[1]))), text)

    def fill_all(self, texts):
        return {name: self.fill(text) for name, text in (texts or {}).items()}

    def cookie(self, name):
        return next((cookie.value for cookie in self.client.cookiejar if cookie.name == name), None)

    def address(self, path, query):
        url = urljoin(self.host + "/", self.fill(path))
        if urlsplit(url)[:2] != urlsplit(self.host)[:2]:
            raise Wrong(f"{url} is not the target; users do not go there")
        pairs = urlencode(self.fill_all(query))
        return url + ("&" if "?" in url else "?") + pairs if pairs else url

    def step(self, name, method, path, *, query=None, headers=None, form=None, json=None, upload=None, presigned=None,
             csrf=False, **expected):
        """One request; raises Wrong unless everything came back as expected."""
        try:
            sent = {**self.fill_all(HEADERS), **self.fill_all(headers)}
            fields = {self.fill(k): self.fill(v) for k, v in (form or {}).items()} if form or upload else None
            field = upload and upload["field"]
            if presigned:
                ticket = loads(self.hole(presigned))
                url, fields, field, sent = ticket["url"], dict(ticket["fields"]), "file", {}
            else:
                url = self.address(path, query)
            if csrf:
                sent["Referer"] = url
                token = self.cookie("csrftoken")
                if token is not None:
                    sent["X-CSRFToken"] = token
                    if fields is not None:
                        fields.setdefault("csrfmiddlewaretoken", token)
            body = None
            if upload:
                body, sent["Content-Type"] = multipart(fields, field, upload)
            elif fields is not None:
                body, sent["Content-Type"] = urlencode(fields), "application/x-www-form-urlencoded"
            elif json is not None:
                body, sent["Content-Type"] = self.fill(json, lambda text: dumps(text)[1:-1]).encode(), "application/json"
        except Wrong as why:
            events.request.fire(request_type=method, name=name, response_time=0, response_length=0, exception=why,
                                context={})
            raise
        due = self.leave()
        Bridge.under[self] = name, micros(due)
        try:
            with self.client.request(method, url, name=name, data=body, headers=sent, allow_redirects=False,
                                     catch_response=True) as response:
                came = due, self.first_byte, time.monotonic(), response, expected.get("expect")
                try:
                    self.judge(response, **expected)
                except Wrong as why:
                    Bridge.tell(name, *came, not isinstance(why, WrongStatus))
                    response.failure(str(why))
                    raise
                Bridge.tell(name, *came, False)
                response.success()
                self.plays()
                return response
        finally:
            Bridge.under.pop(self, None)

    def plays(self):
        if not self.playing and (self.signed_in or not self.login):
            self.playing = True
            Bridge.playing += 1

    def judge(self, response, expect=(), expect_text=None, expect_header=None, expect_select=None, expect_json=None,
              extract=None):
        status = response.status_code
        if fault(response) or not (status in expect if expect else 200 <= status < 400):
            raise WrongStatus(f"status {status}")
        if expect_text is not None and self.fill(expect_text) not in (response.text or ""):
            raise Wrong("the text is missing")
        for name, text in (expect_header or {}).items():
            value = response.headers.get(name)
            if value is None or text.lower() not in value.lower():
                raise Wrong(f"the header {name} is wrong")
        if expect_select is not None and page(response).select_one(expect_select) is None:
            raise Wrong("nothing matches the selector")
        for path, value in (expect_json or {}).items():
            if pointer(read_json(response), path) != value:
                raise Wrong(f"{path} is wrong")
        for name, what in (extract or {}).items():
            value = self.extract(response, what)
            if value is None:
                raise Wrong(f"{name} was not found in the answer")
            self.kept[name] = value

    def extract(self, response, what):
        if "css" in what:
            found = page(response).select(what["css"]["select"], limit=100)
            if not found:
                return None
            attribute = what["css"].get("attribute")
            chosen = random.choice(found)
            return chosen.get(attribute) if attribute else chosen.get_text().strip()
        if "json" in what:
            value = pointer(read_json(response), what["json"])
            return value if value is None or isinstance(value, str) else dumps(value)
        if "header" in what:
            return response.headers.get(what["header"])
        if "cookie" in what:
            return self.cookie(what["cookie"])
        found = re.search(what["regex"], response.text or "")
        return found and (found[1] if found.re.groups else found[0])

    def sign_in(self, path, username, password_env):
        """Django's login form: the page, its hidden token, then name and password with cookie and Referer."""
        form = self.step(f"{path} (form)", "GET", path)
        tag = re.search(r"<input[^>]*csrfmiddlewaretoken[^>]*>", form.text or "")
        token = tag and re.search(r"""value=["']?([^"'\s>]+)""", tag[0])
        self.kept["login password"] = os.environ[password_env]
        fields = {"username": username, "password": "{{login password}}"}
        if token:
            self.kept["login token"] = html.unescape(token[1])
            fields["csrfmiddlewaretoken"] = "{{login token}}"
        try:
            self.step(f"{path} (sign in)", "POST", path, form=fields, csrf=True, expect=[301, 302, 303])
        finally:
            del self.kept["login password"]
        self.signed_in = True


dumps, loads = json.dumps, json.loads


def read_json(response):
    try:
        return loads(response.text or "")
    except ValueError:
        return None


@events.quitting.add_listener
def keep_the_promise(environment, **_):
    """Exit code 1 when the promise is broken; whoever wants intervals and health lets rampup judge."""
    if "RAMPUP_BRIDGE" in os.environ or Bridge.workers is not None:
        return
    total = environment.stats.total
    p95 = total.get_response_time_percentile(0.95) or 0
    if total.num_requests == 0 or total.fail_ratio >= PROMISE["errors"] or p95 >= PROMISE["p95_ms"]:
        environment.process_exit_code = 1


