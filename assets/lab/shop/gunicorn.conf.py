"""How gunicorn runs the shop. Workers, threads and port come from the command line."""

import os
import shutil
from pathlib import Path

timeout = 30
graceful_timeout = 3
keepalive = 5

# Step 1. Several worker processes count into one folder, so that /metrics adds
# them up instead of answering for whichever worker was asked. It is emptied
# here, before any worker exists: counters of dead processes would be added too.
if metrics_dir := os.environ.get("METRICS_DIR"):
    shutil.rmtree(metrics_dir, ignore_errors=True)
    Path(metrics_dir).mkdir(parents=True)
    os.environ["PROMETHEUS_MULTIPROC_DIR"] = metrics_dir

STATM = Path("/proc/self/statm")

statsd_host = os.environ.get("STATSD_HOST") or None
statsd_prefix = "shop"

if os.environ.get("ACCESS_LOG"):
    accesslog = "-"
    access_log_format = (
        '{"time":"%(t)s","request":"%(r)s","status":%(s)s,"bytes":"%(B)s",'
        '"micros":%(D)s,"ray":"%({cf-ray}i)s"}'
    )


def on_starting(server):
    """Pages kept by the last release name files and forms of the last release."""
    if os.environ.get("CACHE_IN_REDIS"):
        import redis

        redis.Redis.from_url(os.environ["REDIS_URL"], socket_timeout=2).flushdb()


def post_worker_init(worker):
    """Building an S3 client costs half a second: pay it before the first request."""
    from django.conf import settings

    # Step 7. Several workers write no process_* series: each says what it takes.
    if "PROMETHEUS_MULTIPROC_DIR" in os.environ and STATM.exists():
        from prometheus_client import Gauge

        text = "Resident memory of one worker."
        mode = "liveall"
        worker.memory = Gauge("worker_resident_memory_bytes", text, multiprocess_mode=mode)

    if settings.MEDIA_BUCKET:
        from shop import s3

        s3.client()


def post_request(worker, req, environ, resp):
    if gauge := getattr(worker, "memory", None):
        pages = int(STATM.read_text().split()[1])
        gauge.set(pages * os.sysconf("SC_PAGE_SIZE"))


def child_exit(server, worker):
    if "PROMETHEUS_MULTIPROC_DIR" in os.environ:
        from prometheus_client import multiprocess

        multiprocess.mark_process_dead(worker.pid)
