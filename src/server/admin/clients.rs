//! CLIENT LIST, KILL, PAUSE, UNPAUSE and UNBLOCK.

use std::fmt::Write;
use std::sync::Arc;
use std::time::Duration;

use resp::{Reply, ReplyError};

use super::blocked::Unblock;
use crate::commands::verbs::{ClientKill, ClientType, KillFilters};
use crate::server::{Client, Server};

/// The only user there is.
const USER: &str = "default";

/// CLIENT LIST.
pub fn list(server: &Server, kind: Option<ClientType>, ids: &[u64]) -> Reply {
    let mut text = String::new();
    for client in server.clients.all() {
        let is_asked_for = ids.is_empty() || ids.contains(&client.id());
        if is_asked_for && kind.is_none_or(|kind| kind == kind_of(&client)) {
            // Writing to a string cannot fail.
            let _ = writeln!(text, "{}", client.describe());
        }
    }
    Reply::text(text)
}

/// Members speak to each other elsewhere, so every connection here is an application's.
fn kind_of(_: &Client) -> ClientType {
    ClientType::Normal
}

/// CLIENT KILL.
pub fn kill(server: &Server, caller: &Client, whom: &ClientKill) -> Reply {
    match whom {
        ClientKill::Address(address) => kill_address(server, address),
        ClientKill::Filters(filters) => kill_matching(server, caller, filters),
    }
}

fn kill_address(server: &Server, address: &str) -> Reply {
    let clients = server.clients.all();
    match clients.iter().find(|client| client.address().to_string() == address) {
        Some(client) => {
            client.kill();
            Reply::OK
        }
        None => Reply::Error(ReplyError::NoSuchClient),
    }
}

fn kill_matching(server: &Server, caller: &Client, filters: &KillFilters) -> Reply {
    if let Some(user) = filters.user.as_ref().filter(|user| *user != USER) {
        return Reply::Error(ReplyError::NoSuchUser(user.clone()));
    }
    let is_spared = |client: &Client| client.id() == caller.id() && !filters.me_too;
    let clients = server.clients.all();
    let doomed: Vec<&Arc<Client>> =
        clients.iter().filter(|client| matches(client, filters) && !is_spared(client)).collect();
    for client in &doomed {
        client.kill();
    }
    Reply::count(doomed.len())
}

fn matches(client: &Client, filters: &KillFilters) -> bool {
    let is = |wanted: &Option<String>, found: std::net::SocketAddr| {
        wanted.as_ref().is_none_or(|wanted| *wanted == found.to_string())
    };
    filters.id.is_none_or(|id| id == client.id())
        && filters.kind.is_none_or(|kind| kind == kind_of(client))
        && is(&filters.address, client.address())
        && is(&filters.local_address, client.local_address())
}

/// CLIENT PAUSE.
pub fn pause(server: &Server, timeout_ms: u64, all: bool) -> Reply {
    server.pause.begin(Duration::from_millis(timeout_ms.min(PAUSE_MS_MAX)), all);
    Reply::OK
}

/// A year: beyond that the clock's arithmetic would end before the pause does.
const PAUSE_MS_MAX: u64 = 365 * 24 * 3600 * 1000;

/// CLIENT UNPAUSE.
pub fn unpause(server: &Server) -> Reply {
    server.pause.end();
    Reply::OK
}

/// CLIENT UNBLOCK.
pub fn unblock(server: &Server, id: u64, error: bool) -> Reply {
    let how = if error { Unblock::Error } else { Unblock::TimeOut };
    Reply::Integer(server.blocked.end(id, how).into())
}
