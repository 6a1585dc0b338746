//! 100,000 packets at the broker's socket, half of them random bytes, half valid but for one field.

use std::time::{Duration, Instant};

use bytes::Bytes;
use forebay::wire::command::{Control, ToBroker};
use forebay::wire::{Packet, header};
use rmp::encode;
use support::{Broker, SOON};

/// How many packets.
const PACKETS: usize = 100_000;
/// After so many a connection says HELLO again, so that later packets are executed and not only read.
const BURST: usize = 50;

/// The broker serves the next client, and has lost none of the workers it had.
#[test]
fn a_flood_of_bad_packets_harms_only_its_senders() {
    let seed = std::env::var("FOREBAY_SEED").map_or(1, |text| text.parse().expect("a number"));
    println!("FOREBAY_SEED={seed}");
    let mut random = Random(seed);
    let mut stage = support::stage!();
    let worker = stage.worker("work", 1);
    let context = zmq::Context::new();
    let mut senders = ["client", "worker", "client", "worker"]
        .map(|kind| Sender::new(&context, &stage.broker, kind, &mut random));

    let mut readable = 0;
    for burst in 0..PACKETS / BURST {
        let sender = &mut senders[burst % 4];
        sender.greet(&mut random);
        for i in 0..BURST {
            let frames = match i % 2 {
                0 => random.frames(),
                _ => sender.almost_valid(&mut random),
            };
            readable += usize::from(i % 2 == 1 && sender.reads(&frames));
            sender.send(&frames);
        }
    }
    // What was changed is often still a legal packet: the flood reaches deeper than the decoder.
    println!("{readable} of {PACKETS} packets could be read");
    assert!(readable > PACKETS / 50, "only {readable} packets came past the decoder");

    assert_eq!(stage.cli(&["call", "work", "--data", "echo still here"]), "still here");
    assert_eq!(worker.wait_starts(1).len(), 1);
    assert!(stage.broker.process().is_running());
    drop(senders);
    stage.broker.stop(SOON).success();
}

/// A connection that speaks the protocol, more or less.
struct Sender {
    socket: zmq::Socket,
    kind: &'static str,
    secret: Vec<u8>,
    incarnation: u32,
    next: u64,
}

impl Sender {
    fn new(context: &zmq::Context, broker: &Broker, kind: &'static str, random: &mut Random) -> Sender {
        let socket = context.socket(zmq::DEALER).expect("a socket");
        socket.set_linger(0).expect("an option");
        // The broker may close a connection whose packets it cannot take; then some are lost, which is no fault here.
        socket.set_sndtimeo(30_000).expect("an option");
        socket.connect(broker.endpoint()).expect("an address");
        Sender { socket, kind, secret: random.bytes(16), incarnation: 0, next: 1 }
    }

    /// HELLO until WELCOME, which says where the session stands.
    fn greet(&mut self, random: &mut Random) {
        let end = Instant::now() + SOON;
        loop {
            let text = |text: &str| Field::Str(text.as_bytes().to_vec());
            // Now and then a number that cannot be: the broker then begins a session anew. Without that, a transfer that
            // was begun and not gone on with would keep everything else from being executed.
            let received = if random.below(3) == 0 { 1 << 40 } else { 0 };
            let hello = Field::Map(vec![
                (text("min"), Field::Uint(1)),
                (text("max"), Field::Uint(1)),
                (text("kind"), text(self.kind)),
                (text("session"), Field::Bin(self.secret.clone())),
                (text("received"), Field::Uint(received)),
            ]);
            self.incarnation = 0;
            self.send(&[self.frame_0(true, 1, &[vec![Field::Uint(1), hello]])]);
            let wait = Instant::now() + Duration::from_millis(500);
            while self.socket.poll(zmq::POLLIN, left_ms(wait)).expect("a socket") > 0 {
                let frames = self.socket.recv_multipart(zmq::DONTWAIT).unwrap_or_default();
                match control_in(frames) {
                    Some(Control::Welcome(welcome)) => {
                        (self.incarnation, self.next) = (welcome.incarnation, welcome.received + 1);
                        return;
                    }
                    // What it did to its session made it impossible; another begins.
                    Some(Control::Refuse(_)) => self.secret = random.bytes(16),
                    _ => {}
                }
            }
            assert!(Instant::now() < end, "no WELCOME for a {} that says HELLO", self.kind);
        }
    }

    fn send(&self, frames: &[Vec<u8>]) {
        self.socket.send_multipart(frames, 0).expect("the broker takes what comes");
    }

    /// A valid packet of one command with one field changed.
    fn almost_valid(&self, random: &mut Random) -> Vec<Vec<u8>> {
        let commands = if self.kind == "client" { client_commands(random) } else { worker_commands(random) };
        let mut command = commands[random.below(commands.len())].clone();
        let mut frames = vec![Vec::new()];
        if random.below(4) == 0 && matches!(command[0], Field::Uint(16 | 36)) {
            // A body in a frame of its own.
            frames.push(random.bytes(300));
            command[3] = Field::Array(vec![Field::Uint(300)]);
        }
        let changed = random.below(10);
        if changed > 0 {
            let at = random.below(command.len());
            command[at].change(random);
        }
        frames[0] = self.frame_0(false, 1, &[command]);
        if changed == 0 {
            // A field of the header; or a frame too many.
            match random.below(header::HEADER_LEN + 1) {
                header::HEADER_LEN => frames.push(random.bytes(3)),
                at => frames[0][at] ^= 1 << random.below(8),
            }
        }
        frames
    }

