//! The table, the sources, `CONFIG GET/SET/REWRITE`.

use super::*;
use crate::config::reference::{effective, reference};
use crate::config::source::{Syntax, words};
use proptest::prelude::*;
use std::path::PathBuf;

fn load(
    file: Option<PathBuf>,
    environment: &[(&str, &str)],
    options: &[(&str, &str)],
) -> Result<Loaded, Vec<Problem>> {
    let environment = environment.iter().map(|(name, value)| (name.to_string(), value.to_string()));
    let option =
        |(name, value): &(&str, &str)| (name.to_string(), value.to_string(), format!("--{name}"));
    let options = options.iter().map(option).collect();
    Sources { file, environment: environment.collect(), options }.load()
}

fn file(name: &str, text: &str) -> (tempfile::TempDir, PathBuf) {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let path = directory.path().join(name);
    std::fs::write(&path, text).expect("a writable temporary directory");
    (directory, path)
}

fn problems(name: &str, text: &str) -> Vec<(String, Option<String>)> {
    let (_directory, path) = file(name, text);
    let problems = load(Some(path), &[], &[]).expect_err("the file has problems");
    let line = |problem: &Problem| {
        let text = problem.to_string();
        (
            text.rsplit_once('/').map_or(text.clone(), |(_, end)| end.to_string()),
            problem.help.clone(),
        )
    };
    problems.iter().map(line).collect()
}

#[test]
fn the_reference_file_says_what_the_code_does() {
    let committed = include_str!("../../conf/talus.toml");
    assert!(committed == reference(), "run `talus config init > conf/talus.toml`");
}

#[test]
fn the_reference_file_with_every_line_active_is_the_default() {
    let active = |line: &str| match line.strip_prefix('#') {
        Some(rest) if !rest.starts_with(' ') => rest.to_string() + "\n",
        _ => line.to_string() + "\n",
    };
    let text: String = reference().lines().map(active).collect();
    let (_directory, path) = file("talus.toml", &text);
    let loaded = load(Some(path), &[], &[]).expect("defaults are right");
    assert_eq!(loaded.config, Config::default());
    assert!(loaded.origins.iter().all(|origin| matches!(origin, Origin::File(_))));
}

#[test]
fn names_are_unique() {
    let mut names: Vec<String> = SETTINGS.iter().map(Setting::path).collect();
    names.extend(SETTINGS.iter().filter_map(|row| row.redis_name.map(String::from)));
    names.extend(redis::CONSTANTS.iter().map(|(name, _)| name.to_string()));
    let count = names.len();
    names.sort();
    names.dedup();
    assert_eq!(names.len(), count);
}

#[test]
fn every_value_reads_what_it_prints() {
    for row in SETTINGS {
        let config = Config::default();
        for text in [row.value(&config).text(), row.value(&config).redis()] {
            let mut other = Config::default();
            row.assign(&mut other, &text).expect(&text);
            assert_eq!(other, config, "{}", row.path());
        }
    }
}

#[test]
fn later_sources_win() {
    let (_directory, path) = file("talus.toml", "[server]\nport = 7000\nclients_max = 7\n");
    let environment =
        [("TALUS_SERVER__PORT", "7001"), ("TALUS_RAFT__HEARTBEAT_MS", "120ms"), ("HOME", "/")];
    let loaded = load(Some(path), &environment, &[("server.port", "7002")]).expect("it is right");
    assert_eq!(loaded.config.server.port, 7002);
    assert_eq!(loaded.config.server.clients_max, 7);
    assert_eq!(loaded.config.raft.heartbeat_ms.0, 120);
    let shown = live::show(&loaded.config, &loaded.origins);
    let origin = |name: &str| {
        let row = shown.iter().find(|shown| shown.name == name).expect("it is shown");
        row.origin.rsplit('/').next().unwrap_or_default().to_string()
    };
    assert_eq!(origin("server.port"), "--server.port");
    assert_eq!(origin("server.clients_max"), "talus.toml:3");
    assert_eq!(origin("raft.heartbeat_ms"), "TALUS_RAFT__HEARTBEAT_MS");
    assert_eq!(origin("server.backlog"), "default");
}

