//! Options, tables, sentences, and asking a node over HTTP.

use super::client::Client;
use super::*;
use crate::admin::backend::{ClusterView, Done, Role, State};
use crate::admin::tests::{Fake, facts, limits};
use crate::admin::{Action, ClusterFacts, Code, Refusal, serve as serve_http};
use crate::cli::startup::Started;
use clap::CommandFactory;
use std::sync::Arc;
use std::time::Duration;
use ureq::http::Method;

fn parse(line: &str) -> Result<Verb, String> {
    let cli = Cli::try_parse_from(line.split_whitespace());
    cli.map(|cli| cli.verb).map_err(|error| error.to_string())
}

/// What is wrong with a command line that is not run.
fn failure(line: &str) -> String {
    match parse(line) {
        Ok(verb) => verb.run(|_| Ok(())).expect_err(line).lines(),
        Err(usage) => usage,
    }
}

#[test]
fn the_command_line_is_sound() {
    Cli::command().debug_assert();
}

/// What the values of options and arguments are called, down from `command`.
fn value_names(command: &clap::Command) -> Vec<String> {
    let own = command.get_arguments().filter(|arg| arg.get_action().takes_values());
    let own = own.map(|arg| arg.get_value_names().expect("it has one")[0].to_string());
    own.chain(command.get_subcommands().flat_map(value_names)).collect()
}

#[test]
fn help_names_values_by_what_they_are() {
    const KINDS: [&str; 19] = [
        "ADDRESS...",
        "BOOL",
        "COUNT",
        "DIR",
        "FILE",
        "FORMAT",
        "HOST:PORT",
        "HOST:PORT...",
        "HOST[:PORT]",
        "ID",
        "IP:PORT",
        "KEY=VALUE",
        "LEVEL",
        "NAME",
        "NEW_ID",
        "OLD_ID",
        "PORT",
        "SECONDS",
        "URL",
    ];
    for name in value_names(&Cli::command()) {
        assert!(KINDS.contains(&name.as_str()), "{name} is no kind of value");
    }
}

#[test]
fn options_are_settings() {
    let Ok(Verb::Config(configuration::Configuration::Show(show))) = parse(
        "talus config show --port 7000 --join a:1 --join b:2 --replica --set maxclients=5 -o json",
    ) else {
        panic!("it is right")
    };
    let shown = show.print().expect("it is right");
    for (name, value, origin) in [
        ("server.port", "7000", "--port"),
        ("node.join", "a:1 b:2", "--join"),
        ("node.replica", "true", "--replica"),
        ("server.clients_max", "5", "--set maxclients"),
    ] {
        let rows: Vec<serde_json::Value> = serde_json::from_str(&shown).expect("it is JSON");
        let row = rows.iter().find(|row| row["name"] == name).expect("it is a setting");
        assert_eq!((row["value"].as_str(), row["origin"].as_str()), (Some(value), Some(origin)));
    }
}

#[test]
fn mistakes_are_explained() {
    assert_eq!(
        failure("talus serve --check-only --set server.prot=1"),
        "error: --set server.prot: unknown setting 'server.prot'\nhelp: did you mean 'server.port'?\n"
    );
    assert_eq!(
        failure("talus serve --check-only --set port"),
        "error: --set port: no '='\nhelp: as in --set server.port=6379\n"
    );
    assert!(failure("talus serve --prot 1").contains("a similar argument exists: '--port'"));
    assert!(failure("talus cluster promot 1").contains("a similar subcommand exists: 'promote'"));
}

#[test]
fn serve_gives_its_settings_to_the_node() {
    let line = parse("talus serve --port 7000").map(|verb| {
        verb.run(|live| {
            assert_eq!(live.config().server.port, 7000);
            Err(Failure::new("port 7000 is taken").help("choose another with --port"))
        })
    });
    let failure = line.expect("it is right").expect_err("the node said so").lines();
    assert_eq!(failure, "error: port 7000 is taken\nhelp: choose another with --port\n");
}

