//! Asking a running node over HTTP.

use super::failure::Failure;
use crate::admin::Refusal;
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::time::Duration;
use ureq::Agent;
use ureq::http::{Method, Request};

/// Speaks to the first of several addresses that can be reached.
#[derive(Clone)]
pub struct Client {
    agent: Agent,
    urls: Vec<String>,
    token: Option<String>,
}

impl Client {
    /// `urls` may lack `http://`.
    pub fn new(urls: &[String], token: Option<String>, timeout: Duration) -> Client {
        const CONNECT_MAX: Duration = Duration::from_secs(3);
        let agent = Agent::config_builder()
            .timeout_global(Some(timeout))
            .timeout_connect(Some(CONNECT_MAX.min(timeout)))
            .http_status_as_error(false)
            .proxy(None)
            .build();
        let complete = |url: &String| match url.contains("://") {
            true => url.trim_end_matches('/').to_owned(),
            false => format!("http://{url}"),
        };
        Client { agent: agent.into(), urls: urls.iter().map(complete).collect(), token }
    }

    /// The answer to `METHOD path` with `body`.
    pub fn ask<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        body: Option<Value>,
    ) -> Result<T, Failure> {
        let body = body.map_or_else(String::new, |body| body.to_string());
        let mut failure = Failure::new("no --url to ask");
        for url in &self.urls {
            match self.send(&method, &format!("{url}{path}"), &body) {
                Ok((status, text)) => return read(url, status, &text),
                // Only who was never reached may be followed by another: the request must not
                // be carried out twice.
                Err(error) if is_unreached(&error) => failure = unreachable(url, &error),
                Err(error) => return Err(unreachable(url, &error)),
            }
        }
        Err(failure.not_asked())
    }

    fn send(&self, method: &Method, url: &str, body: &str) -> Result<(u16, String), ureq::Error> {
        let mut request = Request::builder().method(method).uri(url);
        if let Some(token) = &self.token {
            request = request.header("Authorization", format!("Bearer {token}"));
        }
        if !body.is_empty() {
            request = request.header("Content-Type", "application/json");
        }
        let mut response = match *method == Method::POST {
            true => self.agent.run(request.body(body.to_owned())?)?,
            false => self.agent.run(request.body(())?)?,
        };
        Ok((response.status().as_u16(), response.body_mut().read_to_string()?))
    }
}

fn is_unreached(error: &ureq::Error) -> bool {
    use std::io::ErrorKind::{ConnectionRefused, HostUnreachable, NetworkUnreachable};
    match error {
        ureq::Error::HostNotFound | ureq::Error::ConnectionFailed => true,
        ureq::Error::Timeout(timeout) => matches!(timeout, ureq::Timeout::Connect),
        ureq::Error::Io(error) => {
            [ConnectionRefused, HostUnreachable, NetworkUnreachable].contains(&error.kind())
        }
        _ => false,
    }
}

fn unreachable(url: &str, error: &ureq::Error) -> Failure {
    Failure::new(format!("{url} does not answer: {error}"))
        .help("give the HTTP address of a running node with --url")
        .not_asked()
}

fn read<T: DeserializeOwned>(url: &str, status: u16, text: &str) -> Result<T, Failure> {
    if status == 200 {
        return serde_json::from_str(text).map_err(|_| not_talus(url, status));
    }
    let refusal: Refusal = serde_json::from_str(text).map_err(|_| not_talus(url, status))?;
    Err(refusal.into())
}

fn not_talus(url: &str, status: u16) -> Failure {
    Failure::new(format!("{url} answers {status}, but not as a node of Talus does"))
        .help("HTTP is served one port above the port for Redis clients by default")
        .not_asked()
}
