//! What is done to the processes, and in which order.

use crate::cast::{CLIENTS, Cast, WORKERS};
use crate::proxy::Does;
use crate::work::Random;

/// Payloads that fill the store, in bytes.
const FAT: u64 = 64 << 10;

/// A kind of fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Fault {
    /// kill -9 of the broker.
    KillBroker,
    /// kill -9 of the broker, and of the next one while it starts.
    KillBrokerTwice,
    /// kill -9 of a worker.
    KillWorker,
    /// kill -9 of a client.
    KillClient,
    /// kill -9 of one of each kind.
    KillSome,
    /// kill -9 of everybody.
    KillAll,
    /// The broker stands still.
    StopBroker,
    /// A worker stands still beyond its lease.
    StopWorker,
    /// A client stands still.
    StopClient,
    /// The proxy of the clients forwards nothing, then drops its connections.
    CutClients,
    /// The same with the workers' one.
    CutWorkers,
    /// The store has reached its limit, while no worker works.
    FullStore,
    /// The disk below the store is full, while no worker works.
    FullDisk,
    /// The same, and the broker is killed with -9 and starts on the full disk.
    FullDiskKill,
}

impl Fault {
    /// All of them.
    pub(crate) const ALL: [Fault; 14] = [
        Fault::KillBroker,
        Fault::KillBrokerTwice,
        Fault::KillWorker,
        Fault::KillClient,
        Fault::KillSome,
        Fault::KillAll,
        Fault::StopBroker,
        Fault::StopWorker,
        Fault::StopClient,
        Fault::CutClients,
        Fault::CutWorkers,
        Fault::FullStore,
        Fault::FullDisk,
        Fault::FullDiskKill,
    ];

    /// Whether it takes a disk that can be filled.
    pub(crate) fn needs_disk(self) -> bool {
        matches!(self, Fault::FullDisk | Fault::FullDiskKill)
    }

    /// Sessions of workers that end by it while jobs run, at most.
    pub(crate) fn losses_max(self) -> u64 {
        match self {
            Fault::KillWorker | Fault::KillSome | Fault::StopWorker => 1,
            Fault::CutWorkers => (WORKERS / 2) as u64,
            Fault::KillAll | Fault::FullStore | Fault::FullDisk | Fault::FullDiskKill => WORKERS as u64,
            _ => 0,
        }
    }
}

/// The faults in an order that the seed decides: each comes once before any comes again.
pub(crate) struct Schedule {
    random: Random,
    kinds: Vec<Fault>,
    left: Vec<Fault>,
}

impl Schedule {
    /// One of these kinds.
    pub(crate) fn new(seed: u64, kinds: Vec<Fault>) -> Schedule {
        Schedule { random: Random(seed), kinds, left: Vec::new() }
    }

    /// What comes next, and the random numbers for it.
    pub(crate) fn next(&mut self) -> (Fault, Random) {
        if self.left.is_empty() {
            self.left.clone_from(&self.kinds);
        }
        let at = self.random.below(self.left.len() as u64) as usize;
        (self.left.swap_remove(at), Random(self.random.next()))
    }
}

