//! The bare credit broker that coalesces, its client and its worker: the least that a broker does for each job when
//! jobs share messages on every hop. With a store it writes the records the product writes, before what they allow is
//! sent, with one sync for each turn of its loop.

use std::collections::{HashMap, VecDeque};
use std::io::Result;
use std::path::Path;

use zmq::{Context, Message, SNDMORE, Socket, SocketType};

use super::broker::CREDITS_LEN;
use super::echo::{Echo, Pattern};
use super::packet::{Jobs, PACKET_LEN, add};
use super::records::Records;
use super::socket::{bound, connected, take, wait};

/// Jobs taken in one turn before what is ready is sent: with a store, those that share a sync.
const TURN_JOBS: usize = 1_000;

/// A packet in the making, and whom it is for; a worker's credits.
struct Peer {
    id: Vec<u8>,
    packet: Vec<u8>,
    /// None for a client.
    credits: Option<u32>,
}

struct Broker {
    socket: Socket,
    peers: Vec<Peer>,
    places: HashMap<Vec<u8>, usize>,
    workers: Vec<usize>,
    /// Which of the workers is given jobs now.
    turn: usize,
    waiting: VecDeque<(u32, Vec<u8>)>,
    records: Option<Records>,
}

/// Runs the broker.
pub(crate) fn broker(endpoint: &str, store: Option<&Path>) -> Result<()> {
    let records = store.map(Records::open);
    let socket = bound(&Context::new(), SocketType::ROUTER, endpoint)?;
    let mut broker = Broker {
        socket,
        peers: Vec::new(),
        places: HashMap::new(),
        workers: Vec::new(),
        turn: 0,
        waiting: VecDeque::new(),
        records,
    };
    loop {
        let mut next = Some(wait(&broker.socket)?);
        let mut jobs = 0;
        while let Some(sender) = next {
            let packet = wait(&broker.socket)?;
            jobs += broker.take_in(&sender, &packet)?;
            next = if jobs < TURN_JOBS { take(&broker.socket)? } else { None };
        }
        broker.send_all()?;
    }
}

impl Broker {
    /// Takes one packet and says how many jobs or results were in it.
    fn take_in(&mut self, sender: &[u8], packet: &[u8]) -> Result<usize> {
        let place = match self.places.get(sender) {
            Some(&place) => place,
            None => self.welcome(sender, packet),
        };
        let mut count = 0;
        if let Ok(credits) = <[u8; CREDITS_LEN]>::try_from(packet) {
            self.peers[place].credits = Some(u32::from_le_bytes(credits));
        } else if self.peers[place].credits.is_some() {
            for job in Jobs(packet) {
                let (client, result) = job?;
                self.result(client as usize, result)?;
                count += 1;
            }
            *self.peers[place].credits.get_or_insert(0) += count;
        } else {
            for job in Jobs(packet) {
                self.job(place as u32, job?.1)?;
                count += 1;
            }
        }
        self.catch_up()?;
        Ok(count as usize)
    }

    fn welcome(&mut self, sender: &[u8], packet: &[u8]) -> usize {
        let place = self.peers.len();
        if packet.len() == CREDITS_LEN {
            self.workers.push(place);
        }
        self.places.insert(sender.to_vec(), place);
        self.peers.push(Peer { id: sender.to_vec(), packet: Vec::new(), credits: None });
        place
    }

    fn result(&mut self, client: usize, result: &[u8]) -> Result<()> {
        if let Some(records) = &mut self.records {
            records.ended(result);
        }
        add(&mut self.peers[client].packet, client as u32, [result, &[]]);
        self.send_full(client)
    }

    fn job(&mut self, client: u32, job: &[u8]) -> Result<()> {
        if let Some(records) = &mut self.records {
            records.submitted(job);
        }
        match self.free() {
            Some(place) if self.waiting.is_empty() => self.hand_out(place, client, job),
            _ => {
                self.waiting.push_back((client, job.to_vec()));
                Ok(())
            }
        }
    }

    /// What waits for credit.
    fn catch_up(&mut self) -> Result<()> {
        while !self.waiting.is_empty() {
            let Some(place) = self.free() else { break };
            let Some((client, job)) = self.waiting.pop_front() else { break };
            self.hand_out(place, client, &job)?;
        }
        Ok(())
    }

