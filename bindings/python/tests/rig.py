"""What the tests share: a broker in a private folder, and waiting for a condition."""

import os
import shutil
import subprocess
import sys
import tempfile
import textwrap
import time
import unittest

import forebay

# The longest a test waits for what takes a moment. Generous: a busy machine must not fail a test.
SOON = 60


def eventually(what, ask, limit=SOON):
    """Asks until there is an answer."""
    end = time.monotonic() + limit
    while True:
        answer = ask()
        if answer:
            return answer
        if time.monotonic() > end:
            raise AssertionError(f"not within {limit} s: {what}")
        time.sleep(0.005)


class Rig(unittest.TestCase):
    """A test with a broker of its own."""

    BROKER = {}

    def setUp(self):
        self.folder = tempfile.mkdtemp(prefix="fb-", dir="/tmp")
        self.addCleanup(shutil.rmtree, self.folder, ignore_errors=True)
        self.broker = forebay.Broker(listen=f"ipc://{self.folder}/broker", **self.BROKER)
        self.addCleanup(self.broker.close)
        self.endpoint = self.broker.endpoint

    def client(self, **options):
        client = forebay.Client(self.endpoint, **options)
        self.addCleanup(client.close)
        return client

    def worker(self, tasks, **options):
        """A worker in the background, with the handlers by their queues."""
        worker = forebay.Worker(self.endpoint, **options)
        for queue, handler in tasks.items():
            worker.task(queue)(handler)
        self.addCleanup(worker.stop)
        return worker.start()

    def python(self, program, *arguments, **options):
        """A Python process whose program is given as text; it finds the broker by itself."""
        environment = {**os.environ, "FOREBAY_BROKER": self.endpoint, **options.pop("env", {})}
        process = subprocess.Popen(
            [sys.executable, "-u", "-c", textwrap.dedent(program), *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=environment,
            **options,
        )
        self.addCleanup(_end, process)
        return process

    def waiting(self, client, queue):
        """How many jobs wait in a queue."""
        return next((one["ready"] for one in client.admin("queue.list")["queues"] if one["name"] == queue), 0)


def _end(process):
    if process.poll() is None:
        process.kill()
    process.communicate()
