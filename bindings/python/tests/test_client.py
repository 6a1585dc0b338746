"""The blocking client: calls, futures, maps, and what they raise."""

import concurrent.futures
import datetime as dt
import gc
import pickle
import threading
import traceback
import uuid
import weakref

from rig import SOON, Rig, eventually

import forebay


def double(value):
    return value * 2


def fail(value):
    raise ValueError(f"no {value}")


class Calls(Rig):
    def setUp(self):
        super().setUp()
        self.worker({"double": double, "fail": fail, "nothing": lambda: None}, threads=4)

    def test_call(self):
        client = self.client()
        self.assertEqual(client.call("double", 21, timeout=SOON), 42)
        self.assertEqual(client.call("double", b"ab", timeout=dt.timedelta(seconds=SOON)), b"abab")
        self.assertIsNone(client.call("nothing"))

    def test_submit(self):
        client = self.client()
        future = client.submit(
            "double", "x", headers={"lang": "de", "raw": b"\xff"}, priority=8, run_ms="10m"
        )
        self.assertEqual(future.result(SOON), "xx")
        self.assertEqual(future.result(SOON), "xx")
        self.assertTrue(future.done() and not future.cancelled() and not future.running())
        self.assertIsInstance(future.id, uuid.UUID)
        self.assertEqual(future.wait().outcome, forebay.Outcome.DONE)
        self.assertIn("worker", future.wait().meta)

    def test_futures_are_those_of_python(self):
        client = self.client()
        futures = [client.submit("double", i) for i in range(10)]
        done, pending = concurrent.futures.wait(futures, SOON)
        self.assertEqual((len(done), len(pending)), (10, 0))
        got = {future.result() for future in concurrent.futures.as_completed(futures, SOON)}
        self.assertEqual(got, set(range(0, 20, 2)))

    def test_map(self):
        client = self.client()
        self.assertEqual(list(client.map("double", range(1000))), list(range(0, 2000, 2)))
        unordered = list(client.map("double", iter(range(1000)), ordered=False, window=7))
        self.assertEqual(sorted(unordered), list(range(0, 2000, 2)))
        self.assertEqual(list(client.map("double", [])), [])

    def test_a_map_ends_with_the_first_failure_unless_it_is_to_give_them(self):
        client = self.client()
        with self.assertRaisesRegex(forebay.JobFailed, "^ValueError: no 0$"):
            list(client.map("fail", range(3), attempts=1))
        for ordered in (True, False):
            got = list(client.map("fail", range(3), attempts=1, return_exceptions=True, ordered=ordered))
            self.assertEqual(sorted(map(str, got)), [f"ValueError: no {i}" for i in range(3)])
        with self.assertRaisesRegex(forebay.ArgumentError, "window is 0"):
            client.map("double", [1], window=0)

    def test_a_failure_shows_the_handlers_traceback(self):
        client = self.client()
        with self.assertRaises(forebay.JobFailed) as caught:
            client.call("fail", 7, attempts=1, timeout=SOON)
        error = caught.exception
        self.assertEqual((str(error), error.code, error.attempt), ("ValueError: no 7", "ValueError", 1))
        self.assertEqual(error.outcome, forebay.Outcome.FAILED)
        text = "".join(traceback.format_exception(type(error), error, error.__traceback__))
        self.assertIn('raise ValueError(f"no {value}")', text)
        self.assertNotIn("worker.py", error.detail)
        again = pickle.loads(pickle.dumps(error))
        self.assertEqual(
            (type(again), str(again), again.id, again.detail),
            (type(error), str(error), error.id, error.detail),
        )

    def test_refusals_are_exceptions_that_say_why(self):
        client = self.client()
        for error, said, submit in (
            (forebay.ArgumentError, "job.priority is 9", lambda: client.call("double", 1, priority=9)),
            (forebay.OptionError, "job.prioritee", lambda: client.call("double", 1, prioritee=1)),
            (forebay.ArgumentError, "queue", lambda: client.call("", 1)),
            (forebay.ArgumentError, "text without NUL", lambda: client.call("a\0b", 1)),
            (forebay.TooLargeError, "limit", lambda: client.call("double", b"x" * (65 << 20))),
            (forebay.UnsupportedError, "store", lambda: client.submit("double", 1, level="durable")),
            (forebay.NotFoundError, "", lambda: client.submit("nobody", 1, unknown_queue="refuse")),
            (TypeError, "cannot be sent", lambda: client.call("double", object())),
        ):
            with self.subTest(said=said), self.assertRaisesRegex(error, said):
                submit()
        self.assertEqual(client.call("double", 1), 2)

    def test_an_id_is_one_job(self):
        client = self.client()
        own = forebay.Job.test("double").id
        first = client.submit("double", 1, id=own)
        self.assertEqual((first.id, first.result(SOON)), (own, 2))
        with self.assertRaises(forebay.ConflictError):
            client.submit("double", 2, id=own)

    def test_many_threads_share_a_client(self):
        client = self.client()
        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            got = list(pool.map(lambda i: client.call("double", i), range(400)))
        self.assertEqual(got, list(range(0, 800, 2)))

    def test_a_small_window_only_slows_down(self):
        client = self.client(window_jobs=3)
        self.assertEqual(len(list(client.map("double", range(300), window=100))), 300)

    def test_operators_commands(self):
        client = self.client()
        client.wait_workers("double", 1, timeout=SOON)
        client.ready(SOON)
        self.assertEqual(client.state, "ready")
        self.assertTrue(client.admin("queue.list"))
        self.assertIn("reconnects", str(client.stats()))
        with self.assertRaisesRegex(forebay.NotFoundError, "queue.lost"):
            client.admin("queue.lost")

    def test_what_is_closed_says_so(self):
        client = forebay.Client(self.endpoint)
        future = client.submit("double", 1, delay_ms=3_600_000)
        client.close()
        client.close()
        with self.assertRaisesRegex(forebay.ClosedError, "closed before the job's result came"):
            future.result(SOON)
        with self.assertRaisesRegex(forebay.ClosedError, "the client is closed"):
            client.call("double", 1)
        self.assertEqual(client.state, "closed")

    def test_a_client_nobody_holds_closes_itself(self):
        before = threading.active_count()
        client = forebay.Client(self.endpoint)
        client.call("double", 1)
        gone = weakref.ref(client)
        del client
        gc.collect()
        eventually("the client is collected", lambda: gone() is None)
        eventually("its thread ends", lambda: threading.active_count() <= before)


