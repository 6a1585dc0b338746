"""Payloads and results by reference, in files and in what fsspec knows besides."""

import asyncio
import hashlib
import os
import pickle
import sys
import threading
import unittest
import unittest.mock
import uuid
from pathlib import Path

import fsspec
import numpy
from fsspec.implementations.memory import MemoryFileSystem
from rig import SOON, Rig

import forebay

LARGE = b"0123456789" * 1000
KEY = hashlib.sha256(LARGE).hexdigest()
REFERENCE = b"forebay-stored:" + KEY.encode()


class Renaming(MemoryFileSystem):
    """A file system in which a write is not whole at once."""

    protocol = "renaming"
    moved = []

    def mv(self, path1, path2, **options):
        self.moved.append((path1, path2))
        super().mv(path1, path2, **options)


fsspec.register_implementation("renaming", Renaming)


class Full:
    """A store of one's own, which has no room."""

    above = 100

    def put(self, key, data):
        raise OSError(28, "No space left on device")

    def get(self, key):
        raise KeyError(key)


class Noting:
    """A store of one's own, which notes in which threads it was asked."""

    above = 100

    def __init__(self):
        self.kept, self.threads = {}, set()

    def put(self, key, data):
        self.threads.add(threading.get_ident())
        self.kept[key] = data

    def get(self, key):
        self.threads.add(threading.get_ident())
        return self.kept[key]


