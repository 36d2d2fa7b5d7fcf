//! What a client may be told instead of an answer.
//!
//! `Display` is the exact text on the wire, after the `-`. No other code spells these texts: they
//! are Redis 7.2's, and clients compare them.

use crate::decode::ProtocolError;

/// A refusal. Two are equal if a client cannot tell them apart.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum ReplyError {
    // What any command may find wrong with its arguments or its key.
    /// The key holds another type.
    #[error("WRONGTYPE Operation against a key holding the wrong kind of value")]
    WrongType,
    /// Options that do not exist, or not together.
    #[error("ERR syntax error")]
    Syntax,
    /// An argument or a value that should be a 64-bit integer.
    #[error("ERR value is not an integer or out of range")]
    NotAnInteger,
    /// An argument or a value that should be a floating-point number.
    #[error("ERR value is not a valid float")]
    NotAFloat,
    /// An integer where only some are allowed.
    #[error("ERR value is out of range")]
    OutOfRange,
    /// An integer where only positive ones are allowed.
    #[error("ERR value is out of range, must be positive")]
    NotPositive,
    /// An integer outside of the bounds named.
    #[error("ERR value is out of range, value must between {min} and {max}")]
    NotBetween {
        /// The smallest allowed.
        min: i64,
        /// The largest allowed.
        max: i64,
    },
    /// A count of keys that is zero or less.
    #[error("ERR numkeys should be greater than 0")]
    NumKeysNotPositive,
    /// A count of keys beyond the arguments there are.
    #[error("ERR Number of keys can't be greater than number of args")]
    NumKeysTooLarge,
    /// The command needs an existing key.
    #[error("ERR no such key")]
    NoSuchKey,
    /// An index outside of the list.
    #[error("ERR index out of range")]
    IndexOutOfRange,
    /// An offset below zero.
    #[error("ERR offset is out of range")]
    OffsetOutOfRange,
    /// The result would be longer than a string may be.
    #[error("ERR string exceeds maximum allowed size (proto-max-bulk-len)")]
    StringTooLong,
    /// Too few or too many arguments. The command's name is in lower case, `container|sub` for a
    /// subcommand.
    #[error("ERR wrong number of arguments for '{0}' command")]
    Arity(String),
    /// No such command; see [`ReplyError::unknown_command`].
    #[error("ERR unknown command '{name}', with args beginning with: {args}")]
    UnknownCommand {
        /// As the client wrote it.
        name: String,
        /// The first arguments, quoted.
        args: String,
    },
    /// No such subcommand; see [`ReplyError::unknown_subcommand`].
    #[error("ERR unknown subcommand '{name}'. Try {container} HELP.")]
    UnknownSubcommand {
        /// As the client wrote it.
        name: String,
        /// The command it was looked for in, in upper case.
        container: String,
    },
    /// A subcommand that exists, with arguments it does not know.
    #[error(
        "ERR unknown subcommand or wrong number of arguments for '{name}'. Try {container} HELP."
    )]
    SubcommandSyntax {
        /// As the client wrote it.
        name: String,
        /// The command it belongs to, in upper case.
        container: String,
    },

    // Strings and bitmaps.
    /// The counter is at its end.
    #[error("ERR increment or decrement would overflow")]
    IncrementOverflow,
    /// DECRBY with the one integer that has no opposite.
    #[error("ERR decrement would overflow")]
    DecrementOverflow,
    /// INCRBYFLOAT beyond the floating-point numbers.
    #[error("ERR increment would produce NaN or Infinity")]
    IncrementNotFinite,
    /// LCS of keys that hold other types.
    #[error("ERR The specified keys must contain string values")]
    LcsNotStrings,
    /// LCS with LEN and IDX.
    #[error("ERR If you want both the length and indexes, please just use IDX.")]
    LcsLengthAndIndexes,
    /// LCS of strings whose table would not fit in memory.
    #[error("ERR Insufficient memory, transient memory for LCS exceeds proto-max-bulk-len")]
    LcsTooLarge,
    /// A bit offset outside of the largest string.
    #[error("ERR bit offset is not an integer or out of range")]
    BitOffset,
    /// SETBIT to something that is no bit.
    #[error("ERR bit is not an integer or out of range")]
    BitValue,
    /// BITPOS of something that is no bit.
    #[error("ERR The bit argument must be 1 or 0.")]
    BitArgument,
    /// BITOP NOT of several keys.
    #[error("ERR BITOP NOT must be called with a single source key.")]
    BitopNot,
    /// BITFIELD with an unknown or too wide type.
    #[error(
        "ERR Invalid bitfield type. Use something like i16 u8. Note that u64 is not supported but i64 is."
    )]
    BitfieldType,
    /// BITFIELD with an unknown way to overflow.
    #[error("ERR Invalid OVERFLOW type specified")]
    BitfieldOverflow,
    /// BITFIELD_RO with a write.
    #[error("ERR BITFIELD_RO only supports the GET subcommand")]
    BitfieldReadOnly,

    // Keys.
    /// A time to live that is not positive, or beyond the clock. The command's name is in lower
    /// case.
    #[error("ERR invalid expire time in '{0}' command")]
    InvalidExpire(String),
    /// EXPIRE with NX and another condition.
    #[error("ERR NX and XX, GT or LT options at the same time are not compatible")]
    ExpireNxWithOthers,
    /// EXPIRE with GT and LT.
    #[error("ERR GT and LT options at the same time are not compatible")]
    ExpireGtAndLt,
    /// EXPIRE with an option it does not know.
    #[error("ERR Unsupported option {0}")]
    UnsupportedOption(String),
    /// A cursor that SCAN cannot have given.
    #[error("ERR invalid cursor")]
    InvalidCursor,
    /// COPY or MOVE to where the key is already.
    #[error("ERR source and destination objects are the same")]
    SameObject,
    /// OBJECT FREQ without frequencies.
    #[error(
        "ERR An LFU maxmemory policy is not selected, access frequency not tracked. Please note that when switching between policies at runtime LRU and LFU data will take some time to adjust."
    )]
    FrequencyNotTracked,
    /// OBJECT IDLETIME without times.
    #[error(
        "ERR An LFU maxmemory policy is selected, idle time not tracked. Please note that when switching between policies at runtime LRU and LFU data will take some time to adjust."
    )]
    IdleTimeNotTracked,
    /// A database beyond those configured.
    #[error("ERR DB index is out of range")]
    DbIndexOutOfRange,
    /// SWAPDB with a first database that is no number.
    #[error("ERR invalid first DB index")]
    InvalidFirstDbIndex,
    /// SWAPDB with a second database that is no number.
    #[error("ERR invalid second DB index")]
    InvalidSecondDbIndex,

    // Transactions.
    /// MULTI within MULTI.
    #[error("ERR MULTI calls can not be nested")]
    NestedMulti,
    /// EXEC with nothing begun.
    #[error("ERR EXEC without MULTI")]
    ExecWithoutMulti,
    /// DISCARD with nothing begun.
    #[error("ERR DISCARD without MULTI")]
    DiscardWithoutMulti,
    /// WATCH when it is too late.
    #[error("ERR WATCH inside MULTI is not allowed")]
    WatchInsideMulti,
    /// A command that cannot be queued.
    #[error("ERR Command not allowed inside a transaction")]
    NotInMulti,
    /// A command was refused while it was queued.
    #[error("EXECABORT Transaction discarded because of previous errors.")]
    ExecAbort,
    /// EXEC itself was refused.
    #[error("EXECABORT Transaction discarded because of: {0}")]
    ExecAbortBecause(String),

    // Connections and users.
    /// Nothing is answered before the client has said who it is.
    #[error("NOAUTH Authentication required.")]
    NoAuth,
    /// HELLO before the client has said who it is.
    #[error(
        "NOAUTH HELLO must be called with the client already authenticated, otherwise the HELLO <proto> AUTH <user> <pass> option can be used to authenticate the client and select the RESP protocol version at the same time"
    )]
    HelloNoAuth,
    /// HELLO with a version that does not exist.
    #[error("NOPROTO unsupported protocol version")]
    NoProto,
    /// HELLO with a version that is no number.
    #[error("ERR Protocol version is not an integer or out of range")]
    ProtocolVersion,
    /// HELLO with an option it does not know.
    #[error("ERR Syntax error in HELLO option '{0}'")]
    HelloSyntax(String),
    /// A wrong name or password.
    #[error("WRONGPASS invalid username-password pair or user is disabled.")]
    WrongPass,
    /// AUTH with a password where none is set.
    #[error(
        "ERR AUTH <password> called without any password configured for the default user. Are you sure your configuration is correct?"
    )]
    NoPasswordSet,
    /// A user who may do some things, but not this.
    #[error("NOPERM {0}")]
    NoPerm(String),
    /// CLIENT SETNAME with a name that would break CLIENT LIST.
    #[error("ERR Client names cannot contain spaces, newlines or special characters.")]
    ClientName,
    /// CLIENT SETINFO with a value that would break CLIENT LIST.
    #[error("ERR {0} cannot contain spaces, newlines or special characters.")]
    ClientInfoValue(String),
    /// CLIENT SETINFO with an attribute it does not know.
    #[error("ERR Unrecognized option '{0}'")]
    UnrecognizedOption(String),
    /// CLIENT KILL of nobody.
    #[error("ERR No such client")]
    NoSuchClient,
    /// CLIENT KILL ID with something that is no id.
    #[error("ERR client-id should be greater than 0")]
    ClientId,
    /// CLIENT LIST ID with something that is no id.
    #[error("ERR Invalid client ID")]
    InvalidClientId,
    /// CLIENT LIST or KILL with a type that does not exist.
    #[error("ERR Unknown client type '{0}'")]
    UnknownClientType(String),
    /// CLIENT KILL with a user that does not exist.
    #[error("ERR No such user '{0}'")]
    NoSuchUser(String),
    /// A wait that ends before it begins.
    #[error("ERR timeout is negative")]
    TimeoutNegative,
    /// A wait that is no whole number.
    #[error("ERR timeout is not an integer or out of range")]
    TimeoutNotAnInteger,
    /// A wait that is no number.
    #[error("ERR timeout is not a float or out of range")]
    TimeoutNotAFloat,
    /// CLIENT PAUSE of something else than WRITE or ALL.
    #[error("ERR CLIENT PAUSE mode must be WRITE or ALL")]
    PauseMode,
    /// CLIENT UNBLOCK with something else than TIMEOUT or ERROR.
    #[error("ERR CLIENT UNBLOCK reason should be TIMEOUT or ERROR")]
    UnblockReason,
    /// What a blocked client hears that another one unblocked.
    #[error("UNBLOCKED client unblocked via CLIENT UNBLOCK")]
    Unblocked,
    /// A command that a RESP2 subscriber may not send.
    #[error(
        "ERR Can't execute '{0}': only (P|S)SUBSCRIBE / (P|S)UNSUBSCRIBE / PING / QUIT / RESET are allowed in this context"
    )]
    SubscribedOnly(String),
    /// All connections are taken.
    #[error("ERR max number of clients reached")]
    MaxClients,
    /// The bytes were not RESP; the connection closes after this.
    #[error(transparent)]
    Protocol(#[from] ProtocolError),

    // The server and its configuration.
    /// CONFIG SET of something that does not exist.
    #[error("ERR Unknown option or number of arguments for CONFIG SET - '{0}'")]
    ConfigUnknown(String),
    /// CONFIG SET of the same thing twice.
    #[error("ERR CONFIG SET failed (possibly related to argument '{0}') - duplicate parameter")]
    ConfigDuplicate(String),
    /// CONFIG SET with a value it cannot have.
    #[error("ERR CONFIG SET failed (possibly related to argument '{name}') - {reason}")]
    ConfigRefused {
        /// The setting.
        name: String,
        /// Why not.
        reason: String,
    },
    /// SLOWLOG GET of fewer than all.
    #[error("ERR count should be greater than or equal to -1")]
    SlowlogCount,
    /// CONFIG REWRITE with nothing to write.
    #[error("ERR The server is running without a config file")]
    NoConfigFile,
    /// COMMAND GETKEYS of a command without keys.
    #[error("ERR The command has no key arguments")]
    NoKeyArguments,
    /// COMMAND GETKEYS of no command.
    #[error("ERR Invalid command specified")]
    InvalidCommand,
    /// COMMAND GETKEYS with too few or too many arguments.
    #[error("ERR Invalid number of arguments specified for command")]
    InvalidCommandArity,
    /// COMMAND GETKEYS with arguments that are no keys.
    #[error("ERR Invalid arguments specified for command")]
    InvalidCommandArguments,

    // What the cluster and this node can do at the moment.
    /// Another node serves this slot.
    #[error("MOVED {slot} {addr}")]
    Moved {
        /// The slot of the key.
        slot: u16,
        /// `host:port` of the node.
        addr: String,
    },
    /// Another node serves this slot, for this request only.
    #[error("ASK {slot} {addr}")]
    Ask {
        /// The slot of the key.
        slot: u16,
        /// `host:port` of the node.
        addr: String,
    },
    /// Keys of several slots in one request.
    #[error("CROSSSLOT Keys in request don't hash to the same slot")]
    CrossSlot,
    /// Some keys of the request have moved already.
    #[error("TRYAGAIN Multiple keys request during rehashing of slot")]
    TryAgain,
    /// Nothing was done: there is no leader to do it.
    #[error("CLUSTERDOWN The cluster has no leader")]
    ClusterDown,
    /// The write may or may not have happened, or may yet happen.
    #[error("UNCERTAIN The outcome of the write is unknown")]
    Uncertain,
    /// Nothing was done: a limit of this node is reached.
    #[error("BUSY {0}")]
    Busy(String),
    /// Nothing was done: this node does not write.
    #[error("READONLY You can't write against a read only replica.")]
    ReadOnly,
    /// Nothing was done: this node is not ready yet.
    #[error("LOADING Redis is loading the dataset in memory")]
    Loading,
    /// Nothing was done: this replica lost its leader.
    #[error("MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'.")]
    MasterDown,
    /// Nothing was done: memory is at its limit.
    #[error("OOM command not allowed when used memory > 'maxmemory'.")]
    OutOfMemory,
    /// Nothing was done: the disk cannot take it.
    #[error("MISCONF {0}")]
    Misconfigured(String),
    /// EVALSHA of a script nobody loaded.
    #[error("NOSCRIPT No matching script. Please use EVAL.")]
    NoScript,

    /// A whole text: decoded from a reply, or composed by its caller.
    #[error("{0}")]
    Raw(String),
}

