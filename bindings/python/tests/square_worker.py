"""Squares for examples-c/square_client in several processes: square_worker.py PROCESSES.

The first job of each waits until all of them have one, so that every process gets some of the jobs.
"""

import multiprocessing
import os
import sys

import forebay

processes = int(sys.argv[1])
worker = forebay.Worker(processes=processes)
all_have_one = multiprocessing.get_context("fork").Barrier(processes)
first = [True]


@worker.task("square")
def square(payload, job):
    """Digits in, digits out, and who did it."""
    if first:
        first.clear()
        all_have_one.wait(60)
    job.set_header("worker", f"python-{os.getpid()}")
    return str(int(payload) ** 2).encode()


worker.run()