class Stored(Rig):
    def setUp(self):
        super().setUp()
        self.files = Path(self.folder, "payloads")
        self.store = forebay.FsspecStore(f"file://{self.files}", above=1000)

    def kept(self):
        return sorted(path.name for path in self.files.iterdir())

    def test_large_payloads_and_results_go_beside_the_broker(self):
        self.worker({"twice": lambda value: bytes(value) * 2, "echo": lambda value: value}, store=self.store)
        client = self.client(store=self.store)
        future = client.submit("twice", LARGE)
        self.assertEqual(future.result(SOON), LARGE * 2)
        self.assertEqual(self.kept(), sorted([KEY, hashlib.sha256(LARGE * 2).hexdigest()]))
        shown = client.admin("job.get", id=str(client.submit("nobody", LARGE).id))
        self.assertEqual(shown["payload_bytes"], len(REFERENCE))
        self.assertEqual((client.call("twice", b"ab", timeout=SOON), len(self.kept())), (b"abab", 2))
        array = numpy.arange(10_000, dtype="int32").reshape(100, 100)
        self.assertTrue((client.call("echo", {"a": array}, timeout=SOON)["a"] == array).all())
        self.assertIn(hashlib.sha256(array.tobytes()).hexdigest(), self.kept())
        frames = forebay.Frames([b"a", LARGE, b"", REFERENCE])
        self.assertEqual(client.call("echo", frames, timeout=SOON), frames)
        self.assertEqual(client.call("echo", REFERENCE, timeout=SOON), REFERENCE)
        self.assertEqual(list(client.map("echo", [LARGE, b"b"])), [LARGE, b"b"])
        self.assertEqual(self.worker({"x": lambda value: value}, store=self.store).test("x", LARGE), LARGE)

    def test_a_retry_puts_the_same_away_again(self):
        def second(value, job):
            if job.attempt == 1:
                raise forebay.Fail("again", retry=0)
            return LARGE

        self.worker({"second": second}, store=self.store)
        self.assertEqual(self.client(store=self.store).call("second", LARGE, timeout=SOON), LARGE)
        self.assertEqual(self.kept(), [KEY])

    def test_without_the_store_the_key_is_what_comes(self):
        seen = []

        def look(value, job):
            seen.append(job.data)
            return value

        self.worker({"echo": lambda value: value}, store=self.store)
        self.worker({"look": look})
        client = self.client(store=self.store)
        result = self.client().submit("echo", LARGE).wait(SOON)
        self.assertEqual((result.data, result.frames), (REFERENCE, [REFERENCE]))
        with self.assertRaisesRegex(forebay.StateError, f"the key {KEY} of a payload store; store="):
            result.value()
        with self.assertRaisesRegex(forebay.JobFailed, "undecodable: .*the key"):
            client.call("look", LARGE, timeout=SOON)
        self.assertEqual(client.call("look", b"forebay-stored:x", timeout=SOON), b"forebay-stored:x")

    def test_what_is_missing_or_damaged_is_said(self):
        self.worker({"echo": lambda value: value}, store=self.store)
        client = self.client(store=self.store)
        result = client.submit("echo", LARGE).wait(SOON)
        (self.files / KEY).write_bytes(b"something else")
        with self.assertRaisesRegex(forebay.PayloadStoreError, "are not those that were put away"):
            result.value()
        (self.files / KEY).unlink()
        with self.assertRaisesRegex(forebay.PayloadMissingError, f"has nothing under the key {KEY}"):
            result.value()
        plain = self.client()
        with self.assertRaisesRegex(forebay.JobFailed, "has nothing under the key") as caught:
            plain.call("echo", REFERENCE, timeout=SOON, attempts=1)
        self.assertEqual(caught.exception.code, "retrieve_failed")
        self.store.put(KEY, LARGE)
        self.assertEqual(result.value(), LARGE)

    def test_a_store_that_fails_is_said(self):
        full = self.client(store=Full())
        with self.assertRaisesRegex(forebay.PayloadStoreError, "No space left on device"):
            full.submit("echo", LARGE)
        self.worker({"make": lambda value: LARGE}, store=Full())
        with self.assertRaisesRegex(forebay.JobFailed, "No space left on device") as caught:
            full.call("make", timeout=SOON, attempts=1)
        self.assertEqual(caught.exception.code, "save_failed")
        with self.assertRaises(forebay.ArgumentError):
            forebay.FsspecStore("memory://x", above=-1)

    def test_steps_hand_keys_on(self):
        def join(value, job):
            return b"".join(job.frames)

        self.worker({"twice": lambda value: bytes(value) * 2, "join": join}, store=self.store)
        client = self.client(store=self.store)
        pipeline = forebay.Pipeline("p", store=self.store).step("a", "twice", LARGE).stage("many", "twice")
        run = client.run(pipeline.step("all", "join", b"small", needs=["a", "many"]))
        client.add(run, "many", [LARGE, b"c"])
        client.close_stage(run, "many")
        found = {step.name: step.result and step.value() for step in run.results(SOON)}
        self.assertEqual(found["a"], LARGE * 2)
        self.assertEqual(found["all"], b"small" + LARGE * 4 + b"cc")
        self.assertEqual(client.wait(run, SOON).data, found["all"])

    def test_a_collector_reads_what_was_put_away(self):
        self.worker({"twice": lambda value: bytes(value) * 2}, store=self.store)
        client = self.client(store=self.store)
        run = client.run(forebay.Pipeline("p").stage("many", "twice", collected=True))
        client.add(run, "many", [LARGE])
        client.close_stage(run, "many")
        with client.collect(run, "many", "c") as collector:
            self.assertEqual([result.value() for result in collector], [LARGE * 2])

    def test_asyncio_does_not_wait_for_the_store(self):
        store = Noting()
        self.worker({"echo": lambda value: value}, store=self.store)
        self.worker({"noted": lambda value: value}, store=store)

        async def main():
            async with forebay.AsyncClient(self.endpoint, store=store) as client:
                self.assertEqual(await client.call("noted", LARGE, timeout=SOON), LARGE)
                self.assertEqual(await (await client.submit("noted", [LARGE])), [LARGE])
                self.assertEqual([value async for value in client.map("noted", [LARGE] * 3)], [LARGE] * 3)
                run = await client.run(forebay.Pipeline({forebay.Step("noted", LARGE): None}, store=store))
                loop = threading.get_ident()
                store.threads.clear()
                self.assertEqual([step.value() async for step in run], [LARGE])
                self.assertEqual((await run.wait(SOON)).data, LARGE)
                self.assertNotIn(loop, store.threads)

        asyncio.run(asyncio.wait_for(main(), SOON * 2))

    def test_processes(self):
        worker = forebay.Worker(self.endpoint, processes=2, store=self.store)
        worker.task("twice")(lambda value: bytes(value) * 2)
        with worker:
            self.assertEqual(self.client(store=self.store).call("twice", LARGE, timeout=SOON), LARGE * 2)

    def test_cluster(self):
        for eager in ("", "1"):
            with unittest.mock.patch.dict(os.environ, {"FOREBAY_EAGER": eager}):
                worker = forebay.Worker(store=self.store)
                worker.task("twice")(lambda value: bytes(value) * 2)
                with forebay.Cluster(worker) as cluster:
                    self.assertEqual(cluster.client.call("twice", LARGE, timeout=SOON), LARGE * 2)


