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


reply: int = add([1, 2], forebay.Job.test("add"))
