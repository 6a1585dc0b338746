"""A plain forebay worker: answers each job of a queue with its payload reversed, after a while.

Usage: plain_worker.py ENDPOINT QUEUE WORK_MS [SLOTS]
Prints "start", "done", "adopted", "dropped" and so on with the job's id. Runs until it is killed or the broker says
DRAIN. Jobs run in threads, so that no job keeps the session from beating. Written from docs/PROTOCOL.md alone.
"""
import concurrent.futures
import sys
import time

from plain_session import Session

REGISTER, DEMAND, START, DONE, FAILED, PRESENT = 32, 34, 35, 36, 37, 42
GRANT, REVOKE, RECALL, ADOPT, DROP, REGISTER_REFUSED, DRAIN, STALE = 80, 81, 82, 83, 84, 85, 86, 87


class Job:
    """A job in hand: from its GRANT until its answer is acknowledged, or it is no longer wanted."""

    def __init__(self, lease, id, queue, attempt, work, broker):
        self.lease, self.id, self.queue, self.attempt, self.broker = lease, id, queue, attempt, broker
        self.work = work        # a future; done = the slot is free
        self.answer = None      # (code, elements, payload) once there is one
        self.number = None      # of the command that carried the answer
        self.is_mine = True     # until the broker says otherwise
        self.is_presented = False   # the broker has not yet said whether it is ours: its answer waits


class Worker(Session):
    def __init__(self, endpoint, queue, work_ms, slots):
        super().__init__(endpoint, "worker", "plain")
        self.queue, self.work_ms, self.slots = queue, work_ms, slots
        self.threads = concurrent.futures.ThreadPoolExecutor(slots)
        self.jobs, self.granted, self.demand, self.draining = [], 0, 0, False

    def fresh(self):
        """The broker knows nothing of this session: present what is in hand, and ask for as much as is free."""
        self.granted = self.demand = 0
        self.send(REGISTER, self.queue, 0, 1)
        for job in self.jobs:
            job.number = None
            if job.is_mine:
                job.is_presented = True
                self.send(PRESENT, job.id, job.queue, job.broker, job.lease[1], job.attempt, job.answer is not None)
        self.ask()

    def ask(self):
        """DEMAND counts grants of the whole session: those that came, and one for each free slot."""
        free = self.slots - sum(not job.work.done() for job in self.jobs)
        demand = self.granted + (0 if self.draining else free)
        if demand != self.demand:
            self.demand = demand
            self.send(DEMAND, demand, 0)

    def command(self, code, elements):
        if code == GRANT:
            self.granted += 1
            slot, token, id, queue, payload, _, attempt = elements[:7]
            work = self.threads.submit(self.reverse, payload)
            self.jobs.append(Job((slot, token), id, queue, attempt, work, self.terms["broker"]))
            self.send(START, slot, token)
            print("start", id.hex(), "attempt", attempt, flush=True)
        elif code in (REVOKE, STALE):
            self.dropped([tuple(elements[:2])])
        elif code == ADOPT:
            for job in (job for job in self.jobs if job.id == elements[0] and job.is_mine):
                job.lease, job.broker, job.is_presented = tuple(elements[1:3]), self.terms["broker"], False
                print("adopted", job.id.hex(), flush=True)
                self.say_answer(job)
        elif code == DROP:
            self.dropped([job.lease for job in self.jobs if job.id == elements[0]])
        elif code == DRAIN:
            self.draining = True
        elif code == REGISTER_REFUSED:
            raise SystemExit(f"the broker refused {elements}")

    def dropped(self, leases):
        for job in self.jobs:
            if job.lease in leases and job.is_mine:
                job.is_mine = False
                print("dropped", job.id.hex(), flush=True)

    def reverse(self, payload):
        time.sleep(self.work_ms / 1e3)
        return payload[::-1]

    def say_answer(self, job):
        if job.answer and job.is_mine and not job.is_presented:
            code, elements, payload = job.answer
            job.number = self.send(code, *job.lease, *elements, payload=payload, at=2 if payload is not None else None)

    def held(self):
        return [number for job in self.jobs if job.is_mine and not job.is_presented for number in job.lease]

    def acknowledged(self, number):
        """An answer has reached its level: the job is over."""
        self.jobs = [job for job in self.jobs if job.number != number]

    def finish(self):
        """Answers what has been computed, and lets go of what nobody wants."""
        for job in [job for job in self.jobs if job.work.done() and not job.answer]:
            if job.work.exception() is None:
                job.answer = (DONE, (None, None), job.work.result())
            else:
                job.answer = (FAILED, (-1, "exception", str(job.work.exception()), "", None), None)
            print("done", job.id.hex(), flush=True)
            self.say_answer(job)
        self.jobs = [job for job in self.jobs if job.is_mine or not job.work.done()]

    def run(self):
        while not (self.draining and not self.jobs):
            self.turn(5)
            self.finish()
            self.ask()
        self.control(4, "drained")


if __name__ == "__main__":
    Worker(sys.argv[1], sys.argv[2], int(sys.argv[3]), int((sys.argv[4:] or [1])[0])).run()
    sys.exit(0)
