//! INFO: sections of facts, as Redis 7.2 names and orders them.
//!
//! A section is a row of a table; its fields are data, made by one function a section. Names that
//! tools read are kept even where the only truth is zero: there are no forks, no AOF beside the
//! log, no eviction.

mod clients;
mod cluster;
mod commands;
mod cpu;
mod keyspace;
mod memory;
mod persistence;
mod raft;
mod replication;
mod server;
mod stats;
mod talus;

use std::borrow::Cow;
use std::fmt::{Display, Write};
use std::sync::Arc;

use resp::Reply;

use super::place::Place;
use crate::server::{Replica, Server};

/// One line of INFO.
pub struct Field {
    name: Cow<'static, str>,
    value: String,
}

/// A line.
fn field(name: impl Into<Cow<'static, str>>, value: impl Display) -> Field {
    Field { name: name.into(), value: value.to_string() }
}

/// Lines whose only true value is zero.
fn zeros<const N: usize>(names: [&'static str; N]) -> [Field; N] {
    names.map(|name| field(name, 0))
}

/// What sections are made of: the node and its place, the same for all sections of one answer.
struct Facts<'a> {
    server: &'a Server,
    replica: Arc<Replica>,
    place: Place,
}

/// When a section is shown.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Shown {
    ByDefault,
    /// By its name, `all` or `everything`.
    OnDemand,
}

struct Section {
    name: &'static str,
    title: &'static str,
    shown: Shown,
    fields: fn(&Facts<'_>) -> Vec<Field>,
}

const SECTIONS: &[Section] = &[
    section("server", "Server", Shown::ByDefault, server::fields),
    section("clients", "Clients", Shown::ByDefault, clients::fields),
    section("memory", "Memory", Shown::ByDefault, memory::fields),
    section("persistence", "Persistence", Shown::ByDefault, persistence::fields),
    section("stats", "Stats", Shown::ByDefault, stats::fields),
    section("replication", "Replication", Shown::ByDefault, replication::fields),
    section("cpu", "CPU", Shown::ByDefault, cpu::fields),
    section("modules", "Modules", Shown::ByDefault, |_| Vec::new()),
    section("commandstats", "Commandstats", Shown::OnDemand, commands::calls),
    section("errorstats", "Errorstats", Shown::ByDefault, stats::errors),
    section("latencystats", "Latencystats", Shown::OnDemand, commands::latencies),
    section("cluster", "Cluster", Shown::ByDefault, cluster::fields),
    section("keyspace", "Keyspace", Shown::ByDefault, keyspace::fields),
    section("raft", "Raft", Shown::ByDefault, raft::fields),
    section("talus", "Talus", Shown::ByDefault, talus::fields),
];

const fn section(
    name: &'static str,
    title: &'static str,
    shown: Shown,
    fields: fn(&Facts<'_>) -> Vec<Field>,
) -> Section {
    Section { name, title, shown, fields }
}

impl Section {
    /// Whether these names, in lower case, ask for it.
    fn is_asked_for(&self, names: &[String]) -> bool {
        let by_default = self.shown == Shown::ByDefault;
        if names.is_empty() {
            return by_default;
        }
        names.iter().any(|name| match name.as_str() {
            "all" | "everything" => true,
            "default" => by_default,
            name => name == self.name,
        })
    }
}

/// INFO.
pub fn info(server: &Server, names: &[String]) -> Reply {
    let replica = server.replica.load_full();
    let place = Place::of(&replica);
    let facts = Facts { server, replica, place };
    let asked = SECTIONS.iter().filter(|section| section.is_asked_for(names));
    let sections = asked.map(|section| (section.title, (section.fields)(&facts)));
    Reply::text(print(sections))
}

fn print(sections: impl Iterator<Item = (&'static str, Vec<Field>)>) -> String {
    let mut text = String::new();
    for (title, fields) in sections {
        if !text.is_empty() {
            text.push_str("\r\n");
        }
        // Writing to a string cannot fail.
        let _ = write!(text, "# {title}\r\n");
        for Field { name, value } in fields {
            let _ = write!(text, "{name}:{}\r\n", value.replace(['\r', '\n'], " "));
        }
    }
    text
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// Lines as they are sent, without their ends.
    pub fn lines(fields: &[Field]) -> Vec<String> {
        fields.iter().map(|Field { name, value }| format!("{name}:{value}")).collect()
    }

    #[test]
    fn sections_are_apart_and_lines_whole() {
        let sections = [("One", vec![field("a", 1), field("b", "x\r\ny")]), ("Two", Vec::new())];
        let text = print(sections.into_iter());
        assert_eq!(text, "# One\r\na:1\r\nb:x  y\r\n\r\n# Two\r\n");
        assert_eq!(print(std::iter::empty()), "");
    }

    #[test]
    fn sections_are_chosen_as_in_redis() {
        let chosen = |names: &[&str]| {
            let names: Vec<String> = names.iter().map(|&name| name.into()).collect();
            let asked = SECTIONS.iter().filter(|section| section.is_asked_for(&names));
            asked.map(|section| section.name).collect::<Vec<_>>()
        };
        assert_eq!(chosen(&[]), chosen(&["default"]));
        assert!(!chosen(&[]).contains(&"commandstats"));
        assert_eq!(chosen(&["everything"]).len(), SECTIONS.len());
        assert_eq!(chosen(&["keyspace", "server", "nonsense"]), ["server", "keyspace"]);
        assert!(chosen(&["default", "latencystats"]).contains(&"latencystats"));
    }
}