class Fsspec(unittest.TestCase):
    def check(self, store):
        store.put(KEY, LARGE)
        store.put(KEY, LARGE)
        self.assertEqual(store.get(KEY), LARGE)
        with self.assertRaises((KeyError, FileNotFoundError)):
            store.get("0" * 64)
        again = pickle.loads(pickle.dumps(store))
        self.assertEqual((again.get(KEY), again.above, repr(again)), (LARGE, store.above, repr(store)))
        self.assertEqual(store.sweep(3600), 0)
        self.assertEqual(store.sweep(0), 1)
        with self.assertRaises((KeyError, FileNotFoundError)):
            store.get(KEY)

    def test_files(self):
        rig = Rig()
        rig.setUp()
        self.addCleanup(rig.doCleanups)
        folder = Path(rig.folder, "a", "b")
        store = forebay.FsspecStore(f"file://{folder}", above=0)
        self.check(store)
        # Only what is its own and old goes; what a writer that died has left goes with it.
        store.put(KEY, LARGE)
        (folder / "notes.txt").write_text("mine")
        half = folder / f"{KEY}.{uuid.uuid4().hex}.part"
        half.write_bytes(b"half")
        for path in folder.iterdir():
            os.utime(path, (0, 0))
        store.put(KEY, LARGE)
        self.assertEqual(store.sweep(3600), 1)
        self.assertEqual(sorted(path.name for path in folder.iterdir()), [KEY, "notes.txt"])
        # A write that fails leaves nothing, and what was there is there.
        with unittest.mock.patch("os.replace", side_effect=OSError("broken")), self.assertRaises(OSError):
            store.put(KEY, LARGE)
        self.assertEqual(sorted(path.name for path in folder.iterdir()), [KEY, "notes.txt"])
        self.assertEqual(store.get(KEY), LARGE)

    def test_objects(self):
        self.check(forebay.FsspecStore(f"memory://{uuid.uuid4().hex}/x"))

    def test_elsewhere_what_is_whole_is_renamed(self):
        self.check(forebay.FsspecStore(f"renaming://{uuid.uuid4().hex}/x"))
        self.assertEqual(len(Renaming.moved), 2)
        self.assertTrue(all(new == old.split(".")[0] != old for old, new in Renaming.moved))
        store = forebay.FsspecStore(f"renaming://{uuid.uuid4().hex}")
        with unittest.mock.patch.object(Renaming, "mv", side_effect=OSError("broken")):
            with self.assertRaises(OSError):
                store.put(KEY, LARGE)
        self.assertEqual(store.sweep(0), 0)

    def test_what_is_not_installed_is_named(self):
        with unittest.mock.patch.dict(sys.modules, {"fsspec": None}):
            with self.assertRaisesRegex(ImportError, r"pip install 'forebay\[store\]'"):
                forebay.FsspecStore("memory://x")
        with self.assertRaises(ImportError):
            forebay.FsspecStore("s3://bucket/jobs")
