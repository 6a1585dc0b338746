"""Runs followed step by step, by threads and by asyncio."""

import asyncio
import pickle
import threading
import unittest.mock

from rig import SOON, Rig, eventually

import forebay


def upper(value, job):
    return b"".join(job.frames).upper()


def fail(value):
    raise forebay.Fail("no good", retry=False)


def is_gone(client, id):
    return client.admin("job.get", id=str(id))["stage"] == "forgotten"


def chain(count, queue="upper"):
    pipeline = forebay.Pipeline("chain").step("0", queue, b"a")
    for i in range(1, count):
        pipeline.step(str(i), queue, needs=[str(i - 1)])
    return pipeline


class Followed(Rig):
    def test_steps_come_as_they_end(self):
        """The second step waits until the first one's result was handed over, and so on."""
        turn = threading.Semaphore(1)

        def patient(value, job):
            self.assertTrue(turn.acquire(timeout=SOON))
            return upper(value, job)

        self.worker({"upper": patient})
        run = self.client().run(chain(4))
        got = []
        for step in run.results(timeout=SOON):
            got.append((step.name, step.outcome, step.value(), step.result.data))
            turn.release()
        self.assertEqual(got, [(str(i), forebay.Outcome.DONE, b"A", b"A") for i in range(4)])
        self.assertEqual([step.name for step in run], ["0", "1", "2", "3"])
        self.assertEqual(run.wait(SOON).data, b"A")
        self.assertEqual(run.wait(SOON).data, b"A")

    def test_a_run_that_failed_says_so_behind_its_last_result(self):
        self.worker({"upper": upper, "fail": fail})
        graph = forebay.Pipeline("p").step("a", "upper", b"a").step("b", "fail", needs=["a"])
        run = self.client().run(graph.step("c", "upper", needs=["b"]))
        got, results = [], run.results(SOON)
        with self.assertRaisesRegex(forebay.JobFailed, 'step-failed: .*step "b" ended FAILED') as caught:
            for step in results:
                got.append(step)
        self.assertEqual([step.name for step in got], ["a", "b"])
        with self.assertRaisesRegex(forebay.JobFailed, "no good"):
            got[1].value()
        self.assertEqual((caught.exception.id, caught.exception.code), (run, "step-failed"))
        self.assertEqual(run.wait(SOON).outcome, forebay.Outcome.FAILED)

    def test_a_step_that_may_fail_is_handed_over_too(self):
        self.worker({"upper": upper, "fail": fail})
        step = forebay.Step
        graph = {step("fail", may_fail=True): step("upper", b"a")}
        run = self.client().run(forebay.Pipeline(graph))
        self.assertEqual({one.name: one.outcome.name for one in run}, {"fail": "FAILED", "upper": "DONE"})

    def test_a_cancelled_run_and_one_that_takes_too_long(self):
        client = self.client()
        run = client.run(chain(1, "nobody"))
        for wait in (lambda: next(run.results(timeout=0.05)), lambda: run.wait(0.05)):
            with self.assertRaisesRegex(forebay.TimedOut, f"the run {run} has not ended in 0.05 s"):
                wait()
        client.cancel(run)
        with self.assertRaises(forebay.JobCancelled):
            list(run.results(timeout=SOON))

    def test_nothing_is_fetched_before_its_turn(self):
        self.worker({"upper": upper})
        client = self.client()
        pipeline = forebay.Pipeline("wide")
        for i in range(50):
            pipeline.step(str(i), "upper", b"%d" % i)
        run = client.run(pipeline)
        last = client.peek(run)
        while last.outcome < forebay.Outcome.DONE:
            last = client.peek(run)
        with unittest.mock.patch("forebay._requests.peek", wraps=forebay._requests.peek) as peek:
            results = run.results(SOON)
            got = [next(results) for _ in range(3)]
            self.assertEqual(peek.call_count, 3)
            got.extend(results)
        self.assertEqual({step.name: step.value() for step in got}, {str(i): b"%d" % i for i in range(50)})

    def test_another_process_follows_by_the_id(self):
        self.worker({"upper": upper})
        run = self.client().run(chain(3))
        id = pickle.loads(pickle.dumps(run))
        self.assertEqual((type(id).__name__, id), ("UUID", run))
        self.assertEqual(self.client().call("upper", str(run).encode()).decode().lower(), str(run))
        self.assertEqual(forebay.unpack(forebay.pack([run])), [id])
        followed = forebay.Run(self.client(), id)
        self.assertEqual([step.name for step in followed.results(SOON)], ["0", "1", "2"])
        self.assertIn(str(id), repr(followed))

    def test_what_was_taken_meanwhile_is_gone(self):
        self.worker({"upper": upper})
        client = self.client()
        run = client.run(chain(3))
        results = run.results(SOON)
        self.assertEqual(next(results).name, "0")
        client.wait(run, SOON)
        eventually("the broker has let it go", lambda: is_gone(self.client(), run))
        with self.assertRaisesRegex(forebay.NotFoundError, "taken meanwhile"):
            list(results)

    def test_a_stage_is_one_step(self):
        self.worker({"upper": upper})
        client = self.client()
        run = client.run(forebay.Pipeline("p").stage("many", "upper").step("all", "upper", needs=["many"]))
        client.add(run, "many", [b"a", b"b", b"c"])
        client.close_stage(run, "many")
        many, all = run.results(SOON)
        self.assertEqual((many.name, many.result, many.shown["jobs"]), ("many", None, 3))
        with self.assertRaisesRegex(forebay.StateError, "a stage of 3 jobs"):
            many.value()
        self.assertEqual(all.value(), b"ABC")

    def test_it_goes_on_over_a_restart_of_the_broker(self):
        self.broker.close()
        broker = forebay.Broker(listen=self.endpoint, store=f"{self.folder}/store")
        turn = threading.Semaphore(1)

        def patient(value, job):
            self.assertTrue(turn.acquire(timeout=SOON))
            return upper(value, job)

        self.worker({"upper": patient})
        run = self.client().run(chain(3))
        results = run.results(SOON)
        self.assertEqual(next(results).name, "0")
        broker.close()
        broker = forebay.Broker(listen=self.endpoint, store=f"{self.folder}/store")
        self.addCleanup(broker.close)
        turn.release(2)
        self.assertEqual([step.name for step in results], ["1", "2"])