/// Lets it happen and puts right again what it broke. What the processes make of it is not waited for.
pub(crate) fn strike(cast: &mut Cast, fault: Fault, random: &mut Random) {
    let one = |random: &mut Random, of: usize| random.below(of as u64) as usize;
    match fault {
        Fault::KillBroker => {
            cast.broker.kill();
            cast.pass(random.below(400));
            cast.start_broker();
        }
        Fault::KillBrokerTwice => {
            cast.broker.kill();
            cast.start_broker_unawaited();
            cast.pass(random.below(40));
            cast.broker.kill();
            cast.start_broker();
        }
        Fault::KillWorker => {
            let worker = one(random, WORKERS);
            cast.workers[worker].kill();
            cast.pass(random.below(600));
            cast.start_worker(worker);
        }
        Fault::KillClient => {
            let client = one(random, CLIENTS);
            cast.clients[client].kill();
            cast.pass(random.below(300));
            cast.start_client(client, "busy");
        }
        Fault::KillSome => {
            let (worker, client) = (one(random, WORKERS), one(random, CLIENTS));
            cast.clients[client].kill();
            cast.broker.kill();
            cast.workers[worker].kill();
            cast.start_client(client, "busy");
            cast.pass(random.below(200));
            cast.start_broker();
            cast.start_worker(worker);
        }
        Fault::KillAll => kill_all(cast, random),
        Fault::StopBroker => stall(cast, 200 + random.below(1_500), |cast| &cast.broker),
        Fault::StopWorker => {
            let worker = one(random, WORKERS);
            stall(cast, 1_000 + random.below(1_200), |cast| &cast.workers[worker]);
        }
        Fault::StopClient => {
            let client = one(random, CLIENTS);
            stall(cast, 200 + random.below(1_500), |cast| &cast.clients[client]);
        }
        Fault::CutClients | Fault::CutWorkers => cut(cast, fault, random),
        Fault::FullStore | Fault::FullDisk | Fault::FullDiskKill => fill(cast, fault, random),
    }
}

fn kill_all(cast: &mut Cast, random: &mut Random) {
    let broker_first = random.below(2) == 0;
    if broker_first {
        cast.broker.kill();
    }
    cast.workers.iter_mut().chain(&mut cast.clients).for_each(|actor| actor.kill());
    cast.broker.kill();
    let clients_first = random.below(2) == 0;
    if clients_first {
        (0..CLIENTS).for_each(|client| cast.start_client(client, "busy"));
    }
    cast.pass(random.below(200));
    cast.start_broker();
    if !clients_first {
        (0..CLIENTS).for_each(|client| cast.start_client(client, "busy"));
    }
    (0..WORKERS).for_each(|worker| cast.start_worker(worker));
}

fn stall(cast: &mut Cast, millis: u64, who: impl Fn(&Cast) -> &crate::cast::Actor) {
    who(cast).signal(libc::SIGSTOP);
    cast.pass(millis);
    who(cast).signal(libc::SIGCONT);
}

fn cut(cast: &mut Cast, fault: Fault, random: &mut Random) {
    let proxy = |cast: &Cast, does| match fault {
        Fault::CutClients => cast.clients_proxy.does(does),
        _ => cast.workers_proxy.does(does),
    };
    proxy(cast, Does::Keep);
    cast.pass(100 + random.below(1_400));
    proxy(cast, Does::Drop);
    cast.pass(random.below(800));
    proxy(cast, Does::Forward);
}

/// Nothing is worked off, clients submit large jobs, and there is no room: they are refused by name. Then workers go on
/// while there still is none, and results are taken.
fn fill(cast: &mut Cast, fault: Fault, random: &mut Random) {
    for worker in &cast.workers {
        worker.signal(libc::SIGSTOP);
    }
    if let Some(disk) = cast.disk.as_ref().filter(|_| fault.needs_disk()) {
        disk.fill();
    }
    make_payloads(cast, FAT);
    let before = cast.ledger.refused("ERR_STORE_FULL");
    cast.wait_until("a submission refused because the store is full", |cast| {
        cast.ledger.refused("ERR_STORE_FULL") > before
    });
    if fault == Fault::FullDiskKill {
        cast.broker.kill();
        cast.start_broker();
    }
    cast.pass(random.below(300));
    make_payloads(cast, 0);
    for worker in &cast.workers {
        worker.signal(libc::SIGCONT);
    }
    let told: u64 = cast.ledger.told.iter().sum();
    cast.wait_until("outcomes while there is no room", |cast| cast.ledger.told.iter().sum::<u64>() > told);
    if let Some(disk) = cast.disk.as_ref().filter(|_| fault.needs_disk()) {
        disk.clear();
    }
}

fn make_payloads(cast: &mut Cast, len_min: u64) {
    for client in &mut cast.clients {
        client.process.as_mut().expect("it runs").write(format!("fat {len_min}\n").as_bytes());
    }
}
