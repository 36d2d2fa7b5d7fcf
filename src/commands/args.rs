//! A cursor over the words of a request, from the first argument to the last.
//!
//! Parsing says everything a client can get wrong before anything is proposed to the log. The
//! errors are Redis's, word for word, which is why the cursor knows the command it reads for.

use bytes::Bytes;
use resp::{ReplyError, number};

use super::{Command, DATABASES};

/// The arguments of one request that have not been read yet.
#[derive(Debug, Clone)]
pub struct Args<'a> {
    command: &'static Command,
    request: &'a [Bytes],
    rest: &'a [Bytes],
}

impl<'a> Args<'a> {
    /// The arguments of `request`, which is a call of `command`.
    pub fn new(command: &'static Command, request: &'a [Bytes]) -> Self {
        let rest = request.get(command.words()..).unwrap_or_default();
        Self { command, request, rest }
    }

    /// The command these arguments were given to.
    pub fn command(&self) -> &'static Command {
        self.command
    }

    /// The next argument. Its absence is a syntax error: arity was checked before.
    #[expect(clippy::should_implement_trait, reason = "an iterator does not say what is missing")]
    pub fn next(&mut self) -> Result<&'a Bytes, ReplyError> {
        let (first, rest) = self.rest.split_first().ok_or(ReplyError::Syntax)?;
        self.rest = rest;
        Ok(first)
    }

    /// The next argument, shared with the buffer it was read into.
    pub fn bytes(&mut self) -> Result<Bytes, ReplyError> {
        self.next().cloned()
    }

    /// The next argument as text; bytes that are not UTF-8 are replaced.
    pub fn text(&mut self) -> Result<String, ReplyError> {
        Ok(String::from_utf8_lossy(self.next()?).into_owned())
    }

    /// The next argument as a signed 64-bit integer.
    pub fn integer(&mut self) -> Result<i64, ReplyError> {
        number::parse_i64(self.next()?).ok_or(ReplyError::NotAnInteger)
    }

    /// The next argument as an integer; `otherwise` is the error when it is none.
    pub fn integer_or(&mut self, otherwise: ReplyError) -> Result<i64, ReplyError> {
        number::parse_i64(self.next()?).ok_or(otherwise)
    }

    /// The next argument as an integer of another type; `otherwise` is the error when it is none
    /// or does not fit.
    pub fn number_or<N: TryFrom<i64>>(&mut self, otherwise: ReplyError) -> Result<N, ReplyError> {
        let integer = number::parse_i64(self.next()?);
        integer.and_then(|integer| N::try_from(integer).ok()).ok_or(otherwise)
    }

    /// The next argument as the number of a database that exists.
    pub fn database(&mut self) -> Result<u32, ReplyError> {
        let (min, max) = (i32::MIN.into(), i32::MAX.into());
        let db = self.integer()?;
        if !(min..=max).contains(&db) {
            return Err(ReplyError::NotBetween { min, max });
        }
        u32::try_from(db).ok().filter(|&db| db < DATABASES).ok_or(ReplyError::DbIndexOutOfRange)
    }

    /// The next argument as a double.
    pub fn float(&mut self) -> Result<f64, ReplyError> {
        number::parse_f64(self.next()?).ok_or(ReplyError::NotAFloat)
    }

    /// Reads the next argument if it is `word`, in any case.
    pub fn keyword(&mut self, word: &str) -> bool {
        let found = self.rest.first().is_some_and(|arg| arg.eq_ignore_ascii_case(word.as_bytes()));
        if found {
            self.rest = &self.rest[1..];
        }
        found
    }

    /// Reads the next argument if it is `word` and something follows it.
    pub fn keyword_with_value(&mut self, word: &str) -> bool {
        self.rest.len() > 1 && self.keyword(word)
    }

    /// `Some(true)` for `yes`, `Some(false)` for `no`, after reading it; `None` for anything else.
    pub fn either(&mut self, yes: &str, no: &str) -> Option<bool> {
        if self.keyword(yes) { Some(true) } else { self.keyword(no).then_some(false) }
    }

    /// The next argument, left in place.
    pub fn peek(&self) -> Option<&'a Bytes> {
        self.rest.first()
    }

    /// All that is left, which is thereby read.
    pub fn rest(&mut self) -> &'a [Bytes] {
        std::mem::take(&mut self.rest)
    }

    /// How many arguments are left.
    pub fn len(&self) -> usize {
        self.rest.len()
    }

    /// Whether everything was read.
    pub fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    /// Refuses more arguments than `count`, before any of them is looked at: so Redis does where a
    /// subcommand counts its words itself.
    pub fn at_most(&self, count: usize) -> Result<(), ReplyError> {
        if self.len() <= count {
            return Ok(());
        }
        let container = self.command.name.split('|').next().unwrap_or_default();
        let verb = self.request.get(1).map(AsRef::as_ref).unwrap_or_default();
        Err(ReplyError::subcommand_syntax(container, verb))
    }

    /// Refuses arguments nobody asked for.
    pub fn finish(&self) -> Result<(), ReplyError> {
        if self.rest.is_empty() { Ok(()) } else { Err(ReplyError::Syntax) }
    }
}
