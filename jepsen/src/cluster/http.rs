//! Requests over HTTP to a node, with a limit of time.

use std::net::SocketAddr;
use std::time::Duration;

use serde_json::Value;
use ureq::Agent;

/// What every node of a cluster of Talus wants to be shown below `/v1`.
pub const TOKEN: &str = "jepsen";

/// What is asked for.
#[derive(Debug, Clone, PartialEq)]
pub enum Request {
    /// To see something.
    Get,
    /// To do something, with a body if that takes one.
    Post(Option<Value>),
    /// To remove something.
    Delete,
}

/// An agent that gives up after `limit`.
pub fn agent(limit: Duration) -> Agent {
    let config = Agent::config_builder();
    config.timeout_global(Some(limit)).http_status_as_error(false).build().into()
}

/// Asks `node`. The status and the body, or why there is none.
pub fn ask(
    agent: &Agent,
    node: SocketAddr,
    path: &str,
    request: &Request,
) -> Result<(u16, String), String> {
    let url = format!("http://{node}{path}");
    let token = format!("Bearer {TOKEN}");
    let sent = match request {
        Request::Get => agent.get(&url).header("Authorization", &token).call(),
        Request::Delete => agent.delete(&url).header("Authorization", &token).call(),
        Request::Post(None) => agent.post(&url).header("Authorization", &token).send_empty(),
        Request::Post(Some(body)) => {
            agent.post(&url).header("Authorization", &token).send_json(body)
        }
    };
    let mut answer = sent.map_err(|error| error.to_string())?;
    let status = answer.status().as_u16();
    Ok((status, answer.body_mut().read_to_string().map_err(|error| error.to_string())?))
}

/// The value of a metric in the text format of Prometheus.
pub fn metric(text: &str, name: &str) -> Option<f64> {
    let value = |line: &str| {
        let rest = line.strip_prefix(name)?;
        let rest = rest.strip_prefix("{}").unwrap_or(rest);
        rest.strip_prefix(' ')?.trim().parse().ok()
    };
    text.lines().find_map(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metrics_are_found_by_their_whole_name() {
        let text = "# HELP x\ntalus_raft_leads{} 1.0\ntalus_raft_leads_more 7\nterm 12\n";
        assert_eq!(metric(text, "talus_raft_leads"), Some(1.0));
        assert_eq!(metric(text, "term"), Some(12.0));
        assert_eq!(metric(text, "talus_raft"), None);
    }
}
