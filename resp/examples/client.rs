//! Sets a key and reads it back: `cargo run -p talus-resp --example client [host:port]`.

fn main() -> std::io::Result<()> {
    let addr = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:6379".to_owned());
    let mut client = resp::client::Client::connect(addr)?;
    println!("{:?}", client.request(&["SET", "greeting", "hello"])?);
    println!("{:?}", client.request(&["GET", "greeting"])?);
    Ok(())
}
