//! Membership of a cluster of Talus, by its administration over HTTP.

use std::net::SocketAddr;
use std::time::Duration;

use serde::Deserialize;
use serde_json::Value;

use super::http::{self, Request};
use super::{Cluster, Problem};

/// Longer than most changes take, and shorter than a fault lasts.
const PATIENCE: Duration = Duration::from_secs(6);

/// For a node that may well be unable to answer.
const SHORT: Duration = Duration::from_secs(2);

/// A member of the cluster, as others see it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Member {
    /// Its id, which is never given twice.
    pub id: u64,
    resp: SocketAddr,
    /// `leader`, `voter`, `learner` or `replica`.
    pub role: String,
    /// `healthy`, `catching_up` or `unreachable`.
    pub state: String,
    /// The node that it is, if that is one of ours.
    #[serde(skip)]
    pub node: Option<u32>,
}

impl Member {
    /// Whether it counts for the quorum.
    pub fn votes(&self) -> bool {
        ["leader", "voter"].contains(&self.role.as_str())
    }
}

impl Cluster {
    /// Asks one node. The error begins with the code of the refusal, if it is one.
    pub fn ask(&self, node: u32, path: &str, request: &Request) -> Result<Value, Problem> {
        self.ask_within(node, path, request, PATIENCE)
    }

    /// As `ask`, and gives up after `limit`.
    pub fn ask_within(
        &self,
        node: u32,
        path: &str,
        request: &Request,
        limit: Duration,
    ) -> Result<Value, Problem> {
        if !self.is_talus() {
            return Err(Problem::new("unsupported", "only Talus has such requests"));
        }
        let at = self.http(node);
        let agent = http::agent(limit);
        let asked = self.network().among_clients(|| http::ask(&agent, at, path, request))?;
        let (status, text) = asked.map_err(|error| Problem::new(at, error))?;
        let body: Value = serde_json::from_str(&text).unwrap_or(Value::String(text));
        if status == 200 {
            return Ok(body);
        }
        let field = |name: &str| body[name].as_str().unwrap_or("?").to_owned();
        Err(Problem::new(field("code"), field("message")))
    }

    /// Asks the leader, or whoever answers first.
    pub fn ask_any(&self, path: &str, request: &Request) -> Result<Value, Problem> {
        let mut last = Problem::new("nobody", "could be asked");
        for node in self.leader().into_iter().chain(1..=self.spare()) {
            if !self.node(node)?.runs() {
                continue;
            }
            match self.ask(node, path, request) {
                Err(problem) if !problem.is_final() => last = problem,
                outcome => return outcome,
            }
        }
        Err(last)
    }

    /// The members, as the leader sees them, or whoever answers first.
    pub fn members(&self) -> Result<Vec<Member>, Problem> {
        let view = self.ask_any("/v1/cluster", &Request::Get)?;
        let members: Result<Vec<Member>, _> = serde_json::from_value(view["members"].clone());
        let mut members = members.map_err(|error| Problem::new("/v1/cluster", error))?;
        for member in &mut members {
            member.node = match member.resp {
                SocketAddr::V4(at) => self.network().node_at(*at.ip(), self.spare()),
                SocketAddr::V6(_) => None,
            };
        }
        Ok(members)
    }

    /// The newest id of the node.
    pub fn member(&self, node: u32) -> Result<Member, Problem> {
        let mut members = self.members()?;
        members.retain(|member| member.node == Some(node));
        members.pop().ok_or_else(|| Problem::new(format!("node {node}"), "is no member"))
    }

    /// Makes another node the leader.
    pub fn transfer(&self, to: u32) -> Result<(), Problem> {
        let id = self.member(to)?.id;
        let request = Request::Post(Some(serde_json::json!({ "to": id })));
        self.ask_any("/v1/leader/transfer", &request).map(drop)
    }

    /// `promote` or `demote`.
    pub fn change_vote(&self, node: u32, verb: &str) -> Result<(), Problem> {
        let id = self.member(node)?.id;
        self.ask_any(&format!("/v1/members/{id}/{verb}"), &Request::Post(None)).map(drop)
    }

    /// Removes every member that the node is, by the word of `through`, or of anybody.
    pub fn remove(&self, node: u32, through: Option<u32>) -> Result<(), Problem> {
        for member in self.members()?.iter().filter(|member| member.node == Some(node)) {
            let path = format!("/v1/members/{}", member.id);
            match through {
                Some(through) => self.ask_within(through, &path, &Request::Delete, SHORT)?,
                None => self.ask_any(&path, &Request::Delete)?,
            };
        }
        Ok(())
    }

    /// Lets the learner `with` take the place of `node`.
    pub fn replace(&self, node: u32, with: u32) -> Result<(), Problem> {
        let (old, new) = (self.member(node)?.id, self.member(with)?.id);
        let request = Request::Post(Some(serde_json::json!({ "with": new })));
        self.ask_any(&format!("/v1/members/{old}/replace"), &request).map(drop)
    }

    /// Lets the node take a snapshot.
    pub fn snapshot(&self, node: u32) -> Result<(), Problem> {
        self.ask(node, "/v1/snapshot", &Request::Post(None)).map(drop)
    }

    /// Whether the node itself says that it is no member any more.
    pub fn is_removed(&self, node: u32) -> bool {
        let answer = self.ask_within(node, "/v1/cluster", &Request::Get, SHORT);
        answer.is_err_and(|problem| problem.0.starts_with("removed:"))
    }
}

impl Problem {
    /// Whether another node would say the same.
    fn is_final(&self) -> bool {
        const CODES: [&str; 4] = ["bad_request", "not_found", "would_break", "unauthorized"];
        CODES.into_iter().any(|code| self.0.starts_with(code))
    }
}
