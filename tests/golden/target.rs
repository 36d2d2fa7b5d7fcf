//! What scripts are run against.

use std::io;
use std::net::SocketAddr;
use std::thread;
use std::time::Duration;

use resp::Reply;
use resp::client::{Client, Timeouts};

use super::script::{Flavor, Script, Step};

/// No reply of a script takes longer, waits included.
const REPLY_TIMEOUT: Duration = Duration::from_secs(10);

/// One process, or whatever answers like one.
pub trait Target {
    fn flavor(&self) -> Flavor;
    /// What this is, for people.
    fn name(&self) -> String {
        format!("{:?}", self.flavor())
    }
    /// Why a script that is for this flavor cannot be run here, if so.
    fn refuses(&self, _script: &Script) -> Option<String> {
        None
    }
    /// Called before each script.
    fn begin(&mut self, _script: &Script) {}
    /// Called before each line with that line and those after it, to disturb.
    fn before_step(&mut self, _steps: &[Step]) {}
    /// Lets time pass.
    fn advance(&mut self, time: Duration) {
        thread::sleep(time);
    }
    /// A connection for the client of that number: on a cluster, each to another node.
    fn connect(&self, client: usize) -> io::Result<Box<dyn Link>>;
}

/// A connection: bytes go out, replies and pushes come in, in their order.
pub trait Link {
    fn send(&mut self, bytes: &[u8]) -> io::Result<()>;
    fn receive(&mut self) -> io::Result<Reply>;
}

impl Link for Client {
    fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.send_raw(bytes);
        self.flush()
    }

    fn receive(&mut self) -> io::Result<Reply> {
        Client::receive(self)
    }
}

/// A connection over TCP.
pub fn connect_to(addr: SocketAddr) -> io::Result<Box<dyn Link>> {
    let timeouts = Timeouts { connect: REPLY_TIMEOUT, io: Some(REPLY_TIMEOUT) };
    Ok(Box::new(Client::connect_within(addr, timeouts)?))
}