/// As much of a name or of arguments as an error repeats.
const ECHO_BYTES_MAX: usize = 128;

impl ReplyError {
    /// The refusal of a request whose command does not exist: its name and first arguments, cut
    /// where Redis cuts them.
    pub fn unknown_command<A: AsRef<[u8]>>(request: &[A]) -> Self {
        let mut args = Vec::new();
        for arg in request.iter().skip(1) {
            if args.len() >= ECHO_BYTES_MAX {
                break;
            }
            let room = ECHO_BYTES_MAX - args.len();
            args.push(b'\'');
            args.extend_from_slice(cut(arg.as_ref(), room));
            args.extend_from_slice(b"' ");
        }
        let name = request.first().map(AsRef::as_ref).unwrap_or_default();
        Self::UnknownCommand { name: shown(name), args: shown_whole(&args) }
    }

    /// The refusal of a subcommand that `container` does not have.
    pub fn unknown_subcommand(container: &str, name: &[u8]) -> Self {
        Self::UnknownSubcommand { name: shown(name), container: container.to_ascii_uppercase() }
    }

    /// The refusal of a subcommand whose arguments make no sense.
    pub fn subcommand_syntax(container: &str, name: &[u8]) -> Self {
        Self::SubcommandSyntax { name: shown(name), container: container.to_ascii_uppercase() }
    }

