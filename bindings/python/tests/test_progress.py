"""The bar that shows how far a run is."""

import asyncio
import contextlib
import io
import sys
import unittest.mock

from rig import SOON, Rig

import forebay


def echo(value, job):
    return job.data


def fail(value):
    raise forebay.Fail("no good", retry=False)


class Progress(Rig):
    def pipeline(self):
        graph = forebay.Pipeline("letters").step("a", "echo", b"a").step("b", "fail", may_fail=True)
        return graph.step("c", "echo", needs=["a", "b"])

    def test_steps_are_counted_as_they_end(self):
        self.worker({"echo": echo, "fail": fail})
        client = self.client()
        drawn = io.StringIO()
        with contextlib.redirect_stderr(drawn):
            run = client.run(self.pipeline())
            self.assertEqual(run.wait(SOON, progress=True).outcome, forebay.Outcome.DONE)
            self.assertEqual(run.wait(SOON, progress=True).outcome, forebay.Outcome.DONE)
        last = drawn.getvalue().split("\r")[-1]
        for text in ("letters: 100%", "3/3", "failed=1, running=0"):
            self.assertIn(text, ", ".join(sorted(last.strip(" ]\n").split(", "))) + last)
        drawn = io.StringIO()
        with contextlib.redirect_stderr(drawn):
            names = [step.name for step in client.run(self.pipeline()).results(SOON, progress=True)]
        self.assertEqual((sorted(names), "3/3" in drawn.getvalue()), (["a", "b", "c"], True))

    def test_asyncio(self):
        self.worker({"echo": echo, "fail": fail})

        async def main():
            async with forebay.AsyncClient(self.endpoint) as client:
                run = await client.run(self.pipeline())
                self.assertEqual(len([step async for step in run.results(SOON, progress=True)]), 3)
                self.assertEqual((await run.wait(SOON, progress=True)).data, b"a")

        drawn = io.StringIO()
        with contextlib.redirect_stderr(drawn):
            asyncio.run(asyncio.wait_for(main(), SOON * 2))
        self.assertGreaterEqual(drawn.getvalue().count("3/3"), 2)

    def test_without_tqdm_the_extra_is_named(self):
        run = self.client().run(self.pipeline())
        with unittest.mock.patch.dict(sys.modules, {"tqdm": None, "tqdm.auto": None}):
            with self.assertRaisesRegex(ImportError, r"pip install 'forebay\[progress\]'"):
                run.wait(SOON, progress=True)
