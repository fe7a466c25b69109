"""Locust with its faster client."""

import os
import random

import gevent
from locust import FastHttpUser, constant, task

THINK = float(os.environ["THINK"])


class Visitor(FastHttpUser):
    wait_time = constant(THINK)

    def on_start(self):
        if THINK:
            gevent.sleep(THINK * random.random())

    @task
    def get(self):
        self.client.get(os.environ["TARGET"])
