//! The node's clock of the day, for what is shown to people and never replicated.

use std::time::{SystemTime, UNIX_EPOCH};

use resp::Reply;

/// TIME: seconds and microseconds since 1970.
pub fn time() -> Reply {
    let micros = unix_micros();
    let parts = [micros / 1_000_000, micros % 1_000_000];
    Reply::Array(parts.into_iter().map(|part| Reply::bulk(part.to_string())).collect())
}

/// Microseconds since 1970 by this node's clock.
#[expect(clippy::disallowed_methods, reason = "shown to people, never replicated")]
pub fn unix_micros() -> u64 {
    // A clock before 1970 is shown as 1970.
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_micros() as u64)
}

/// Seconds since 1970 by this node's clock.
pub fn unix_seconds() -> u64 {
    unix_micros() / 1_000_000
}
