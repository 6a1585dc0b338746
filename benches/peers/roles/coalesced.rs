//! The bare credit broker that coalesces, its client and its worker: the least that a broker does when jobs share
//! messages on every hop. A packet is handed whole to the next worker that has credit for its jobs. With a store the
//! broker writes the records the product writes for each job, before what they allow is sent, with one sync for each
//! turn of its loop.

use std::collections::{HashMap, VecDeque};
use std::io::Result;
use std::path::Path;

use zmq::{Context, Message, SNDMORE, Socket, SocketType};

use super::broker::CREDITS_LEN;
use super::echo::{Echo, Pattern};
use super::packet::{Jobs, PACKET_LEN, add, head, read_head};
use super::records::Records;
use super::socket::{bound, connected, take, wait};

/// Jobs taken in one turn before what is ready is sent: with a store, those that share a sync.
const TURN_JOBS: u32 = 1_000;
/// Jobs of one packet, so that short ones too are on several hops at once.
const PACKET_JOBS: u32 = 128;

struct Peer {
    id: Vec<u8>,
    /// None for a client.
    credits: Option<u32>,
}

/// A packet on its way: where to, its head and its jobs.
struct Leaving {
    to: usize,
    head: [u8; 8],
    jobs: Message,
}

struct Broker {
    socket: Socket,
    peers: Vec<Peer>,
    places: HashMap<Vec<u8>, usize>,
    workers: Vec<usize>,
    turn: usize,
    /// Packets that wait for credit: their client, how many jobs, and the jobs.
    waiting: VecDeque<(u32, u32, Message)>,
    /// Packets that leave when this turn's records are kept.
    leaving: Vec<Leaving>,
    records: Option<Records>,
}

/// Runs the broker.
pub(crate) fn broker(endpoint: &str, store: Option<&Path>) -> Result<()> {
    let records = store.map(Records::open);
    let mut broker = Broker {
        socket: bound(&Context::new(), SocketType::ROUTER, endpoint)?,
        peers: Vec::new(),
        places: HashMap::new(),
        workers: Vec::new(),
        turn: 0,
        waiting: VecDeque::new(),
        leaving: Vec::new(),
        records,
    };
    loop {
        let mut next = Some(wait(&broker.socket)?);
        let mut jobs = 0;
        while let Some(sender) = next {
            jobs += broker.take_in(&sender)?;
            next = if jobs < TURN_JOBS { take(&broker.socket)? } else { None };
        }
        broker.end_turn()?;
    }
}

impl Broker {
    /// Takes one message and says how many jobs or results were in it.
    fn take_in(&mut self, sender: &[u8]) -> Result<u32> {
        let first = wait(&self.socket)?;
        let place = self.places.get(sender).copied().unwrap_or_else(|| self.welcome(sender));
        let mut count = 0;
        if let Ok(credits) = <[u8; CREDITS_LEN]>::try_from(&first[..]) {
            self.peers[place].credits = Some(u32::from_le_bytes(credits));
            self.workers.push(place);
        } else {
            let jobs = wait(&self.socket)?;
            let (client, jobs_count) = read_head(&first)?;
            count = jobs_count;
            match &mut self.peers[place].credits {
                Some(credits) => {
                    *credits += count;
                    self.results(client, count, jobs)?;
                }
                None => self.submitted(place as u32, count, jobs)?,
            }
        }
        self.hand_out()?;
        Ok(count)
    }

    fn welcome(&mut self, sender: &[u8]) -> usize {
        self.places.insert(sender.to_vec(), self.peers.len());
        self.peers.push(Peer { id: sender.to_vec(), credits: None });
        self.peers.len() - 1
    }

    fn results(&mut self, client: u32, count: u32, results: Message) -> Result<()> {
        if let Some(records) = &mut self.records {
            Jobs(&results).try_for_each(|result| result.map(|result| records.ended(result)))?;
        }
        self.leave(Leaving { to: client as usize, head: head(client, count), jobs: results })
    }

    fn submitted(&mut self, client: u32, count: u32, jobs: Message) -> Result<()> {
        if let Some(records) = &mut self.records {
            Jobs(&jobs).try_for_each(|job| job.map(|job| records.submitted(job)))?;
        }
        self.waiting.push_back((client, count, jobs));
        Ok(())
    }

