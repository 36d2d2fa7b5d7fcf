//! The table of `talus cluster status`, and numbers as people read them.

use crate::admin::backend::{ClusterView, Health, MemberView, Quorum, Role, State};

const COLUMNS: [(&str, Align); 11] = [
    ("NODE", Align::Left),
    ("ADDRESS", Align::Left),
    ("ROLE", Align::Left),
    ("STATE", Align::Left),
    ("TERM", Align::Right),
    ("APPLIED", Align::Right),
    ("LAG", Align::Right),
    ("KEYS", Align::Right),
    ("DISK", Align::Right),
    ("RTT", Align::Right),
    ("VERSION", Align::Left),
];

const NONE: &str = "–";

#[derive(Clone, Copy, PartialEq)]
pub enum Align {
    Left,
    Right,
}

/// The members, the quorum, and what might be done next.
pub fn status(view: &ClusterView) -> String {
    let members = view.members.iter().map(|member| row(view, member).to_vec()).collect();
    let table = print(&COLUMNS, members);
    format!("{table} {}\n", summary(view))
}

/// Pads cells to columns; the last one is not padded.
pub fn print(columns: &[(&str, Align)], rows: Vec<Vec<String>>) -> String {
    let head = columns.iter().map(|(name, _)| name.to_string()).collect();
    let rows: Vec<Vec<String>> = [head].into_iter().chain(rows).collect();
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max();
    let widths: Vec<usize> = (0..columns.len()).map(|column| width(column).unwrap_or(0)).collect();
    let cell = |(text, ((_, align), width)): (&String, (&(&str, Align), &usize))| {
        let pad = " ".repeat(width - text.chars().count());
        if *align == Align::Right { pad + text } else { text.clone() + &pad }
    };
    let line = |row: &Vec<String>| {
        let cells: Vec<String> = row.iter().zip(columns.iter().zip(&widths)).map(cell).collect();
        format!(" {}\n", cells.join("  ").trim_end())
    };
    rows.iter().map(line).collect()
}

fn row(view: &ClusterView, member: &MemberView) -> [String; 11] {
    let known = |number: Option<u64>, print: fn(u64) -> String| {
        number.map_or_else(|| NONE.to_string(), print)
    };
    let here = member.id == view.node;
    [
        format!("{:>2} {}", member.id, if here { "*" } else { " " }),
        member.resp.clone(),
        role_word(member.role).into(),
        state_word(member.state).into(),
        known(member.term, |term| term.to_string()),
        known(member.applied, grouped),
        known(member.lag, short),
        known(member.keys, short),
        known(member.disk_bytes, size),
        known(member.rtt_us.filter(|_| !here), time),
        member.version.clone().unwrap_or_else(|| NONE.into()),
    ]
}

fn role_word(role: Role) -> &'static str {
    match role {
        Role::Leader => "leader",
        Role::Voter => "voter",
        Role::Learner => "learner",
        Role::Replica => "replica",
    }
}

fn state_word(state: State) -> &'static str {
    match state {
        State::Healthy => "healthy",
        State::CatchingUp => "catching up",
        State::Unreachable => "unreachable",
    }
}

fn summary(view: &ClusterView) -> String {
    let quorum = &view.quorum;
    let parts = [
        Some(format!(
            "quorum {} of {} voters, {} there",
            quorum.needed, quorum.voters, quorum.reachable
        )),
        view.commit_p99_us.map(|us| format!("commit p99 {}", time(us))),
        next(view).map(|next| format!("next: {next}")),
    ];
    parts.into_iter().flatten().collect::<Vec<_>>().join(" · ")
}

fn next(view: &ClusterView) -> Option<String> {
    let member = |wanted: fn(&&MemberView) -> bool| view.members.iter().find(wanted);
    let votes = |member: &MemberView| matches!(member.role, Role::Leader | Role::Voter);
    if view.health == Health::NoQuorum && view.quorum.reachable >= view.quorum.needed {
        return Some("wait for the election".into());
    }
    if let Some(away) = member(|member| member.state == State::Unreachable) {
        let replace = format!(", or `talus cluster replace {} NEW`", away.id);
        let can_replace = votes(away) && view.health != Health::NoQuorum;
        return Some(format!("start node {}{}", away.id, if can_replace { &replace } else { "" }));
    }
    let learner =
        |member: &&MemberView| member.role == Role::Learner && member.state == State::Healthy;
    member(learner).map(|learner| format!("`talus cluster promote {}`", learner.id))
}

/// How the cluster is, in one sentence.
pub fn sentence(view: &ClusterView) -> String {
    let members = view.members.len();
    let away = view.members.iter().filter(|member| member.state == State::Unreachable).count();
    let behind = view.members.iter().filter(|member| member.state == State::CatchingUp).count();
    let quorum = &view.quorum;
    match view.health {
        Health::Healthy => {
            format!("healthy: {members} of {members} nodes, can lose {}", quorum.spare)
        }
        Health::Degraded => {
            format!("degraded: {away} nodes away, {behind} catching up, can lose {}", quorum.spare)
        }
        Health::NoQuorum if quorum.reachable >= quorum.needed => "no leader yet".into(),
        Health::NoQuorum => {
            let Quorum { reachable, needed, .. } = quorum;
            format!("no quorum: {reachable} voters are there, {needed} are needed")
        }
    }
}

/// `481022` as `481 022`.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(' ');
        }
        text.push(digit);
    }
    text
}

/// Three digits and a unit: `20.7k`, `1.2M`.
fn short(number: u64) -> String {
    scaled(number as f64, 1000.0, &["", "k", "M", "G", "T"], "")
}

/// `3 GiB`.
pub fn size(bytes: u64) -> String {
    scaled(bytes as f64, 1024.0, &["B", "KiB", "MiB", "GiB", "TiB"], " ")
}

fn scaled(mut number: f64, step: f64, units: &[&str], space: &str) -> String {
    let mut unit = 0;
    while number >= step && unit + 1 < units.len() {
        number /= step;
        unit += 1;
    }
    let digits = usize::from(unit > 0 && number < 99.95);
    let text = format!("{number:.digits$}");
    let text = text.strip_suffix(".0").unwrap_or(&text);
    format!("{text}{space}{}", units[unit])
}

/// `0.4 ms`, `2.1 ms`, `1.3 s`.
fn time(us: u64) -> String {
    match us {
        0..1_000_000 => format!("{:.1} ms", us as f64 / 1e3),
        _ => format!("{:.1} s", us as f64 / 1e6),
    }
}