fn view(states: &[State], change: impl FnOnce(&mut ClusterFacts)) -> ClusterView {
    let mut facts = facts(states);
    change(&mut facts);
    facts.into()
}

#[test]
fn the_status_table() {
    let states = [State::Healthy, State::Healthy, State::CatchingUp];
    let view = view(&states, |facts| {
        facts.members[0].applied = Some(481_022);
        facts.members[0].keys = Some(1_234_567);
        facts.members[0].disk_bytes = Some(3 << 30);
        facts.members[2].role = Role::Learner;
        facts.members[2].lag = Some(20_711);
        facts.members[2].applied = None;
        facts.voter_sets = vec![vec![1, 2]];
    });
    let expected = [
        " NODE  ADDRESS        ROLE     STATE        TERM  APPLIED    LAG  KEYS   DISK     RTT  VERSION",
        "  1 *  10.0.0.1:6379  leader   healthy         3  481 022      0  1.2M  3 GiB       –  0.1.0",
        "  2    10.0.0.2:6379  voter    healthy         3       10      0     5  1 MiB  0.4 ms  0.1.0",
        "  3    10.0.0.3:6379  learner  catching up     3        –  20.7k     5  1 MiB  0.4 ms  0.1.0",
        " quorum 2 of 2 voters, 2 there · commit p99 2.1 ms",
    ];
    assert_eq!(table::status(&view).lines().collect::<Vec<_>>(), expected);
}

#[test]
fn what_to_do_next() {
    let next = |view: ClusterView| {
        let status = table::status(&view);
        status.trim_end().rsplit_once("next: ").map(|(_, next)| next.to_string())
    };
    let healthy = [State::Healthy; 3];
    assert_eq!(next(view(&healthy, |_| ())), None);
    let learner = view(&healthy, |facts| facts.members[2].role = Role::Learner);
    assert_eq!(next(learner).as_deref(), Some("`talus cluster promote 3`"));
    let away = [State::Healthy, State::Unreachable, State::Healthy];
    let replace = "start node 2, or `talus cluster replace 2 NEW`";
    assert_eq!(next(view(&away, |_| ())).as_deref(), Some(replace));
    let electing = view(&healthy, |facts| facts.leader = None);
    assert_eq!(next(electing).as_deref(), Some("wait for the election"));
    let lost = [State::Healthy, State::Unreachable, State::Unreachable];
    assert_eq!(next(view(&lost, |_| ())).as_deref(), Some("start node 2"));
}

#[test]
fn health_in_one_sentence() {
    use State::{CatchingUp, Healthy, Unreachable};
    let of = |states: &[State]| table::sentence(&view(states, |_| ()));
    assert_eq!(of(&[Healthy; 3]), "healthy: 3 of 3 nodes, can lose 1");
    let degraded = "degraded: 1 nodes away, 1 catching up, can lose 0";
    assert_eq!(of(&[Healthy, Unreachable, CatchingUp]), degraded);
    let lost = "no quorum: 1 voters are there, 2 are needed";
    assert_eq!(of(&[Healthy, Unreachable, Unreachable]), lost);
}

#[test]
fn sizes_for_people() {
    for (bytes, text) in [
        (0, "0 B"),
        (1023, "1023 B"),
        (1536, "1.5 KiB"),
        (150 << 20, "150 MiB"),
        (5 << 40, "5 TiB"),
    ] {
        assert_eq!(table::size(bytes), text);
    }
}

fn started() -> Started {
    Started {
        node: 1,
        cluster_name: "default".into(),
        cluster: "3f9c".repeat(8),
        took: Duration::from_millis(210),
        resp: vec!["127.0.0.1:6379".parse().expect("an address")],
        rpc: vec!["127.0.0.1:16379".parse().expect("an address")],
        http: "127.0.0.1:6380".parse().ok(),
        role: "leader".into(),
        term: 3,
        voters: 1,
        data_dir: "/nowhere".into(),
        protected: true,
    }
}