class Waits(Rig):
    def test_a_call_whose_time_is_over(self):
        client = self.client()
        client.ready(SOON)
        with self.assertRaisesRegex(TimeoutError, "no worker began it|has not ended in") as caught:
            client.call("nobody", 1, timeout=0.05)
        self.assertIsInstance(caught.exception, (forebay.JobExpired, forebay.TimedOut))
        eventually("it is not left behind", lambda: self.waiting(client, "nobody") == 0)

    def test_without_a_broker(self):
        nowhere = f"ipc://{self.folder}/nobody"
        with forebay.Client(nowhere, linger_ms=0) as client:
            for seconds in (0.1, 0.2, 0.4):
                said = f"in the queue 'q' has not ended in {seconds} s: .*{nowhere}.*is the broker running"
                with self.assertRaisesRegex(forebay.TimedOut, said):
                    client.call("q", 1, timeout=seconds)
            with self.assertRaisesRegex(
                forebay.UnconfirmedError, "has not answered in 0.2 s .*submit it again with id=error.id"
            ) as caught:
                client.submit("q", 1, timeout=0.2)
            self.assertIsInstance(caught.exception.id, uuid.UUID)
            with self.assertRaises((forebay.IoError, forebay.TimedOut)):
                client.ready(0.2)

    def test_addresses_that_are_none(self):
        for endpoint in ("", "nonsense", "tcp://", "ipc://" + "x" * 200):
            with self.subTest(endpoint=endpoint), self.assertRaises(forebay.AddressError):
                forebay.Client(endpoint)
        with self.assertRaisesRegex(forebay.OptionError, "client.window_jobs"):
            forebay.Client(window_job=1)

    def test_cancel(self):
        client = self.client()
        future = client.submit("nobody", 1)
        self.assertTrue(future.cancel())
        with self.assertRaises(forebay.JobCancelled):
            future.result(SOON)
        with self.assertRaises(concurrent.futures.CancelledError):
            future.result(SOON)
        self.assertTrue(future.cancelled())
        with self.assertRaises(forebay.NotFoundError):
            client.cancel(uuid.uuid4())

    def test_a_map_that_is_left_cancels_what_is_under_way(self):
        client = self.client()
        self.worker({"half": lambda value, job: value if value == 0 else job_waits(job)})
        results = client.map("half", range(50))
        self.assertEqual(next(results), 0)
        results.close()
        eventually("nothing waits", lambda: self.waiting(client, "half") == 0)

    def test_a_map_that_cannot_begin_leaves_nothing(self):
        client = self.client()
        with self.assertRaisesRegex(TypeError, "cannot be sent"):
            client.map("half", [1, 2, object()])
        eventually("nothing waits", lambda: self.waiting(client, "half") == 0)

    def test_a_map_has_a_time(self):
        client = self.client()
        with self.assertRaisesRegex(forebay.TimedOut, "5 jobs of the map have not ended in 0.1 s"):
            list(client.map("nobody", range(5), timeout=0.1))

    def test_a_result_waits_for_the_next_client_of_the_name(self):
        with forebay.Client(self.endpoint, name="box") as first:
            id = first.submit("later", 4).id
        self.worker({"later": double})
        with forebay.Client(self.endpoint, name="box") as second:
            self.assertEqual(second.peek(id).id, id)
            self.assertEqual(second.wait(id, SOON).value(), 8)


def job_waits(job):
    """Holds its job until it is to stop."""
    eventually("the job is stopped", lambda: job.stop)


class News(Rig):
    def test_a_callback_that_raises_harms_nobody(self):
        self.worker({"work": lambda value, job: job.send(b"part")})
        client = self.client()

        def on_partial(part):
            raise KeyError("mine")

        with self.assertLogs("forebay", "ERROR") as logged:
            self.assertIsNone(client.call("work", on_partial=on_partial, timeout=SOON))
        self.assertIn("KeyError: 'mine'", logged.output[0])
        self.assertIsNone(client.call("work", timeout=SOON))

    def test_progress_and_partial_results(self):
        told, parts, go = [], [], threading.Event()

        def work(value, job):
            job.progress(0.25, "begun")
            go.wait(SOON)
            for i in range(5):
                job.send(f"part {i}".encode())
            job.send(forebay.pack({"all": value}))
            job.set_header("by", "me")
            return "end"

        self.worker({"work": work})
        client = self.client()

        def on_progress(news):
            told.append((news.progress, news.message))
            go.set()

        future = client.submit("work", 3, on_progress=on_progress, on_partial=parts.append)
        self.assertEqual(future.result(SOON), "end")
        self.assertEqual(told[0], (0.25, "begun"))
        self.assertEqual([part.data for part in parts[:5]], [f"part {i}".encode() for i in range(5)])
        self.assertEqual([part.sequence for part in parts], list(range(6)))
        self.assertEqual(forebay.unpack(parts[5].data), {"all": 3})
        self.assertEqual(future.wait().headers["by"], b"me")
