# ---- rampup's hand on this test; all of it sleeps unless RAMPUP_BRIDGE says where rampup listens ----

GATE = gevent.event.Event()
GATE.set()
SILENCE = 5


class Pauses:
    """The usual pause, and the factor on a step's own one."""

    usual, own = even(5, 10), 1.0


class Bridge:
    """In a process with users: what rampup says, and what it is told ten times a second. Times are µs of this
    process's monotonic clock; only their differences, and when they arrive, mean anything elsewhere."""

    workers, timeout, shut, trouble, playing = None, None, False, None, 0
    done, waits, lags, under = [], [], [], {}

    @classmethod
    def hear(cls, environment, msg, **_):
        said = msg.data
        if "park" in said and cls.workers is None:
            cls.workers = said["park"]
            GATE.clear()
            gevent.spawn(cls.report, environment)
        elif "go" in said:
            go = said["go"]
            cls.timeout, Pauses.own = go["timeout"], go["own"]
            Pauses.usual = even(*go["even"]) if go["even"] else lognormal(*go["lognormal"])
            GATE.set()
        elif "shut" in said:
            GATE.clear()
            cls.shut = True

    @classmethod
    def report(cls, environment):
        while True:
            for _ in range(10):
                asleep = time.monotonic()
                gevent.sleep(0.01)
                cls.lags.append(micros(time.monotonic() - asleep - 0.01))
            taken = {"done": cls.done, "waits": cls.waits, "lags": cls.lags}
            cls.done, cls.waits, cls.lags = [], [], []
            environment.runner.send_message("rampup-hears", {
                **taken, "now": micros(time.monotonic()), "under": list(cls.under.values()), "playing": cls.playing,
                "cpu": time.process_time(), "shut": cls.shut, "trouble": cls.trouble, "flows": FLOWS,
                "host": environment.host or HOST,
            })

    @classmethod
    def tell(cls, name, due, first_byte, ended, response, expect, wrong):
        """One request that ended. Headers go along only where they say whether the app or an edge in front refused,
        and of cookies the names alone."""
        if cls.workers is None:
            return
        status, headers = response.status_code, response.headers or {}
        telling = status in (403, 429) or "cf-mitigated" in headers
        named = [(key.lower(), value.split("=")[0] if key.lower() == "set-cookie" else value[:200])
                 for key, value in headers.items()] if telling else []
        cls.done.append((
            name, micros(due), micros(ended - due), micros((first_byte or ended) - due), status,
            response.request_meta["response_length"], fault(response), (status in expect) if expect else None, wrong,
            headers.get("cf-cache-status"), named,
        ))


def micros(seconds):
    return max(0, round(seconds * 1e6))


def fault(response):
    """Why no whole answer came; None when one did."""
    why = response.request_meta["exception"]
    if why is None or isinstance(why, BadStatusCode):
        return None
    if isinstance(why, ssl.SSLError):
        return "tls"
    if isinstance(why, TimeoutError):
        return "timeout"
    number = getattr(why, "errno", None)
    if number in (errno.EMFILE, errno.ENFILE, errno.EADDRNOTAVAIL):
        return "local"
    unreachable = number in (errno.ENETUNREACH, errno.EHOSTUNREACH) or isinstance(why, socket.gaierror)
    return "connect" if unreachable or isinstance(why, ConnectionRefusedError) else "truncated"


class Refused(Exception):
    """One of the two does not trust the other."""


class Master:
    """In the process that leads the test: the line to rampup. When it breaks, the test is over."""

    def __init__(self, environment):
        self.environment, self.runner = environment, environment.runner
        self.lines, self.open, self.workers = gevent.queue.Queue(), False, None
        self.users, self.wake = 0, gevent.event.Event()

    def hear(self, environment, msg, **_):
        if self.open:
            self.lines.put({"worker": msg.node_id, **msg.data})

    def begin(self, **_):
        expected = getattr(self.environment.parsed_options, "expect_workers", None) or 1
        self.workers = max(expected, getattr(self.runner, "worker_count", 1) or 1)
        # This message leaves before the one that brings the first user, so that nobody sends anything yet.
        self.runner.send_message("rampup-says", {"park": self.workers})
        gevent.spawn(self.run)

    def late(self, client_id, **_):
        # Those that come before the test begins are told with all the others.
        if self.workers:
            self.runner.send_message("rampup-says", {"park": self.workers}, client_id)

    def run(self):
        try:
            self.talk()
        except (OSError, ValueError, KeyError, Refused) as why:
            print(f"rampup: {why}; the test ends", file=sys.stderr, flush=True)
            self.environment.process_exit_code = 2
        self.runner.quit()

    def talk(self):
        place, token = os.environ["RAMPUP_BRIDGE"], os.environ["RAMPUP_TOKEN"].encode()
        host, _, port = place.rpartition(":")
        patience = time.monotonic() + 300
        while True:
            try:
                line = socket.create_connection((host.strip("[]"), int(port)), timeout=SILENCE)
                break
            except OSError as why:
                if time.monotonic() > patience:
                    raise Refused(f"nobody listens at {place} ({why})") from None
                gevent.sleep(1)
        heard, mine = line.makefile("r", encoding="utf-8"), uuid.uuid4().hex
        greeting = loads(heard.readline())
        self.send(line, {"proof": proof(token, "locust", greeting["nonce"]), "nonce": mine, "workers": self.workers})
        answer = loads(heard.readline())
        if "refused" in answer:
            raise Refused(answer["refused"])
        if not hmac.compare_digest(answer["proof"], proof(token, "rampup", mine)):
            raise Refused(f"whoever listens at {place} does not know RAMPUP_TOKEN")
        self.open = True
        gevent.spawn(self.write, line)
        gevent.spawn(self.bring)
        for text in heard:
            said = loads(text)
            if "quit" in said:
                return
            if "refused" in said:
                raise Refused(said["refused"])
            if "users" in said:
                self.users = said["users"]
                self.wake.set()
            elif "go" in said or "shut" in said:
                self.runner.send_message("rampup-says", said)
        raise Refused("rampup has gone")

    def send(self, line, what):
        line.sendall((dumps(what) + "\n").encode())

    def write(self, line):
        try:
            while True:
                self.send(line, self.lines.get())
        except OSError:
            line.close()

    def bring(self):
        """Brings in as many users as rampup asked for last; Locust itself has started one, who waits at the gate."""
        while self.runner.state != "running":
            gevent.sleep(0.05)
        brought = 1
        while True:
            self.wake.wait()
            self.wake.clear()
            wanted, more = self.users, self.users - brought
            if more > 0:
                self.runner.start(wanted, more)
                brought = wanted


def proof(token, who, nonce):
    return hmac.new(token, f"{who} {nonce}".encode(), "sha256").hexdigest()


@events.init.add_listener
def build_the_bridge(environment, runner, **_):
    if not isinstance(runner, MasterRunner):
        runner.register_message("rampup-says", Bridge.hear)
    if not isinstance(runner, WorkerRunner) and "RAMPUP_BRIDGE" in os.environ:
        master = Master(environment)
        runner.register_message("rampup-hears", master.hear)
        environment.events.test_start.add_listener(master.begin)
        environment.events.worker_connect.add_listener(master.late)