    /// The refusal of a number of arguments. `name` is `container|sub` for a subcommand.
    pub fn arity(name: &str) -> Self {
        Self::Arity(name.to_ascii_lowercase())
    }

    /// The first word of the text, which clients switch on: `ERR`, `MOVED`, ….
    pub fn code(&self) -> String {
        let text = self.to_string();
        text.split(' ').next().unwrap_or_default().to_owned()
    }
}

impl PartialEq for ReplyError {
    fn eq(&self, other: &Self) -> bool {
        self.to_string() == other.to_string()
    }
}

impl Eq for ReplyError {}

fn cut(bytes: &[u8], bytes_max: usize) -> &[u8] {
    // What C prints as a string ends at the first zero byte.
    let end = memchr::memchr(0, bytes).unwrap_or(bytes.len());
    &bytes[..end.min(bytes_max)]
}

fn shown(bytes: &[u8]) -> String {
    shown_whole(cut(bytes, ECHO_BYTES_MAX))
}

fn shown_whole(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::ReplyError;

    #[test]
    fn unknown_commands_are_cut() {
        let text = |request: &[&str]| ReplyError::unknown_command(request).to_string();
        assert_eq!(text(&["foo"]), "ERR unknown command 'foo', with args beginning with: ");
        assert_eq!(
            text(&["foo", "a", "b c"]),
            "ERR unknown command 'foo', with args beginning with: 'a' 'b c' "
        );
        let long = "x".repeat(200);
        assert_eq!(
            text(&[&long, &long, "y"]),
            format!("ERR unknown command '{0}', with args beginning with: '{0}' ", "x".repeat(128))
        );
        let half = "x".repeat(100);
        assert_eq!(
            text(&["f", &half, &half]),
            format!(
                "ERR unknown command 'f', with args beginning with: '{half}' '{}' ",
                "x".repeat(25)
            )
        );
    }

    #[test]
    fn equal_by_text() {
        let raw = ReplyError::Raw("ERR syntax error".into());
        assert_eq!(ReplyError::Syntax, raw);
        assert_ne!(ReplyError::WrongType, raw);
        assert_eq!(ReplyError::WrongType.code(), "WRONGTYPE");
        assert_eq!(
            ReplyError::unknown_subcommand("client", b"foo").to_string(),
            "ERR unknown subcommand 'foo'. Try CLIENT HELP."
        );
    }
}
