//! Bounds of one connection's turn.

/// Commands of one hand-over to the log, and reads under one view.
pub const RUN_COMMANDS_MAX: usize = 1024;
/// Bytes of one hand-over to the log, unless one command is larger.
pub const RUN_BYTES_MAX: usize = 1 << 20;
/// Replies are written once this many bytes of them are ready, and at the end of a turn.
pub const WRITE_BYTES: usize = 64 * 1024;
/// Bytes read at once from a client that sends much.
pub const READ_BYTES_MAX: usize = 64 * 1024;
/// Bytes read at once from a client that has sent little before.
pub const READ_BYTES_MIN: usize = 16 * 1024;
/// Buffers that grew larger than this are given back when they are empty: what an idle client costs.
pub const KEEP_BYTES: usize = 16 * 1024;
/// What each connection may hold without its being charged to all clients together.
pub const FREE_BYTES: usize = 256 * 1024;
