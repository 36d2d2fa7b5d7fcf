//! What each way to fail means, against a server that fails as it is told to.
#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use super::etcd::Etcd;
use super::seat::{Addresses, Seat, Service};
use super::*;
use rand::SeedableRng;
use rand::rngs::ChaCha8Rng;
use std::net::TcpListener;
use std::thread::JoinHandle;

/// What the stub does with a connection, step by step; then it closes it.
#[derive(Clone)]
enum Step {
    /// Waits for bytes that end so.
    Hear(&'static str),
    /// Sends these.
    Say(String),
    /// Closes without reading what came, which resets the connection.
    Reset,
    /// Neither answers nor closes until the client does.
    Hang,
}
use Step::{Hang, Hear, Reset, Say};

fn say(text: &str) -> Step {
    Say(text.to_owned())
}

/// Serves one connection; gives everything that it heard.
fn stub(steps: Vec<Step>) -> (SocketAddr, JoinHandle<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let serve = move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut heard = String::new();
        for step in steps {
            match step {
                Hear(end) => hear(&mut stream, &mut heard, end),
                Say(text) => stream.write_all(text.as_bytes()).unwrap(),
                // One byte was heard of at least: the rest waits, unread.
                Reset => assert_eq!(stream.read(&mut [0]).unwrap(), 1),
                Hang => drop(stream.read(&mut [0])),
            }
        }
        heard
    };
    (address, std::thread::spawn(serve))
}

fn hear(stream: &mut TcpStream, heard: &mut String, end: &str) {
    while !heard.ends_with(end) {
        let mut chunk = [0; 1024];
        let length = stream.read(&mut chunk).unwrap();
        assert!(length > 0, "the client went away after {heard:?}");
        heard.push_str(str::from_utf8(&chunk[..length]).unwrap());
    }
}

const SET: [&str; 3] = ["SET", "k", "v"];

/// How a write, and a read, end against a stub.
fn ends(steps: &[Step]) -> (Result<Reply, Trouble>, Result<Reply, Trouble>) {
    let ask = |way: fn(&mut Client, &[&str]) -> Result<Reply, Trouble>| {
        let (address, served) = stub(steps.to_vec());
        let mut client = Client::connect(address).unwrap();
        client.deadline = Instant::now() + Duration::from_millis(300);
        let end = way(&mut client, &SET);
        drop(client);
        served.join().unwrap();
        end
    };
    (ask(|client, words| client.write(words)), ask(|client, words| client.read(words)))
}

#[test]
fn error_replies_are_a_definite_no_except_uncertain_ones() {
    for error in ["CLUSTERDOWN no leader", "BUSY too much", "ERR syntax", "READONLY replica"] {
        let (write, read) = ends(&[Hear("v\r\n"), say(&format!("-{error}\r\n"))]);
        assert_eq!(write, Err(Trouble::Refused(error.to_owned())));
        assert_eq!(read, write);
    }
    let (write, read) = ends(&[Hear("v\r\n"), say("-UNCERTAIN proposed\r\n")]);
    assert_eq!(write, Err(Trouble::Unknown("UNCERTAIN proposed".to_owned())));
    assert_eq!(read, Err(Trouble::Refused("UNCERTAIN proposed".to_owned())));
}

#[test]
fn a_write_is_unknown_however_the_connection_is_lost_and_a_read_is_not() {
    let ways = [vec![Hear("v\r\n")], vec![Reset], vec![Hear("v\r\n"), Hang]];
    let reply = "$5\r\nhello\r\n";
    let cuts = (1..reply.len()).map(|end| vec![Hear("v\r\n"), say(&reply[..end])]);
    for steps in ways.into_iter().chain(cuts) {
        let (write, read) = ends(&steps);
        assert!(matches!(write, Err(Trouble::Unknown(_))), "{write:?}");
        assert!(matches!(read, Err(Trouble::Refused(_))), "{read:?}");
    }
    assert_eq!(ends(&[Hear("v\r\n"), say(reply)]).0, Ok(Reply::Bulk(b"hello".to_vec())));
}

#[test]
fn what_is_no_reply_is_impossible_for_writes_and_reads() {
    let (write, read) = ends(&[Hear("v\r\n"), say("hello\r\n")]);
    assert!(matches!(write, Err(Trouble::Impossible(_))), "{write:?}");
    assert!(matches!(read, Err(Trouble::Impossible(_))), "{read:?}");
}

#[test]
fn who_is_refused_a_connection_has_sent_nothing() {
    let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    assert!(matches!(Client::connect(address), Err(Trouble::Refused(_))));
    assert!(matches!(Etcd::at(address).put("k", "v"), Err(Trouble::Refused(_))));
}

#[test]
fn a_late_reply_is_never_taken_for_another_requests() {
    let (address, served) = stub(vec![Hear("v\r\n"), say("$9\r\nthe fi"), Hang]);
    let addresses = addresses(&[address]);
    let mut seat = Seat::pinned(&addresses, 1);
    let client = seat.redis().unwrap();
    client.deadline = Instant::now() + Duration::from_millis(100);
    let trouble = client.write(&SET).unwrap_err();
    assert_eq!(trouble, Trouble::Unknown("timeout".to_owned()));
    assert!(client.is_broken());
    seat.settle(&trouble, &mut ChaCha8Rng::seed_from_u64(1));
    // The stub has ended with its only connection: a new one is asked for, and refused.
    served.join().unwrap();
    assert!(matches!(seat.redis(), Err(Trouble::Refused(_))));
}

