//! Client and worker of the proxy and of the credit broker: one message for each job, as many as are there before
//! waiting again.

use std::io::Result;

use zmq::{Context, DONTWAIT, Message, SNDMORE, Socket};

use super::echo::{Echo, Pattern};
use super::socket::{connected, take, wait};

pub(crate) struct Client(Socket);

impl Client {
    pub(crate) fn connect(endpoint: &str) -> Result<Client> {
        Ok(Client(connected(&Context::new(), endpoint)?))
    }
}

impl Echo for Client {
    fn send(&mut self, pattern: &Pattern, tags: &[u64]) -> Result<()> {
        for tag in tags {
            let mut message = Message::with_size(pattern.len());
            let (head, rest) = pattern.parts(*tag);
            message[..head.len()].copy_from_slice(&head);
            message[head.len()..].copy_from_slice(rest);
            self.0.send(message, 0)?;
        }
        Ok(())
    }

    fn receive(&mut self, pattern: &Pattern, tags: &mut Vec<u64>) -> Result<()> {
        let mut next = Some(wait(&self.0)?);
        while let Some(message) = next {
            tags.push(pattern.tag_of(&message)?);
            next = take(&self.0)?;
        }
        Ok(())
    }
}

/// Sends every job back with the frame before it, which says whose it is. With credits it says how many it takes.
pub(crate) fn worker(endpoint: &str, credits: u32) -> Result<()> {
    let socket = connected(&Context::new(), endpoint)?;
    if credits > 0 {
        socket.send(&credits.to_le_bytes()[..], 0)?;
    }
    loop {
        let mut next = Some(wait(&socket)?);
        while let Some(message) = next {
            let flags = if message.get_more() { SNDMORE } else { 0 };
            socket.send(message, flags | DONTWAIT)?;
            next = take(&socket)?;
        }
    }
}
