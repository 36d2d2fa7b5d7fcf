//! RESP, the protocol Redis clients speak: requests in, replies out.
//!
//! The crate knows bytes and nothing else: no sockets but those of [`client`], no keyspace, no
//! clock. What a command answers is a [`Reply`]; how RESP2, RESP3 or another node hears it is
//! decided by [`encode`] alone, so no command ever asks which protocol its client speaks.
//!
//! Invariants
//! * Arguments and bulk replies are slices of the buffer they arrived in: decoding copies nothing
//!   and allocates once per request, whatever the number of arguments.
//! * A decoder resumes where it stopped. However the bytes are cut, each one is looked at once,
//!   and the result is the same.
//! * Nothing is reserved because a peer announced it: buffers grow with the bytes received.
//! * `Protocol::Node` loses nothing: decoding what was encoded gives an equal reply.

pub mod client;
mod decode;
mod encode;
mod error;
mod glob;
mod inline;
pub mod number;
mod reply;
mod reply_decode;
mod request;

pub use decode::{Decoder, ProtocolError};
pub use encode::{encode, encode_request};
pub use error::ReplyError;
pub use glob::glob;
pub use inline::split_arguments;
pub use reply::{Protocol, Reply};
pub use reply_decode::{ReplyDecoder, decode_replies};
pub use request::{Limits, Request};
