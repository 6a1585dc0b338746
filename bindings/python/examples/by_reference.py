"""Compresses files whose bytes never come to the broker: they are put away in a folder, or an object store, and jobs carry keys.

python by_reference.py STORE FILE...          STORE such as file:///var/spool/jobs or s3://bucket/jobs
"""

import datetime
import lzma
import sys
from pathlib import Path

import forebay

# Nothing is read a day after it was written: the broker keeps results for a day unless told otherwise.
KEPT = datetime.timedelta(days=2)


def main():
    store = forebay.FsspecStore(sys.argv[1])
    worker = forebay.Worker(threads=4, store=store)

    @worker.task("compress")
    def compress(data):
        return lzma.compress(data)

    with worker, forebay.Client(store=store) as client:
        paths = [Path(path) for path in sys.argv[2:]]
        smaller = client.map("compress", (path.read_bytes() for path in paths), window=8)
        for path, data in zip(paths, smaller):
            path.with_name(path.name + ".xz").write_bytes(data)
            print(f"{path.name}: {len(data)} bytes")
    # Whoever owns the store deletes what is old; an object store may do that by a rule of its own.
    print(f"{store.sweep(KEPT)} swept")


if __name__ == "__main__":
    main()
