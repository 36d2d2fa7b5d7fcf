//! `# Clients`: connections.

use super::{Facts, Field, field, zeros};

pub(super) fn fields(facts: &Facts<'_>) -> Vec<Field> {
    let server = facts.server;
    let mut fields = vec![
        field("connected_clients", server.clients.len()),
        field("cluster_connections", 0),
        field("maxclients", server.config.config().server.clients_max),
    ];
    fields.extend(zeros(["client_recent_max_input_buffer", "client_recent_max_output_buffer"]));
    fields.push(field("blocked_clients", server.blocked.len()));
    fields.extend(zeros([
        "tracking_clients",
        "clients_in_timeout_table",
        "total_blocking_keys",
        "total_blocking_keys_on_nokey",
    ]));
    fields
}