#[test]
fn a_toml_file_says_everything_that_is_wrong_with_it() {
    let text = "port = 1\n[server]\nprot = 1\nport = \"x\"\ndatabases = 0\n[stroage]\n[raft]\nport = [[1]]\n";
    let expected = [
        ("talus.toml:1: 'port' is outside of any section", Some("did you mean port in [server]?")),
        ("talus.toml:3: unknown setting 'server.prot'", Some("did you mean 'server.port'?")),
        ("talus.toml:6: unknown section [stroage]", Some("did you mean [storage]?")),
        ("talus.toml:8: 'raft.port' takes one value or a list of words", None),
        (
            "talus.toml:4: 'server.port' cannot be 'x': argument couldn't be parsed into an integer",
            Some("the default is '6379'"),
        ),
        (
            "talus.toml:5: 'server.databases' cannot be '0': argument must be between 1 and 16384 inclusive",
            Some("the default is '16'"),
        ),
    ];
    let mut found = problems("talus.toml", text);
    let mut expected: Vec<_> =
        expected.iter().map(|(line, help)| (line.to_string(), help.map(String::from))).collect();
    found.sort();
    expected.sort();
    assert_eq!(found, expected);
    let broken = problems("talus.toml", "[server]\nport = = 1\n");
    assert!(broken[0].0.starts_with("talus.toml:2: "), "{broken:?}");
}

#[test]
fn a_redis_file_is_understood() {
    let text = "# mine\nport 7000\nbind 127.0.0.1 10.0.0.1\nsave 900 1\nsave 60 100\n\
                requirepass \"a b\\\"c\"\nclient-output-buffer-limit replica 512mb 128mb 60\n";
    let (_directory, path) = file("redis.conf", text);
    let loaded = load(Some(path), &[], &[]).expect("it is right");
    assert_eq!(loaded.config.server.port, 7000);
    assert_eq!(loaded.config.server.bind.0, ["127.0.0.1", "10.0.0.1"]);
    assert_eq!(loaded.config.server.password, "a b\"c");
    assert_eq!(loaded.config.server.output_limits.replica.hard.0, 512 << 20);
    assert_eq!(loaded.config.server.output_limits.pubsub.hard.0, 32 << 20);
    assert_eq!(loaded.warnings.len(), 2, "{:?}", loaded.warnings);
    let wrong = problems("redis.conf", "prot 1\nport\nbind \"x\n");
    let expected = [
        ("redis.conf:1: unknown setting 'prot'", Some("did you mean 'port'?")),
        ("redis.conf:2: 'port' has no value", None),
        ("redis.conf:3: unbalanced quotes", None),
    ];
    assert_eq!(wrong, expected.map(|(line, help)| (line.to_string(), help.map(String::from))));
}

#[test]
fn wrong_variables_and_options_are_found() {
    let wrong = load(None, &[("TALUS_SERVER__PROT", "1"), ("TALUS_CONFIG", "x")], &[("prot", "1")]);
    let wrong: Vec<String> =
        wrong.expect_err("it is wrong").iter().map(Problem::to_string).collect();
    let expected =
        ["TALUS_SERVER__PROT: no setting has this variable", "--prot: unknown setting 'prot'"];
    assert_eq!(wrong, expected);
    let hidden = load(None, &[("TALUS_SERVER__PASSWORD", "geheim")], &[("raft.port", "x")]);
    let hidden = hidden.map(|_| ()).expect_err("it is wrong");
    assert!(!format!("{hidden:?}").contains("geheim"));
}

#[test]
fn what_must_hold_between_settings() {
    let cases: &[(&[(&str, &str)], &str)] = &[
        (&[("server.bind", "")], "server.bind is empty"),
        (&[("server.bind", "example")], "server.bind: 'example' is not an address"),
        (&[("server.port", "60000")], "no port 10000 above server.port 60000 for other nodes"),
        (&[("raft.port", "6380")], "Redis clients, HTTP and other nodes need a port each"),
        (&[("node.join", "a b:x")], "node.join: 'b:x' is not HOST:PORT"),
        (&[("node.advertise", "x:y:z")], "node.advertise: 'x:y:z' is not HOST or HOST:PORT"),
        (&[("node.replica", "yes")], "a replica needs a cluster to join"),
        (&[("raft.election_timeout_min_ms", "900")], "raft.election_timeout_min_ms must be below"),
        (&[("raft.heartbeat_ms", "300")], "raft.election_timeout_min_ms must be at least twice"),
        (
            &[("raft.batch_bytes_max", "2mb"), ("raft.entry_bytes_max", "1mb")],
            "raft.batch_bytes_max",
        ),
        (&[("storage.memory_bytes", "31mb")], "storage.memory_bytes must be at least 32mb"),
        (&[("admin.listen", "0.0.0.0:80")], "admin.listen 0.0.0.0:80 is open to other machines"),
    ];
    for (options, message) in cases {
        let problems = load(None, &[], options).expect_err(message);
        assert!(problems[0].to_string().starts_with(message), "{problems:?}");
    }
}

