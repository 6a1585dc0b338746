"""Pipelines: built, run, and what they raise."""

import uuid

from rig import SOON, Rig

import forebay


def frames(value, job):
    return b"+".join(bytes(frame) for frame in job.frames)


class Runs(Rig):
    def test_results_go_from_step_to_step(self):
        self.worker({"upper": lambda value: bytes(value).upper(), "join": frames})
        client = self.client()
        pipeline = forebay.Pipeline("letters")
        pipeline.step("a", "upper", b"a").step("b", "upper", b"b", priority=8, run_ms="1m")
        pipeline.step("joined", "join", b"x", needs=["b", "a"])
        self.assertIn('"a" -> "joined"', pipeline.dot())
        for id in (None, uuid7()):
            run = client.run(pipeline, id=id, deadline_ms=60_000)
            self.assertTrue(id is None or run == id)
            result = client.wait(run, SOON)
            self.assertEqual((result.outcome, result.data), (forebay.Outcome.DONE, b"x+B+A"))
        shown = client.admin("run.get", id=str(run))
        self.assertEqual([step["outcome"] for step in shown["step_list"]], ["DONE"] * 3)

    def test_a_graph_is_written_as_a_dictionary(self):
        self.worker({queue: frames for queue in "ABCD"})
        step = forebay.Step
        a, late = step("A", b"a"), step("B", name="late")
        graph = {a: (step("B"), late), (step("B"), step("C", b"c")): step("D", b"d"), late: None}
        pipeline = forebay.Pipeline("letters", graph)
        client = self.client()
        result = client.wait(client.run(pipeline), SOON)
        self.assertEqual(result.frames, [b"a", b"d+a+c"])
        self.assertEqual(client.wait(client.run(forebay.Pipeline(graph)), SOON).frames, result.frames)
        self.assertEqual(forebay.Pipeline({}).name, "pipeline")
        with self.assertRaisesRegex(TypeError, r"a step of a pipeline is Step\('A'\)"):
            forebay.Job("A")
        for wrong, error in (
            ({step("A"): step("A", b"x")}, ValueError),
            ({step("A"): "B"}, TypeError),
            ({step("A"): step("A")}, forebay.CycleError),
        ):
            with self.assertRaises(error):
                forebay.Pipeline("wrong", wrong)
        circle = forebay.Pipeline("circle", {step("A"): step("B"), step("B"): step("A")})
        with self.assertRaisesRegex(forebay.CycleError, "circle"):
            client.run(circle)

    def test_a_step_that_fails_names_itself(self):
        def fail(value):
            raise forebay.Fail("no good", retry=False)

        self.worker({"fail": fail})
        client = self.client()
        pipeline = forebay.Pipeline("p").step("a", "fail", attempts=1).step("b", "fail", needs=["a"])
        result = client.wait(client.run(pipeline), SOON)
        self.assertEqual(result.outcome, forebay.Outcome.FAILED)
        self.assertIn('step "a" ended FAILED', result.message)

    def test_stages_are_added_to_split_and_gathered(self):
        self.worker(
            {
                "split": lambda value: forebay.Frames(bytes(value).split()),
                "upper": lambda value, job: bytes(job.frames[-1]).upper(),
                "join": frames,
            }
        )
        client = self.client()
        pipeline = forebay.Pipeline("words").stage("lines", "split")
        pipeline.each("words", "upper", b"of", needs=["lines"]).step("all", "join", b">", needs=["words"])
        run = client.run(pipeline)
        ids = client.add(run, "lines", [b"a b", b"c"]) + client.add(run, "lines", [b"d"], priority=8)
        self.assertEqual(len(set(ids)), 3)
        with self.assertRaises(forebay.StateError):
            client.close_stage(run, "lines", count=4)
        client.close_stage(run, "lines", count=3)
        with self.assertRaises(forebay.StateError):
            client.add(run, "lines", [b"late"])
        self.assertEqual(client.wait(run, SOON).data, b">+A+B+C+D")

    def test_a_run_is_held_until_it_has_its_context(self):
        self.worker({"where": lambda value, job: job.context})
        client = self.client()
        run = client.run(forebay.Pipeline("p").step("a", "where").hold())
        self.assertEqual(client.admin("run.get", id=str(run))["stage"], "held")
        client.set_context(run, b"here")
        self.assertEqual(client.wait(run, SOON).data, b"here")
        at_once = client.run(forebay.Pipeline("p").step("a", "where").hold(), context=b"there")
        self.assertEqual(client.wait(at_once, SOON).data, b"there")

    def test_a_collector_goes_on_where_it_was(self):
        self.worker({"double": lambda value: bytes(value) * 2})
        client = self.client()
        run = client.run(forebay.Pipeline("p").stage("many", "double", collected=True))
        ids = client.add(run, "many", [b"%d" % i for i in range(5)])
        with client.collect(run, "many", "c", in_order=True) as collector:
            for i in range(3):
                result = collector.next(SOON)
                self.assertEqual((result.id, result.data), (ids[i], b"%d%d" % (i, i)))
                if i < 2:
                    collector.ack(result, b"has %d" % i)
            with self.assertRaises(forebay.StateError):
                client.collect(run, "many", "another").next(SOON)
        client.close_stage(run, "many")
        with client.collect(run, "many", "c", in_order=True) as collector:
            for i, result in enumerate(collector, 2):
                self.assertEqual((result.id, result.data), (ids[i], b"%d%d" % (i, i)))
                collector.ack(result)
            self.assertEqual(i, 4)
        self.assertEqual(client.acked(run, "many", 1, SOON).data, b"has 1")
        self.assertIsNone(client.acked(run, "many", 5, SOON))
        self.assertEqual(client.wait(run, SOON).outcome, forebay.Outcome.DONE)

    def test_what_is_wrong_is_said(self):
        pipeline = forebay.Pipeline("p").step("a", "q").step("b", "q", needs=["a"])
        with self.assertRaisesRegex(forebay.NotFoundError, 'no step "c"'):
            pipeline.step("d", "q", needs=["c"])
        with self.assertRaisesRegex(forebay.ArgumentError, 'two steps "a"'):
            pipeline.step("a", "q")
        with self.assertRaisesRegex(forebay.CycleError, "needs itself"):
            pipeline.step("e", "q", after=["e"])
        with self.assertRaises(forebay.ArgumentError):
            self.client().run(forebay.Pipeline("empty"))


def uuid7():
    id = forebay._c.forebay_id_t()
    forebay._library.lib.forebay_id_new(id)
    return uuid.UUID(bytes=bytes(id.bytes))
