//! What this program is when the measuring one starts it again: `role NAME ...`, one process of a contender.

mod beanstalk;
mod broker;
mod coalesced;
mod echo;
mod nats;
mod packet;
mod plain;
mod records;
mod redis;
mod socket;
mod stream;

use std::io::Result;

/// Plays the role these words name, until the process is ended. Returns only why it cannot go on.
pub(crate) fn play(words: &[String]) -> Result<()> {
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["proxy", clients, workers] => broker::proxy(clients, workers),
        ["credit", endpoint] => broker::credit(endpoint),
        ["coalescing", endpoint] => coalesced::broker(endpoint, None),
        ["coalescing", endpoint, store] => coalesced::broker(endpoint, Some(store.as_ref())),
        ["plain-client", endpoint] => echo::serve(&mut plain::Client::connect(endpoint)?),
        ["plain-worker", endpoint, credits] => plain::worker(endpoint, number(credits)),
        ["coalescing-client", endpoint] => echo::serve(&mut coalesced::Client::connect(endpoint)?),
        ["coalescing-worker", endpoint, credits] => coalesced::worker(endpoint, number(credits)),
        ["nats-client", address] => echo::serve(&mut nats::Client::connect(address)?),
        ["nats-worker", address] => nats::worker(address),
        ["redis-client", address] => echo::serve(&mut redis::Client::connect(address)?),
        ["redis-worker", address] => redis::worker(address),
        ["beanstalk-client", address] => echo::serve(&mut beanstalk::Client::connect(address)?),
        ["beanstalk-worker", address] => beanstalk::worker(address),
        _ => panic!("no such role: {words:?}"),
    }
}

fn number(text: &str) -> u32 {
    text.parse().unwrap_or_else(|_| panic!("{text} is not a number"))
}
