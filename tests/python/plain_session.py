"""One forebay session over one DEALER socket, from docs/PROTOCOL.md alone: pyzmq and msgpack, nothing of forebay.

Owns what the chapters "Packets" to "Beats" ask of a peer: numbering, acknowledgement, saying HELLO again after a
lost connection, chunks and beats. What a command means is for plain_client.py and plain_worker.py: they override
fresh(), command(), acknowledged(), held() and dropped().
"""
import os
import socket
import struct
import time

import msgpack
import zmq

HEADER = struct.Struct(">IBBHIIQQ")
MAGIC, MAJOR, CONTROL = 0x46424159, 1, 1
HELLO, WELCOME, WHO, GOODBYE, REFUSE, BEAT, BEAT_REPLY, CHUNK = 1, 2, 3, 4, 5, 6, 7, 8
BODY_AT = {CHUNK: 2, 65: 3, 67: 3, 71: 2, 80: 4}     # where RESULT, PARTIAL_OF, REPLY and GRANT have their body
INLINE_MAX, FRAME_MAX, CHUNK_MAX = 4_096, 1 << 20, 262_144


class Session:
    def __init__(self, endpoint, kind, name):
        self.kind, self.name, self.secret = kind, name, os.urandom(16)
        self.socket = zmq.Context.instance().socket(zmq.DEALER)
        self.socket.linger = 1_000
        self.monitor = self.socket.get_monitor_socket(zmq.EVENT_HANDSHAKE_SUCCEEDED)
        self.socket.connect(endpoint)
        self.terms = {"beat_ms": 1_000, "lease_ms": 30_000, "window_bytes": FRAME_MAX}
        self.is_up, self.incarnation = False, 0
        self.hellos, self.welcomed = 0, 0   # HELLOs sent, and the last of them that was answered
        self.next, self.expected = 1, 1     # numbers: of the next own command, of the broker's next
        self.unacked, self.sent_upto = {}, 0  # number -> (packed command, frames); how far they were put on the wire
        self.pieces, self.transfers = b"", []
        self.hello_at = self.beat_at = self.heard_at = 0.0

    # What the owner of the session overrides.
    def fresh(self): raise NotImplementedError
    def command(self, code, elements): raise NotImplementedError
    def acknowledged(self, number): pass
    def held(self): return []
    def dropped(self, leases): pass

    def body(self, payload, frames):
        """The body element for a payload; big parts are put into `frames` or sent ahead as a transfer."""
        if len(payload) <= INLINE_MAX:
            return [payload]
        if len(payload) <= FRAME_MAX:
            frames.append(payload)
            return [len(payload)]
        for at in range(0, len(payload), CHUNK_MAX):
            piece = payload[at:at + CHUNK_MAX]
            self.number([CHUNK, len(payload), at, [len(piece)]], [piece])
        return [[len(payload)]]

    def send(self, code, *elements, payload=None, at=None):
        """Numbers a command and keeps it until it is acknowledged. `payload` becomes element number `at`."""
        frames, elements = [], list(elements)
        if payload is not None:
            elements.insert(at, self.body(payload, frames))
        return self.number([code, *elements], frames)

    def number(self, command, frames):
        number, self.next = self.next, self.next + 1
        self.unacked[number] = (msgpack.packb(command), frames)
        self.flush()
        return number

    def flush(self):
        """Puts on the wire what is not there yet, as far as the window of unacknowledged bodies allows."""
        under_way = sum(self.size(n) for n in self.unacked if n <= self.sent_upto)
        for number in [n for n in sorted(self.unacked) if n > self.sent_upto]:
            under_way += self.size(number)
            if not self.is_up or (under_way > self.terms["window_bytes"] and number != min(self.unacked)):
                return
            command, frames = self.unacked[number]
            self.packet(0, 1, number, command, frames)
            self.sent_upto = number

    def size(self, number):
        command, frames = self.unacked[number]
        return len(command) + sum(map(len, frames))

    def packet(self, flags, count, first, commands=b"", frames=()):
        head = HEADER.pack(MAGIC, MAJOR, flags, count, self.incarnation, 0, first, self.expected - 1)
        self.socket.send_multipart([head + commands, *frames])

    def control(self, *command):
        self.packet(CONTROL, 1, self.next, msgpack.packb(command))

    def hello(self):
        self.is_up, self.incarnation, self.hello_at = False, 0, time.monotonic()
        self.hellos += 1
        self.control(HELLO, {"min": 1, "max": 1, "kind": self.kind, "session": self.secret,
                             "hello": self.hellos, "welcomed": self.welcomed, "received": self.expected - 1, "name": self.name, "host": socket.gethostname(),
                             "pid": os.getpid(), "version": "plain Python", "features": []})

    def welcome(self, terms):
        if terms["hello"] <= self.welcomed:
            return      # the answer to an older HELLO comes late
        self.welcomed, self.heard_at = terms["hello"], time.monotonic()
        self.terms, self.incarnation, self.is_up = terms, terms["incarnation"], True
        if terms["fresh"]:
            self.next, self.expected, self.unacked, self.sent_upto = 1, 1, {}, 0
            self.pieces, self.transfers = b"", []
            return self.fresh()
        self.reached(terms["received"])
        self.sent_upto = 0
        self.flush()

    def reached(self, upto):
        for number in [n for n in self.unacked if n <= upto]:
            del self.unacked[number]
            self.acknowledged(number)
        self.flush()

    def turn(self, wait_ms):
        """Waits a moment for packets, executes them, and does what is due."""
        poller = zmq.Poller()
        poller.register(self.socket, zmq.POLLIN)
        poller.register(self.monitor, zmq.POLLIN)
        ready = dict(poller.poll(wait_ms))
        if self.monitor in ready:
            self.monitor.recv_multipart()
            self.hello()
        while self.socket in ready and self.socket.poll(0):
            self.receive(self.socket.recv_multipart())
        now = time.monotonic()
        if not self.is_up and self.hello_at and now - self.hello_at > 2:
            self.hello()
        elif self.is_up and now - self.heard_at > self.terms["lease_ms"] / 1e3:
            self.hello()
        elif self.is_up and now - self.beat_at > self.terms["beat_ms"] / 1e3:
            self.beat_at = now
            self.control(BEAT, self.held())

    def receive(self, frames):
        magic, major, flags, count, _, _, first, acknowledged = HEADER.unpack_from(frames[0])
        if (magic, major) != (MAGIC, MAJOR):
            return
        self.heard_at = time.monotonic()
        unpacker = msgpack.Unpacker(strict_map_key=False)
        unpacker.feed(frames[0][HEADER.size:])
        commands, bodies = [next(unpacker) for _ in range(count)], iter(frames[1:])
        if flags & CONTROL and commands and commands[0][0] in (WELCOME, WHO, REFUSE, GOODBYE):
            return self.opening(*commands[0])
        if not self.is_up:
            return
        if first > self.expected:
            return self.hello()     # something was lost
        for number, (code, *elements) in enumerate(commands, first):
            if flags & CONTROL:
                if code == BEAT_REPLY:
                    self.dropped(list(zip(elements[0][::2], elements[0][1::2])))
            elif number == self.expected:
                self.expected += 1
                self.execute(code, elements, bodies)
            elif code in BODY_AT:
                self.join(elements[BODY_AT[code]], bodies, [])  # executed before; its frames are passed over
        self.reached(acknowledged)

    def opening(self, code, *elements):
        if code == WELCOME:
            self.welcome(elements[0])
        elif code == REFUSE:
            raise SystemExit(f"the broker refused {elements}")
        elif code == GOODBYE:
            self.is_up, self.hello_at = False, time.monotonic()    # it may come back: HELLO after two seconds
        elif self.is_up:
            self.hello()

    def execute(self, code, elements, bodies):
        if code in BODY_AT:
            elements[BODY_AT[code]] = self.join(elements[BODY_AT[code]], bodies, self.transfers)
        if code != CHUNK:
            return self.command(code, elements)
        total, offset, piece = elements
        self.pieces = (self.pieces if offset else b"") + piece
        if len(self.pieces) == total:
            self.transfers.append(self.pieces)
            self.pieces = b""

    @staticmethod
    def join(body, bodies, transfers):
        """The bytes of a body: its parts are bytes, lengths of frames, or lengths of transfers in a list."""
        parts = []
        for part in body:
            if isinstance(part, bytes):
                parts.append(part)
            elif isinstance(part, int):
                parts.append(next(bodies))
            elif transfers:
                parts.append(transfers.pop(0))
        return b"".join(parts)
