//! What a setting may hold: how each kind of value is read and written.
//!
//! Error texts are Redis's own where Redis has the kind, since `CONFIG SET` shows them to clients.

/// The value of one setting.
pub trait Value {
    /// Takes over `text`; on an error nothing has changed.
    fn assign(&mut self, text: &str) -> Result<(), String>;
    /// The value as a configuration file spells it, without quotes.
    fn text(&self) -> String;
    /// The value as `CONFIG GET` spells it.
    fn redis(&self) -> String {
        self.text()
    }
    /// The value as a number, for the bounds of its row.
    fn number(&self) -> Option<u64> {
        None
    }
    /// How the value is written in TOML.
    fn notation(&self) -> Notation {
        Notation::Quoted
    }
}

/// How TOML writes a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Notation {
    /// As it is: numbers, `true`, `false`.
    Bare,
    /// Between quotes.
    Quoted,
}

impl Value for bool {
    fn assign(&mut self, text: &str) -> Result<(), String> {
        *self = match text.to_ascii_lowercase().as_str() {
            "yes" | "true" => true,
            "no" | "false" => false,
            _ => return Err("argument must be 'yes' or 'no'".into()),
        };
        Ok(())
    }

    fn text(&self) -> String {
        self.to_string()
    }

    fn redis(&self) -> String {
        if *self { "yes".into() } else { "no".into() }
    }

    fn notation(&self) -> Notation {
        Notation::Bare
    }
}

macro_rules! integers {
    ($($kind:ty),*) => {$(
        impl Value for $kind {
            fn assign(&mut self, text: &str) -> Result<(), String> {
                *self = text.parse().map_err(|_| not_an_integer())?;
                Ok(())
            }

            fn text(&self) -> String {
                self.to_string()
            }

            fn number(&self) -> Option<u64> {
                Some(u64::from(*self))
            }

            fn notation(&self) -> Notation {
                Notation::Bare
            }
        }
    )*};
}

integers!(u16, u32, u64);

impl Value for i64 {
    fn assign(&mut self, text: &str) -> Result<(), String> {
        *self = text.parse().map_err(|_| not_an_integer())?;
        Ok(())
    }

    fn text(&self) -> String {
        self.to_string()
    }

    fn notation(&self) -> Notation {
        Notation::Bare
    }
}

fn not_an_integer() -> String {
    "argument couldn't be parsed into an integer".into()
}

impl Value for String {
    fn assign(&mut self, text: &str) -> Result<(), String> {
        text.clone_into(self);
        Ok(())
    }

    fn text(&self) -> String {
        self.clone()
    }
}

/// Words in one setting, separated by blanks (or commas).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Words(pub Vec<String>);

impl Value for Words {
    fn assign(&mut self, text: &str) -> Result<(), String> {
        let words = text.split(|c: char| c.is_whitespace() || c == ',');
        self.0 = words.filter(|word| !word.is_empty()).map(String::from).collect();
        Ok(())
    }

    fn text(&self) -> String {
        self.0.join(" ")
    }
}

/// A number of bytes: `1048576`, `1mb`, `64kb` (1024s), `1m`, `64k` (1000s), as in Redis.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Bytes(pub u64);

const BYTE_UNITS: [(&str, u64); 7] = [
    ("gb", 1 << 30),
    ("mb", 1 << 20),
    ("kb", 1 << 10),
    ("g", 1_000_000_000),
    ("m", 1_000_000),
    ("k", 1000),
    ("b", 1),
];

impl Bytes {
    fn parse(text: &str) -> Option<Bytes> {
        let text = text.to_ascii_lowercase();
        let unit =
            BYTE_UNITS.iter().find_map(|(name, size)| Some((text.strip_suffix(name)?, *size)));
        let (digits, size) = unit.unwrap_or((&text, 1));
        digits.parse::<u64>().ok()?.checked_mul(size).map(Bytes)
    }

