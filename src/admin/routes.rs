//! Every path, its handler and its description.

use super::backend::{Action, AdminBackend, ClusterView, DigestView, Done, NewMember};
use super::refusal::{Code, Refusal};
use crate::config::live::Shown;
use axum::extract::rejection::{JsonRejection, PathRejection, QueryRejection};
use axum::extract::{Path, Query, State};
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::{delete, get, post};
use axum::{Json, Router};
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use utoipa::{IntoParams, OpenApi, ToSchema};

type Backend = State<Arc<dyn AdminBackend>>;
type Member = Result<Path<u64>, PathRejection>;
type Input<T> = Result<Json<T>, JsonRejection>;
type Output<T> = Result<Json<T>, Refusal>;

/// What needs no token.
pub fn open() -> Router<Arc<dyn AdminBackend>> {
    Router::new()
        .route("/health/live", get(live))
        .route("/health/ready", get(ready))
        .route("/metrics", get(metrics))
        .route("/api/openapi.json", get(openapi))
}

/// What needs the token, if there is one.
pub fn guarded() -> Router<Arc<dyn AdminBackend>> {
    Router::new()
        .route("/v1/cluster", get(cluster))
        .route("/v1/members", post(add_learner))
        .route("/v1/members/{id}", delete(remove))
        .route("/v1/members/{id}/promote", post(promote))
        .route("/v1/members/{id}/demote", post(demote))
        .route("/v1/members/{id}/replace", post(replace))
        .route("/v1/leader/transfer", post(transfer))
        .route("/v1/snapshot", post(snapshot))
        .route("/v1/digest", get(digest))
        .route("/v1/config", get(config))
}

/// The description of the interface.
#[derive(OpenApi)]
#[openapi(
    info(title = "Talus", description = "Health, metrics and membership of a Talus node."),
    paths(
        live,
        ready,
        metrics,
        cluster,
        add_learner,
        remove,
        promote,
        demote,
        replace,
        transfer,
        snapshot,
        digest,
        config,
    )
)]
pub struct Description;

/// Whether the node is ready, and if not, why.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct Readiness {
    /// Whether clients should be sent here.
    pub ready: bool,
    /// Why not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// Who takes the place of a member.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Replacement {
    /// A learner that has caught up.
    pub with: u64,
}

/// Who is to lead.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Transferee {
    /// A voter.
    pub to: u64,
}

/// How a member is removed.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct Removal {
    /// Even if what remains has no quorum.
    #[serde(default)]
    force: bool,
}

/// Whether the process runs.
#[utoipa::path(get, path = "/health/live", responses((status = 200, body = str)))]
async fn live() -> &'static str {
    "live\n"
}

/// Whether clients should be sent here.
#[utoipa::path(get, path = "/health/ready", responses(
    (status = 200, body = Readiness),
    (status = 503, body = Readiness),
))]
async fn ready(State(backend): Backend) -> impl IntoResponse {
    match backend.ready() {
        Ok(()) => (StatusCode::OK, Json(Readiness { ready: true, reason: None })),
        Err(reason) => {
            let readiness = Readiness { ready: false, reason: Some(reason) };
            (StatusCode::SERVICE_UNAVAILABLE, Json(readiness))
        }
    }
}

/// All metrics, in the text format of Prometheus.
#[utoipa::path(get, path = "/metrics", responses((status = 200, body = str)))]
async fn metrics(State(backend): Backend) -> impl IntoResponse {
    const FORMAT: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    ([(header::CONTENT_TYPE, FORMAT)], backend.metrics())
}

async fn openapi() -> Json<utoipa::openapi::OpenApi> {
    Json(Description::openapi())
}

/// The members and how they are.
#[utoipa::path(get, path = "/v1/cluster", responses(
    (status = 200, body = ClusterView),
    (status = 401, body = Refusal),
))]
async fn cluster(State(backend): Backend) -> Output<ClusterView> {
    Ok(Json(backend.cluster().await?))
}

/// Adds a member that receives the log and does not vote.
#[utoipa::path(post, path = "/v1/members", request_body = NewMember, responses(
    (status = 200, body = Done),
    (status = 400, body = Refusal),
    (status = 409, body = Refusal),
    (status = 503, body = Refusal),
))]
async fn add_learner(State(backend): Backend, member: Input<NewMember>) -> Output<Done> {
    let Json(member) = member?;
    run(&backend, Action::AddLearner { member: complete(member)? }).await
}