    /// Hands packets to workers, in turn, as far as there is credit.
    fn hand_out(&mut self) -> Result<()> {
        while let Some((_, count, _)) = self.waiting.front() {
            let workers =
                (0..self.workers.len()).map(|at| self.workers[(self.turn + at) % self.workers.len()]);
            let mut workers = workers.filter(|place| self.peers[*place].credits >= Some(*count));
            let Some(to) = workers.next() else { break };
            let Some((client, count, jobs)) = self.waiting.pop_front() else { break };
            self.turn += 1;
            self.peers[to].credits = self.peers[to].credits.map(|credits| credits - count);
            if let Some(records) = &mut self.records {
                Jobs(&jobs).try_for_each(|job| job.map(|job| records.begun(job)))?;
            }
            self.leave(Leaving { to, head: head(client, count), jobs })?;
        }
        Ok(())
    }

    /// Sends a packet; with a store not before the records are kept.
    fn leave(&mut self, leaving: Leaving) -> Result<()> {
        match self.records {
            None => self.send(leaving),
            Some(_) => {
                self.leaving.push(leaving);
                Ok(())
            }
        }
    }

    fn end_turn(&mut self) -> Result<()> {
        if let Some(records) = &mut self.records {
            records.keep();
        }
        std::mem::take(&mut self.leaving).into_iter().try_for_each(|leaving| self.send(leaving))
    }

    fn send(&self, leaving: Leaving) -> Result<()> {
        self.socket.send(&self.peers[leaving.to].id[..], SNDMORE)?;
        self.socket.send(&leaving.head[..], SNDMORE)?;
        Ok(self.socket.send(leaving.jobs, 0)?)
    }
}

pub(crate) struct Client {
    socket: Socket,
    packet: Vec<u8>,
    jobs: u32,
}

impl Client {
    pub(crate) fn connect(endpoint: &str) -> Result<Client> {
        Ok(Client { socket: connected(&Context::new(), endpoint)?, packet: Vec::new(), jobs: 0 })
    }

    /// Sends the packet in the making; a long one's memory is taken over.
    fn send_packet(&mut self) -> Result<()> {
        const COPY_LEN_MAX: usize = 8 * 1024;
        self.socket.send(&head(0, std::mem::take(&mut self.jobs))[..], SNDMORE)?;
        if self.packet.len() > COPY_LEN_MAX {
            let next = Vec::with_capacity(self.packet.capacity());
            return Ok(self.socket.send(std::mem::replace(&mut self.packet, next), 0)?);
        }
        self.socket.send(&self.packet[..], 0)?;
        self.packet.clear();
        Ok(())
    }
}

impl Echo for Client {
    fn send(&mut self, pattern: &Pattern, tags: &[u64]) -> Result<()> {
        for tag in tags {
            let (head, rest) = pattern.parts(*tag);
            add(&mut self.packet, [&head, rest]);
            self.jobs += 1;
            if self.packet.len() >= PACKET_LEN || self.jobs == PACKET_JOBS {
                self.send_packet()?;
            }
        }
        if self.jobs > 0 { self.send_packet() } else { Ok(()) }
    }

    fn receive(&mut self, pattern: &Pattern, tags: &mut Vec<u64>) -> Result<()> {
        // One packet at a time: its jobs are followed by the next ones while others are on their way.
        let _head = wait(&self.socket)?;
        let packet = wait(&self.socket)?;
        for job in Jobs(&packet) {
            tags.push(pattern.tag_of(job?)?);
        }
        Ok(())
    }
}

/// Looks at every job of a packet and answers it in place: the result of an echo is its payload.
pub(crate) fn worker(endpoint: &str, credits: u32) -> Result<()> {
    let socket = connected(&Context::new(), endpoint)?;
    socket.send(&credits.to_le_bytes()[..], 0)?;
    loop {
        let first = wait(&socket)?;
        let jobs = wait(&socket)?;
        let (_, count) = read_head(&first)?;
        let seen = Jobs(&jobs).try_fold(0, |seen, job| job.map(|_| seen + 1))?;
        assert_eq!(seen, count, "the head counts the jobs");
        socket.send(first, SNDMORE)?;
        socket.send(jobs, 0)?;
    }
}
