//! A request, and how large one may be.

use bytes::Bytes;

/// A command and its arguments, as the client sent them. Never empty.
///
/// Arguments are slices of the read buffer and keep all of it: copy what outlives the request.
pub type Request = Vec<Bytes>;

/// How much one request may ask of this node. The defaults are Redis's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// The longest argument (`proto-max-bulk-len`).
    pub bulk_bytes_max: usize,
    /// The most arguments of a request.
    pub args_max: usize,
    /// The longest inline request, and the longest count before its line end.
    pub inline_bytes_max: usize,
    /// The longest request as a whole (`client-query-buffer-limit`).
    pub request_bytes_max: usize,
    /// The most arguments before the client has said who it is.
    pub unauthenticated_args_max: usize,
    /// The longest argument before the client has said who it is.
    pub unauthenticated_bulk_bytes_max: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            bulk_bytes_max: 512 << 20,
            args_max: 1 << 20,
            inline_bytes_max: 64 << 10,
            request_bytes_max: 1 << 30,
            unauthenticated_args_max: 10,
            unauthenticated_bulk_bytes_max: 16 << 10,
        }
    }
}