#[test]
fn addresses_follow_from_the_port() {
    let loaded = load(None, &[], &[("server.port", "7000")]).expect("it is right");
    let config = &loaded.config;
    assert_eq!(config.resp_bindings()[0].address.to_string(), "127.0.0.1:7000");
    assert_eq!(config.resp_bindings()[1].address.to_string(), "[::1]:7000");
    assert!(config.resp_bindings()[1].optional && !config.resp_bindings()[0].optional);
    assert_eq!(config.rpc_bindings()[0].address.port(), 17000);
    assert_eq!(
        config.http_address().map(|address| address.to_string()),
        Some("127.0.0.1:7001".into())
    );
    let of = |advertised: Advertised| [advertised.resp, advertised.rpc, advertised.http];
    assert_eq!(of(config.advertised()), ["127.0.0.1:7000", "127.0.0.1:17000", "127.0.0.1:7001"]);
    let named = [("node.advertise", "db1"), ("server.bind", "*"), ("raft.port", "9")];
    let named = load(None, &[], &named).expect("it is right").config.advertised();
    assert_eq!(of(named), ["db1:6379", "db1:9", ""]);
    let v6 = load(None, &[], &[("node.advertise", "[fd00::1]:7")]).expect("it is right");
    assert_eq!(of(v6.config.advertised()), ["[fd00::1]:7", "[fd00::1]:16379", ""]);
}

fn pairs(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect()
}

#[test]
fn config_get_matches_patterns() {
    let live = Live::new(Loaded::default());
    let got = live.get(&["MAXC*", "save", "appendonly", "maxclients", "raft.heart*"]);
    let expected = [
        ("maxclients", "10000"),
        ("raft.heartbeat_ms", "100"),
        ("appendonly", "yes"),
        ("save", ""),
    ];
    assert_eq!(got, pairs(&expected));
    let limits = live.get(&["client-output-buffer-limit"]);
    let words = "normal 0 0 0 slave 268435456 67108864 60 pubsub 33554432 8388608 60";
    assert_eq!(limits, pairs(&[("client-output-buffer-limit", words)]));
    assert_eq!(
        live.get(&["protected-mode", "loglevel"]),
        pairs(&[("protected-mode", "yes"), ("loglevel", "notice")])
    );
}

#[test]
fn config_set_takes_all_or_nothing() {
    let live = Live::new(Loaded::default());
    let mut changes = live.changes();
    changes.mark_unchanged();
    live.set(&pairs(&[
        ("MaxClients", "5"),
        ("timeout", "9"),
        ("save", ""),
        ("loglevel", "verbose"),
    ]))
    .expect("live");
    assert!(changes.has_changed().expect("the sender lives"));
    let before = live.config();
    assert_eq!((before.server.clients_max, before.server.idle_timeout_s.0), (5, 9));
    live.set(&pairs(&[("maxclients", "6"), ("timeout", "x")])).expect_err("x is no number");
    assert_eq!(live.config(), before);
    live.set(&pairs(&[("client-output-buffer-limit", "pubsub 1mb 2mb 3")])).expect("live");
    assert_eq!(live.config().server.output_limits.pubsub.soft.0, 2 << 20);
    assert_eq!(live.config().server.output_limits.replica.hard.0, 256 << 20);
}

/// The texts are those of Redis 7.0.
#[test]
fn config_set_refuses_in_the_words_of_redis() {
    let failed = |name: &str, why: &str| {
        format!("ERR CONFIG SET failed (possibly related to argument '{name}') - {why}")
    };
    let unknown =
        |name: &str| format!("ERR Unknown option or number of arguments for CONFIG SET - '{name}'");
    let cases: &[(&[(&str, &str)], String)] = &[
        (&[("foo", "bar")], unknown("foo")),
        (&[("maxclients", "x"), ("foo", "bar")], unknown("foo")),
        (
            &[("maxclients", "abc")],
            failed("maxclients", "argument couldn't be parsed into an integer"),
        ),
        (
            &[("timeout", "-1")],
            failed("timeout", "argument must be between 0 and 2147483647 inclusive"),
        ),
        (&[("databases", "3")], failed("databases", "can't set immutable config")),
        (&[("timeout", "1"), ("timeout", "2")], failed("timeout", "duplicate parameter")),
        (
            &[("protected-mode", "maybe")],
            failed("protected-mode", "argument must be 'yes' or 'no'"),
        ),
        (
            &[("proto-max-bulk-len", "1x")],
            failed("proto-max-bulk-len", "argument must be a memory value"),
        ),
        (
            &[("maxmemory-policy", "allkeys-lru")],
            failed("maxmemory-policy", "it is always 'noeviction' here"),
        ),
        (
            &[("slowlog-max-len", "-1")],
            failed("slowlog-max-len", "argument must be between 0 and 100000 inclusive"),
        ),
        (
            &[("client-output-buffer-limit", "foo 1 2 3")],
            failed(
                "client-output-buffer-limit",
                "Invalid client class specified in buffer limit configuration.",
            ),
        ),
        (
            &[("client-output-buffer-limit", "normal 1 2")],
            failed(
                "client-output-buffer-limit",
                "Wrong number of arguments in buffer limit configuration.",
            ),
        ),
    ];
    for (set, text) in cases {
        let live = Live::new(Loaded::default());
        assert_eq!(live.set(&pairs(set)).expect_err(text).to_string(), *text);
    }
}

