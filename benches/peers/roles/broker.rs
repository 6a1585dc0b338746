//! The bare proxy, and the bare credit broker with one message for each job: the least that a broker over ZeroMQ does.

use std::collections::{HashMap, VecDeque};
use std::io::Result;

use zmq::{Context, Message, SNDMORE, Socket, SocketType};

use super::socket::{bound, take, wait};

/// Passes messages on between clients and workers.
pub(crate) fn proxy(clients: &str, workers: &str) -> Result<()> {
    let context = Context::new();
    let clients = bound(&context, SocketType::ROUTER, clients)?;
    let workers = bound(&context, SocketType::DEALER, workers)?;
    Ok(zmq::proxy(&clients, &workers)?)
}

/// Bytes of a message by which a worker says how many jobs it takes; no job is so short.
pub(crate) const CREDITS_LEN: usize = 4;

/// A job, and the routing id of its client.
type Job = (Message, Message);

/// Hands jobs to workers that have credit, and results to their clients.
struct Credit {
    socket: Socket,
    workers: Vec<Worker>,
    places: HashMap<Vec<u8>, usize>,
    waiting: VecDeque<Job>,
    turn: usize,
}

struct Worker {
    id: Vec<u8>,
    credits: u32,
}

/// Runs the credit broker.
pub(crate) fn credit(endpoint: &str) -> Result<()> {
    let socket = bound(&Context::new(), SocketType::ROUTER, endpoint)?;
    let (workers, places, waiting) = (Vec::new(), HashMap::new(), VecDeque::new());
    let mut broker = Credit { socket, workers, places, waiting, turn: 0 };
    loop {
        let mut next = Some(wait(&broker.socket)?);
        while let Some(id) = next {
            broker.take_from(id)?;
            next = take(&broker.socket)?;
        }
    }
}

impl Credit {
    /// Takes the message of which this is the sender.
    fn take_from(&mut self, sender: Message) -> Result<()> {
        // libzmq hands a message out only once all of it is there.
        let first = wait(&self.socket)?;
        if let Some(&place) = self.places.get(&sender[..]) {
            let result = wait(&self.socket)?;
            self.socket.send(first, SNDMORE)?;
            self.socket.send(result, 0)?;
            self.workers[place].credits += 1;
            return match self.waiting.pop_front() {
                Some(job) => self.hand_out(place, job),
                None => Ok(()),
            };
        }
        if first.len() == CREDITS_LEN {
            let credits = u32::from_le_bytes([first[0], first[1], first[2], first[3]]);
            self.places.insert(sender.to_vec(), self.workers.len());
            self.workers.push(Worker { id: sender.to_vec(), credits });
            return self.catch_up();
        }
        match self.free() {
            Some(place) => self.hand_out(place, (sender, first)),
            None => {
                self.waiting.push_back((sender, first));
                Ok(())
            }
        }
    }

    /// What waited before there was a worker.
    fn catch_up(&mut self) -> Result<()> {
        while let Some(place) = self.free() {
            let Some(job) = self.waiting.pop_front() else { break };
            self.hand_out(place, job)?;
        }
        Ok(())
    }

    /// The next worker with credit, in turn.
    fn free(&mut self) -> Option<usize> {
        let count = self.workers.len();
        let found = (self.turn..self.turn + count)
            .map(|place| place % count)
            .find(|place| self.workers[*place].credits > 0)?;
        self.turn = found + 1;
        Some(found)
    }

    fn hand_out(&mut self, place: usize, (client, job): Job) -> Result<()> {
        let worker = &mut self.workers[place];
        worker.credits -= 1;
        self.socket.send(&worker.id[..], SNDMORE)?;
        self.socket.send(client, SNDMORE)?;
        Ok(self.socket.send(job, 0)?)
    }
}