    /// The size for an in-memory buffer.
    pub fn as_usize(self) -> usize {
        usize::try_from(self.0).unwrap_or(usize::MAX)
    }
}

impl Value for Bytes {
    fn assign(&mut self, text: &str) -> Result<(), String> {
        *self = Bytes::parse(text).ok_or("argument must be a memory value")?;
        Ok(())
    }

    fn text(&self) -> String {
        let unit =
            BYTE_UNITS[..3].iter().find(|(_, size)| self.0 > 0 && self.0.is_multiple_of(*size));
        unit.map_or_else(|| self.0.to_string(), |(name, size)| format!("{}{name}", self.0 / size))
    }

    fn redis(&self) -> String {
        self.0.to_string()
    }

    fn number(&self) -> Option<u64> {
        Some(self.0)
    }
}

macro_rules! durations {
    ($($(#[doc = $doc:literal])* $name:ident: $ms:literal ms, $duration:ident;)*) => {$(
        $(#[doc = $doc])*
        #[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
        pub struct $name(pub u64);

        impl $name {
            /// As the standard library has it.
            pub const fn duration(self) -> std::time::Duration {
                std::time::Duration::$duration(self.0)
            }
        }

        impl Value for $name {
            fn assign(&mut self, text: &str) -> Result<(), String> {
                self.0 = parse_duration(text, $ms)?;
                Ok(())
            }

            fn text(&self) -> String {
                self.0.to_string()
            }

            fn number(&self) -> Option<u64> {
                Some(self.0)
            }

            fn notation(&self) -> Notation {
                Notation::Bare
            }
        }
    )*};
}

durations! {
    /// Milliseconds: `1500`, or with a unit `1500ms`, `2s`, `1m`.
    Millis: 1 ms, from_millis;
    /// Seconds: `300`, or with a unit `300s`, `5m`, `1h`.
    Seconds: 1000 ms, from_secs;
}

/// Reads a duration as a multiple of `unit_ms`, which is also the unit of a bare number.
fn parse_duration(text: &str, unit_ms: u64) -> Result<u64, String> {
    const UNITS: [(&str, u64); 4] = [("ms", 1), ("s", 1000), ("m", 60_000), ("h", 3_600_000)];
    let unit = UNITS.iter().find_map(|(name, ms)| Some((text.strip_suffix(name)?, *ms)));
    let (digits, ms) = unit.unwrap_or((text, unit_ms));
    let number: u64 = digits.trim_end().parse().map_err(|_| not_an_integer())?;
    let total = number.checked_mul(ms).ok_or_else(not_an_integer)?;
    if !total.is_multiple_of(unit_ms) {
        return Err(format!("argument must be a multiple of {unit_ms} ms"));
    }
    Ok(total / unit_ms)
}

/// An enum of words. The first word of a variant is the one it is printed as; `redis` is the
/// word for `CONFIG GET` where it differs.
macro_rules! choices {
    ($($(#[doc = $doc:literal])* $name:ident {
        $($(#[doc = $variant_doc:literal])* $variant:ident = $word:literal $(| $alias:literal)* $(, redis $redis:literal)?;)*
    })*) => {$(
        $(#[doc = $doc])*
        #[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
        pub enum $name { #[default] $($(#[doc = $variant_doc])* $variant),* }

        impl Value for $name {
            fn assign(&mut self, text: &str) -> Result<(), String> {
                *self = match text.to_ascii_lowercase().as_str() {
                    $($word $(| $alias)* => $name::$variant,)*
                    _ => return Err(not_one_of(&[$($word),*])),
                };
                Ok(())
            }

            fn text(&self) -> String {
                match self { $($name::$variant => $word.into()),* }
            }

            fn redis(&self) -> String {
                match self { $($name::$variant => [$($redis,)? $word][0].into()),* }
            }
        }
    )*};
}

fn not_one_of(words: &[&str]) -> String {
    format!("argument(s) must be one of the following: {}", words.join(", "))
}

choices! {
    /// How much is logged. Redis's words are understood as well.
    Level {
        /// Only what stops the node or loses a request.
        Error = "error", redis "warning";
        /// What an operator should look at.
        Warn = "warn" | "warning", redis "warning";
        /// What happens to the cluster.
        Info = "info" | "notice" | "verbose", redis "notice";
        /// What happens to connections.
        Debug = "debug";
        /// Everything.
        Trace = "trace", redis "debug";
    }
    /// How a line of the log looks.
    LogFormat {
        /// Text on a terminal, JSON elsewhere.
        Auto = "auto";
        /// Text for people.
        Text = "text";
        /// One JSON object a line.
        Json = "json";
    }
}

/// Where HTTP is served: `auto`, `off` or `HOST:PORT`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Listen {
    /// On the loopback address, one port above the port for Redis clients.
    #[default]
    Auto,
    /// Nowhere.
    Off,
    /// Here.
    At(std::net::SocketAddr),
}

impl Value for Listen {
    fn assign(&mut self, text: &str) -> Result<(), String> {
        *self = match text {
            "auto" => Listen::Auto,
            "off" => Listen::Off,
            _ => Listen::At(text.parse().map_err(|_| "argument must be 'auto', 'off' or IP:PORT")?),
        };
        Ok(())
    }

    fn text(&self) -> String {
        match self {
            Listen::Auto => "auto".into(),
            Listen::Off => "off".into(),
            Listen::At(address) => address.to_string(),
        }
    }
}

/// The limits of one class of clients: 0 is no limit.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct OutputLimit {
    /// A client whose unsent replies exceed this is disconnected at once.
    pub hard: Bytes,
    /// A client whose unsent replies exceed this for `soft_s` seconds is disconnected.
    pub soft: Bytes,
    /// See `soft`.
    pub soft_s: Seconds,
}

/// What may wait unsent for a client, by class, written as Redis does:
/// `normal HARD SOFT SECONDS replica … pubsub …`. Classes left out keep their limits.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct OutputLimits {
    /// Ordinary clients.
    pub normal: OutputLimit,
    /// Replicas and exports.
    pub replica: OutputLimit,
    /// Subscribers.
    pub pubsub: OutputLimit,
}

impl OutputLimits {
    fn class(&mut self, name: &str) -> Result<&mut OutputLimit, String> {
        match name.to_ascii_lowercase().as_str() {
            "normal" => Ok(&mut self.normal),
            "replica" | "slave" => Ok(&mut self.replica),
            "pubsub" => Ok(&mut self.pubsub),
            _ => Err("Invalid client class specified in buffer limit configuration.".into()),
        }
    }

    fn print(&self, replica: &str, size: fn(&Bytes) -> String) -> String {
        let classes =
            [("normal", &self.normal), (replica, &self.replica), ("pubsub", &self.pubsub)];
        let print = |(name, limit): (&str, &OutputLimit)| {
            format!("{name} {} {} {}", size(&limit.hard), size(&limit.soft), limit.soft_s.0)
        };
        classes.map(print).join(" ")
    }
}

impl Value for OutputLimits {
    fn assign(&mut self, text: &str) -> Result<(), String> {
        let words: Vec<&str> = text.split_whitespace().collect();
        let groups = words.chunks_exact(4);
        if words.is_empty() || !groups.remainder().is_empty() {
            return Err("Wrong number of arguments in buffer limit configuration.".into());
        }
        let mut limits = self.clone();
        for group in groups {
            let wrong =
                |_| "Error in hard, soft or soft_seconds setting in buffer limit configuration.";
            let limit = limits.class(group[0])?;
            limit.hard.assign(group[1]).map_err(wrong)?;
            limit.soft.assign(group[2]).map_err(wrong)?;
            limit.soft_s.assign(group[3]).map_err(wrong)?;
        }
        *self = limits;
        Ok(())
    }

    fn text(&self) -> String {
        self.print("replica", Bytes::text)
    }

    fn redis(&self) -> String {
        self.print("slave", Bytes::redis)
    }
}