/// How a transaction of two commands ends, and what the stub heard.
fn transaction(steps: Vec<Step>) -> (Result<Option<Vec<Reply>>, Trouble>, String) {
    let (address, served) = stub(steps);
    let mut client = Client::connect(address).unwrap();
    client.deadline = Instant::now() + Duration::from_millis(500);
    let end = client.transact(&[words(&["APPEND", "k", "1,"]), words(&["GET", "k"])]);
    drop(client);
    (end, served.join().unwrap())
}

fn executed(exec: &str) -> Result<Option<Vec<Reply>>, Trouble> {
    let queued = format!("+QUEUED\r\n+QUEUED\r\n{exec}");
    transaction(vec![Hear("MULTI\r\n"), say("+OK\r\n"), Hear("EXEC\r\n"), Say(queued)]).0
}

#[test]
fn a_transaction_is_judged_by_the_answer_to_exec() {
    let replies = vec![Reply::Integer(2), Reply::Bulk(b"1,".to_vec())];
    assert_eq!(executed("*2\r\n:2\r\n$2\r\n1,\r\n"), Ok(Some(replies)));
    assert_eq!(executed("*-1\r\n"), Ok(None));
    assert_eq!(executed("-CLUSTERDOWN x\r\n"), Err(Trouble::Refused("CLUSTERDOWN x".into())));
    assert_eq!(executed("-UNCERTAIN x\r\n"), Err(Trouble::Unknown("UNCERTAIN x".into())));
    assert!(matches!(executed("*2\r\n:2\r\n"), Err(Trouble::Unknown(_))));
    assert!(matches!(executed("*1\r\n:2\r\n"), Err(Trouble::Impossible(_))));
    assert!(matches!(executed("*2\r\n:2\r\n-ERR x\r\n"), Err(Trouble::Impossible(_))));
}

#[test]
fn nothing_follows_a_multi_that_was_refused() {
    let (end, heard) = transaction(vec![Hear("MULTI\r\n"), say("-BUSY x\r\n")]);
    assert_eq!(end, Err(Trouble::Refused("BUSY x".to_owned())));
    assert_eq!(heard, "*1\r\n$5\r\nMULTI\r\n");
}

#[test]
fn a_command_that_is_not_queued_must_abort_the_transaction() {
    let with = |exec: &str| {
        let replies = format!("-BUSY x\r\n+QUEUED\r\n{exec}");
        transaction(vec![Hear("MULTI\r\n"), say("+OK\r\n"), Hear("EXEC\r\n"), Say(replies)]).0
    };
    assert_eq!(with("-EXECABORT y\r\n"), Err(Trouble::Refused("BUSY x".to_owned())));
    assert!(matches!(with("*1\r\n:2\r\n"), Err(Trouble::Impossible(_))));
}

fn addresses(nodes: &[SocketAddr]) -> Addresses {
    Addresses { service: Service::Redis, clients: nodes.to_vec(), side: nodes.to_vec() }
}

#[test]
fn only_a_hopping_seat_moves_and_only_after_an_error() {
    let anywhere = SocketAddr::from(([127, 0, 0, 1], 1));
    let addresses = addresses(&[anywhere; 3]);
    let mut rng = ChaCha8Rng::seed_from_u64(7);
    let (refused, unmet) = (Trouble::Refused(String::new()), Trouble::Unmet(String::new()));
    let mut pinned = Seat::pinned(&addresses, 2);
    pinned.settle(&refused, &mut rng);
    assert_eq!(pinned.node(), 2);
    let mut hopping = Seat::hopping(&addresses, 2);
    hopping.settle(&unmet, &mut rng);
    assert_eq!(hopping.node(), 2);
    for _ in 0..20 {
        let before = hopping.node();
        hopping.settle(&refused, &mut rng);
        assert!(hopping.node() != before && (1..=3).contains(&hopping.node()));
    }
}

#[test]
fn a_sentinel_says_who_the_master_is() {
    let reply = "*2\r\n$9\r\n127.0.0.1\r\n$4\r\n7001\r\n";
    let (address, served) = stub(vec![Hear("jepsen\r\n"), say(reply)]);
    assert_eq!(sentinel::master(address), Ok(SocketAddr::from(([127, 0, 0, 1], 7001))));
    served.join().unwrap();
    let (address, served) = stub(vec![Hear("jepsen\r\n"), say("*-1\r\n")]);
    assert!(matches!(sentinel::master(address), Err(Trouble::Refused(_))));
    served.join().unwrap();
}

/// How a put, and a get, to a gateway end that answers so and closes.
fn gateway(answer: &str) -> (Result<(), Trouble>, Result<Option<String>, Trouble>) {
    let steps = vec![Hear("}"), say(answer)];
    let ((put, put_served), (get, get_served)) = (stub(steps.clone()), stub(steps));
    let ends = (Etcd::at(put).put("k", "v"), Etcd::at(get).get("k"));
    put_served.join().unwrap();
    get_served.join().unwrap();
    ends
}

fn http(status: &str, body: &str) -> String {
    format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\n\r\n{body}", body.len())
}

#[test]
fn of_etcd_every_error_after_the_connection_is_unknown() {
    let answers = ["".to_owned(), http("503 Unavailable", "{}"), http("200 OK", "{\"hea")];
    for answer in answers {
        let (put, get) = gateway(&answer);
        assert!(matches!(put, Err(Trouble::Unknown(_))), "{put:?}");
        assert!(matches!(get, Err(Trouble::Refused(_))), "{get:?}");
    }
    let (put, get) = gateway(&http("200 OK", r#"{"kvs":[{"key":"aw==","value":"NQ=="}]}"#));
    assert_eq!((put, get), (Ok(()), Ok(Some("5".to_owned()))));
}
