//! How a request is turned down: with a reason, and with what to do instead.

use axum::Json;
use axum::extract::rejection::{JsonRejection, PathRejection, QueryRejection};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use std::fmt;
use utoipa::ToSchema;

/// Why a request was not carried out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema, thiserror::Error)]
pub struct Refusal {
    /// For programs.
    pub code: Code,
    /// For people: what is wrong, or what the request would have broken.
    pub message: String,
    /// For people: what to do instead.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub help: Option<String>,
}

/// The kinds of refusals.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Code {
    /// The request cannot be understood.
    BadRequest,
    /// The token is missing or wrong.
    Unauthorized,
    /// A web page of another origin may not do this.
    Forbidden,
    /// There is no such member or path.
    NotFound,
    /// It would break something that works.
    WouldBreak,
    /// Another change is in progress, or things are already as asked for.
    Conflict,
    /// It must be asked of the leader, and could not be passed on.
    NotLeader,
    /// There is no leader.
    NoLeader,
    /// The node that is asked is no member any more.
    Removed,
    /// It took too long; it may still happen.
    Timeout,
    /// The node cannot do it.
    Fault,
}

impl Code {
    /// The status that goes with it.
    pub fn status(self) -> StatusCode {
        match self {
            Code::BadRequest => StatusCode::BAD_REQUEST,
            Code::Unauthorized => StatusCode::UNAUTHORIZED,
            Code::Forbidden => StatusCode::FORBIDDEN,
            Code::NotFound => StatusCode::NOT_FOUND,
            Code::WouldBreak | Code::Conflict => StatusCode::CONFLICT,
            Code::NotLeader => StatusCode::MISDIRECTED_REQUEST,
            Code::Removed => StatusCode::GONE,
            Code::NoLeader => StatusCode::SERVICE_UNAVAILABLE,
            Code::Timeout => StatusCode::GATEWAY_TIMEOUT,
            Code::Fault => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl Refusal {
    /// A refusal without advice.
    pub fn new(code: Code, message: impl Into<String>) -> Refusal {
        Refusal { code, message: message.into(), help: None }
    }

    /// Adds what to do instead.
    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> Refusal {
        self.help = Some(help.into());
        self
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        (self.code.status(), Json(self)).into_response()
    }
}

macro_rules! from_rejections {
    ($($rejection:ty),*) => {$(
        impl From<$rejection> for Refusal {
            fn from(rejection: $rejection) -> Refusal {
                Refusal::new(Code::BadRequest, rejection.body_text())
                    .help("GET /api/openapi.json describes every request")
            }
        }
    )*};
}

from_rejections!(JsonRejection, PathRejection, QueryRejection);
