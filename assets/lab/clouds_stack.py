"""
What the stand-ins for the clouds know of the practice stack: what they were told of it, and what they see of it
themselves, in its logs and in /proc. Changes nothing.
"""

import json
import os
import re
import time
from datetime import datetime, timezone
from pathlib import Path

# Most that is read of a log and the one before it together, bytes.
TAIL = 4 << 20
BORN = "2026-01-01T00:00:00.000Z"
# What is said where there is no stack to look at.
SAMPLE = {
    "edge": "dns",
    "ssl": "full",
    "tiered_cache": "off",
    "services": [
        {
            "name": "web",
            "start": "gunicorn config.wsgi",
            "health": "/healthz",
            "before": ["python manage.py migrate"],
            "variables": {"DATABASE_URL": "${{Postgres.DATABASE_URL}}", "SECRET_KEY": "not-for-anyone"},
        },
        {"name": "worker", "start": "celery -A config worker", "variables": {}},
    ],
}
# As gunicorn's access log and its other lines, Django's and Celery's have it.
MOMENTS = (
    (re.compile(r"\d\d/[A-Z][a-z][a-z]/\d{4}:\d\d:\d\d:\d\d [+-]\d{4}"), "%d/%b/%Y:%H:%M:%S %z"),
    (re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d [+-]\d{4}"), "%Y-%m-%d %H:%M:%S %z"),
    (re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d"), "%Y-%m-%d %H:%M:%S"),
)


def instant(text):
    """A moment in RFC 3339 as seconds; none for anything else."""
    try:
        return datetime.fromisoformat(re.sub(r"Z$", "+00:00", re.sub(r"\.\d+", "", str(text)))).timestamp()
    except ValueError:
        return None


def rfc3339(seconds):
    return datetime.fromtimestamp(seconds, timezone.utc).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def moment(line):
    """When a line of a log was written, by its beginning; none where it does not say."""
    for pattern, form in MOMENTS:
        if found := pattern.search(line[:120]):
            return datetime.strptime(found.group(), form).timestamp()
    return None


class Stack:
    """One practice stack. What it was told is read once: who tells something else starts this anew."""

    def __init__(self, file=None):
        told = json.loads(Path(file).read_text()) if file else SAMPLE
        self.services, self.edge = told["services"], told["edge"]
        self.ssl, self.tiered_cache = told["ssl"], told["tiered_cache"]
        self.logs = Path(told["logs"]) if "logs" in told else None
        self.nginx = Path(file).with_name("nginx.conf").read_text() if file else ""

    def service(self, service):
        return next((known for known in self.services if f"service-{known['name']}" == service), None)

    def deployed(self, deployment):
        return next((known for known in self.services if f"deployment-{known['name']}" == deployment), None)

    def lines(self, log):
        """The last lines of a log and of the one before it, oldest first, each with the second its file ends in."""
        if self.logs is None or log is None:
            return []
        found, room = [], TAIL
        for name in (f"{log}.log", f"{log}.log.1"):
            try:
                with (self.logs / name).open("rb") as file:
                    size = file.seek(0, os.SEEK_END)
                    file.seek(max(0, size - room))
                    text, changed = file.read(room), os.fstat(file.fileno()).st_mtime
            except OSError:
                continue
            lines = text.decode(errors="replace").splitlines()
            # The first one of a part is a part itself.
            found[:0] = [(line, changed) for line in lines[1 if size > room else 0 :]]
            room -= len(text)
            if room <= 0:
                break
        return found

    def requests(self):
        """What the edge noted of each request, oldest first."""
        for line, _ in self.lines("edge-access"):
            try:
                request = json.loads(line)
                method, target = request["request"].split(" ")[:2]
                at = instant(request["time"])
            except (ValueError, KeyError, TypeError, AttributeError):
                continue  # half a line, or no request
            if at is not None:
                yield {**request, "at": at, "method": method, "path": target.partition("?")[0]}

    def began(self, service):
        """When a service's latest deployment was made: the first moment in its log, if there is one."""
        try:
            with (self.logs / f"{service['log']}.log").open(errors="replace") as file:
                moments = filter(None, map(moment, file.read(4096).splitlines()))
        except (OSError, TypeError, KeyError):
            moments = iter(())
        return next(moments, None)


def processes(command):
    """The processes of a command line, its interpreter aside. None where there is no /proc to look in."""
    if not command or not Path("/proc/self/stat").exists():
        return None
    found = []
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                words = (folder / "cmdline").read_bytes().decode(errors="replace").split("\0")[:-1]
            except OSError:
                continue  # it has ended
            if command in (words, words[1:]):
                found.append(folder)
    return found


def memory(folder):
    """What a process keeps in memory, bytes; of what it shares with others, its share, where that may be seen."""
    try:
        share = re.search(r"^Pss:\s+(\d+) kB", (folder / "smaps_rollup").read_text(), re.MULTILINE)
        return int(share.group(1)) * 1024
    except (OSError, AttributeError):
        pass
    try:
        return int((folder / "statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, IndexError):
        return 0


def processor(folder):
    """How many processors a process has kept busy since it started."""
    try:
        fields = (folder / "stat").read_text().rpartition(")")[2].split()
        ticks = os.sysconf("SC_CLK_TCK")
        age = time.clock_gettime(time.CLOCK_BOOTTIME) - int(fields[19]) / ticks
        return (int(fields[11]) + int(fields[12])) / ticks / max(age, 1.0)
    except (OSError, IndexError, ValueError):
        return 0.0
