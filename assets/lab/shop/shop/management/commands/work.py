"""A worker of RQ or Huey. Celery has a command of its own."""

from config import jobs
from django.conf import settings
from django.core.management.base import BaseCommand


class Command(BaseCommand):
    help = __doc__

    def add_arguments(self, parser):
        parser.add_argument("--workers", type=int, default=2)
        parser.add_argument("--queue", default="")

    def handle(self, *, workers, queue, **_):
        if settings.QUEUE_LIBRARY == "rq":
            from rq.worker import SimpleWorker
            from rq.worker_pool import WorkerPool

            # Each is a process with the whole shop in it.
            WorkerPool(
                [queue or "default"], connection=jobs.broker(), num_workers=min(workers, 3), worker_class=SimpleWorker
            ).start()
        else:
            from huey import RedisHuey
            from shop import tasks  # noqa: F401  (the consumer must know them)

            huey = RedisHuey(queue, url=settings.CELERY_BROKER_URL) if queue else jobs.consumer_of()
            huey.create_consumer(workers=workers, worker_type="thread").run()
