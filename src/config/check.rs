//! What must hold between settings.

use super::address::{binding, host_and_port};
use super::problem::Problem;
use super::settings::Config;
use super::value::Listen;

/// Everything about `config` that cannot work, though each value alone could.
pub fn check(config: &Config) -> Vec<Problem> {
    CHECKS.iter().filter_map(|check| check(config)).collect()
}

const CHECKS: &[fn(&Config) -> Option<Problem>] =
    &[binds, ports, advertise, join, replica, elections, batches, memory, http_token];

fn problem(wrong: bool, message: impl Into<String>, help: impl Into<String>) -> Option<Problem> {
    wrong.then(|| Problem::new(message, help))
}

fn binds(config: &Config) -> Option<Problem> {
    let help = "server.bind takes IP addresses, '*' and '::*', each with an optional '-' before it";
    if config.server.bind.0.is_empty() {
        return problem(true, "server.bind is empty", help);
    }
    let wrong = config.server.bind.0.iter().find(|word| binding(word, 0).is_none())?;
    problem(true, format!("server.bind: '{wrong}' is not an address"), help)
}

fn ports(config: &Config) -> Option<Problem> {
    let resp = config.server.port;
    if config.raft.port == 0 && resp > 55535 {
        let message = format!("no port 10000 above server.port {resp} for other nodes");
        return problem(true, message, "set raft.port");
    }
    if config.admin.listen == Listen::Auto && resp == 65535 {
        return problem(true, "no port one above server.port for HTTP", "set admin.listen");
    }
    let rpc = config.rpc_port();
    let http = config.http_address().map_or(0, |address| address.port());
    let message = "Redis clients, HTTP and other nodes need a port each";
    let twice = resp == rpc || resp == http || rpc == http;
    problem(twice, message, format!("they are {resp} (server), {http} (admin), {rpc} (raft)"))
}

fn advertise(config: &Config) -> Option<Problem> {
    let text = &config.node.advertise;
    let right = text.is_empty() || host_and_port(text, config.server.port).is_some();
    problem(
        !right,
        format!("node.advertise: '{text}' is not HOST or HOST:PORT"),
        "as in 10.0.0.1:6379",
    )
}

fn join(config: &Config) -> Option<Problem> {
    let wrong = config.node.join.0.iter().find(|text| host_and_port(text, 6379).is_none())?;
    problem(true, format!("node.join: '{wrong}' is not HOST:PORT"), "as in 10.0.0.1:6379")
}

fn replica(config: &Config) -> Option<Problem> {
    let alone = config.node.replica && config.node.join.0.is_empty();
    problem(alone, "a replica needs a cluster to join", "set node.join (--join HOST:PORT)")
}

fn elections(config: &Config) -> Option<Problem> {
    let raft = &config.raft;
    let (min, max) = (raft.election_timeout_min_ms.0, raft.election_timeout_max_ms.0);
    let message = "raft.election_timeout_min_ms must be below raft.election_timeout_max_ms";
    problem(min >= max, message, format!("they are {min} and {max}")).or_else(|| {
        let beat = raft.heartbeat_ms.0;
        let message = "raft.election_timeout_min_ms must be at least twice raft.heartbeat_ms";
        problem(min < 2 * beat, message, format!("they are {min} and {beat}"))
    })
}

fn batches(config: &Config) -> Option<Problem> {
    let raft = &config.raft;
    let message = "raft.batch_bytes_max must not exceed raft.entry_bytes_max";
    problem(raft.batch_bytes_max > raft.entry_bytes_max, message, "a batch is one entry")
}

fn memory(config: &Config) -> Option<Problem> {
    let bytes = config.storage.memory_bytes.0;
    let message = "storage.memory_bytes must be at least 32mb, or 0";
    problem((1..MEMORY_BYTES_MIN).contains(&bytes), message, "0 is a quarter of the machine's")
}

/// With less, not even the write buffers find room.
const MEMORY_BYTES_MIN: u64 = 32 << 20;

fn http_token(config: &Config) -> Option<Problem> {
    let address = config.http_address()?;
    let open = !address.ip().is_loopback() && config.admin.token.is_empty();
    let message = format!("admin.listen {address} is open to other machines without a token");
    problem(open, message, "set admin.token, or listen on a loopback address")
}
