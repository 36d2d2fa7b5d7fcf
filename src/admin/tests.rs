//! The router with a backend that records what it is asked.

use super::backend::*;
use super::*;
use crate::config::Live;
use crate::config::live::Shown;
use futures::FutureExt;
use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

#[derive(Default)]
pub(crate) struct Fake {
    pub(crate) asked: Mutex<Vec<Action>>,
    pub(crate) refusal: Option<Refusal>,
    pub(crate) unready: Option<String>,
    pub(crate) slow: bool,
}

fn member(id: u64, role: Role, state: State) -> MemberView {
    let address = |port: u64| format!("10.0.0.{id}:{port}");
    MemberView {
        id,
        resp: address(6379),
        rpc: address(16379),
        http: String::new(),
        role,
        state,
        term: Some(3),
        applied: Some(10),
        lag: Some(0),
        keys: Some(5),
        disk_bytes: Some(1 << 20),
        rtt_us: Some(400),
        version: Some("0.1.0".into()),
    }
}

pub(crate) fn facts(states: &[State]) -> ClusterFacts {
    let role = |id| if id == 1 { Role::Leader } else { Role::Voter };
    let members: Vec<MemberView> =
        (1..).zip(states).map(|(id, state)| member(id, role(id), *state)).collect();
    ClusterFacts {
        cluster: "3f".repeat(16),
        name: "default".into(),
        node: 1,
        leader: Some(1),
        term: 3,
        committed: 10,
        commit_p99_us: Some(2100),
        voter_sets: vec![members.iter().map(|member| member.id).collect()],
        members,
    }
}

impl AdminBackend for Fake {
    fn ready(&self) -> Result<(), String> {
        self.unready.clone().map_or(Ok(()), Err)
    }

    fn cluster(&self) -> Answer<'_, ClusterView> {
        async move {
            if self.slow {
                tokio::time::sleep(Duration::from_secs(60)).await;
            }
            Ok(facts(&[State::Healthy; 3]).into())
        }
        .boxed()
    }

    fn run(&self, action: Action) -> Answer<'_, Done> {
        self.asked.lock().push(action);
        let done = Done { message: "done".into(), id: None, index: Some(7) };
        let answer = self.refusal.clone().map_or(Ok(done), Err);
        async move { answer }.boxed()
    }

    fn snapshot(&self) -> Answer<'_, Done> {
        async { Ok(Done { message: "done".into(), id: None, index: Some(7) }) }.boxed()
    }

    fn digest(&self) -> Answer<'_, DigestView> {
        async { Ok(DigestView::of(7, Vec::new())) }.boxed()
    }

    fn metrics(&self) -> String {
        "# EOF\n".into()
    }

    fn settings(&self) -> Vec<Shown> {
        Live::new(crate::config::Loaded::default()).show()
    }
}

pub(crate) fn limits(token: &str) -> Limits {
    Limits { token: token.into(), request_timeout: Duration::from_millis(200), connections_max: 2 }
}

/// A server on a port of its own, with the backend behind it.
struct Server {
    backend: Arc<Fake>,
    address: std::net::SocketAddr,
}

impl Server {
    async fn start(backend: Fake, token: &str) -> Server {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("it is bound");
        let backend = Arc::new(backend);
        let never = futures::future::pending();
        tokio::spawn(serve(listener, backend.clone(), limits(token), never));
        Server { backend, address }
    }

    /// Status and body of the answer to a raw request line with headers and a body.
    async fn raw(&self, line: &str, headers: &str, body: &str) -> (u16, String) {
        let mut stream = TcpStream::connect(self.address).await.expect("it listens");
        let length = body.len();
        let request = format!(
            "{line} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\
             Content-Length: {length}\r\nContent-Type: application/json\r\n{headers}\r\n{body}",
            self.address
        );
        stream.write_all(request.as_bytes()).await.expect("it reads");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.expect("it answers");
        let status = answer.split(' ').nth(1).and_then(|status| status.parse().ok());
        let body = answer.split_once("\r\n\r\n").map_or("", |(_, body)| body);
        (status.expect("a status"), body.into())
    }

    async fn ask(&self, line: &str, body: &str) -> (u16, Value) {
        let (status, body) = self.raw(line, "", body).await;
        (status, serde_json::from_str(&body).unwrap_or(Value::Null))
    }

    fn asked(&self) -> Vec<Action> {
        self.backend.asked.lock().clone()
    }
}

