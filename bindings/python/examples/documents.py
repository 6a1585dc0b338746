"""Reads documents from the web and counts their words and links: for each a graph of four steps, and one that collects.

python documents.py URL...          then: forebay pipeline show ID --svg > run.svg
"""

import html
import html.parser
import sys
import urllib.request

import forebay
from forebay import Step

worker = forebay.Worker(threads=4)


class Reader(html.parser.HTMLParser):
    """The text between the tags, and where the links lead."""

    def __init__(self, document):
        super().__init__()
        self.text, self.links = [], []
        self.feed(document.decode("utf-8", "replace"))
        self.close()

    def handle_data(self, data):
        self.text.append(data)

    def handle_starttag(self, tag, attributes):
        self.links.extend(value for name, value in attributes if (tag, name) == ("a", "href") and value)


@worker.task("fetch")
def fetch(url):
    with urllib.request.urlopen(url.decode(), timeout=10) as response:
        return response.read()


@worker.task("text")
def text(document):
    return " ".join(Reader(document).text).encode()


@worker.task("words")
def words(text):
    return str(len(text.split())).encode()


@worker.task("links")
def links(document):
    return "\n".join(Reader(document).links).encode()


@worker.task("collect")
def collect(_, job):
    """What all the documents gave: first how many words each has, then where its links lead."""
    counts, links = job.frames[::2], job.frames[1::2]
    of_each = zip(counts, links)
    return "".join(f"{int(count)} words, {len(found.split())} links\n" for count, found in of_each).encode()


def pipeline(urls):
    graph, found = {}, []
    for number, url in enumerate(urls, 1):
        read = Step("fetch", url.encode(), name=f"fetch {number}", attempts=5)
        plain, counted, linked = (
            Step(queue, name=f"{queue} {number}") for queue in ("text", "words", "links")
        )
        graph.update({read: (plain, linked), plain: counted})
        found += [counted, linked]
    graph[tuple(found)] = Step("collect")
    return forebay.Pipeline("documents", graph)


def main():
    with worker, forebay.Client() as client:
        run = client.run(pipeline(sys.argv[1:]))
        print(run, file=sys.stderr)
        result = client.wait(run)
        if result.outcome is not forebay.Outcome.DONE:
            sys.exit(f"{result.outcome.name}: {result.message}")
        print(result.data.decode(), end="")


if __name__ == "__main__":
    main()
