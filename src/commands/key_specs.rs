//! Where the keys of a request are, and what becomes of them.
//!
//! Routing, WATCH, ACL, `COMMAND GETKEYS` and cluster clients all read the same specifications,
//! which have Redis's form: where to begin, and how to go on from there.

use bytes::Bytes;

/// What a command does with a key, as Redis's key specifications put it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeyFlags(u16);

impl KeyFlags {
    const RW: Self = Self(1);
    const RO: Self = Self(1 << 1);
    const OW: Self = Self(1 << 2);
    const RM: Self = Self(1 << 3);
    const ACCESS: Self = Self(1 << 4);
    const UPDATE: Self = Self(1 << 5);
    const INSERT: Self = Self(1 << 6);
    const DELETE: Self = Self(1 << 7);
    const VARIABLE: Self = Self(1 << 10);

    const NAMES: [(Self, &'static str); 9] = [
        (Self::RW, "RW"),
        (Self::RO, "RO"),
        (Self::OW, "OW"),
        (Self::RM, "RM"),
        (Self::ACCESS, "access"),
        (Self::UPDATE, "update"),
        (Self::INSERT, "insert"),
        (Self::DELETE, "delete"),
        (Self::VARIABLE, "variable_flags"),
    ];

    const fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// The flags' names, in Redis's order.
    pub fn names(self) -> impl Iterator<Item = &'static str> {
        Self::NAMES.into_iter().filter(move |(flag, _)| self.0 & flag.0 != 0).map(|(_, name)| name)
    }

    /// Whether the command leaves the key as it is.
    pub const fn is_read(self) -> bool {
        self.0 & Self::RO.0 != 0
    }
}

/// Looks at the key, not at its value.
const LOOKS: KeyFlags = KeyFlags::RO;
/// Reads the value.
const READS: KeyFlags = KeyFlags::RO.with(KeyFlags::ACCESS);
/// Changes the value without telling the client what it was.
const CHANGES: KeyFlags = KeyFlags::RW.with(KeyFlags::UPDATE);
/// Changes the value and returns something of it.
const EDITS: KeyFlags = KeyFlags::RW.with(KeyFlags::ACCESS).with(KeyFlags::UPDATE);
/// Adds to the value.
const INSERTS: KeyFlags = KeyFlags::RW.with(KeyFlags::INSERT);
/// Replaces the value, whatever it was.
const REPLACES: KeyFlags = KeyFlags::OW.with(KeyFlags::UPDATE);
/// Makes a key that must not be there.
const CREATES: KeyFlags = KeyFlags::OW.with(KeyFlags::INSERT);
/// Returns the value and removes the key.
const TAKES: KeyFlags = KeyFlags::RW.with(KeyFlags::ACCESS).with(KeyFlags::DELETE);
/// Removes the key.
const REMOVES: KeyFlags = KeyFlags::RM.with(KeyFlags::DELETE);

/// One run of keys among the words of a request.
#[derive(Debug, Clone, Copy)]
pub struct KeySpec {
    /// What happens to these keys, at most.
    pub flags: KeyFlags,
    /// What happens to them in one request, where that depends on its arguments.
    pub in_request: Option<fn(&[Bytes]) -> KeyFlags>,
    /// The word the run begins at; the command's name is word 0.
    pub begin: usize,
    /// The last word of the run, counted from `begin`, or from the end when negative.
    pub last: isize,
    /// How many words each key and its values take.
    pub step: usize,
}

impl KeySpec {
    const fn one(begin: usize, flags: KeyFlags) -> Self {
        Self { flags, in_request: None, begin, last: 0, step: 1 }
    }

    const fn one_depending(
        begin: usize,
        flags: KeyFlags,
        in_request: fn(&[Bytes]) -> KeyFlags,
    ) -> Self {
        let flags = flags.with(KeyFlags::VARIABLE);
        Self { in_request: Some(in_request), ..Self::one(begin, flags) }
    }

    const fn to_end(begin: usize, step: usize, flags: KeyFlags) -> Self {
        Self { flags, in_request: None, begin, last: -1, step }
    }

    /// The index of the last word that may be a key, in a request of `words` words.
    fn end(&self, words: usize) -> Option<usize> {
        if self.last >= 0 {
            return Some(self.begin + self.last.unsigned_abs());
        }
        words.checked_sub(self.last.unsigned_abs())
    }
}

