"""Workers in threads: what handlers get, what becomes of what they do, and how workers end."""

import signal
import threading
import time

from rig import SOON, Rig, eventually

import forebay


class Handlers(Rig):
    def test_a_handler_is_the_function_it_was(self):
        worker = forebay.Worker(self.endpoint)

        @worker.task("add")
        def add(pair):
            return sum(pair)

        self.assertEqual(add([1, 2]), 3)
        self.assertEqual(worker.test("add", (1, 2)), 3)
        with self.assertRaisesRegex(forebay.JobFailed, "TypeError: 'int' object is not iterable"):
            worker.test("add", 1)
        with self.assertRaisesRegex(
            forebay.JobFailed, "no_handler: this worker has no handler for the queue 'sub'"
        ):
            worker.test("sub", 1)

    def test_a_test_job_shows_what_a_client_would_get(self):
        worker = forebay.Worker()

        @worker.task("work")
        def work(value, job):
            job.progress(0.5)
            job.set_header("by", job.headers["who"])
            return [value, job.attempt]

        job = forebay.Job.test("work", 7, headers={"who": "me"})
        worker.handle(job)
        result = job.test_result()
        self.assertEqual((result.value(), result.headers["by"]), ([7, 1], b"me"))

    def test_what_a_handler_may_take(self):
        worker = forebay.Worker()
        worker.task("none")(lambda: "none")
        worker.task("one")(lambda value: value)
        worker.task("default")(lambda value, factor=3: value * factor)
        worker.task("two")(lambda value, job: job.queue)
        worker.task("many")(lambda *all: len(all))
        self.assertEqual(
            [worker.test(queue, 2) for queue in ("none", "one", "default", "two", "many")],
            ["none", 2, 6, "two", 1],
        )
        with self.assertRaisesRegex(TypeError, "takes 3 arguments"):
            worker.task("three")(lambda a, b, c: None)
        with self.assertRaisesRegex(TypeError, "let it call asyncio.run"):

            @worker.task("later")
            async def later(value):
                pass

    def test_what_the_job_knows(self):
        def work(value, job):
            return {
                "id": job.id,
                "queue": job.queue,
                "attempt": job.attempt,
                "of": job.attempts_max,
                "headers": job.headers,
                "left": job.time_left,
                "data": job.data,
                "stop": job.stop,
                "hints": job.hints,
                "frames": len(job.frames),
            }

        self.worker({"work": work})
        future = self.client().submit(
            "work", forebay.Frames([b"a", b"b"]), headers={"lang": "de"}, run_ms=60_000, attempts=5
        )
        got = future.result(SOON)
        self.assertTrue(0 < got.pop("left") <= 60)
        self.assertEqual(
            got,
            {
                "id": future.id,
                "queue": "work",
                "attempt": 1,
                "of": 5,
                "headers": {"lang": b"de"},
                "data": b"a",
                "stop": 0,
                "hints": 0,
                "frames": 2,
            },
        )

    def test_how_a_job_may_fail(self):
        attempts = []

        def work(how, job):
            attempts.append(job.attempt)
            if how == "never":
                raise forebay.Fail("not this", code="mine", retry=False, detail="more")
            if how == "soon" and job.attempt < 3:
                raise forebay.Fail("not yet", retry=0.01)
            if how == "back" and len(attempts) < 3:
                raise forebay.Release()
            if how == "exit":
                raise SystemExit(3)
            return object() if how == "unsendable" else job.attempt

        self.worker({"work": work})
        client = self.client()
        with self.assertRaisesRegex(forebay.JobFailed, "^mine: not this$") as caught:
            client.call("work", "never", timeout=SOON)
        self.assertEqual((caught.exception.code, caught.exception.detail), ("mine", "more"))
        self.assertEqual(client.call("work", "soon", timeout=SOON), 3)
        attempts.clear()
        self.assertEqual(client.call("work", "back", timeout=SOON), 1)
        with self.assertRaisesRegex(forebay.JobFailed, "^SystemExit: 3$"):
            client.call("work", "exit", attempts=1, timeout=SOON)
        attempts.clear()
        with self.assertRaisesRegex(
            forebay.JobFailed, "unsendable: the result cannot be sent: a value of type builtins.object"
        ):
            client.call("work", "unsendable", timeout=SOON)
        self.assertEqual(attempts, [1])
        with self.assertRaisesRegex(
            forebay.JobFailed, "undecodable: the payload cannot be read: the header encoding"
        ):
            client.call("work", b"{}", headers={"encoding": "json"}, timeout=SOON)

    def test_a_long_traceback_keeps_its_end(self):
        def work(value):
            raise ValueError("x" * 100_000 + "the end")

        self.worker({"work": work})
        with self.assertRaises(forebay.JobFailed) as caught:
            self.client().call("work", attempts=1, timeout=SOON)
        self.assertTrue(caught.exception.detail.endswith("the end\n"))

    def test_a_cancelled_job_is_told_to_stop(self):
        begun, said = threading.Event(), []

        def work(value, job):
            begun.set()
            end = time.monotonic() + SOON
            try:
                while time.monotonic() < end:
                    job.check()
                    time.sleep(0.005)
            except forebay.Stopped as stopped:
                said.append((str(stopped), job.stop, job.progress(1)))
                raise

        self.worker({"work": work})
        future = self.client().submit("work")
        self.assertTrue(begun.wait(SOON))
        self.assertTrue(future.cancel())
        self.assertEqual(eventually("it stops", lambda: said), [("it was cancelled", 1, 1)])
        with self.assertRaises(forebay.JobCancelled):
            future.result(SOON)

    def test_a_job_whose_run_time_is_over(self):
        over, stops = threading.Event(), []

        def work(value, job):
            # The worker's clock may be ahead of the broker's, which decides: no answer before it has.
            over.wait(SOON)
            stops.append(eventually("it is to stop", lambda: job.stop))

        self.worker({"work": work})
        with self.assertRaises(forebay.JobTimedOut) as caught:
            self.client().call("work", run_ms=50, attempts=1, timeout=SOON)
        self.assertIsInstance(caught.exception, TimeoutError)
        over.set()
        self.assertTrue(eventually("it ends", lambda: stops)[0] & forebay.STOP_RUN_TIME)

    def test_the_init_hook_runs_once_in_each_thread(self):
        threads, both = [], threading.Barrier(2)
        worker = forebay.Worker(self.endpoint, threads=2)

        @worker.init
        def init():
            threads.append(threading.get_ident())
            return {"thread": threading.get_ident()}

        @worker.task("work")
        def work(value, job):
            both.wait(SOON)
            return job.local["thread"] == threading.get_ident()

        with worker:
            self.assertEqual(list(self.client().map("work", range(10))), [True] * 10)
        self.assertEqual(len(set(threads)), 2)

    def test_an_init_hook_that_fails_ends_the_worker(self):
        for threads in (1, 2):
            worker = forebay.Worker(self.endpoint, threads=threads)
            worker.task("work")(lambda value: value)
            both = threading.Barrier(threads)
            worker.init(lambda both=both: [both.wait(SOON)] and {}["no model"])
            with self.assertRaisesRegex(KeyError, "no model"):
                worker.run()


