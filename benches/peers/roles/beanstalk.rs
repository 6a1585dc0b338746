//! Echo over two beanstalkd tubes. A worker puts a result, deletes the job and reserves the next one in one write; a
//! client puts many jobs at once on one connection, and deletes a result and reserves the next in one write on another.
//!
//! Invariant: few replies are unread at any time. The server answers a Unix socket only while it has room for many
//! more, and reads nothing before: with some 70 replies unread everybody would wait for ever.

use std::io::Result;

use super::echo::{Echo, Pattern};
use super::stream::{Stream, number, unexpected};

/// Puts of which no reply was read.
const PUTS: usize = 32;

struct Connection {
    stream: Stream,
    /// Puts of which no reply was read.
    puts: usize,
}

impl Connection {
    fn open(address: &str, commands: &[&str]) -> Result<Connection> {
        let mut stream = Stream::connect(address)?;
        for command in commands {
            stream.push(format!("{command}\r\n").as_bytes())?;
            stream.flush()?;
            let line = stream.line()?;
            if !line.starts_with(b"WATCHING") && !line.starts_with(b"USING") {
                return Err(unexpected(line));
            }
        }
        Ok(Connection { stream, puts: 0 })
    }

    fn put(&mut self, parts: [&[u8]; 2]) -> Result<()> {
        self.stream.push(b"put 0 0 3600 ")?;
        self.stream.push_number(parts[0].len() + parts[1].len())?;
        self.stream.push(b"\r\n")?;
        self.stream.push(parts[0])?;
        self.stream.push(parts[1])?;
        self.puts += 1;
        self.stream.push(b"\r\n")
    }

    /// Writes what was put, and reads the replies but the last few.
    fn confirm(&mut self, but: usize) -> Result<()> {
        self.stream.flush()?;
        while self.puts > but {
            let line = self.stream.line()?;
            if !line.starts_with(b"INSERTED") {
                return Err(unexpected(line));
            }
            self.puts -= 1;
        }
        Ok(())
    }

    /// Deletes the job before, if there was one, and takes the next; waits for it. Gives its id.
    fn reserve(&mut self, before: Option<&[u8]>, payload: &mut Vec<u8>) -> Result<Vec<u8>> {
        if let Some(id) = before {
            self.stream.push(b"delete ")?;
            self.stream.push(id)?;
            self.stream.push(b"\r\n")?;
        }
        self.stream.push(b"reserve\r\n")?;
        self.confirm(0)?;
        if before.is_some() && self.stream.line()? != b"DELETED" {
            return Err(unexpected(b"a job that cannot be deleted"));
        }
        let line = self.stream.line()?;
        let Some(rest) = line.strip_prefix(b"RESERVED ") else { return Err(unexpected(line)) };
        let mut words = rest.split(|byte| *byte == b' ');
        let id = words.next().unwrap_or(b"").to_vec();
        let len = number(words.next().unwrap_or(b""))?;
        payload.clear();
        payload.extend_from_slice(self.stream.block(len)?);
        Ok(id)
    }
}

pub(crate) struct Client {
    jobs: Connection,
    results: Connection,
    payload: Vec<u8>,
    /// The last result's id, which is deleted with the next write.
    last: Option<Vec<u8>>,
}

impl Client {
    pub(crate) fn connect(address: &str) -> Result<Client> {
        let jobs = Connection::open(address, &["use jobs"])?;
        let results = Connection::open(address, &["watch results", "ignore default"])?;
        Ok(Client { jobs, results, payload: Vec::new(), last: None })
    }
}

impl Echo for Client {
    fn send(&mut self, pattern: &Pattern, tags: &[u64]) -> Result<()> {
        for tag in tags {
            let (head, rest) = pattern.parts(*tag);
            if self.jobs.puts >= PUTS {
                self.jobs.confirm(PUTS / 2)?;
            }
            self.jobs.put([&head, rest])?;
        }
        self.jobs.stream.flush()
    }

    fn receive(&mut self, pattern: &Pattern, tags: &mut Vec<u64>) -> Result<()> {
        self.last = Some(self.results.reserve(self.last.as_deref(), &mut self.payload)?);
        tags.push(pattern.tag_of(&self.payload)?);
        Ok(())
    }
}

/// Puts every job's payload into the tube of results.
pub(crate) fn worker(address: &str) -> Result<()> {
    let mut tubes = Connection::open(address, &["use results", "watch jobs", "ignore default"])?;
    println!("ready");
    let mut payload = Vec::new();
    let mut id = tubes.reserve(None, &mut payload)?;
    loop {
        tubes.put([&payload, &[]])?;
        id = tubes.reserve(Some(&id), &mut payload)?;
    }
}
