//! What every request passes before its handler: time, origin, token.

use super::Limits;
use super::refusal::{Code, Refusal};
use axum::extract::{Request, State};
use axum::http::{Method, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

/// Gives a request up that takes too long. What it asked for may still happen.
pub async fn in_time(State(limits): State<Limits>, request: Request, next: Next) -> Response {
    let answer = tokio::time::timeout(limits.request_timeout, next.run(request));
    answer.await.unwrap_or_else(|_| {
        let message = "the request took too long; what it asked for may still happen";
        Refusal::new(Code::Timeout, message).help("ask again for the state").into_response()
    })
}

/// Keeps web pages of other origins from changing anything through somebody's browser. Tools send
/// no origin, and pages served from here send this one.
pub async fn same_origin(request: Request, next: Next) -> Response {
    if is_harmless(&request) {
        return next.run(request).await;
    }
    Refusal::new(Code::Forbidden, "a page of another origin may not change anything")
        .into_response()
}

fn is_harmless(request: &Request) -> bool {
    let header = |name| request.headers().get(name).and_then(|value| value.to_str().ok());
    let host = header(header::HOST);
    let own = |origin: &str| origin.split_once("://").map(|(_, authority)| authority) == host;
    let reads = [Method::GET, Method::HEAD].contains(request.method());
    reads || header(header::ORIGIN).is_none_or(own)
}

/// Asks for the token, if there is one.
pub async fn authorized(State(limits): State<Limits>, request: Request, next: Next) -> Response {
    let sent = request.headers().get(header::AUTHORIZATION).map(|value| value.as_bytes());
    let sent = sent.and_then(|value| value.strip_prefix(b"Bearer ")).unwrap_or_default();
    if limits.token.is_empty() || equal(sent, limits.token.as_bytes()) {
        return next.run(request).await;
    }
    Refusal::new(Code::Unauthorized, "the token is missing or wrong")
        .help("send `Authorization: Bearer …` with the value of admin.token")
        .into_response()
}

/// Compares in a time that depends on the lengths only.
fn equal(a: &[u8], b: &[u8]) -> bool {
    let differences = a.iter().zip(b).fold(0, |all, (a, b)| all | (a ^ b));
    a.len() == b.len() && differences == 0
}

/// What is not there.
pub async fn unknown(request: Request) -> Refusal {
    let path = request.uri().path().to_owned();
    Refusal::new(Code::NotFound, format!("there is no {path}"))
        .help("GET /api/openapi.json describes every request")
}

/// What is there, but not for this method.
pub async fn wrong_method(request: Request) -> Refusal {
    let (method, path) = (request.method().clone(), request.uri().path().to_owned());
    Refusal::new(Code::BadRequest, format!("{path} does not take {method}"))
        .help("GET /api/openapi.json describes every request")
}
