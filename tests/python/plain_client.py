"""A plain forebay client: submits jobs to a queue and checks that each comes back reversed, exactly once.

Usage: plain_client.py ENDPOINT QUEUE COUNT
Prints "result N" for each and "N results" at the end. Written from docs/PROTOCOL.md alone.
"""
import os
import sys
import time

from plain_session import Session

SUBMIT, GET, FORGET, RESULT_CREDIT = 16, 18, 19, 20
REFUSED, RESULT, STATE, SUBMIT_CREDIT, UNSUPPORTED = 64, 65, 68, 70, 127
DONE, RESENT, CREDIT, ERR_BUSY = 2, 1, 100, -8
SIZES = (0, 1, 33, 5_000, 1_500_000)    # inline, inline, inline, one frame, a transfer


def new_id():
    """A UUID of version 7: 48 bits of Unix milliseconds, version, variant, the rest random."""
    id = bytearray(int(time.time() * 1e3).to_bytes(6, "big") + os.urandom(10))
    id[6] = 0x70 | id[6] & 0x0F
    id[8] = 0x80 | id[8] & 0x3F
    return bytes(id)


class Client(Session):
    def __init__(self, endpoint, queue, count):
        super().__init__(endpoint, "client", "plain")
        self.queue, self.count, self.results = queue, count, 0
        self.jobs = {}          # id -> payload, until its result is here
        self.submits, self.submits_allowed = 0, 0
        self.pushed, self.pushes_allowed = 0, 0
        self.waiting = []       # (id, resent): jobs to submit when the credit allows
        self.again_at = {}      # refused for now: id -> when to submit it again
        for number in range(count):
            id = new_id()
            self.jobs[id] = f"{number}:".encode() + os.urandom(SIZES[number % len(SIZES)])
            self.waiting.append((id, False))

    def fresh(self):
        """The broker knows nothing of this session: say what it needs."""
        said = {id for id in self.jobs} - {id for id, resent in self.waiting if not resent}
        self.waiting = [(id, id in said) for id in self.jobs]
        self.again_at = {}
        self.submits, self.submits_allowed, self.pushed, self.pushes_allowed = 0, self.terms["submit_jobs"], 0, 0
        self.submit_some()

    def submit_some(self):
        if self.pushes_allowed - self.pushed < CREDIT / 2:
            self.pushes_allowed = self.pushed + CREDIT
            self.send(RESULT_CREDIT, self.pushes_allowed)
        while self.waiting and self.submits < self.submits_allowed:
            id, resent = self.waiting.pop(0)
            self.submits += 1
            self.send(SUBMIT, id, self.queue, None, None, RESENT if resent else 0, None,
                      payload=self.jobs[id], at=2)

    def command(self, code, elements):
        if code == RESULT:
            self.pushed += 1
            self.result(*elements[:4])
        elif code == SUBMIT_CREDIT:
            self.submits_allowed = elements[0]
        elif code == REFUSED and elements[1] == ERR_BUSY:
            self.again_at[elements[0]] = time.monotonic() + (elements[3] or 100) / 1e3
        elif code in (REFUSED, UNSUPPORTED):
            raise SystemExit(f"the broker refused {elements}")
        self.submit_some()

    def result(self, id, outcome, attempt, payload):
        """A result may come twice; the second is only told to be forgotten."""
        self.send(FORGET, [id])
        sent = self.jobs.pop(id, None)
        if sent is None:
            return
        if outcome != DONE or payload != sent[::-1]:
            raise SystemExit(f"job {id.hex()} ended {outcome} with {payload[:40]!r}, not with its payload reversed")
        self.results += 1
        print("result", self.results, "attempt", attempt, flush=True)

    def run(self):
        # The last FORGETs are worth waiting for: without them the broker keeps the results for a day.
        while self.jobs or self.unacked:
            self.turn(20)
            for id in [id for id, at in self.again_at.items() if at < time.monotonic()]:
                del self.again_at[id]
                self.waiting.append((id, False))
                self.submit_some()
        self.control(4, "done")
        print(self.results, "results", flush=True)


if __name__ == "__main__":
    Client(sys.argv[1], sys.argv[2], int(sys.argv[3])).run()
    sys.exit(0)