    /// The worker whose turn it is, or the next one with credit.
    fn free(&mut self) -> Option<usize> {
        for _ in 0..self.workers.len() {
            let place = self.workers[self.turn % self.workers.len()];
            if self.peers[place].credits > Some(0) {
                return Some(place);
            }
            self.turn += 1;
        }
        None
    }

    fn hand_out(&mut self, place: usize, client: u32, job: &[u8]) -> Result<()> {
        if let Some(records) = &mut self.records {
            records.begun(job);
        }
        let worker = &mut self.peers[place];
        worker.credits = worker.credits.map(|credits| credits - 1);
        add(&mut worker.packet, client, [job, &[]]);
        if worker.packet.len() >= PACKET_LEN {
            self.turn += 1;
        }
        self.send_full(place)
    }

    /// Sends a full packet while the next is being made; with a store not before the records are kept.
    fn send_full(&mut self, place: usize) -> Result<()> {
        match self.peers[place].packet.len() >= PACKET_LEN && self.records.is_none() {
            true => self.send(place),
            false => Ok(()),
        }
    }

    fn send_all(&mut self) -> Result<()> {
        if let Some(records) = &mut self.records {
            records.keep();
        }
        self.turn += 1;
        (0..self.peers.len()).try_for_each(|place| self.send(place))
    }

    fn send(&mut self, place: usize) -> Result<()> {
        let peer = &mut self.peers[place];
        if peer.packet.is_empty() {
            return Ok(());
        }
        self.socket.send(&peer.id[..], SNDMORE)?;
        Ok(self.socket.send(full(&mut peer.packet), 0)?)
    }
}

/// The packet as a message; a long one's memory is taken over.
fn full(packet: &mut Vec<u8>) -> Message {
    const COPY_LEN_MAX: usize = 8 * 1024;
    if packet.len() > COPY_LEN_MAX {
        let next = Vec::with_capacity(packet.capacity());
        return Message::from(std::mem::replace(packet, next));
    }
    let message = Message::from(&packet[..]);
    packet.clear();
    message
}

pub(crate) struct Client {
    socket: Socket,
    packet: Vec<u8>,
}

impl Client {
    pub(crate) fn connect(endpoint: &str) -> Result<Client> {
        Ok(Client { socket: connected(&Context::new(), endpoint)?, packet: Vec::new() })
    }
}

impl Echo for Client {
    fn send(&mut self, pattern: &Pattern, tags: &[u64]) -> Result<()> {
        for tag in tags {
            let (head, rest) = pattern.parts(*tag);
            add(&mut self.packet, 0, [&head, rest]);
            if self.packet.len() >= PACKET_LEN {
                self.socket.send(full(&mut self.packet), 0)?;
            }
        }
        match self.packet.is_empty() {
            true => Ok(()),
            false => Ok(self.socket.send(full(&mut self.packet), 0)?),
        }
    }

    fn receive(&mut self, pattern: &Pattern, tags: &mut Vec<u64>) -> Result<()> {
        let mut next = Some(wait(&self.socket)?);
        while let Some(packet) = next {
            for job in Jobs(&packet) {
                tags.push(pattern.tag_of(job?.1)?);
            }
            // Answering a packet while the next is on its way keeps everybody at work.
            next = if tags.len() < 64 { take(&self.socket)? } else { None };
        }
        Ok(())
    }
}

/// Takes jobs one by one and gives each one's payload back.
pub(crate) fn worker(endpoint: &str, credits: u32) -> Result<()> {
    let socket = connected(&Context::new(), endpoint)?;
    socket.send(&credits.to_le_bytes()[..], 0)?;
    let mut results = Vec::new();
    loop {
        let mut next = Some(wait(&socket)?);
        while let Some(packet) = next {
            for job in Jobs(&packet) {
                let (client, payload) = job?;
                add(&mut results, client, [payload, &[]]);
                if results.len() >= PACKET_LEN {
                    socket.send(full(&mut results), 0)?;
                }
            }
            next = take(&socket)?;
        }
        if !results.is_empty() {
            socket.send(full(&mut results), 0)?;
        }
    }
}
