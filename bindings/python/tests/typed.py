"""A program that uses the package with types; mypy reads it, nobody runs it."""

import forebay

worker = forebay.Worker(threads=2)


@worker.task("add")
def add(pair: "list[int]", job: forebay.Job) -> int:
    """The sum of two numbers."""
    job.progress(0.5, "half")
    return pair[0] + pair[1]


def ask(client: forebay.Client) -> "list[int]":
    """Several sums."""
    future: forebay.JobFuture = client.submit("add", [1, 2], priority=8)
    try:
        result: forebay.Result = future.wait(timeout=5)
    except forebay.TimedOut as error:
        print(error.retryable)
        raise
    print(result.outcome is forebay.Outcome.DONE, result.headers.get("by", b"").decode())
    return list(client.map("add", [[1, 2], [3, 4]]))


async def ask_async(client: forebay.AsyncClient) -> None:
    """The same beside other tasks."""
    job: forebay.AsyncJob = await client.submit("add", [1, 2])
    print(await job, await client.call("add", [3, 4], timeout=1.5))


async def follow(client: forebay.AsyncClient, pipeline: forebay.Pipeline) -> "list[str]":
    """The steps of a run as they end, and the results of a stage."""
    run: forebay.AsyncRun = await client.run(pipeline)
    names = [step.name async for step in run.results(timeout=5, progress=True)]
    async with client.collect(run, "pages", "indexer") as collector:
        async for result in collector:
            await collector.ack(result, b"has it")
    print((await run.wait()).frames)
    return names


class Shelf:
    """A payload store of one's own."""

    above = 1000

    def __init__(self) -> None:
        self.kept: "dict[str, bytes]" = {}

    def put(self, key: str, data: bytes) -> None:
        self.kept[key] = data

    def get(self, key: str) -> bytes:
        return self.kept[key]


def refer(client: forebay.Client) -> None:
    """Payloads by reference, and steps that come as they end."""
    stores: "list[forebay.PayloadStore]" = [Shelf(), forebay.FsspecStore("memory://jobs", above=0)]
    for store in stores:
        step = forebay.Step("read", b"large", name="text")
        run: forebay.Run = client.run(forebay.Pipeline({step: forebay.Step("count")}, store=store))
        for ended in run:
            print(ended.name, ended.outcome.name, ended.value(), ended.result and ended.result.data)
        forebay.Worker(store=store).test("read", b"large")
    print(forebay.FsspecStore("memory://jobs").sweep(older_than=3600))


reply: int = add([1, 2], forebay.Job.test("add"))