#[tokio::test]
async fn verbs_reach_the_backend() {
    let server = Server::start(Fake::default(), "").await;
    let full = NewMember { resp: "h:6379".into(), rpc: "h:16379".into(), http: String::new() };
    let cases = [
        ("POST /v1/members", r#"{"resp": "h"}"#, Action::AddLearner { member: full }),
        ("POST /v1/members/3/promote", "", Action::Promote { id: 3 }),
        ("POST /v1/members/3/demote", "", Action::Demote { id: 3 }),
        ("DELETE /v1/members/3", "", Action::Remove { id: 3, force: false }),
        ("DELETE /v1/members/3?force=true", "", Action::Remove { id: 3, force: true }),
        ("POST /v1/members/3/replace", r#"{"with": 4}"#, Action::Replace { id: 3, with: 4 }),
        ("POST /v1/leader/transfer", r#"{"to": 2}"#, Action::Transfer { to: 2 }),
    ];
    for (line, body, action) in cases {
        let (status, answer) = server.ask(line, body).await;
        assert_eq!((status, answer["index"].as_u64()), (200, Some(7)), "{line}");
        assert_eq!(server.asked().pop(), Some(action));
    }
}

#[tokio::test]
async fn views_are_json() {
    let server = Server::start(Fake::default(), "").await;
    let (status, view) = server.ask("GET /v1/cluster", "").await;
    assert_eq!((status, &view["health"]), (200, &json!("healthy")));
    assert_eq!(view["members"][1]["role"], json!("voter"));
    let (status, digest) = server.ask("GET /v1/digest", "").await;
    assert_eq!((status, &digest["index"]), (200, &json!(7)));
    let (status, done) = server.ask("POST /v1/snapshot", "").await;
    assert_eq!((status, &done["message"]), (200, &json!("done")));
    let (status, settings) = server.ask("GET /v1/config", "").await;
    let port = json!({"name": "server.port", "value": "6379", "origin": "default", "live": false});
    assert_eq!(status, 200);
    assert!(settings.as_array().expect("a list").contains(&port));
    assert_eq!(server.raw("GET /metrics", "", "").await, (200, "# EOF\n".into()));
}

#[tokio::test]
async fn bad_input_is_refused_with_a_reason() {
    let server = Server::start(Fake::default(), "").await;
    let cases = [
        ("POST /v1/members", "{", 400, "bad_request"),
        ("POST /v1/members", r#"{"resp": "h:1", "rcp": "h:2"}"#, 400, "bad_request"),
        ("POST /v1/members", r#"{"resp": "a b"}"#, 400, "bad_request"),
        ("POST /v1/members", r#"{"resp": "h:65000"}"#, 400, "bad_request"),
        ("POST /v1/members", r#"{"resp": "h:1", "rpc": "h"}"#, 400, "bad_request"),
        ("POST /v1/members/x/promote", "", 400, "bad_request"),
        ("DELETE /v1/members/3?force=perhaps", "", 400, "bad_request"),
        ("DELETE /v1/members/3?farce=true", "", 400, "bad_request"),
        ("POST /v1/leader/transfer", r#"{"to": -1}"#, 400, "bad_request"),
        ("GET /v1/leader/transfer", "", 400, "bad_request"),
        ("GET /v2", "", 404, "not_found"),
    ];
    for (line, body, status, code) in cases {
        let (found, answer) = server.ask(line, body).await;
        assert_eq!((found, &answer["code"]), (status, &json!(code)), "{line} {body} {answer}");
        assert!(answer["message"].is_string() && answer["help"].is_string(), "{answer}");
    }
    assert_eq!(server.asked(), []);
}

#[tokio::test]
async fn requests_are_bounded() {
    let server = Server::start(Fake { slow: true, ..Fake::default() }, "").await;
    let large = format!(r#"{{"resp": "{}"}}"#, "x".repeat(BODY_BYTES_MAX));
    let (status, answer) = server.ask("POST /v1/members", &large).await;
    assert_eq!((status, &answer["code"]), (400, &json!("bad_request")));
    let (status, answer) = server.ask("GET /v1/cluster", "").await;
    assert_eq!((status, &answer["code"]), (504, &json!("timeout")));
}

#[tokio::test]
async fn a_refusal_says_what_it_would_break() {
    let cases = [
        (Code::WouldBreak, 409),
        (Code::Conflict, 409),
        (Code::NotFound, 404),
        (Code::NotLeader, 421),
        (Code::NoLeader, 503),
        (Code::Fault, 500),
    ];
    for (code, status) in cases {
        let refusal = Refusal::new(code, "1 of 2 voters would remain").help("add one first");
        let fake = Fake { refusal: Some(refusal.clone()), ..Fake::default() };
        let server = Server::start(fake, "").await;
        let (found, answer) = server.ask("DELETE /v1/members/2", "").await;
        assert_eq!((found, serde_json::from_value(answer).ok()), (status, Some(refusal)));
    }
}

#[tokio::test]
async fn the_token_guards_v1_only() {
    let server = Server::start(Fake::default(), "secret").await;
    for header in ["", "Authorization: secret\r\n", "Authorization: Bearer secreT\r\n"] {
        assert_eq!(server.raw("GET /v1/cluster", header, "").await.0, 401);
    }
    assert_eq!(server.raw("GET /v1/cluster", "Authorization: Bearer secret\r\n", "").await.0, 200);
    for path in ["/health/live", "/health/ready", "/metrics", "/api/openapi.json"] {
        assert_eq!(server.raw(&format!("GET {path}"), "", "").await.0, 200, "{path}");
    }
}

#[tokio::test]
async fn pages_of_other_origins_change_nothing() {
    let server = Server::start(Fake::default(), "").await;
    let evil = "Origin: http://evil.example\r\n";
    let own = format!("Origin: http://{}\r\n", server.address);
    assert_eq!(server.raw("POST /v1/members/3/promote", evil, "").await.0, 403);
    assert_eq!(server.asked(), []);
    assert_eq!(server.raw("POST /v1/members/3/promote", &own, "").await.0, 200);
    assert_eq!(server.raw("GET /v1/cluster", evil, "").await.0, 200);
}

#[tokio::test]
async fn readiness_has_a_reason() {
    let server = Server::start(Fake::default(), "").await;
    assert_eq!(server.ask("GET /health/ready", "").await, (200, json!({"ready": true})));
    let unready = Some("no leader".to_string());
    let server = Server::start(Fake { unready, ..Fake::default() }, "").await;
    let expected = json!({"ready": false, "reason": "no leader"});
    assert_eq!(server.ask("GET /health/ready", "").await, (503, expected));
    assert_eq!(server.raw("GET /health/live", "", "").await.0, 200);
}

#[tokio::test]
async fn silent_connections_do_not_keep_others_out_for_ever() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("it is bound");
    let listener = Limited::new(listener, 1, Duration::from_millis(100));
    let router = router(Arc::new(Fake::default()), &limits(""));
    tokio::spawn(async move { axum::serve(listener, router).await });
    let silent = TcpStream::connect(address).await.expect("it listens");
    let server = Server { backend: Arc::default(), address };
    assert_eq!(server.raw("GET /health/live", "", "").await.0, 200);
    drop(silent);
}

#[tokio::test]
async fn every_path_is_described() {
    let server = Server::start(Fake::default(), "").await;
    let (_, description) = server.ask("GET /api/openapi.json", "").await;
    let paths = description["paths"].as_object().expect("paths");
    let verbs: usize = paths.values().filter_map(Value::as_object).map(serde_json::Map::len).sum();
    assert_eq!((paths.len(), verbs), (13, 13));
    for path in paths.keys() {
        let path = path.replace("{id}", "3");
        let statuses = [
            server.ask(&format!("GET {path}"), "").await.0,
            server.ask(&format!("POST {path}"), "{}").await.0,
            server.ask(&format!("DELETE {path}"), "").await.0,
        ];
        assert!(!statuses.contains(&404), "{path}: {statuses:?}");
    }
    for name in ["ClusterView", "Done", "Refusal", "DigestView", "Shown"] {
        assert!(description["components"]["schemas"][name].is_object(), "{name}");
    }
}

#[test]
fn health_follows_from_the_voters_that_are_there() {
    use State::{CatchingUp, Healthy, Unreachable};
    let view = |facts: ClusterFacts| {
        let view = ClusterView::from(facts);
        (view.health, view.quorum.reachable, view.quorum.needed, view.quorum.spare)
    };
    assert_eq!(view(facts(&[Healthy; 3])), (Health::Healthy, 3, 2, 1));
    assert_eq!(view(facts(&[Healthy, Unreachable, CatchingUp])), (Health::Degraded, 2, 2, 0));
    assert_eq!(view(facts(&[Healthy, Unreachable, Unreachable])), (Health::NoQuorum, 1, 2, 0));
    let leaderless = ClusterFacts { leader: None, ..facts(&[Healthy; 3]) };
    assert_eq!(view(leaderless), (Health::NoQuorum, 3, 2, 1));
    let states = [Healthy, Healthy, Unreachable, Unreachable];
    let joint = ClusterFacts { voter_sets: vec![vec![1, 2, 3], vec![2, 3, 4]], ..facts(&states) };
    assert_eq!(view(joint), (Health::NoQuorum, 1, 2, 0));
}

#[test]
fn digests_are_equal_if_all_that_answered_agree() {
    let of = |digests: &[Option<&str>]| {
        let replica = |(id, digest): (u64, &Option<&str>)| ReplicaDigest {
            id,
            digest: digest.map(String::from),
            error: digest.is_none().then(|| "away".into()),
        };
        DigestView::of(7, (1..).zip(digests).map(replica).collect()).equal
    };
    assert!(of(&[Some("a"), Some("a"), None]));
    assert!(!of(&[Some("a"), None, Some("b")]));
}

#[test]
fn actions_travel_as_json() {
    let text = serde_json::to_string(&Action::Remove { id: 3, force: false }).expect("it is JSON");
    assert_eq!(text, r#"{"verb":"remove","id":3,"force":false}"#);
    let back: Action = serde_json::from_str(&text).expect("it was written so");
    assert_eq!(back, Action::Remove { id: 3, force: false });
}
