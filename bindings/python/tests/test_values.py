"""Values survive their way as docs say, and what cannot be sent says so."""

import datetime as dt
import enum
import subprocess
import sys
import unittest
import uuid
import zoneinfo
from collections import OrderedDict, namedtuple

import forebay
from forebay import codec

try:
    import numpy
except ImportError:
    numpy = None


def travelled(value):
    """A value after its way through the library."""
    return forebay.Job.test("values", value).payload


class Values(unittest.TestCase):
    def same(self, value):
        got = travelled(value)
        self.assertEqual(got, value)
        self.assertIs(type(got), type(value))
        return got

    def test_plain_values(self):
        for value in (
            None,
            True,
            False,
            0,
            -1,
            2**64 - 1,
            -(2**63),
            1.5,
            "",
            "text with ü and \0",
            [],
            [1, [2, {"three": 4}]],
            {1: "one", "two": 2},
            [b"", b"bytes within"],
        ):
            with self.subTest(value=value):
                self.same(value)

    def test_bytes_travel_as_they_are(self):
        for value in (b"", b"\0\xff raw", b"x" * 200_000):
            job = forebay.Job.test("values", value)
            self.assertEqual((job.payload, job.data, job.headers), (value, value, {}))
        for value in (bytearray(b"array"), memoryview(b"view"), memoryview(bytearray(b"writable"))):
            self.assertEqual(travelled(value), bytes(value))
        self.assertEqual(travelled(memoryview(b"a1b2c3")[::2]), b"abc")
        self.assertEqual(travelled(forebay.Frames([b"one", b"", b"three"])), [b"one", b"", b"three"])

    def test_dates_and_times_are_exact(self):
        berlin = zoneinfo.ZoneInfo("Europe/Berlin")
        odd = dt.timezone(dt.timedelta(hours=5, minutes=45, seconds=7, microseconds=11))
        twice = dt.datetime(2026, 10, 25, 2, 30, 0, 999_999, berlin)
        for value in (
            dt.date.min,
            dt.date.max,
            dt.date(2026, 2, 28),
            dt.datetime.min,
            dt.datetime.max,
            dt.datetime(2026, 1, 2, 3, 4, 5, 6),
            dt.datetime(1969, 7, 20, 20, 17, 40, 1, dt.timezone.utc),
            dt.datetime(2026, 1, 2, tzinfo=odd),
            twice,
            twice.replace(fold=1),
            dt.time(1, 2, 3, 4),
            dt.time(1, tzinfo=odd),
            dt.time(5, tzinfo=berlin),
            dt.timedelta.min,
            dt.timedelta.max,
            dt.timedelta(microseconds=-1),
            dt.timedelta(days=1, microseconds=7),
            uuid.uuid4(),
        ):
            with self.subTest(value=value):
                got = self.same(value)
                if isinstance(value, (dt.datetime, dt.time)):
                    self.assertEqual(
                        (got.fold, got.tzinfo, got.utcoffset()), (value.fold, value.tzinfo, value.utcoffset())
                    )

    def test_relatives_of_plain_types_arrive_plain(self):
        color = enum.IntEnum("color", ["RED"])
        point = namedtuple("point", "x y")
        self.assertEqual(travelled((1, (2,))), [1, [2]])
        self.assertEqual(travelled([color.RED, OrderedDict(a=1)]), [1, {"a": 1}])
        with self.assertRaisesRegex(TypeError, "point cannot be sent: point"):
            travelled(point(1, 2))

    def test_what_cannot_be_sent_says_why(self):
        class Mine:
            def __repr__(self):
                return "<mine>"

        loop = []
        loop.append(loop)
        for value, said in (
            ([Mine()], r"Mine cannot be sent: <mine>\. What can be: None, bool"),
            ({"at": {1, 2}}, "builtins.set cannot be sent"),
            (2**64, "more than 64 bits"),
            (loop, "contains itself"),
            (1j, "complex cannot be sent"),
            (type("Later", (dt.datetime,), {})(2026, 1, 1), "Later cannot be sent"),
        ):
            with self.subTest(said=said), self.assertRaisesRegex(TypeError, said):
                travelled(value)

    def test_pieces(self):
        value = {"at": dt.datetime(2026, 1, 1), "all": [1, b"2"]}
        self.assertEqual(forebay.unpack(forebay.pack(value)), value)

    def test_an_unknown_encoding_is_not_guessed(self):
        job = forebay.Job.test("values", b"{}", headers={"encoding": "json"})
        with self.assertRaisesRegex(ValueError, "the header encoding is b'json'"):
            _ = job.payload
        self.assertEqual(job.data, b"{}")