    fn frame_0(&self, is_control: bool, count: u16, commands: &[Vec<Field>]) -> Vec<u8> {
        let mut frame = Vec::new();
        let header = header::Header {
            control: is_control,
            count,
            incarnation: self.incarnation,
            first: self.next,
            acknowledged: 0,
        };
        let mut bytes = bytes::BytesMut::new();
        header.encode(&mut bytes);
        frame.extend_from_slice(&bytes);
        for command in commands {
            Field::Array(command.clone()).write(&mut frame);
        }
        frame
    }

    /// Whether the broker will execute it; then the next number is another.
    fn reads(&mut self, frames: &[Vec<u8>]) -> bool {
        let frames: Vec<Bytes> = frames.iter().map(|frame| Bytes::copy_from_slice(frame)).collect();
        let mut commands = Vec::new();
        let read = Packet::open(&frames).and_then(|packet| {
            let is_ours = packet.header.incarnation == self.incarnation && packet.header.first == self.next;
            packet.commands::<ToBroker>(&mut commands).map(|()| is_ours && !packet.header.control)
        });
        let is_read = read.is_ok_and(|is_ours| is_ours);
        if is_read {
            self.next += commands.len() as u64;
        }
        is_read
    }
}

fn left_ms(until: Instant) -> i64 {
    i64::try_from(until.saturating_duration_since(Instant::now()).as_millis()).expect("short")
}

fn control_in(frames: Vec<Vec<u8>>) -> Option<Control> {
    let frames: Vec<Bytes> = frames.into_iter().map(Bytes::from).collect();
    let packet = Packet::open(&frames).ok().filter(|packet| packet.header.control)?;
    packet.controls().ok()?.into_iter().next()
}

/// One of each command that a client sends.
fn client_commands(random: &mut Random) -> Vec<Vec<Field>> {
    let (id, queue) = (Field::Bin(random.id()), Field::Str(b"flood".to_vec()));
    let options = Field::Map((1..=15).map(|key| (Field::Uint(key), Field::Uint(1))).collect());
    vec![
        vec![
            Field::Uint(16),
            id.clone(),
            queue,
            Field::Array(vec![Field::Bin(random.bytes(40))]),
            Field::Array(vec![Field::Str(b"name".to_vec()), Field::Bin(random.bytes(5))]),
            options,
            Field::Uint(random.next() % 64),
            Field::Nil,
        ],
        vec![Field::Uint(17), id.clone(), Field::Str(b"why".to_vec()), Field::Bool(true)],
        vec![Field::Uint(18), id.clone(), Field::Uint(random.next() % 2)],
        vec![Field::Uint(19), Field::Array(vec![id.clone(), id])],
        vec![Field::Uint(20), Field::Uint(random.next() % 1_000)],
        vec![
            Field::Uint(21),
            Field::Uint(random.next()),
            Field::Str(b"queue.set".to_vec()),
            Field::Map(vec![
                (Field::Str(b"queue".to_vec()), Field::Str(b"flood".to_vec())),
                (Field::Str(b"attempts".to_vec()), Field::Str(b"3".to_vec())),
            ]),
        ],
        vec![
            Field::Uint(8),
            Field::Uint(5_000_000),
            Field::Uint(0),
            Field::Array(vec![Field::Bin(random.bytes(64))]),
        ],
    ]
}

/// One of each command that a worker sends.
fn worker_commands(random: &mut Random) -> Vec<Vec<Field>> {
    let text = |text: &[u8]| Field::Str(text.to_vec());
    let (slot, token) = (Field::Uint(random.next() % 8), Field::Uint(random.next() % 100_000));
    let body = Field::Array(vec![Field::Bin(random.bytes(40))]);
    let meta = Field::Map(vec![(text(b"host"), text(b"here"))]);
    let of_lease =
        |code: u64, rest: Vec<Field>| [vec![Field::Uint(code), slot.clone(), token.clone()], rest].concat();
    vec![
        vec![Field::Uint(32), text(b"flood"), Field::Uint(4), Field::Uint(1)],
        vec![Field::Uint(33), text(b"flood")],
        vec![Field::Uint(34), Field::Uint(random.next() % 1_000), Field::Uint(0)],
        of_lease(35, vec![]),
        of_lease(36, vec![body.clone(), Field::Nil, meta.clone()]),
        of_lease(37, vec![Field::Int(-1), text(b"code"), text(b"message"), text(b"detail"), meta]),
        of_lease(38, vec![Field::Uint(1)]),
        of_lease(39, vec![]),
        of_lease(40, vec![Field::Float(0.5), text(b"note")]),
        of_lease(41, vec![Field::Uint(0), body]),
        vec![
            Field::Uint(42),
            Field::Bin(random.id()),
            text(b"flood"),
            Field::Bin(random.bytes(16)),
            token.clone(),
            Field::Uint(1),
            Field::Bool(false),
        ],
    ]
}