/// The keys of a command: every run, in order.
#[derive(Debug, Clone, Copy)]
pub struct Keys(pub &'static [KeySpec]);

/// No keys.
pub const NO_KEYS: Keys = Keys(&[]);
/// One key, looked at.
pub const LOOK: Keys = Keys(&[KeySpec::one(1, LOOKS)]);
/// One key after a subcommand's name, looked at.
pub const LOOK_SECOND: Keys = Keys(&[KeySpec::one(2, LOOKS)]);
/// Any number of keys, looked at.
pub const LOOK_ALL: Keys = Keys(&[KeySpec::to_end(1, 1, LOOKS)]);
/// One key, read.
pub const READ: Keys = Keys(&[KeySpec::one(1, READS)]);
/// Two keys, read.
pub const READ_TWO: Keys = Keys(&[KeySpec { last: 1, ..KeySpec::one(1, READS) }]);
/// Any number of keys, read.
pub const READ_ALL: Keys = Keys(&[KeySpec::to_end(1, 1, READS)]);
/// One key, changed.
pub const CHANGE: Keys = Keys(&[KeySpec::one(1, CHANGES)]);
/// One key, changed, and something of it returned.
pub const EDIT: Keys = Keys(&[KeySpec::one(1, EDITS)]);
/// One key, replaced; edited if the request says GET.
pub const SET: Keys = Keys(&[KeySpec::one_depending(1, EDITS, |request| {
    if says(request, 3, &["GET"]) { EDITS } else { REPLACES }
})]);
/// One key, read; edited if the request says SET or INCRBY.
pub const BITFIELD: Keys = Keys(&[KeySpec::one_depending(1, EDITS, |request| {
    if says(request, 2, &["SET", "INCRBY"]) { EDITS } else { READS }
})]);
/// One key, added to.
pub const INSERT: Keys = Keys(&[KeySpec::one(1, INSERTS)]);
/// One key, replaced.
pub const REPLACE: Keys = Keys(&[KeySpec::one(1, REPLACES)]);
/// One key, created.
pub const CREATE: Keys = Keys(&[KeySpec::one(1, CREATES)]);
/// One key, returned and removed.
pub const TAKE: Keys = Keys(&[KeySpec::one(1, TAKES)]);
/// Any number of keys, removed.
pub const REMOVE_ALL: Keys = Keys(&[KeySpec::to_end(1, 1, REMOVES)]);
/// Any number of keys, each with a value that replaces it.
pub const REPLACE_PAIRS: Keys = Keys(&[KeySpec::to_end(1, 2, REPLACES)]);
/// Any number of keys, each with a value that creates it.
pub const CREATE_PAIRS: Keys = Keys(&[KeySpec::to_end(1, 2, CREATES)]);
/// A key read, then a key replaced by it.
pub const COPY: Keys = Keys(&[KeySpec::one(1, READS), KeySpec::one(2, REPLACES)]);
/// A key taken, then a key replaced by it.
pub const RENAME: Keys = Keys(&[KeySpec::one(1, TAKES), KeySpec::one(2, REPLACES)]);
/// A key taken, then a key created from it.
pub const RENAME_NEW: Keys = Keys(&[KeySpec::one(1, TAKES), KeySpec::one(2, CREATES)]);
/// A word, a key replaced, and the keys it is made of.
pub const COMBINE: Keys = Keys(&[KeySpec::one(2, REPLACES), KeySpec::to_end(3, 1, READS)]);

impl Keys {
    /// Whether the command has no keys at all.
    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The keys of `request`, each with what happens to it. Missing words are passed over: arity
    /// is checked elsewhere.
    pub fn of<'r>(&self, request: &'r [Bytes]) -> impl Iterator<Item = (&'r Bytes, KeyFlags)> {
        self.0.iter().flat_map(move |spec| {
            let end = spec.end(request.len()).unwrap_or(0).min(request.len().saturating_sub(1));
            let flags = spec.in_request.map_or(spec.flags, |flags| flags(request));
            (spec.begin..=end).step_by(spec.step).map(move |at| (&request[at], flags))
        })
    }

    /// First key, last key and step, as `COMMAND` printed them before there were specifications.
    pub fn range(&self) -> (i64, i64, i64) {
        let Some(first) = self.0.iter().map(|spec| spec.begin).min() else { return (0, 0, 0) };
        let last = self.0.iter().map(KeySpec::last_word).max_by_key(|&last| (last < 0, last));
        let step = self.0.iter().map(|spec| spec.step).max();
        (index(first), last.unwrap_or_default(), index(step.unwrap_or(1)))
    }
}

impl KeySpec {
    /// The last word of the run, counted from the request's start, or from its end when negative.
    fn last_word(&self) -> i64 {
        let last = self.last as i64;
        if last < 0 { last } else { index(self.begin) + last }
    }
}

/// Whether one of `words` is in a request, from a position on.
fn says(request: &[Bytes], from: usize, words: &[&str]) -> bool {
    let options = request.iter().skip(from);
    options
        .into_iter()
        .any(|arg| words.iter().any(|word| arg.eq_ignore_ascii_case(word.as_bytes())))
}

fn index(word: usize) -> i64 {
    i64::try_from(word).expect("a request has fewer words than i64 can count")
}
