"""Builds the wheel: the package with libforebay.so in it. Nothing but Python and the library is needed.

    python3 bindings/python/build_wheel.py [--library PATH] [--out FOLDER]

It is the build backend of pyproject.toml too, so that `pip install bindings/python` works; the library is then the one that
FOREBAY_LIBRARY names, else what `cargo build --release` has built.

The wheel's tag says for which systems it is: those whose glibc has every symbol that the library asks for.
"""

import argparse
import base64
import hashlib
import os
import platform
import re
import struct
import sys
import zipfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent

# What manylinux lets a wheel ask of a system.
SYSTEM = {
    "libc.so.6",
    "libm.so.6",
    "libdl.so.2",
    "libpthread.so.0",
    "librt.so.1",
    "libgcc_s.so.1",
    "libstdc++.so.6",
}

METADATA = """\
Metadata-Version: 2.1
Name: forebay
Version: {version}
Summary: Clients and workers of the forebay job broker
License: MIT OR Apache-2.0
Requires-Python: >=3.9
Requires-Dist: msgpack>=1.0
Provides-Extra: numpy
Requires-Dist: numpy; extra == "numpy"
Provides-Extra: store
Requires-Dist: fsspec>=2023.1; extra == "store"
Provides-Extra: progress
Requires-Dist: tqdm>=4.60; extra == "progress"
Classifier: Operating System :: POSIX :: Linux
Classifier: Programming Language :: Python :: 3
Classifier: Typing :: Typed
Description-Content-Type: text/markdown

{readme}"""


class Needs:
    """What a shared library asks of the system, read from its dynamic section (ELF, 64 bits, little-endian)."""

    def __init__(self, path):
        self.data = Path(path).read_bytes()
        if self.data[:6] != b"\x7fELF\x02\x01":
            raise SystemExit(f"{path} is not a 64-bit little-endian ELF library")
        (self.machine,) = struct.unpack_from("<H", self.data, 18)
        headers, size, count = self._unpack("<Q", 32)[0], *self._unpack("<HH", 54)
        self.segments = [self._unpack("<IIQQQQ", headers + i * size) for i in range(count)]
        dynamic = next(one for one in self.segments if one[0] == 2)
        entries = [self._unpack("<QQ", dynamic[2] + at) for at in range(0, dynamic[5], 16)]
        tags = dict(reversed(entries))
        self.texts = self._at(tags[5])
        self.libraries = {self._text(value) for tag, value in entries if tag == 1}
        self.versions = set(self._versions(tags.get(0x6FFFFFFE), tags.get(0x6FFFFFFF, 0)))

    def _unpack(self, form, at):
        return struct.unpack_from(form, self.data, at)

    def _at(self, address):
        """Where in the file an address is."""
        for kind, _, offset, start, _, size in self.segments:
            if kind == 1 and start <= address < start + size:
                return offset + address - start
        raise SystemExit(f"no segment has the address {address:#x}")

    def _text(self, offset):
        start = self.texts + offset
        return self.data[start : self.data.index(b"\0", start)].decode()

    def _versions(self, address, count):
        """The versions of symbols, such as GLIBC_2.34, from .gnu.version_r."""
        at = self._at(address) if count else 0
        for _ in range(count):
            _, versions, _, first, following = self._unpack("<HHIII", at)
            one = at + first
            for _ in range(versions):
                _, _, _, name, after = self._unpack("<IHHII", one)
                yield self._text(name)
                one += after
            at += following

    def tag(self):
        """The platform tag of PEP 600."""
        foreign = {name for name in self.libraries if name not in SYSTEM and not name.startswith("ld-linux")}
        if foreign:
            raise SystemExit(f"the library needs {', '.join(sorted(foreign))}, which not every system has")
        found = (re.fullmatch(r"GLIBC_(\d+)\.(\d+)(\.\d+)?", name) for name in self.versions)
        newest = max((int(one[1]), int(one[2])) for one in found if one)
        machine = {62: "x86_64", 183: "aarch64"}.get(self.machine, platform.machine())
        return "manylinux_{}_{}_{}".format(*newest, machine)


def version():
    """The version of the whole project."""
    return re.search(r'^version = "(.+)"', (ROOT / "Cargo.toml").read_text(), re.M)[1]


def default_library():
    """What FOREBAY_LIBRARY names, else what cargo built."""
    named = os.environ.get("FOREBAY_LIBRARY")
    target = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
    path = Path(named) if named else target / "release" / "libforebay.so"
    if not path.exists():
        raise SystemExit(
            f"there is no {path}; `cargo build --release` makes it, or name one: FOREBAY_LIBRARY, --library"
        )
    return path


def wheel(library, out):
    """Writes the wheel into a folder and gives its name."""
    tag = f"py3-none-{Needs(library).tag()}"
    info = f"forebay-{version()}.dist-info"
    name = f"forebay-{version()}-{tag}.whl"
    files = {
        f"forebay/{path.name}": path.read_bytes()
        for path in sorted((HERE / "forebay").iterdir())
        if path.is_file()
    }
    files["forebay/libforebay.so.0"] = Path(library).read_bytes()
    for licence in ("LICENSE-MIT", "LICENSE-APACHE", "THIRD-PARTY.md"):
        files[f"{info}/licenses/{licence}"] = (ROOT / licence).read_bytes()
    readme = (HERE / "README.md").read_text()
    files[f"{info}/METADATA"] = METADATA.format(version=version(), readme=readme).encode()
    files[f"{info}/WHEEL"] = (
        f"Wheel-Version: 1.0\nGenerator: forebay\nRoot-Is-Purelib: false\nTag: {tag}\n".encode()
    )
    records = "".join(f"{path},sha256={digest(data)},{len(data)}\n" for path, data in files.items())
    files[f"{info}/RECORD"] = f"{records}{info}/RECORD,,\n".encode()
    Path(out).mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(Path(out, name), "w", zipfile.ZIP_DEFLATED) as archive:
        for path, data in files.items():
            # A fixed date: the same library gives the same wheel.
            entry = zipfile.ZipInfo(path, (2020, 1, 1, 0, 0, 0))
            entry.external_attr, entry.compress_type = 0o100644 << 16, zipfile.ZIP_DEFLATED
            archive.writestr(entry, data)
    return name


def digest(data):
    """A hash as RECORD wants it."""
    return base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()


def build_wheel(wheel_directory, config_settings=None, metadata_directory=None):
    """What pip calls."""
    return wheel(default_library(), wheel_directory)


def build_sdist(sdist_directory, config_settings=None):
    """What pip calls; the sources are the whole repository."""
    raise NotImplementedError("the sources of this package are the whole forebay repository")


def main():
    """The command line."""
    parser = argparse.ArgumentParser(description="Builds the wheel of the package forebay.")
    parser.add_argument("--library", type=Path, help="the shared library to put into it")
    parser.add_argument(
        "--out", type=Path, default=Path("dist"), help="the folder for the wheel (default: dist)"
    )
    asked = parser.parse_args()
    name = wheel(asked.library or default_library(), asked.out)
    print(asked.out / name)


if __name__ == "__main__":
    sys.exit(main())