@unittest.skipIf(numpy is None, "numpy is not installed")
class Arrays(unittest.TestCase):
    def test_every_kind_of_array(self):
        base = numpy.arange(24).reshape(2, 3, 4)
        for array in (
            base,
            base.astype("<f4"),
            base.astype(">i2"),
            base > 3,
            base.astype(complex),
            numpy.array(5.5),
            numpy.zeros((0, 3)),
            numpy.array(["a", "bcd"]),
            numpy.array([b"x"]),
            numpy.array(["2026-01-01T00:00:00.000000001"], "datetime64[ns]"),
            base.T,
            base[:, ::2],
            numpy.asfortranarray(base),
            numpy.random.default_rng(1).random((300, 300)),
        ):
            with self.subTest(dtype=array.dtype, shape=array.shape):
                got = travelled({"array": [array]})["array"][0]
                self.assertEqual((got.dtype, got.shape), (array.dtype, array.shape))
                numpy.testing.assert_array_equal(got, array)
                self.assertTrue(got.flags.writeable and got.flags.aligned)

    def test_large_arrays_are_handed_to_the_library_where_they_are(self):
        array = numpy.ones(1_000_000)
        frames, _ = codec.encode({"array": array})
        self.assertEqual(len(frames), 2)
        self.assertEqual(codec.address(frames[1])[:2], (array.__array_interface__["data"][0], array.nbytes))
        array.flags.writeable = False
        self.assertEqual(codec.address(codec.encode(array)[0][1])[0], array.__array_interface__["data"][0])

    def test_many_arrays(self):
        arrays = [numpy.full(1024, i) for i in range(1500)]
        got = travelled(arrays)
        self.assertTrue(all((got[i] == i).all() for i in range(1500)))

    def test_numbers_of_numpy_arrive_plain(self):
        got = travelled([numpy.float64(1.5), numpy.int32(7), numpy.bool_(True), numpy.str_("s")])
        self.assertEqual(got, [1.5, 7, True, "s"])
        self.assertEqual([type(one) for one in got], [float, int, bool, str])

    def test_arrays_that_cannot_be_sent(self):
        for array in (numpy.array([object()]), numpy.zeros(2, [("a", "i4")])):
            with self.assertRaisesRegex(TypeError, "a numpy array of dtype .* cannot be sent"):
                travelled(array)
        with self.assertRaisesRegex(TypeError, "a masked numpy array cannot be sent"):
            travelled(numpy.ma.array([1, 2], mask=[0, 1]))

    def test_numpy_is_not_needed(self):
        program = (
            "import sys; sys.modules['numpy'] = None\nimport forebay\n"
            "print(forebay.Job.test('q', [1]).payload)\n"
            "try: forebay.unpack(bytes.fromhex(sys.argv[1]))\nexcept ValueError as error: print(error)\n"
        )
        piece = forebay.pack(numpy.arange(3)).hex()
        said = subprocess.run(
            [sys.executable, "-c", program, piece], capture_output=True, text=True, check=True
        ).stdout
        self.assertEqual(said, "[1]\nit contains a numpy array, and numpy is not installed here\n")
