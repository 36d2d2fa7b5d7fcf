//! Administration over HTTP: health, metrics, membership.
//!
//! `backend` says what a node can be asked, `routes` under which path, `gates` who may ask.
//! Nothing here decides anything about the cluster: that is the backend's.
//!
//! Invariants
//! * A request is bounded in size and time, connections in number and silence.
//! * What is refused says why, and what to do instead, as JSON.
//! * Nothing changes for a web page of another origin, nor without the token if there is one.

pub mod backend;
mod gates;
mod listener;
pub mod refusal;
pub mod routes;
#[cfg(test)]
pub(crate) mod tests;

use crate::config::Config;
use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::middleware::{from_fn, from_fn_with_state};
pub use backend::{Action, AdminBackend, ClusterFacts, ClusterView, DigestView, Done};
use listener::Limited;
pub use refusal::{Code, Refusal};
use std::future::Future;
use std::io;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;

const BODY_BYTES_MAX: usize = 64 << 10;

/// What a request must keep to.
#[derive(Debug, Clone)]
pub struct Limits {
    /// What `Authorization: Bearer` must carry; empty: nothing.
    pub token: Arc<str>,
    /// When a request is given up.
    pub request_timeout: Duration,
    /// Connections at a time.
    pub connections_max: u32,
}

impl Limits {
    /// As configured.
    pub fn of(config: &Config) -> Limits {
        Limits {
            token: config.admin.token.as_str().into(),
            request_timeout: config.admin.request_timeout_ms.duration(),
            connections_max: config.admin.connections_max,
        }
    }
}

/// All paths, answered by `backend`.
pub fn router(backend: Arc<dyn AdminBackend>, limits: &Limits) -> Router {
    let guarded = routes::guarded()
        .route_layer(from_fn_with_state(limits.clone(), gates::authorized))
        .route_layer(from_fn(gates::same_origin));
    routes::open()
        .merge(guarded)
        .fallback(gates::unknown)
        .method_not_allowed_fallback(gates::wrong_method)
        .layer(DefaultBodyLimit::max(BODY_BYTES_MAX))
        .layer(from_fn_with_state(limits.clone(), gates::in_time))
        .with_state(backend)
}

/// Serves HTTP on `listener` until `stop` is ready and requests in progress are answered.
pub async fn serve(
    listener: TcpListener,
    backend: Arc<dyn AdminBackend>,
    limits: Limits,
    stop: impl Future<Output = ()> + Send + 'static,
) -> io::Result<()> {
    const GRACE: Duration = Duration::from_secs(15);
    let idle_max = limits.request_timeout + GRACE;
    let router = router(backend, &limits);
    let listener = Limited::new(listener, limits.connections_max, idle_max);
    axum::serve(listener, router).with_graceful_shutdown(stop).await
}
