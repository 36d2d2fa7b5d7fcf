//! Bounds of one connection's turn.

/// Commands of one hand-over to the log, and reads under one view.
pub const RUN_COMMANDS_MAX: usize = 1024;
/// Bytes of one hand-over to the log, unless one command is larger.
pub const RUN_BYTES_MAX: usize = 1 << 20;
/// Replies are written once this many bytes of them are ready, and at the end of a turn.
pub const WRITE_BYTES: usize = 64 * 1024;
/// Bytes read at once.
pub const READ_BYTES: usize = 64 * 1024;
/// Buffers that grew larger than this are given back when they are empty.
pub const KEEP_BYTES: usize = 256 * 1024;
