#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use super::*;

const PORT: u16 = 7777;

/// This process is node 1; node 2 is a listener of the test.
fn pair() -> (Proxies, TcpStream, TcpStream) {
    let proxies = Proxies::new(2, &[PORT]).unwrap();
    proxies.belongs(std::process::id(), 1);
    let listener = TcpListener::bind((proxies.address(2), PORT)).unwrap();
    let one = TcpStream::connect((proxies.advertised(2), PORT)).unwrap();
    let (two, _) = listener.accept().unwrap();
    for end in [&one, &two] {
        end.set_read_timeout(Some(Duration::from_millis(300))).unwrap();
    }
    (proxies, one, two)
}

/// Whether a byte that `from` sends comes to `to` soon.
fn arrives(from: &mut TcpStream, to: &mut TcpStream) -> bool {
    from.write_all(b"x").unwrap();
    to.read_exact(&mut [0]).is_ok()
}

#[test]
fn a_cut_has_a_direction_and_what_was_sent_comes_when_it_is_mended() {
    let (proxies, mut one, mut two) = pair();
    assert!(arrives(&mut one, &mut two) && arrives(&mut two, &mut one));
    proxies.apply(&Conditions { cut: vec![(1, 2)], ..Conditions::default() }).unwrap();
    assert!(!arrives(&mut one, &mut two));
    assert!(arrives(&mut two, &mut one));
    proxies.apply(&Conditions::default()).unwrap();
    assert!(two.read_exact(&mut [0]).is_ok(), "what was held back arrives");
}

#[test]
fn nobody_connects_over_a_cut_link() {
    let (proxies, one, two) = pair();
    drop((one, two));
    proxies.apply(&Conditions { cut: vec![(2, 1)], ..Conditions::default() }).unwrap();
    let listener = TcpListener::bind((proxies.address(2), PORT)).unwrap();
    listener.set_nonblocking(true).unwrap();
    let _one = TcpStream::connect((proxies.advertised(2), PORT)).unwrap();
    std::thread::sleep(Duration::from_millis(300));
    assert!(listener.accept().is_err());
    proxies.apply(&Conditions::default()).unwrap();
    std::thread::sleep(Duration::from_millis(300));
    assert!(listener.accept().is_ok());
}

#[test]
fn a_slow_link_takes_its_time() {
    let (proxies, mut one, mut two) = pair();
    two.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
    let slow = [(2, 10_000)].into_iter().collect();
    proxies.apply(&Conditions { slow, ..Conditions::default() }).unwrap();
    let begun = std::time::Instant::now();
    one.write_all(&[0; 5_000]).unwrap();
    two.read_exact(&mut [0; 5_000]).unwrap();
    assert!(begun.elapsed() > Duration::from_millis(400), "{:?}", begun.elapsed());
}