class Lives(Rig):
    def test_a_worker_without_tasks_says_what_it_needs(self):
        with self.assertRaisesRegex(forebay.StateError, r'decorate a function with @worker.task\("queue"\)'):
            forebay.Worker(self.endpoint).run()
        with self.assertRaisesRegex(forebay.ArgumentError, "threads=0"):
            forebay.Worker(self.endpoint, threads=0)
        worker = forebay.Worker(self.endpoint, slot=1)
        worker.task("work")(lambda value: value)
        with self.assertRaisesRegex(forebay.OptionError, "worker.slot"):
            worker.run()

    def test_tasks_may_come_later_and_workers_start_again(self):
        worker = self.worker({"one": lambda value: 1})
        client = self.client()
        worker.task("two")(lambda value: 2)
        self.assertEqual([client.call("one", timeout=SOON), client.call("two", timeout=SOON)], [1, 2])
        worker.ready(SOON)
        self.assertTrue(worker.stats())
        worker.stop()
        worker.stop()
        with worker:
            self.assertEqual(client.call("two", timeout=SOON), 2)

    def test_stop_lets_the_job_at_hand_end(self):
        begun, go = threading.Event(), threading.Event()

        def work(value):
            begun.set()
            return go.wait(SOON)

        worker = self.worker({"work": work})
        future = self.client().submit("work")
        self.assertTrue(begun.wait(SOON))
        worker.stop_soon()
        go.set()
        self.assertTrue(future.result(SOON))
        worker.stop()

    def test_the_main_thread_works_until_a_signal_comes(self):
        for number in (signal.SIGTERM, signal.SIGINT):
            for threads in (1, 3):
                with self.subTest(number=number, threads=threads):
                    process = self.python(
                        """
                        import sys, threading, forebay
                        worker = forebay.Worker(threads=int(sys.argv[1]))
                        @worker.task("where")
                        def where(value):
                            return threading.current_thread() is threading.main_thread()
                        worker.run()
                        print("ended")
                        """,
                        str(threads),
                    )
                    with forebay.Client(self.endpoint) as client:
                        self.assertEqual(client.call("where", timeout=SOON), threads == 1)
                    process.send_signal(number)
                    said, errors = process.communicate(timeout=SOON)
                    self.assertEqual((process.returncode, said, errors), (0, "ended\n", ""))

    def test_a_second_ctrl_c_gives_the_job_back(self):
        for threads in ("1", "2"):
            with self.subTest(threads=threads):
                self.second_ctrl_c(threads)

    def second_ctrl_c(self, threads):
        process = self.python(
            """
            import sys, time, forebay
            worker = forebay.Worker(threads=int(sys.argv[1]))
            @worker.task("work")
            def work(value, job):
                print("begun")
                while not job.hints & forebay.HINT_DRAINING:
                    time.sleep(0.01)
                print("draining")
                while True:
                    time.sleep(0.01)
            worker.run()
            """,
            threads,
        )
        future = self.client().submit("work", attempts=1)
        self.assertEqual(process.stdout.readline(), "begun\n")
        process.send_signal(signal.SIGINT)
        self.assertEqual(process.stdout.readline(), "draining\n")
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=SOON)
        self.assertIn("KeyboardInterrupt", errors)
        with self.worker({"work": lambda value, job: job.attempt}):
            self.assertEqual(future.result(SOON), 1)

    def test_a_worker_outlives_its_broker(self):
        self.worker({"work": lambda value: value})
        client = self.client()
        self.assertEqual(client.call("work", 1, timeout=SOON), 1)
        self.broker.close()
        self.broker = forebay.Broker(listen=self.endpoint)
        self.addCleanup(self.broker.close)
        self.assertEqual(client.call("work", 2, timeout=SOON), 2)


class GlobalLock(Rig):
    BROKER = {"lease_ms": 2000, "beat_ms": 200}

    def test_a_handler_that_holds_the_global_lock_is_not_declared_dead(self):
        """PyDLL, unlike CDLL, keeps Python's lock: no thread of Python runs meanwhile, only the library's own."""

        process = self.python(
            """
            import ctypes, forebay
            worker = forebay.Worker()
            @worker.task("hold")
            def hold(seconds, job):
                ctypes.PyDLL(None).usleep(int(seconds * 1_000_000))
                return job.attempt
            worker.run()
            """
        )
        client = self.client()
        client.wait_workers("hold", 1, timeout=SOON)
        future = client.submit("hold", 6.5)
        eventually("it runs", lambda: client.peek(future.id).outcome == forebay.Outcome.RUNNING)
        # Another worker would take the job if the first one's lease lapsed.
        other = self.worker({"hold": lambda value: "another"})
        self.assertEqual(future.result(SOON), 1)
        self.assertEqual(client.admin("status")["counters"]["lapses"], 0)
        other.stop()
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=SOON)
        self.assertEqual(process.returncode, 0)