/// A msgpack value, as broken as one likes: strings are bytes.
#[derive(Clone, Debug)]
enum Field {
    Nil,
    Bool(bool),
    Uint(u64),
    Int(i64),
    Float(f64),
    Str(Vec<u8>),
    Bin(Vec<u8>),
    Array(Vec<Field>),
    Map(Vec<(Field, Field)>),
    /// An array in an array in an array.
    Deep(usize),
    /// Says it is longer than what follows.
    Lying(u32),
}

impl Field {
    /// Becomes something else, or something in it does.
    fn change(&mut self, random: &mut Random) {
        match self {
            Field::Array(items) if !items.is_empty() && random.below(2) == 0 => {
                let at = random.below(items.len());
                items[at].change(random);
            }
            Field::Map(items) if !items.is_empty() && random.below(2) == 0 => {
                let at = random.below(items.len());
                let item = &mut items[at];
                if random.below(2) == 0 { item.0.change(random) } else { item.1.change(random) }
            }
            _ => *self = Field::any(random),
        }
    }

    fn any(random: &mut Random) -> Field {
        const EDGES: [u64; 8] = [0, 1, 255, 65_535, u32::MAX as u64, 1 << 53, i64::MAX as u64, u64::MAX];
        match random.below(12) {
            0 => Field::Nil,
            1 => Field::Bool(random.below(2) == 0),
            2 => Field::Uint(EDGES[random.below(EDGES.len())]),
            3 => Field::Uint(random.next() % 100),
            4 => Field::Int(-(random.next() as i64).saturating_abs()),
            5 => Field::Float([f64::NAN, f64::INFINITY, -1.0, 2.0][random.below(4)]),
            6 => Field::Str(random.some_bytes(400)),
            7 => Field::Bin(random.some_bytes(400)),
            8 => Field::Array((0..random.below(4)).map(|_| Field::Uint(1)).collect()),
            9 => Field::Map(vec![(Field::Nil, Field::Nil); random.below(3)]),
            10 => Field::Deep(random.below(5_000)),
            _ => Field::Lying(EDGES[random.below(5)] as u32),
        }
    }

    fn write(&self, to: &mut Vec<u8>) {
        match self {
            Field::Nil => encode::write_nil(to).expect("memory"),
            Field::Bool(value) => encode::write_bool(to, *value).expect("memory"),
            Field::Uint(value) => drop(encode::write_uint(to, *value).expect("memory")),
            Field::Int(value) => drop(encode::write_sint(to, *value).expect("memory")),
            Field::Float(value) => encode::write_f64(to, *value).expect("memory"),
            Field::Str(bytes) => {
                encode::write_str_len(to, bytes.len() as u32).expect("memory");
                to.extend_from_slice(bytes);
            }
            Field::Bin(bytes) => encode::write_bin(to, bytes).expect("memory"),
            Field::Array(items) => {
                encode::write_array_len(to, items.len() as u32).expect("memory");
                items.iter().for_each(|item| item.write(to));
            }
            Field::Map(items) => {
                encode::write_map_len(to, items.len() as u32).expect("memory");
                for (key, value) in items {
                    key.write(to);
                    value.write(to);
                }
            }
            Field::Deep(depth) => to.extend(std::iter::repeat_n(0x91, *depth)),
            Field::Lying(len) => drop(encode::write_bin_len(to, *len).expect("memory")),
        }
    }
}

/// Numbers that only depend on the seed (xorshift64*).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D)
    }

    fn below(&mut self, n: usize) -> usize {
        (self.next() >> 33) as usize % n
    }

    fn bytes(&mut self, len: usize) -> Vec<u8> {
        (0..len).map(|_| (self.next() >> 56) as u8).collect()
    }

    fn some_bytes(&mut self, len_max: usize) -> Vec<u8> {
        let len = self.below(len_max);
        self.bytes(len)
    }

    /// A UUID of version 7 from a few, so that commands meet the jobs of others.
    fn id(&mut self) -> Vec<u8> {
        let now_ms = std::time::SystemTime::now()
            .duration_since(std::time::UNIX_EPOCH)
            .expect("after 1970")
            .as_millis();
        let mut id = (now_ms as u64).to_be_bytes()[2..].to_vec();
        id.extend([0x70, 0, 0x80, 0, 0, 0, 0, 0, 0, self.below(50) as u8]);
        id
    }

    /// One to three frames of random bytes, half of them behind a good header.
    fn frames(&mut self) -> Vec<Vec<u8>> {
        let mut frames: Vec<Vec<u8>> = (0..=self.below(3)).map(|_| self.some_bytes(200)).collect();
        if self.below(2) == 0 {
            let mut good = bytes::BytesMut::new();
            header::Header { control: self.below(2) == 0, count: self.below(4) as u16, ..Default::default() }
                .encode(&mut good);
            frames[0] = [&good[..], &frames[0]].concat();
        }
        frames
    }
}