#[test]
fn config_rewrite_keeps_the_rest_of_a_toml_file() {
    let text = "# mine\n[server] # ports\nport = 7000 # fixed\nclients_max = 5 # few\n";
    let (_directory, path) = file("talus.toml", text);
    let live = Live::new(load(Some(path.clone()), &[], &[]).expect("it is right"));
    live.set(&pairs(&[("maxclients", "6"), ("loglevel", "debug"), ("protected-mode", "no")]))
        .expect("live");
    live.rewrite().expect("the file is writable");
    let expected = "# mine\n[server] # ports\nport = 7000 # fixed\nclients_max = 6 # few\n\
                    protected_mode = false\n\n[log]\nlevel = \"debug\"\n";
    assert_eq!(std::fs::read_to_string(&path).expect("it is there"), expected);
    let again = load(Some(path), &[], &[]).expect("it is right");
    assert_eq!(&again.config, &*live.config());
}

#[test]
fn config_rewrite_keeps_the_rest_of_a_redis_file() {
    let text = "# mine\nmaxclients 5\nsave 900 1\nmaxclients 7\n";
    let (_directory, path) = file("redis.conf", text);
    let live = Live::new(load(Some(path.clone()), &[], &[]).expect("it is right"));
    live.set(&pairs(&[("maxclients", "6"), ("requirepass", "a b \"c\""), ("timeout", "3")]))
        .expect("live");
    live.rewrite().expect("the file is writable");
    let written = std::fs::read_to_string(&path).expect("it is there");
    let expected = "# mine\nsave 900 1\nmaxclients 6\ntimeout 3\nrequirepass \"a b \\\"c\\\"\"\n";
    assert_eq!(written, expected);
    let again = load(Some(path), &[], &[]).expect("it is right");
    assert_eq!(&again.config, &*live.config());
}

#[test]
fn config_rewrite_needs_a_file() {
    let error = Live::new(Loaded::default()).rewrite().expect_err("there is none");
    assert_eq!(error.to_string(), "ERR The server is running without a config file");
}

#[test]
fn secrets_are_hidden() {
    let loaded =
        load(None, &[("TALUS_SERVER__PASSWORD", "geheim"), ("TALUS_ADMIN__TOKEN", "geheim")], &[]);
    let loaded = loaded.expect("it is right");
    let shown = live::show(&loaded.config, &loaded.origins);
    let text = effective(&loaded.config, &shown, true) + &format!("{shown:?}");
    assert!(!text.contains("geheim") && text.contains("(hidden)"));
}

#[test]
fn sizes_and_durations_have_units() {
    let mut config = Config::default();
    let mut set = |name: &str, text: &str| {
        let row = redis::setting(name).expect("it is a setting");
        row.assign(&mut config, text).map(|()| row.value(&config).redis())
    };
    assert_eq!(set("raft.batch_bytes_max", "64KB").as_deref(), Ok("65536"));
    assert_eq!(set("raft.batch_bytes_max", "64k").as_deref(), Ok("64000"));
    assert_eq!(set("raft.batch_bytes_max", "1048576").as_deref(), Ok("1048576"));
    assert!(set("raft.batch_bytes_max", "99999999999999gb").is_err());
    assert_eq!(set("raft.write_timeout_ms", "2s").as_deref(), Ok("2000"));
    assert_eq!(set("timeout", "5m").as_deref(), Ok("300"));
    assert_eq!(set("timeout", "1500ms"), Err("argument must be a multiple of 1000 ms".into()));
}

proptest! {
    #[test]
    fn no_file_makes_the_reader_panic(text in "(?s).{0,200}", redis: bool) {
        let name = if redis { "a.conf" } else { "a.toml" };
        prop_assert_eq!(Syntax::of(name) == Syntax::Redis, redis);
        source::read(name, &text);
        words(&text);
    }
}
