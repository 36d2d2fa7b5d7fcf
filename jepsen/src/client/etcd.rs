//! A register in etcd, through its JSON gateway: the known-good system for the harness itself.
//!
//! The gateway speaks base64 for keys and values, and 64-bit numbers as strings. etcd answers some
//! writes that it has proposed with an error; which ones is nobody's promise, so that for a write only
//! a connection that was never made is a refusal.

use super::{PATIENCE, Trouble};
use serde_json::{Value, json};
use std::net::SocketAddr;

/// A member of etcd.
#[derive(Debug)]
pub struct Etcd {
    address: SocketAddr,
    agent: ureq::Agent,
}

impl Etcd {
    /// The member that serves clients at an address.
    pub fn at(address: SocketAddr) -> Self {
        Self { address, agent: agent() }
    }

    /// A linearizable read; `None` if the key is absent.
    pub fn get(&self, key: &str) -> Result<Option<String>, Trouble> {
        let answer = self.ask("range", &json!({"key": encode(key)})).map_err(Trouble::of_read)?;
        let Some(value) = answer.pointer("/kvs/0/value") else { return Ok(None) };
        let text = value.as_str().and_then(decode);
        text.map(Some).ok_or_else(|| Trouble::Impossible(format!("{answer}")))
    }

    /// A write.
    pub fn put(&self, key: &str, value: &str) -> Result<(), Trouble> {
        self.ask("put", &json!({"key": encode(key), "value": encode(value)})).map(drop)
    }

    /// Writes if the value is `old`; whether it was.
    pub fn cas(&self, key: &str, old: &str, new: &str) -> Result<bool, Trouble> {
        let compare = json!({"key": encode(key), "target": "VALUE", "value": encode(old)});
        let put = json!({"requestPut": {"key": encode(key), "value": encode(new)}});
        let answer = self.ask("txn", &json!({"compare": [compare], "success": [put]}))?;
        Ok(answer["succeeded"] == true)
    }

    fn ask(&self, verb: &str, body: &Value) -> Result<Value, Trouble> {
        let url = format!("http://{}/v3/kv/{verb}", self.address);
        let failed = |error: ureq::Error| trouble(&error);
        let mut response = self.agent.post(&url).send_json(body).map_err(failed)?;
        let status = response.status();
        let answer = response.body_mut().read_json().map_err(failed)?;
        if status.is_success() {
            Ok(answer)
        } else {
            Err(Trouble::Unknown(format!("{status}: {answer}")))
        }
    }
}

/// An agent that keeps no connection: a reused one may die with a request on it, and then nobody
/// could tell whether a refusal to connect came before or after.
fn agent() -> ureq::Agent {
    ureq::Agent::config_builder()
        .timeout_global(Some(PATIENCE))
        .max_idle_connections(0)
        .max_redirects(0)
        .http_status_as_error(false)
        .proxy(None)
        .build()
        .new_agent()
}

/// What an error of the connection means for a request that changes something.
fn trouble(error: &ureq::Error) -> Trouble {
    let refused = match error {
        ureq::Error::Io(error) => error.kind() == std::io::ErrorKind::ConnectionRefused,
        ureq::Error::ConnectionFailed | ureq::Error::Timeout(ureq::Timeout::Connect) => true,
        _ => false,
    };
    if refused { Trouble::Refused(error.to_string()) } else { Trouble::Unknown(error.to_string()) }
}

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

fn encode(text: &str) -> String {
    let mut encoded = String::new();
    for group in text.as_bytes().chunks(3) {
        let bits = group.iter().fold(0_u32, |bits, byte| bits << 8 | u32::from(*byte));
        let bits = bits << (8 * (3 - group.len()));
        for place in 0..4 {
            let digit = ALPHABET[(bits >> (18 - 6 * place)) as usize & 63];
            encoded.push(if place <= group.len() { char::from(digit) } else { '=' });
        }
    }
    encoded
}

fn decode(text: &str) -> Option<String> {
    let mut bytes = Vec::new();
    for group in text.trim_end_matches('=').as_bytes().chunks(4) {
        let mut bits = 0_u32;
        for place in 0..4 {
            let digit = match group.get(place) {
                Some(byte) => ALPHABET.iter().position(|digit| digit == byte)?,
                None => 0,
            };
            bits = bits << 6 | u32::try_from(digit).ok()?;
        }
        bytes.extend_from_slice(&bits.to_be_bytes()[1..group.len()]);
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_is_that_of_rfc_4648() {
        let vectors = [
            ("", ""),
            ("f", "Zg=="),
            ("fo", "Zm8="),
            ("foo", "Zm9v"),
            ("foob", "Zm9vYg=="),
            ("foobar", "Zm9vYmFy"),
        ];
        for (text, encoded) in vectors {
            assert_eq!(encode(text), encoded);
            assert_eq!(decode(encoded).as_deref(), Some(text));
        }
        assert_eq!(decode("?"), None);
    }
}
