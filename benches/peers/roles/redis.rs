//! Echo over two Redis lists: jobs pushed many at once, taken many at once by a blocking BLMPOP, and results the same
//! way back. Each side sends what it pushes and its next BLMPOP in one write. A worker that dies loses what it took.

use std::io::Result;

use super::echo::{Echo, Pattern};
use super::stream::{Stream, number, unexpected};

/// Entries a worker takes at once; a client takes all there are.
const WORKER_TAKES: &str = "100";
const CLIENT_TAKES: &str = "1000";

struct Connection {
    stream: Stream,
    /// Replies to RPUSH that are still to come.
    pushes: usize,
}

impl Connection {
    fn open(address: &str) -> Result<Connection> {
        Ok(Connection { stream: Stream::connect(address)?, pushes: 0 })
    }

    fn word(&mut self, word: &[u8]) -> Result<()> {
        self.stream.push(b"$")?;
        self.stream.push_number(word.len())?;
        self.stream.push(b"\r\n")?;
        self.stream.push(word)?;
        self.stream.push(b"\r\n")
    }

    /// Begins to push so many entries.
    fn begin_push(&mut self, list: &str, entries: usize) -> Result<()> {
        self.stream.push(b"*")?;
        self.stream.push_number(entries + 2)?;
        self.stream.push(b"\r\n")?;
        self.word(b"RPUSH")?;
        self.pushes += 1;
        self.word(list.as_bytes())
    }

    /// Asks for entries of a list, waiting for the first, and says how many came.
    fn pop(&mut self, list: &str, count: &str) -> Result<usize> {
        self.stream.push(b"*7\r\n")?;
        for word in ["BLMPOP", "0", "1", list, "LEFT", "COUNT", count] {
            self.word(word.as_bytes())?;
        }
        self.stream.flush()?;
        for _ in 0..std::mem::take(&mut self.pushes) {
            self.header(b':')?;
        }
        if self.header(b'*')? != 2 {
            return Err(unexpected(b"an answer to BLMPOP without a list"));
        }
        self.entry()?;
        self.header(b'*')
    }

    fn header(&mut self, kind: u8) -> Result<usize> {
        let line = self.stream.line()?;
        match line.split_first() {
            Some((first, rest)) if *first == kind => number(rest),
            _ => Err(unexpected(line)),
        }
    }

    fn entry(&mut self) -> Result<&[u8]> {
        let len = self.header(b'$')?;
        self.stream.block(len)
    }
}

pub(crate) struct Client(Connection);

impl Client {
    pub(crate) fn connect(address: &str) -> Result<Client> {
        Ok(Client(Connection::open(address)?))
    }
}

impl Echo for Client {
    fn send(&mut self, pattern: &Pattern, tags: &[u64]) -> Result<()> {
        self.0.begin_push("jobs", tags.len())?;
        for tag in tags {
            let (head, rest) = pattern.parts(*tag);
            self.0.stream.push(b"$")?;
            self.0.stream.push_number(pattern.len())?;
            self.0.stream.push(b"\r\n")?;
            self.0.stream.push(&head)?;
            self.0.stream.push(rest)?;
            self.0.stream.push(b"\r\n")?;
        }
        Ok(())
    }

    fn receive(&mut self, pattern: &Pattern, tags: &mut Vec<u64>) -> Result<()> {
        for _ in 0..self.0.pop("results", CLIENT_TAKES)? {
            tags.push(pattern.tag_of(self.0.entry()?)?);
        }
        Ok(())
    }
}

/// Pushes every job's payload to the results.
pub(crate) fn worker(address: &str) -> Result<()> {
    let mut connection = Connection::open(address)?;
    println!("ready");
    let mut payload = Vec::new();
    loop {
        let count = connection.pop("jobs", WORKER_TAKES)?;
        connection.begin_push("results", count)?;
        for _ in 0..count {
            payload.clear();
            payload.extend_from_slice(connection.entry()?);
            connection.word(&payload)?;
        }
    }
}
