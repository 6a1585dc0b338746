//! A proxy between TCP and the broker's socket, which can stop forwarding and drop what it forwards.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex};

/// What a proxy does with bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Does {
    /// It passes them on.
    Forward,
    /// It keeps them: connections stand, and nothing moves.
    Keep,
    /// It has none: every connection is closed as soon as it is there.
    Drop,
}

/// A proxy. Its threads end with the test's process.
pub(crate) struct Proxy {
    address: SocketAddr,
    shared: Arc<Shared>,
}

struct Shared {
    broker: PathBuf,
    state: Mutex<State>,
    changed: Condvar,
}

struct State {
    does: Does,
    open: Vec<(TcpStream, UnixStream)>,
}

impl Proxy {
    /// One that passes everything on to the socket at `broker`.
    pub(crate) fn start(broker: &Path) -> Proxy {
        let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a port");
        let address = listener.local_addr().expect("its address");
        let state = Mutex::new(State { does: Does::Forward, open: Vec::new() });
        let shared = Arc::new(Shared { broker: broker.to_owned(), state, changed: Condvar::new() });
        let serving = Arc::clone(&shared);
        std::thread::spawn(move || {
            for client in listener.incoming() {
                serving.serve(client.expect("a connection"));
            }
        });
        Proxy { address, shared }
    }

    /// How clients and workers name it.
    pub(crate) fn endpoint(&self) -> String {
        format!("tcp://{}", self.address)
    }

    /// Does so from now on.
    pub(crate) fn does(&self, does: Does) {
        let mut state = self.shared.state.lock().expect("no thread panics");
        state.does = does;
        if does == Does::Drop {
            for (client, broker) in state.open.drain(..) {
                // One that is closed already is as good.
                let _ = (client.shutdown(Shutdown::Both), broker.shutdown(Shutdown::Both));
            }
        }
        self.shared.changed.notify_all();
    }
}

impl Shared {
    /// Passes one connection on, in two threads of its own.
    fn serve(self: &Arc<Self>, client: TcpStream) {
        if self.wait() == Does::Drop {
            return;
        }
        // While there is no broker, its clients see a connection that ends.
        let Ok(broker) = UnixStream::connect(&self.broker) else { return };
        let pair = || Some((client.try_clone().ok()?, broker.try_clone().ok()?));
        let (Some(kept), Some((client_out, broker_in))) = (pair(), pair()) else { return };
        client.set_nodelay(true).expect("a socket");
        self.state.lock().expect("no thread panics").open.push(kept);
        let (there, back) = (Arc::clone(self), Arc::clone(self));
        std::thread::spawn(move || {
            there.pump(&client, &broker);
            let _ = (client.shutdown(Shutdown::Both), broker.shutdown(Shutdown::Both));
        });
        std::thread::spawn(move || {
            back.pump(&broker_in, &client_out);
            let _ = (client_out.shutdown(Shutdown::Both), broker_in.shutdown(Shutdown::Both));
        });
    }

    /// From one side to the other until one of them ends.
    fn pump<From, To>(&self, mut from: &From, mut to: &To)
    where
        for<'a> &'a From: Read,
        for<'a> &'a To: Write,
    {
        let mut bytes = vec![0; 64 << 10];
        while let Ok(len @ 1..) = from.read(&mut bytes) {
            if self.wait() == Does::Drop || to.write_all(&bytes[..len]).is_err() {
                return;
            }
        }
    }

    /// Waits until something moves, and says what it does then.
    fn wait(&self) -> Does {
        let mut state = self.state.lock().expect("no thread panics");
        while state.does == Does::Keep {
            state = self.changed.wait(state).expect("no thread panics");
        }
        state.does
    }
}
