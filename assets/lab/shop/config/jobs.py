"""The three libraries that can do the shop's background work: one function each that makes a task of a function."""

from django.conf import settings


def background(function):
    """The function as a task: `.delay(...)` hands it to a worker, and it is tried again when mail cannot be sent."""
    return {"celery": celery, "rq": rq, "huey": huey}[settings.QUEUE_LIBRARY](function)


def celery(function):
    from celery import shared_task

    return shared_task(autoretry_for=(OSError,), retry_backoff=1, max_retries=5)(function)


def rq(function):
    from rq import Retry
    from rq.decorators import job

    return job("default", connection=broker(), retry=Retry(max=5))(function)


def huey(function):
    task = consumer_of().task(retries=5, retry_delay=1)(function)
    task.delay = task
    return task


def broker():
    from redis import Redis

    return Redis.from_url(settings.CELERY_BROKER_URL, socket_connect_timeout=2)


HUEY = None


def consumer_of():
    global HUEY
    if HUEY is None:
        from huey import RedisHuey

        HUEY = RedisHuey("huey", url=settings.CELERY_BROKER_URL, immediate=False)
    return HUEY
