"""Workers of several processes, forks, and multiprocessing."""

import concurrent.futures
import multiprocessing
import os
import pickle
import signal
import time

from rig import SOON, Rig, eventually

import forebay


def is_alive(pid):
    try:
        with open(f"/proc/{pid}/stat") as stat:
            return stat.read().rsplit(")", 1)[1].split()[0] not in "ZX"
    except OSError:
        return False


PIDS = """
    import os, sys, time, forebay
    worker = forebay.Worker(processes=3, threads=int(sys.argv[1]))
    @worker.task("pid")
    def pid(value):
        time.sleep(0.02)
        return [os.getpid(), os.getppid()]
    @worker.task("crash")
    def crash(value, job):
        if job.attempt == 1:
            os.kill(os.getpid(), 9)
        return job.attempt
    worker.run()
    print("ended")
    """


class Processes(Rig):
    BROKER = {"reattach_ms": 50}

    def pids(self, client, count=3):
        """The processes of a worker, once each has done a job; and their parent."""
        seen, parents = set(), set()

        def ask():
            for pid, parent in client.map("pid", range(20)):
                seen.add(pid)
                parents.add(parent)
            alive = {pid for pid in seen if is_alive(pid)}
            return alive if len(alive) == count else None

        return eventually(f"{count} processes work", ask), parents.pop()

    def test_processes_share_the_work_and_end_together(self):
        for threads in ("1", "2"):
            for number in (signal.SIGTERM, signal.SIGINT):
                with self.subTest(threads=threads, number=number):
                    process = self.python(PIDS, threads)
                    with forebay.Client(self.endpoint) as client:
                        pids, parent = self.pids(client)
                        self.assertEqual(parent, process.pid)
                    process.send_signal(number)
                    said, errors = process.communicate(timeout=SOON)
                    self.assertEqual((process.returncode, said, errors), (0, "ended\n", ""))
                    self.assertEqual([pid for pid in pids if is_alive(pid)], [])

    def test_a_process_that_dies_has_a_successor(self):
        process = self.python(PIDS, "1")
        client = self.client()
        self.assertEqual(client.call("crash", timeout=SOON), 2)
        self.pids(client)
        process.terminate()
        _, errors = process.communicate(timeout=SOON)
        self.assertEqual(process.returncode, 0)
        self.assertIn("was killed by signal 9; another one takes its place", errors)

    def test_processes_end_when_the_watching_one_is_killed(self):
        process = self.python(PIDS, "1")
        pids, _ = self.pids(self.client())
        process.kill()
        process.wait()
        eventually("they are gone", lambda: not any(is_alive(pid) for pid in pids))

    def test_an_init_hook_that_fails_ends_all(self):
        process = self.python(
            """
            import forebay
            worker = forebay.Worker(processes=2)
            worker.task("work")(lambda value: value)
            @worker.init
            def init():
                raise KeyError("no model")
            worker.run()
            """
        )
        _, errors = process.communicate(timeout=SOON)
        self.assertEqual(process.returncode, 1)
        self.assertIn("KeyError: 'no model'", errors)
        self.assertIn("a worker process ended with exit code 1; its traceback stands above", errors)

    def test_processes_in_the_background(self):
        worker = self.worker({"pid": lambda value: os.getpid()}, processes=2)
        client = self.client()
        pids = set(client.map("pid", range(50)))
        self.assertNotIn(os.getpid(), pids)
        worker.stop()
        self.assertFalse(any(is_alive(pid) for pid in pids))

    def test_workers_in_the_background_end_each_by_itself(self):
        """The second one's processes, and a child of this one, inherited the write end of the first one's lifeline once."""
        first = self.worker({"first": lambda value: os.getpid()}, processes=1, threads=2)
        second = self.worker({"second": lambda value: os.getpid()}, processes=1)
        client = self.client()
        pids = [client.call("first", timeout=SOON), client.call("second", timeout=SOON)]
        child = multiprocessing.get_context("fork").Process(target=time.sleep, args=(SOON * 10,))
        child.start()
        self.addCleanup(child.kill)
        first.stop()
        self.assertEqual([is_alive(pid) for pid in pids], [False, True])
        self.assertEqual(client.call("second", timeout=SOON), pids[1])
        second.stop()
        self.assertFalse(is_alive(pids[1]))


def call_in_child(client, queue, pipe):
    try:
        pipe.send(client.call(queue, os.getpid(), timeout=SOON))
    except BaseException as error:
        pipe.send(repr(error))


class Forks(Rig):
    def setUp(self):
        super().setUp()
        self.worker({"double": lambda value: value * 2})

    def in_child(self, function, *arguments, method="fork"):
        context = multiprocessing.get_context(method)
        ours, theirs = context.Pipe()
        child = context.Process(target=function, args=(*arguments, theirs))
        child.start()
        self.assertTrue(ours.poll(SOON), "the child says nothing")
        said = ours.recv()
        child.join(SOON)
        self.assertEqual(child.exitcode, 0)
        return child.pid, said

    def test_a_client_opens_a_connection_of_its_own_in_a_child(self):
        client = self.client()
        self.assertEqual(client.call("double", 1), 2)
        for method in ("fork", "spawn"):
            with self.subTest(method=method):
                pid, said = self.in_child(call_in_child, client, "double", method=method)
                self.assertEqual(said, pid * 2)
        self.assertEqual(client.call("double", 2), 4)

    def test_many_forks_under_load(self):
        client = self.client()
        with concurrent.futures.ThreadPoolExecutor(4) as pool:
            calls = [pool.submit(client.call, "double", i) for i in range(500)]
            for _ in range(10):
                pid, said = self.in_child(call_in_child, client, "double")
                self.assertEqual(said, pid * 2)
            self.assertEqual([call.result(SOON) for call in calls], list(range(0, 1000, 2)))

    def test_a_future_is_its_processes_own(self):
        client = self.client()
        future = client.submit("nobody", 1)

        def ask(pipe):
            try:
                future.result(1)
            except forebay.ForkedError as error:
                pipe.send(str(error))

        self.assertIn("handed in by the parent process", self.in_child(ask)[1])
        self.assertFalse(future.done())
        future.cancel()

    def test_a_broker_is_its_processes_own(self):
        def ask(pipe):
            try:
                self.broker.wait(0)
            except forebay.ForkedError as error:
                pipe.send(str(error))

        self.assertIn("the broker belongs to the parent process", self.in_child(ask)[1])
        self.assertFalse(self.broker.wait(0))

    def test_a_pool_of_processes(self):
        client = pickle.loads(pickle.dumps(self.client(name="box")))
        self.addCleanup(client.close)
        self.assertEqual(client.call("double", 5), 10)
        with multiprocessing.get_context("spawn").Pool(2) as pool:
            self.assertEqual(pool.map(_DoubledBy(self.endpoint), range(6)), list(range(0, 12, 2)))


class _DoubledBy:
    def __init__(self, endpoint):
        self.endpoint = endpoint

    def __call__(self, value):
        with forebay.Client(self.endpoint) as client:
            return client.call("double", value, timeout=SOON)