/// Makes a learner that has caught up a voter.
#[utoipa::path(post, path = "/v1/members/{id}/promote", params(("id" = u64, Path)), responses(
    (status = 200, body = Done),
    (status = 404, body = Refusal),
    (status = 409, body = Refusal),
    (status = 503, body = Refusal),
))]
async fn promote(State(backend): Backend, id: Member) -> Output<Done> {
    let Path(id) = id?;
    run(&backend, Action::Promote { id }).await
}

/// Makes a voter a learner.
#[utoipa::path(post, path = "/v1/members/{id}/demote", params(("id" = u64, Path)), responses(
    (status = 200, body = Done),
    (status = 404, body = Refusal),
    (status = 409, body = Refusal),
    (status = 503, body = Refusal),
))]
async fn demote(State(backend): Backend, id: Member) -> Output<Done> {
    let Path(id) = id?;
    run(&backend, Action::Demote { id }).await
}

/// Removes a member. Its id is never used again.
#[utoipa::path(delete, path = "/v1/members/{id}", params(("id" = u64, Path), Removal), responses(
    (status = 200, body = Done),
    (status = 404, body = Refusal),
    (status = 409, body = Refusal),
    (status = 503, body = Refusal),
))]
async fn remove(
    State(backend): Backend,
    id: Member,
    removal: Result<Query<Removal>, QueryRejection>,
) -> Output<Done> {
    let (Path(id), Query(removal)) = (id?, removal?);
    run(&backend, Action::Remove { id, force: removal.force }).await
}

/// Makes a learner a voter and removes the member `id` in one step.
#[utoipa::path(
    post, path = "/v1/members/{id}/replace", params(("id" = u64, Path)), request_body = Replacement,
    responses(
        (status = 200, body = Done),
        (status = 404, body = Refusal),
        (status = 409, body = Refusal),
        (status = 503, body = Refusal),
    )
)]
async fn replace(State(backend): Backend, id: Member, by: Input<Replacement>) -> Output<Done> {
    let (Path(id), Json(by)) = (id?, by?);
    run(&backend, Action::Replace { id, with: by.with }).await
}

/// Makes another voter the leader.
#[utoipa::path(post, path = "/v1/leader/transfer", request_body = Transferee, responses(
    (status = 200, body = Done),
    (status = 404, body = Refusal),
    (status = 409, body = Refusal),
    (status = 503, body = Refusal),
))]
async fn transfer(State(backend): Backend, transferee: Input<Transferee>) -> Output<Done> {
    let Json(transferee) = transferee?;
    run(&backend, Action::Transfer { to: transferee.to }).await
}

/// Takes a snapshot on this node.
#[utoipa::path(post, path = "/v1/snapshot", responses((status = 200, body = Done)))]
async fn snapshot(State(backend): Backend) -> Output<Done> {
    Ok(Json(backend.snapshot().await?))
}

/// The digest of the state of every replica at one log index.
#[utoipa::path(get, path = "/v1/digest", responses(
    (status = 200, body = DigestView),
    (status = 503, body = Refusal),
))]
async fn digest(State(backend): Backend) -> Output<DigestView> {
    Ok(Json(backend.digest().await?))
}

/// Every setting of this node, its value and where that comes from.
#[utoipa::path(get, path = "/v1/config", responses((status = 200, body = Vec<Shown>)))]
async fn config(State(backend): Backend) -> Json<Vec<Shown>> {
    Json(backend.settings())
}

async fn run(backend: &Arc<dyn AdminBackend>, action: Action) -> Output<Done> {
    Ok(Json(backend.run(action).await?))
}

/// Fills in the address for other nodes, and refuses what is no address.
fn complete(mut member: NewMember) -> Result<NewMember, Refusal> {
    use crate::config::address::{host_and_port, join_host_port};
    let bad = |text: &str| {
        Refusal::new(Code::BadRequest, format!("'{text}' is not HOST:PORT"))
            .help(r#"as in {"resp": "10.0.0.4:6379"}"#)
    };
    let (host, port) = host_and_port(&member.resp, 6379).ok_or_else(|| bad(&member.resp))?;
    member.resp = join_host_port(&host, port);
    if member.rpc.is_empty() {
        let rpc = port.checked_add(10_000).ok_or_else(|| bad(&member.rpc))?;
        member.rpc = join_host_port(&host, rpc);
    }
    for text in [&member.rpc, &member.http].into_iter().filter(|text| !text.is_empty()) {
        host_and_port(text, 0).filter(|(_, port)| *port != 0).ok_or_else(|| bad(text))?;
    }
    Ok(member)
}