#[test]
fn the_start_up_block() {
    let block = started().block();
    let expected = [
        "",
        "  talus 0.1.0 · node 1 · cluster \"default\" (3f9c…)         ready in 0.21 s",
        "  redis     redis://127.0.0.1:6379       try: redis-cli -p 6379",
        "  http      http://127.0.0.1:6380/       health /health/ready · metrics /metrics · API /api/openapi.json",
        "  raft      leader, term 3, 1 voter      data /nowhere",
        "  ! protected: only loopback may connect until a password is set (server.password)",
        "",
    ];
    assert_eq!(block.lines().collect::<Vec<_>>(), expected);
}

#[test]
fn the_start_up_line() {
    let line = started().line();
    let json: serde_json::Value = serde_json::from_str(&line).expect("one JSON object");
    assert_eq!(line.lines().count(), 1);
    assert_eq!((json["event"].as_str(), json["took_ms"].as_u64()), (Some("ready"), Some(210)));
    assert_eq!(json["resp"][0].as_str(), Some("127.0.0.1:6379"));
}

/// A node with HTTP on a port of its own, as long as the runtime lives.
fn node(fake: Fake, token: &str) -> (tokio::runtime::Runtime, String, Arc<Fake>) {
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
    let runtime = runtime.expect("a runtime");
    let bind = tokio::net::TcpListener::bind("127.0.0.1:0");
    let listener = runtime.block_on(bind).expect("a free port");
    let url = listener.local_addr().expect("it is bound").to_string();
    let fake = Arc::new(fake);
    let never = futures::future::pending();
    runtime.spawn(serve_http(listener, fake.clone(), limits(token), never));
    (runtime, url, fake)
}

fn client(urls: &[&str], token: Option<&str>) -> Client {
    let urls: Vec<String> = urls.iter().map(|url| url.to_string()).collect();
    Client::new(&urls, token.map(String::from), Duration::from_secs(5))
}

#[test]
fn the_first_node_that_can_be_reached_is_asked() {
    let (_runtime, url, fake) = node(Fake::default(), "secret");
    let client = client(&["127.0.0.1:1", &url], Some("secret"));
    let view: ClusterView = client.ask(Method::GET, "/v1/cluster", None).expect("it answers");
    assert_eq!(view.members.len(), 3);
    let path = "/v1/members/3/promote";
    let done: Done = client.ask(Method::POST, path, None).expect("it answers");
    assert_eq!((done.index, fake.asked.lock().pop()), (Some(7), Some(Action::Promote { id: 3 })));
    let path = "/v1/members/3?force=false";
    let _: Done = client.ask(Method::DELETE, path, None).expect("it answers");
    assert_eq!(fake.asked.lock().pop(), Some(Action::Remove { id: 3, force: false }));
}

#[test]
fn refusals_reach_the_operator() {
    let refusal =
        Refusal::new(Code::WouldBreak, "1 of 2 voters would remain").help("add one first");
    let (_runtime, url, _fake) = node(Fake { refusal: Some(refusal), ..Fake::default() }, "");
    let answer = client(&[&url], None).ask::<Done>(Method::DELETE, "/v1/members/2", None);
    let lines = answer.expect_err("it refuses").lines();
    assert_eq!(lines, "error: 1 of 2 voters would remain\nhelp: add one first\n");
}

#[test]
fn exit_codes_say_how_the_cluster_is() {
    let (_runtime, url, _fake) = node(Fake::default(), "");
    let run = |line: &str| match parse(line) {
        Ok(verb) => verb.run(|_| Ok(())).unwrap_or_else(|failure| failure.report()),
        Err(usage) => panic!("{usage}"),
    };
    let ok = format!("{:?}", ExitCode::SUCCESS);
    assert_eq!(format!("{:?}", run(&format!("talus cluster status --url {url}"))), ok);
    assert_eq!(format!("{:?}", run(&format!("talus cluster digest -o json --url {url}"))), ok);
    let not_asked = format!("{:?}", ExitCode::from(3));
    assert_eq!(format!("{:?}", run("talus cluster health --url 127.0.0.1:1")), not_asked);
}