class AsyncFollowed(Rig):
    def run_async(self, coroutine):
        return asyncio.run(asyncio.wait_for(coroutine, SOON * 2))

    def test_steps_come_as_they_end(self):
        turn = threading.Semaphore(1)

        def patient(value, job):
            self.assertTrue(turn.acquire(timeout=SOON))
            return upper(value, job)

        self.worker({"upper": patient})

        async def main():
            async with forebay.AsyncClient(self.endpoint) as client:
                run = await client.run(chain(4))
                names = []
                async for step in run.results(timeout=SOON):
                    names.append((step.name, step.value()))
                    turn.release()
                self.assertEqual(names, [(str(i), b"A") for i in range(4)])
                self.assertEqual([step.name async for step in run], ["0", "1", "2", "3"])
                first, second = await asyncio.gather(run.wait(SOON), run.wait(SOON))
                self.assertIs(first, second)
                self.assertEqual((first.data, (await run.wait()).data), (b"A", b"A"))

        self.run_async(main())

    def test_who_is_cancelled_goes_on_without_a_gap(self):
        turn = threading.Semaphore(0)

        def patient(value, job):
            self.assertTrue(turn.acquire(timeout=SOON))
            return upper(value, job)

        self.worker({"upper": patient})

        async def main():
            async with forebay.AsyncClient(self.endpoint) as client:
                run = await client.run(chain(5))
                results, names, cancelled = run.results(), [], 0
                while True:
                    try:
                        names.append((await asyncio.wait_for(results.__anext__(), 0.004)).name)
                    except asyncio.TimeoutError:
                        cancelled += 1
                        turn.release()
                    except StopAsyncIteration:
                        break
                self.assertEqual(names, ["0", "1", "2", "3", "4"])
                self.assertGreater(cancelled, 4)
                waits = client.run(chain(1, "nobody"))
                nobody = await waits
                waiting = asyncio.ensure_future(nobody.wait())
                await asyncio.sleep(0.01)
                waiting.cancel()
                worker = self.worker({"nobody": upper})
                self.assertEqual((await nobody.wait(SOON)).data, b"A")
                worker.stop()

        self.run_async(main())

    def test_a_run_that_failed_and_one_that_takes_too_long(self):
        self.worker({"upper": upper, "fail": fail})

        async def main():
            async with forebay.AsyncClient(self.endpoint) as client:
                graph = forebay.Pipeline("p").step("a", "upper", b"a").step("b", "fail", needs=["a"])
                run, names = await client.run(graph), []
                with self.assertRaisesRegex(forebay.JobFailed, 'step "b"'):
                    async for step in run:
                        names.append(step.name)
                self.assertEqual(names, ["a", "b"])
                late = await client.run(chain(1, "nobody"))
                with self.assertRaises(forebay.TimedOut):
                    await late.wait(0.05)
                with self.assertRaises(forebay.TimedOut):
                    await late.results(0.05).__anext__()
                waiting = asyncio.ensure_future(late.wait())
                await asyncio.sleep(0.01)
            with self.assertRaises(forebay.ClosedError):
                await waiting

        self.run_async(main())

    def test_a_collector_loses_nothing_when_cancelled(self):
        self.worker({"upper": upper}, threads=2)

        async def main():
            async with forebay.AsyncClient(self.endpoint) as client:
                run = await client.run(forebay.Pipeline("p").stage("many", "upper", collected=True))
                ids = await client.add(run, "many", [b"%d" % i for i in range(200)])
                await client.close_stage(run, "many", count=200)
                got = []
                async with client.collect(run, "many", "c") as collector:
                    while len(got) < 150:
                        try:
                            got.append(await asyncio.wait_for(collector.next(), 0.001))
                        except asyncio.TimeoutError:
                            continue
                        await collector.ack(got[-1], b"has it")

                    async def share():
                        async for result in collector:
                            got.append(result)
                            await collector.ack(result)

                    await asyncio.gather(share(), share())
                self.assertEqual(sorted(result.id for result in got), sorted(ids))
                self.assertEqual((await client.acked(run, "many", 149, SOON)).data, b"has it")
                self.assertIsNone(await client.acked(run, "many", 200, SOON))
                self.assertEqual((await run.wait(SOON)).outcome, forebay.Outcome.DONE)

        self.run_async(main())

    def test_a_collector_that_waits_is_told_when_time_is_over(self):
        async def main():
            async with forebay.AsyncClient(self.endpoint) as client:
                run = await client.run(forebay.Pipeline("p").stage("many", "nobody", collected=True))
                async with client.collect(run, "many", "c") as collector:
                    with self.assertRaises(forebay.TimedOut):
                        await collector.next(0.05)
                    with self.assertRaises(forebay.NotFoundError):
                        await client.collect(run, "none", "c").next(SOON)

        self.run_async(main())
