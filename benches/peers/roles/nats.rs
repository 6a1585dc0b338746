//! Request and reply over nats-server's text protocol: requests to one subject, workers in one queue group, replies to
//! a subject of the client's inbox for each open request. Everything that is ready leaves in one write.

use std::io::Result;

use super::echo::{Echo, Pattern};
use super::stream::{Stream, number, unexpected};

struct Connection(Stream);

/// What a message's line says.
struct Head {
    reply: Vec<u8>,
    len: usize,
}

impl Connection {
    fn open(address: &str, subscription: &str) -> Result<Connection> {
        let mut stream = Stream::connect(address)?;
        stream.push(b"CONNECT {\"verbose\":false,\"pedantic\":false}\r\n")?;
        stream.push(subscription.as_bytes())?;
        stream.push(b"\r\nPING\r\n")?;
        stream.flush()?;
        loop {
            match stream.line()? {
                b"PONG" => return Ok(Connection(stream)),
                line if line.starts_with(b"INFO") => {}
                line => return Err(unexpected(line)),
            }
        }
    }

    /// The line of the next message.
    fn head(&mut self) -> Result<Head> {
        loop {
            let line = self.0.line()?;
            match line.strip_prefix(b"MSG ") {
                Some(rest) => {
                    let words: Vec<&[u8]> = rest.split(|byte| *byte == b' ').collect();
                    let reply = if words.len() > 3 { words[2].to_vec() } else { Vec::new() };
                    return Ok(Head { reply, len: number(words[words.len() - 1])? });
                }
                None if line == b"PING" => self.0.push(b"PONG\r\n")?,
                None if line.starts_with(b"INFO") || line == b"PONG" => {}
                None => return Err(unexpected(line)),
            }
        }
    }

    fn publish(&mut self, subject: &[u8], reply: Option<usize>, len: usize) -> Result<()> {
        self.0.push(b"PUB ")?;
        self.0.push(subject)?;
        if let Some(reply) = reply {
            self.0.push(b" _INBOX.client.")?;
            self.0.push_number(reply)?;
        }
        self.0.push(b" ")?;
        self.0.push_number(len)?;
        self.0.push(b"\r\n")
    }
}

pub(crate) struct Client(Connection);

impl Client {
    pub(crate) fn connect(address: &str) -> Result<Client> {
        Ok(Client(Connection::open(address, "SUB _INBOX.client.* 1")?))
    }
}

impl Echo for Client {
    fn send(&mut self, pattern: &Pattern, tags: &[u64]) -> Result<()> {
        for tag in tags {
            let (head, rest) = pattern.parts(*tag);
            self.0.publish(b"work", Some(*tag as u32 as usize), pattern.len())?;
            self.0.0.push(&head)?;
            self.0.0.push(rest)?;
            self.0.0.push(b"\r\n")?;
        }
        self.0.0.flush()
    }

    fn receive(&mut self, pattern: &Pattern, tags: &mut Vec<u64>) -> Result<()> {
        loop {
            let head = self.0.head()?;
            tags.push(pattern.tag_of(self.0.0.block(head.len)?)?);
            if !self.0.0.has_line_and(pattern.len()) {
                return Ok(());
            }
        }
    }
}

/// Answers every request with what it brought.
pub(crate) fn worker(address: &str) -> Result<()> {
    let mut connection = Connection::open(address, "SUB work echo 1")?;
    println!("ready");
    let mut payload = Vec::new();
    loop {
        let head = connection.head()?;
        payload.clear();
        payload.extend_from_slice(connection.0.block(head.len)?);
        connection.publish(&head.reply, None, head.len)?;
        connection.0.push(&payload)?;
        connection.0.push(b"\r\n")?;
        if !connection.0.has_line_and(head.len) {
            connection.0.flush()?;
        }
    }
}
