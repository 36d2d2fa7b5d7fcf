//! A command: one row of the table, and the traits that decide what kind of row it can be.
//!
//! A command is a value. `Parse` reads it from a request, finding every error a client can make;
//! `Read` turns it and a view into a reply, `Write` turns it and a transaction into a reply. The
//! row holds function pointers made from these traits, so nothing on it can contradict them.

use bytes::Bytes;
use resp::{Reply, ReplyError};
use storage::{Txn, View};

use super::hints::{Category, Group, Hints};
use super::key_specs::Keys;
use super::verbs::{AdminVerb, SessionVerb};
use super::{Args, Result};

/// Reads a command from its arguments. Whatever is left over afterwards is a syntax error.
pub trait Parse: Sized {
    /// Reads the command, or says what is wrong with the request.
    fn parse(args: &mut Args<'_>) -> Result<Self, ReplyError>;
}

/// Answers from what it was told alone: no data, hence no read barrier.
pub trait Local: Parse {
    /// The answer.
    fn answer(&self) -> Result<Reply, ReplyError>;
}

/// Answers from one consistent state.
pub trait Read: Parse {
    /// The answer.
    fn read(&self, view: &View<'_>) -> Result<Reply>;
}

/// Answers from one consistent state and chance.
pub trait Sample: Parse {
    /// The answer. `seed` is the transaction's in the log, the node's outside of it.
    fn sample(&self, view: &View<'_>, seed: u64) -> Result<Reply>;
}

/// Changes the state. The outcome depends on the request, the state and the transaction's time
/// and randomness, on nothing else.
pub trait Write: Parse {
    /// Makes the change and answers.
    fn apply(&self, txn: &mut Txn<'_>) -> Result<Reply>;
}

/// Reads what a request asks of a session or a server. As with [`Parse`], whatever is left over
/// afterwards is a syntax error.
#[derive(Debug)]
pub struct Verb<V>(fn(&mut Args<'_>) -> Result<V, ReplyError>);

// Derived, these would ask `V` for the same.
impl<V> Copy for Verb<V> {}
impl<V> Clone for Verb<V> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<V> Verb<V> {
    /// The verb, or what is wrong with the request.
    pub fn parse(self, args: &mut Args<'_>) -> Result<V, ReplyError> {
        let verb = self.0(args)?;
        args.finish()?;
        Ok(verb)
    }
}

type Check = fn(&mut Args<'_>) -> Result<(), ReplyError>;

/// What a row leads to.
#[derive(Debug, Clone, Copy)]
pub enum Handler {
    /// See [`Local`].
    Local(fn(&mut Args<'_>) -> Result<Reply, ReplyError>),
    /// See [`Read`].
    Read {
        /// Finds the client's errors.
        check: Check,
        /// Parses and answers.
        read: fn(&View<'_>, &mut Args<'_>) -> Result<Reply>,
    },
    /// See [`Sample`].
    Sample {
        /// Finds the client's errors.
        check: Check,
        /// Parses and answers.
        sample: fn(&View<'_>, &mut Args<'_>, u64) -> Result<Reply>,
    },
    /// See [`Write`].
    Write {
        /// Finds the client's errors before anything is proposed.
        check: Check,
        /// Parses and applies.
        apply: fn(&mut Txn<'_>, &mut Args<'_>) -> Result<Reply>,
    },
    /// Concerns the connection; carried out by its session.
    Session(Verb<SessionVerb>),
    /// Concerns the node or the cluster; carried out by the server.
    Admin(Verb<AdminVerb>),
    /// Only has subcommands.
    Container,
}

/// How many words a request may have, the command's own included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Arity {
    /// This many.
    Exactly(u8),
    /// This many or more.
    AtLeast(u8),
}

/// Exactly `words` words.
pub const fn exactly(words: u8) -> Arity {
    Arity::Exactly(words)
}

/// At least `words` words.
pub const fn at_least(words: u8) -> Arity {
    Arity::AtLeast(words)
}

impl Arity {
    /// Whether a request of `words` words is well-formed.
    pub const fn admits(self, words: usize) -> bool {
        match self {
            Self::Exactly(count) => words == count as usize,
            Self::AtLeast(count) => words >= count as usize,
        }
    }

    /// As Redis writes it: negative when more words are welcome.
    pub const fn signed(self) -> i64 {
        match self {
            Self::Exactly(count) => count as i64,
            Self::AtLeast(count) => -(count as i64),
        }
    }
}

/// What `COMMAND DOCS` prints and a person reads.
#[derive(Debug, Clone, Copy, Default)]
pub struct Docs {
    /// The first version of Redis that has the command.
    pub since: &'static str,
    /// How its cost grows.
    pub complexity: &'static str,
    /// What it does, in one sentence.
    pub summary: &'static str,
    /// Its arguments in the notation of [`syntax`](super::introspection::syntax).
    pub syntax: &'static str,
    /// Since when not to use it, and what to use instead.
    pub deprecated: Option<(&'static str, &'static str)>,
}

/// One row of the table.
#[derive(Debug, Clone, Copy)]
pub struct Command {
    /// Its position among all rows, subcommands included: counters are kept in arrays.
    pub id: usize,
    /// In lower case; a subcommand is named `container|subcommand`.
    pub name: &'static str,
    /// How many words a request has.
    pub arity: Arity,
    /// Where its keys are.
    pub keys: Keys,
    /// The chapter it is documented in.
    pub group: Group,
    /// What to print about it.
    pub docs: Docs,
    /// Redis's hints for proxies and cluster clients.
    pub tips: &'static [&'static str],
    /// What carries it out.
    pub handler: Handler,
    /// Its subcommands.
    pub subcommands: &'static [Command],
    hints: Hints,
    category: Option<Category>,
    extra_category: Option<Category>,
}

impl Command {
    const fn row(name: &'static str, arity: Arity, keys: Keys, handler: Handler) -> Self {
        Self {
            id: 0,
            name,
            arity,
            keys,
            group: Group::Server,
            docs: Docs { since: "", complexity: "", summary: "", syntax: "", deprecated: None },
            tips: &[],
            handler,
            subcommands: &[],
            hints: Hints::NONE,
            category: None,
            extra_category: None,
        }
    }

    /// A row that is answered without data.
    pub const fn local<C: Local>(name: &'static str, arity: Arity) -> Self {
        let answer = |args: &mut Args<'_>| parse::<C>(args)?.answer();
        Self::row(name, arity, super::key_specs::NO_KEYS, Handler::Local(answer))
    }

    /// A row that reads.
    pub const fn read<C: Read>(name: &'static str, arity: Arity, keys: Keys) -> Self {
        let handler =
            Handler::Read { check: check::<C>, read: |view, args| parse::<C>(args)?.read(view) };
        Self::row(name, arity, keys, handler)
    }

    /// A row that reads at random.
    pub const fn sample<C: Sample>(name: &'static str, arity: Arity, keys: Keys) -> Self {
        let handler = Handler::Sample {
            check: check::<C>,
            sample: |view, args, seed| parse::<C>(args)?.sample(view, seed),
        };
        Self::row(name, arity, keys, handler)
    }

    /// A row that writes.
    pub const fn write<C: Write>(name: &'static str, arity: Arity, keys: Keys) -> Self {
        let handler =
            Handler::Write { check: check::<C>, apply: |txn, args| parse::<C>(args)?.apply(txn) };
        Self::row(name, arity, keys, handler)
    }

    /// A row the session carries out.
    pub const fn session(
        name: &'static str,
        arity: Arity,
        parse: fn(&mut Args<'_>) -> Result<SessionVerb, ReplyError>,
    ) -> Self {
        Self::row(name, arity, super::key_specs::NO_KEYS, Handler::Session(Verb(parse)))
    }

    /// A row the server carries out.
    pub const fn admin(
        name: &'static str,
        arity: Arity,
        parse: fn(&mut Args<'_>) -> Result<AdminVerb, ReplyError>,
    ) -> Self {
        Self::row(name, arity, super::key_specs::NO_KEYS, Handler::Admin(Verb(parse)))
    }

    /// A row that only has subcommands.
    pub const fn container(name: &'static str, subcommands: &'static [Command]) -> Self {
        let row = Self::row(name, at_least(2), super::key_specs::NO_KEYS, Handler::Container);
        Self { subcommands, ..row }
    }

    /// Rows of one group, none of which has to say so itself.
    pub const fn family<const N: usize>(group: Group, mut rows: [Self; N]) -> [Self; N] {
        let mut at = 0;
        while at < N {
            rows[at].group = group;
            at += 1;
        }
        rows
    }

    /// Since when, at what cost, what for, with which arguments.
    pub const fn docs(
        self,
        since: &'static str,
        complexity: &'static str,
        summary: &'static str,
        syntax: &'static str,
    ) -> Self {
        let docs = Docs { since, complexity, summary, syntax, deprecated: self.docs.deprecated };
        Self { docs, ..self }
    }

    /// Not to be used since that version, but `instead`.
    pub const fn deprecated(self, since: &'static str, instead: &'static str) -> Self {
        let docs = Docs { deprecated: Some((since, instead)), ..self.docs };
        Self { docs, ..self }
    }

    /// Redis's hints for proxies and cluster clients.
    pub const fn tips(self, tips: &'static [&'static str]) -> Self {
        Self { tips, ..self }
    }

    /// Where the keys are, for rows whose constructor does not ask.
    pub const fn with_keys(self, keys: Keys) -> Self {
        Self { keys, ..self }
    }

    /// The subcommands of a command that is also one by itself.
    pub const fn with_subcommands(self, subcommands: &'static [Command]) -> Self {
        Self { subcommands, ..self }
    }

    /// Its category, where the group's is not it.
    pub const fn category(self, category: Category) -> Self {
        Self { category: Some(category), ..self }
    }

    const fn hint(self, hint: Hints) -> Self {
        Self { hints: self.hints.with(hint), ..self }
    }

    /// Takes constant or logarithmic time.
    pub const fn fast(self) -> Self {
        self.hint(Hints::FAST)
    }

    /// May grow the data, so it is refused when there is no room.
    pub const fn denies_oom(self) -> Self {
        self.hint(Hints::DENY_OOM)
    }

    /// For administrators.
    pub const fn for_admins(self) -> Self {
        self.hint(Hints::ADMIN)
    }

    /// Not for applications.
    pub const fn dangerous(self) -> Self {
        Self { extra_category: Some(Category::Dangerous), ..self }
    }

    /// Not to be called by scripts.
    pub const fn no_script(self) -> Self {
        self.hint(Hints::NO_SCRIPT)
    }

    /// May keep the client waiting.
    pub const fn blocking(self) -> Self {
        self.hint(Hints::BLOCKING)
    }

    /// Answered while the data is loaded and while it may be stale: it asks for none.
    pub const fn any_time(self) -> Self {
        self.hint(Hints::LOADING).hint(Hints::STALE)
    }

    /// Answered while the data may be stale.
    pub const fn stale(self) -> Self {
        self.hint(Hints::STALE)
    }

    /// Not kept in the slow log.
    pub const fn skips_slowlog(self) -> Self {
        self.hint(Hints::SKIP_SLOWLOG)
    }

    /// Implies ASKING.
    pub const fn asking(self) -> Self {
        self.hint(Hints::ASKING)
    }

    /// Allowed before authentication.
    pub const fn no_auth(self) -> Self {
        self.hint(Hints::NO_AUTH)
    }

    /// Refused while the data is loaded in the background.
    pub const fn no_async_loading(self) -> Self {
        self.hint(Hints::NO_ASYNC_LOADING)
    }

    /// Refused inside MULTI.
    pub const fn no_multi(self) -> Self {
        self.hint(Hints::NO_MULTI)
    }

    /// Allowed while a script is over its time.
    pub const fn allow_busy(self) -> Self {
        self.hint(Hints::ALLOW_BUSY)
    }

    /// Carried out at once even inside MULTI, where everything else is queued.
    pub const fn immediate(self) -> Self {
        self.hint(Hints::IMMEDIATE)
    }

    /// Proposed by the server itself; clients are told that it does not exist.
    pub const fn internal(self) -> Self {
        self.hint(Hints::INTERNAL)
    }

    /// Whether it changes the state, that is: whether it goes through the log.
    pub const fn is_write(&self) -> bool {
        matches!(self.handler, Handler::Write { .. })
    }

    /// Whether it reads the state and changes nothing.
    pub const fn is_read(&self) -> bool {
        matches!(self.handler, Handler::Read { .. } | Handler::Sample { .. })
    }

    /// Whether only the server itself may propose it.
    pub const fn is_internal(&self) -> bool {
        self.hints.contains(Hints::INTERNAL)
    }

    /// Whether it is carried out at once even inside MULTI.
    pub const fn is_immediate(&self) -> bool {
        self.hints.contains(Hints::IMMEDIATE)
    }

    /// Whether a request for it has as many words as it should.
    ///
    /// # Errors
    /// Redis's error about their number.
    pub fn check_arity(&self, request: &[Bytes]) -> std::result::Result<(), ReplyError> {
        match self.arity.admits(request.len()) {
            true => Ok(()),
            false => Err(ReplyError::arity(self.name)),
        }
    }

    /// Whether it is allowed before authentication.
    pub const fn needs_no_auth(&self) -> bool {
        self.hints.contains(Hints::NO_AUTH)
    }

    /// Whether it is refused inside MULTI.
    pub const fn is_refused_in_multi(&self) -> bool {
        self.hints.contains(Hints::NO_MULTI)
    }

    /// Whether it may grow the data.
    pub const fn is_denied_on_oom(&self) -> bool {
        self.hints.contains(Hints::DENY_OOM)
    }

    /// Whether the slow log passes it over.
    pub const fn is_not_slowlogged(&self) -> bool {
        self.hints.contains(Hints::SKIP_SLOWLOG)
    }

    /// Whether scripts may not call it.
    pub const fn is_refused_in_scripts(&self) -> bool {
        self.hints.contains(Hints::NO_SCRIPT)
    }

    /// How many words of a request are its name.
    pub(super) fn words(&self) -> usize {
        if self.name.contains('|') { 2 } else { 1 }
    }

    /// The last word of its name.
    pub fn verb(&self) -> &'static str {
        self.name.split_once('|').map_or(self.name, |(_, verb)| verb)
    }

    /// Its flags, in Redis's order.
    pub fn flags(&self) -> impl Iterator<Item = &'static str> {
        let written = Hints::NAMES.into_iter().filter(|(hint, _)| self.hints.contains(*hint));
        let kind =
            if self.is_write() { Some("write") } else { self.is_read().then_some("readonly") };
        kind.into_iter().chain(written.map(|(_, name)| name))
    }

    /// Its ACL categories, in Redis's order.
    pub fn categories(&self) -> impl Iterator<Item = Category> {
        let admin = self.hints.contains(Hints::ADMIN);
        let fast = self.hints.contains(Hints::FAST);
        let has = [
            (self.is_read(), Category::Read),
            (self.is_write(), Category::Write),
            (admin, Category::Admin),
            (fast, Category::Fast),
            (!fast, Category::Slow),
            (self.hints.contains(Hints::BLOCKING), Category::Blocking),
            (admin, Category::Dangerous),
        ];
        let own = self.category.or(self.group.category());
        let own = own.filter(|_| !matches!(self.handler, Handler::Container));
        Category::ALL.into_iter().filter(move |category| {
            own == Some(*category)
                || self.extra_category == Some(*category)
                || has.contains(&(true, *category))
        })
    }

    /// The keys of a request for this command, each with what happens to it.
    pub fn keys_of<'r>(
        &self,
        request: &'r [Bytes],
    ) -> impl Iterator<Item = (&'r Bytes, super::KeyFlags)> {
        self.keys.of(request)
    }

    /// Finds whatever the client did wrong, so that nothing ill-formed is proposed.
    pub fn check(&'static self, request: &[Bytes]) -> Result<(), ReplyError> {
        let args = &mut Args::new(self, request);
        match self.handler {
            Handler::Read { check, .. }
            | Handler::Sample { check, .. }
            | Handler::Write { check, .. } => check(args),
            Handler::Local(answer) => answer(args).map(drop),
            Handler::Session(verb) => verb.parse(args).map(drop),
            Handler::Admin(verb) => verb.parse(args).map(drop),
            Handler::Container => Ok(()),
        }
    }
}

fn parse<C: Parse>(args: &mut Args<'_>) -> Result<C, ReplyError> {
    let command = C::parse(args)?;
    args.finish()?;
    Ok(command)
}

fn check<C: Parse>(args: &mut Args<'_>) -> Result<(), ReplyError> {
    parse::<C>(args).map(drop)
}
