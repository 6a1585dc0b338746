//! How a session begins and how it goes on: what HELLO does to a hub.

use crate::core::jobs::SessionId;
use crate::core::session::Input;
use crate::link::hub::{ConnId, Hub, Timer};
use crate::link::lane::Lane;
use crate::link::session::Session;
use crate::model::{Failure, Now, Status};
use crate::wire::command::Hello;
use crate::wire::header::MAJOR;

/// What a HELLO means for the session it names.
enum Meaning {
    /// It goes on where it was.
    Resume,
    /// Its peer had not heard that it was opened, and nothing has been said in it: it is welcomed once more.
    Again,
    /// Its peer has lost track of it, or never knew it: another one is opened.
    Anew,
    /// It is older than a HELLO that was answered, or than a WELCOME that was taken.
    Stale,
}

impl Hub {
    pub(crate) fn hello(&mut self, now: Now, conn: ConnId, identity: &str, hello: Hello) {
        if hello.min > MAJOR || hello.max < MAJOR {
            let message = format!(
                "the peer speaks protocol versions {} to {}, the broker {MAJOR}",
                hello.min, hello.max
            );
            return self.refuse(conn, Failure::new(Status::Protocol, message));
        }
        let known = self.by_secret.get(&hello.session).copied();
        let Some(session) = known.and_then(|id| self.sessions.get(&id)) else {
            return self.open_session(now, conn, identity, hello);
        };
        if session.identity != identity {
            let message = "the session belongs to another user or key";
            return self.refuse(conn, Failure::new(Status::Denied, message));
        }
        let id = session.id;
        match meaning(session, &hello) {
            Meaning::Stale => self.counters.strange_packets += 1,
            Meaning::Resume => self.go_on(now, conn, id, &hello, false),
            Meaning::Again => self.go_on(now, conn, id, &hello, true),
            Meaning::Anew => {
                self.forget(now, id);
                self.inputs.push_back(Input::Closed { session: id, on_purpose: false });
                self.open_session(now, conn, identity, hello);
            }
        }
    }

    fn open_session(&mut self, now: Now, conn: ConnId, identity: &str, hello: Hello) {
        if self.sessions.len() >= self.limits.sessions {
            let message = format!("the broker holds {} sessions, which is its limit", self.limits.sessions);
            return self.refuse(conn, Failure::new(Status::Busy, message));
        }
        if self.connection(now, conn).is_none() {
            let message =
                format!("the broker holds {} connections, which is its limit", self.limits.connections);
            return self.refuse(conn, Failure::new(Status::Busy, message));
        }
        let id = SessionId(self.next_session);
        self.next_session += 1;
        let lane = Lane::new(self.terms.window_bytes, self.terms.payload_max);
        let mut session = Session::new(id, &hello, identity, lane);
        session.timer_us = u64::MAX;
        self.timers.insert((u64::MAX, Timer::Session(id)));
        self.by_secret.insert(hello.session, id);
        self.sessions.insert(id, session);
        self.counters.sessions_opened += 1;
        self.inputs.push_back(Input::Opened {
            session: id,
            hello: Box::new(hello),
            identity: identity.to_owned(),
        });
        self.attach(now, conn, id, true);
    }

    fn go_on(&mut self, now: Now, conn: ConnId, id: SessionId, hello: &Hello, again: bool) {
        if self.connection(now, conn).is_none() {
            let message =
                format!("the broker holds {} connections, which is its limit", self.limits.connections);
            return self.refuse(conn, Failure::new(Status::Busy, message));
        }
        let Some(session) = self.sessions.get_mut(&id) else { return };
        session.hello = hello.hello;
        if again {
            session.opened_by = hello.hello;
        }
        session.lane.resync(now.us, if again { 0 } else { hello.received });
        let away = session.conn.is_none();
        self.counters.resyncs += 1;
        if away {
            self.inputs.push_back(Input::Returned { session: id });
        }
        self.attach(now, conn, id, again);
    }

    /// Gives the session this connection, and says WELCOME.
    fn attach(&mut self, now: Now, conn: ConnId, id: SessionId, fresh: bool) {
        let Some(connection) = self.connection(now, conn) else { return };
        connection.who_wanted = false;
        let before = connection.session.replace(id).filter(|before| *before != id);
        if let Some(before) = before {
            // A connection speaks for one session, so that nobody opens many over one: the other has ended.
            self.forget(now, before);
            self.inputs.push_back(Input::Closed { session: before, on_purpose: false });
            if let Some(connection) = self.connection(now, conn) {
                connection.session = Some(id);
            }
        }
        self.incarnation = self.incarnation.checked_add(1).unwrap_or(1);
        let Some(session) = self.sessions.get_mut(&id) else { return };
        let moved_from = session.conn.replace(conn).filter(|from| *from != conn);
        session.incarnation = self.incarnation;
        session.since_us = now.us;
        session.welcome(fresh);
        session.wake(&mut self.ready);
        if let Some(connection) = moved_from.and_then(|from| self.connections.get_mut(&from)) {
            connection.session = None;
        }
        self.arm(id);
    }
}

fn meaning(session: &Session, hello: &Hello) -> Meaning {
    if hello.hello != 0 && hello.hello <= session.hello {
        return Meaning::Stale;
    }
    if hello.welcomed < session.spoken_as {
        // It was sent before the WELCOME that its peer has taken since.
        return Meaning::Stale;
    }
    if hello.kind != session.kind {
        return Meaning::Anew;
    }
    if hello.welcomed < session.opened_by {
        // It had not heard of this session. What was said to it since it may have executed, and would once more.
        return if session.lane.is_untouched() { Meaning::Again } else { Meaning::Anew };
    }
    if session.lane.can_resync(hello.received) { Meaning::Resume } else { Meaning::Anew }
}
