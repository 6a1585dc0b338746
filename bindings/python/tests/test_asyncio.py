"""The asyncio client."""

import asyncio
import threading

from rig import SOON, Rig

import forebay


class Asyncio(Rig):
    def run_async(self, coroutine):
        return asyncio.run(asyncio.wait_for(coroutine, SOON * 2))

    def test_calls(self):
        def fail(value):
            raise ValueError(value)

        self.worker({"double": lambda value: value * 2, "fail": fail}, threads=2)

        async def main():
            async with forebay.AsyncClient(self.endpoint) as client:
                self.assertEqual(await client.call("double", 4, timeout=SOON), 8)
                job = await client.submit("double", "a")
                self.assertEqual([await job, await job], ["aa", "aa"])
                self.assertEqual((await job.wait()).outcome, forebay.Outcome.DONE)
                self.assertEqual(
                    [value async for value in client.map("double", range(500))], list(range(0, 1000, 2))
                )
                got = [value async for value in client.map("double", range(500), ordered=False, window=9)]
                self.assertEqual(sorted(got), list(range(0, 1000, 2)))
                with self.assertRaisesRegex(forebay.JobFailed, "ValueError: 3"):
                    await client.call("fail", 3, attempts=1)
                with self.assertRaises(forebay.NotFoundError):
                    await client.submit("nobody", unknown_queue="refuse")
                self.assertTrue(await client.admin("queue.list"))
                await client.ready(SOON)
                await client.wait_workers("double", 1, timeout=SOON)
                self.assertTrue(client.stats())

        self.run_async(main())

    def test_a_thousand_calls_in_flight(self):
        """Nobody works until all of them wait at the broker, so they were in flight together; no thread helps."""

        async def main():
            threads = threading.active_count()
            async with forebay.AsyncClient(self.endpoint) as client:
                calls = [asyncio.ensure_future(client.call("square", i)) for i in range(1000)]
                while (
                    next(
                        (
                            q["ready"]
                            for q in (await client.admin("queue.list"))["queues"]
                            if q["name"] == "square"
                        ),
                        0,
                    )
                    < 1000
                ):
                    await asyncio.sleep(0.005)
                self.assertLess(threading.active_count() - threads, 32)
                worker = self.worker({"square": lambda value: value * value})
                self.assertEqual(await asyncio.gather(*calls), [i * i for i in range(1000)])
                worker.stop()

        self.run_async(main())

    def test_a_call_that_is_cancelled_cancels_its_job(self):
        async def main():
            async with forebay.AsyncClient(self.endpoint) as client:
                task = asyncio.ensure_future(client.call("nobody", 1))
                waits = self.client()
                while self.waiting(waits, "nobody") != 1:
                    await asyncio.sleep(0.005)
                task.cancel()
                with self.assertRaises(asyncio.CancelledError):
                    await task
                while self.waiting(waits, "nobody") != 0:
                    await asyncio.sleep(0.005)
                with self.assertRaises(TimeoutError):
                    await client.call("nobody", 1, timeout=0.05)
                job = await client.submit("nobody", 2)
                await job.cancel()
                with self.assertRaises(forebay.JobCancelled):
                    await job

        self.run_async(main())

    def test_the_loop_sleeps_while_nothing_comes(self):
        async def main():
            async with forebay.AsyncClient(self.endpoint) as client:
                turns = 0
                readable = client._readable

                def counted():
                    nonlocal turns
                    turns += 1
                    readable()

                client._readable = counted
                call = asyncio.ensure_future(client.call("late", 1))
                while not (await client.admin("queue.list"))["queues"]:
                    await asyncio.sleep(0.005)
                await asyncio.sleep(0.2)
                self.assertLess(turns, 5)
                worker = self.worker({"late": lambda value: value})
                self.assertEqual(await call, 1)
                worker.stop()

        self.run_async(main())

    def test_progress_and_partial_results(self):
        def work(value, job):
            job.send(b"one")
            job.send(b"two")

        self.worker({"work": work})

        async def main():
            parts = []
            async with forebay.AsyncClient(self.endpoint) as client:
                self.assertIsNone(await client.call("work", on_partial=lambda part: parts.append(part.data)))
            self.assertEqual(parts, [b"one", b"two"])

        self.run_async(main())

    def test_what_is_closed_and_what_is_another_loops(self):
        client = forebay.AsyncClient(self.endpoint)

        async def first():
            job = await client.submit("nobody", 1)
            return job

        self.run_async(first())
        with self.assertRaisesRegex(forebay.StateError, "belongs to the event loop"):
            self.run_async(first())

        async def closing():
            async with forebay.AsyncClient(self.endpoint) as client:
                job = await client.submit("nobody", 1)
            with self.assertRaises(forebay.ClosedError):
                await job

        self.run_async(closing())
        client._desk.close()
