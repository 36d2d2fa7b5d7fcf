//! What the server of Redis clients asks the configuration for, once a request or more often.

use super::live::Live;
use std::time::Duration;

impl Live {
    /// Connections at a time.
    pub fn maxclients(&self) -> usize {
        self.now().server.clients_max as usize
    }

    /// The password clients must know, if there is one.
    pub fn password(&self) -> Option<String> {
        let password = self.now().server.password.clone();
        (!password.is_empty()).then_some(password)
    }

    /// Whether clients from elsewhere are refused while there is no password.
    pub fn protected_mode(&self) -> bool {
        self.now().server.protected_mode
    }

    /// After how many idle seconds a connection is probed; 0 is never.
    pub fn tcp_keepalive_s(&self) -> u64 {
        self.now().server.keepalive_s.0
    }

    /// How long a client may be idle, if there is a limit.
    pub fn client_timeout(&self) -> Option<Duration> {
        let timeout = self.now().server.idle_timeout_s;
        (timeout.0 > 0).then(|| timeout.duration())
    }

    /// What a request may be.
    pub fn resp_limits(&self) -> resp::Limits {
        let config = self.now();
        resp::Limits {
            bulk_bytes_max: config.server.bulk_bytes_max.as_usize(),
            request_bytes_max: config.server.query_buffer_bytes_max.as_usize(),
            ..resp::Limits::default()
        }
    }
}
