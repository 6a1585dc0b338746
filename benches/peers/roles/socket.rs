//! Bare sockets with the options of the product's own: what broker and peers set in `src/net`.

use std::io::{Error, Result};

use zmq::{Context, Message, Socket, SocketType};

/// Bytes libzmq hands to the system in one call, and asks for in one.
const BATCH_LEN: i32 = 128 * 1024;
/// Largest frame.
const FRAME_LEN_MAX: i64 = 2 << 20;

/// Keys of connections over TCP, given to each process in its environment.
const KEYS: [&str; 2] = ["PEERS_CURVE_PUBLIC", "PEERS_CURVE_SECRET"];

/// A socket that peers connect to.
pub(crate) fn bound(context: &Context, kind: SocketType, endpoint: &str) -> Result<Socket> {
    let mut socket = context.socket(kind)?;
    set_common(&mut socket, 10_000, 10_000)?;
    socket.set_linger(200)?;
    if kind == SocketType::ROUTER {
        socket.set_router_mandatory(true)?;
    }
    if let [Some(_), Some(secret)] = keys(endpoint) {
        socket.set_curve_server(true)?;
        socket.set_curve_secretkey(&zmq::z85_decode(&secret).map_err(Error::other)?)?;
    }
    socket.bind(endpoint)?;
    let real = socket.get_last_endpoint()?.map_err(|_| Error::other("an endpoint that is no text"))?;
    println!("listening on {real}");
    Ok(socket)
}

/// A socket that connects.
pub(crate) fn connected(context: &Context, endpoint: &str) -> Result<Socket> {
    let mut socket = context.socket(SocketType::DEALER)?;
    set_common(&mut socket, 100_000, 5_000)?;
    socket.set_linger(1_000)?;
    if let [Some(public), Some(_)] = keys(endpoint) {
        let own = zmq::CurveKeyPair::new()?;
        socket.set_curve_serverkey(&zmq::z85_decode(&public).map_err(Error::other)?)?;
        socket.set_curve_publickey(&own.public_key)?;
        socket.set_curve_secretkey(&own.secret_key)?;
    }
    socket.connect(endpoint)?;
    Ok(socket)
}

fn keys(endpoint: &str) -> [Option<String>; 2] {
    KEYS.map(|name| std::env::var(name).ok().filter(|_| endpoint.starts_with("tcp")))
}

fn set_common(socket: &mut Socket, high_water: i32, handshake_ms: i32) -> Result<()> {
    socket.set_sndhwm(high_water)?;
    socket.set_rcvhwm(high_water)?;
    socket.set_maxmsgsize(FRAME_LEN_MAX)?;
    socket.set_handshake_ivl(handshake_ms)?;
    socket.set_heartbeat_ivl(10_000)?;
    socket.set_heartbeat_timeout(30_000)?;
    for option in [zmq_sys::ZMQ_IN_BATCH_SIZE, zmq_sys::ZMQ_OUT_BATCH_SIZE] {
        let value = BATCH_LEN.to_ne_bytes();
        // SAFETY: the socket is open and the value as long as said.
        let set = unsafe {
            let socket = socket.as_mut_ptr();
            zmq_sys::zmq_setsockopt(socket, option as i32, value.as_ptr().cast(), value.len())
        };
        if set != 0 {
            return Err(Error::other("libzmq has no batch sizes"));
        }
    }
    Ok(())
}

/// The next frame, if one is there.
pub(crate) fn take(socket: &Socket) -> Result<Option<Message>> {
    let mut message = Message::new();
    match socket.recv(&mut message, zmq::DONTWAIT) {
        Ok(()) => Ok(Some(message)),
        Err(zmq::Error::EAGAIN) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// The next frame; waits for it.
pub(crate) fn wait(socket: &Socket) -> Result<Message> {
    let mut message = Message::new();
    socket.recv(&mut message, 0)?;
    Ok(message)
}
