"""Sorts the lines of files and merges them, and says how far it is: an asyncio program that takes each step as it ends.

python as_they_end.py [--progress] FILE...          with --progress a bar as well: pip install 'forebay[progress]'
"""

import asyncio
import heapq
import sys
from pathlib import Path

import forebay
from forebay import Step

worker = forebay.Worker(threads=4)


@worker.task("sort")
def sort(path):
    return b"".join(sorted(Path(path.decode()).read_bytes().splitlines(keepends=True)))


@worker.task("merge")
def merge(_, job):
    return b"".join(heapq.merge(*(part.splitlines(keepends=True) for part in job.frames)))


async def follow(paths, progress):
    sorts = tuple(Step("sort", path.encode(), name=path, attempts=1) for path in paths)
    async with forebay.AsyncClient() as client:
        run = await client.run(forebay.Pipeline("merge", {sorts: Step("merge")}))
        # Behind the last step this raises what the run failed by.
        async for step in run.results(progress=progress):
            lines = len(step.value().splitlines())
            print(f"{step.name}: {lines} lines", file=sys.stderr)
        return (await run.wait()).data


def main():
    progress, paths = "--progress" in sys.argv, [path for path in sys.argv[1:] if path != "--progress"]
    with worker:
        print(asyncio.run(follow(paths, progress)).decode(), end="")


if __name__ == "__main__":
    main()
