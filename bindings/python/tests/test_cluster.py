"""Broker and worker in the background, and without both."""

import os
import signal
import threading
import unittest
from unittest import mock

from rig import SOON, Rig, eventually

import forebay


def tasks(**options):
    worker = forebay.Worker(**options)
    worker.task("square")(lambda value: value * value)
    worker.task("where")(lambda value: (os.getpid(), threading.get_ident()))

    @worker.task("fail")
    def fail(value):
        raise ValueError(value)

    return worker


class Clusters(unittest.TestCase):
    def test_threads(self):
        with forebay.Cluster(tasks(threads=2)) as cluster:
            self.assertEqual(list(cluster.client.map("square", range(20))), [i * i for i in range(20)])
            pid, thread = cluster.client.call("where", timeout=SOON)
            self.assertEqual(pid, os.getpid())
            self.assertNotEqual(thread, threading.get_ident())
            folder = cluster._folder
            self.assertIn("square", repr(cluster))
        self.assertFalse(os.path.exists(folder))

    def test_processes(self):
        with forebay.Cluster(tasks(processes=2)) as cluster:
            self.assertEqual(list(cluster.client.map("square", range(20))), [i * i for i in range(20)])
            self.assertNotEqual(cluster.client.call("where", timeout=SOON)[0], os.getpid())

    def test_eager(self):
        with mock.patch.dict(os.environ, FOREBAY_EAGER="1"), forebay.Cluster(tasks()) as cluster:
            client = cluster.client
            self.assertEqual(client.call("where"), [os.getpid(), threading.get_ident()])
            self.assertEqual(list(client.map("square", range(5))), [0, 1, 4, 9, 16])
            self.assertEqual(client.submit("square", 3).result(), 9)
            with self.assertRaisesRegex(forebay.JobFailed, "ValueError: 3"):
                client.call("fail", 3)
            self.assertIsNone(cluster.broker)

    def test_a_cluster_that_cannot_start_leaves_nothing(self):
        before = threading.active_count()
        with self.assertRaisesRegex(forebay.OptionError, "broker.memory_mix"):
            forebay.Cluster(tasks(), memory_mix=1)
        self.assertEqual(threading.active_count(), before)


class Brokers(Rig):
    def test_a_cluster_nobody_closes_ends_with_its_process(self):
        for processes in ("0", "2"):
            with self.subTest(processes=processes):
                process = self.python(
                    """
                    import os, sys, forebay
                    worker = forebay.Worker(processes=int(sys.argv[1]))
                    worker.task("pid")(lambda value: os.getpid())
                    cluster = forebay.Cluster(worker)
                    print(cluster.client.call("pid"), cluster._folder)
                    """,
                    processes,
                )
                said, errors = process.communicate(timeout=SOON)
                self.assertEqual((process.returncode, errors), (0, ""))
                pid, folder = said.split()
                self.assertFalse(os.path.exists(folder))
                self.assertFalse(os.path.exists(f"/proc/{pid}"))

    def test_a_broker(self):
        with forebay.Broker(
            {"job.attempts": 7}, listen=["inproc://one", f"ipc://{self.folder}/two"]
        ) as broker:
            self.assertEqual(broker.endpoints, ["inproc://one", f"ipc://{self.folder}/two"])
            worker = forebay.Worker(broker.endpoints[1])
            worker.task("of")(lambda value, job: job.attempts_max)
            with worker, forebay.Client(broker.endpoint) as client:
                self.assertEqual(client.call("of", timeout=SOON), 7)
            self.assertFalse(broker.wait(0.01))
            broker.drain(SOON)
            broker.stop()
            self.assertTrue(broker.wait())
        with self.assertRaisesRegex(forebay.ClosedError, "the broker is closed"):
            broker.wait(0)

    def test_what_cannot_be_started_says_why(self):
        with self.assertRaises(forebay.InUseError):
            forebay.Broker(listen=self.endpoint)
        with self.assertRaisesRegex(forebay.DeniedError, "broker.insecure"):
            forebay.Broker(listen="tcp://127.0.0.1:0")
        with self.assertRaises(forebay.OptionError):
            forebay.Broker(listn="inproc://x")

    def test_durable_jobs(self):
        listen = f"ipc://{self.folder}/durable"
        with forebay.Broker(listen=listen, store=f"{self.folder}/store"):
            with forebay.Client(listen, name="box") as client:
                id = client.submit("square", 6).id
        with forebay.Broker(listen=listen, store=f"{self.folder}/store"):
            worker = tasks()
            worker._endpoint = listen
            with worker, forebay.Client(listen, name="box") as client:
                self.assertEqual(client.wait(id, SOON).value(), 36)


class CtrlC(Rig):
    """Every wait in the main thread ends when SIGINT comes."""

    WAITS = {
        "call": "client.call('nobody', 1)",
        "call with a timeout": "client.call('nobody', 1, timeout=3600)",
        "result": "client.submit('nobody', 1).result()",
        "map": "list(client.map('nobody', range(3)))",
        "map unordered": "list(client.map('nobody', range(3), ordered=False))",
        "submit": "forebay.Client('ipc:///tmp/no-broker', linger_ms=0).submit('nobody', 1, timeout=None)",
        "ready": "forebay.Client('ipc:///tmp/no-broker').ready()",
        "wait": "forebay.Client(name='box').wait(forebay.Client(name='box').submit('nobody', 1).id)",
        "wait_workers": "client.wait_workers('nobody', 1)",
        "broker": "forebay.Broker(listen='inproc://other').wait()",
        "asyncio": "asyncio.run(asked())",
    }

    def test_ctrl_c_ends_every_wait(self):
        for name, wait in self.WAITS.items():
            with self.subTest(wait=name):
                process = self.python(
                    f"""
                    import asyncio, forebay, signal
                    # Whoever runs the tests in the background has it ignored.
                    signal.signal(signal.SIGINT, signal.default_int_handler)
                    async def asked():
                        async with forebay.AsyncClient() as client:
                            await client.call("nobody", 1)
                    client = forebay.Client()
                    client.ready()
                    print("waits")
                    {wait}
                    """
                )
                self.assertEqual(process.stdout.readline(), "waits\n")
                eventually("it sleeps", lambda pid=process.pid: sleeps(pid))
                process.send_signal(signal.SIGINT)
                _, errors = process.communicate(timeout=SOON)
                self.assertIn("KeyboardInterrupt", errors)
                self.assertEqual(process.returncode, -signal.SIGINT, errors)


def sleeps(pid):
    """Whether the main thread of a process sleeps."""
    with open(f"/proc/{pid}/task/{pid}/stat") as stat:
        return stat.read().rsplit(")", 1)[1].split()[0] == "S"
