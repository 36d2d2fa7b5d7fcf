//! The configuration of a running node: read by everyone, changed by `CONFIG SET`.
//!
//! Readers never wait. A change is taken over as a whole or not at all.

use super::check::check;
use super::load::{Loaded, Origin, index_of};
use super::redis;
use super::rewrite::{self, RewriteError};
use super::settings::{Config, SETTINGS, Setting};
use arc_swap::{ArcSwap, Guard};
use parking_lot::Mutex;
use std::path::PathBuf;
use std::sync::Arc;
use tokio::sync::watch;

/// A handle on the configuration; clones share it.
#[derive(Clone)]
pub struct Live(Arc<Shared>);

struct Shared {
    current: ArcSwap<Config>,
    sources: Mutex<SourcesKept>,
    changed: watch::Sender<()>,
}

struct SourcesKept {
    origins: Vec<Origin>,
    file: Option<PathBuf>,
}

/// Why `CONFIG SET` refused; Display is the text for the client.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SetError {
    /// There is no such setting.
    #[error("ERR Unknown option or number of arguments for CONFIG SET - '{0}'")]
    Unknown(String),
    /// The setting does not take the value.
    #[error("ERR CONFIG SET failed (possibly related to argument '{name}') - {why}")]
    Refused {
        /// As the client called it.
        name: String,
        /// What is wrong.
        why: String,
    },
}

/// One setting as people see it.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, utoipa::ToSchema)]
pub struct Shown {
    /// `section.key`
    #[schema(example = "server.port")]
    pub name: String,
    /// Its value; passwords are hidden.
    #[schema(example = "6379")]
    pub value: String,
    /// Where the value comes from.
    #[schema(example = "default")]
    pub origin: String,
    /// Whether it may change while the node runs.
    pub live: bool,
}

impl Live {
    /// Takes over what was loaded.
    pub fn new(loaded: Loaded) -> Live {
        let sources = SourcesKept { origins: loaded.origins, file: loaded.file };
        Live(Arc::new(Shared {
            current: ArcSwap::from_pointee(loaded.config),
            sources: Mutex::new(sources),
            changed: watch::Sender::new(()),
        }))
    }

    /// The configuration now.
    pub fn config(&self) -> Arc<Config> {
        self.0.current.load_full()
    }

    /// A short look at the configuration, cheaper than `config`; not to be held while waiting.
    pub fn now(&self) -> Guard<Arc<Config>> {
        self.0.current.load()
    }

    /// Is marked as changed by every `CONFIG SET` that changed something.
    pub fn changes(&self) -> watch::Receiver<()> {
        self.0.changed.subscribe()
    }

    /// `CONFIG GET`: names and values that match any of the patterns, each once.
    pub fn get(&self, patterns: &[impl AsRef<[u8]>]) -> Vec<(String, String)> {
        let config = self.config();
        let settings = SETTINGS.iter().map(|row| (row.config_name(), row.value(&config).redis()));
        let constants =
            redis::CONSTANTS.iter().map(|(name, value)| (name.to_string(), value.to_string()));
        let wanted = |name: &str| {
            patterns.iter().find(|pattern| resp::glob(pattern.as_ref(), name.as_bytes(), true))
        };
        let found = |(name, value): (String, String)| {
            let pattern = String::from_utf8_lossy(wanted(&name)?.as_ref()).into_owned();
            // A name that is spelled out comes back as it was spelled.
            let spelled = pattern.eq_ignore_ascii_case(&name);
            Some((if spelled { pattern } else { name }, value))
        };
        settings.chain(constants).filter_map(found).collect()
    }

    /// `CONFIG SET`: all pairs or none.
    pub fn set(&self, pairs: &[(String, String)]) -> Result<(), SetError> {
        let mut sources = self.0.sources.lock();
        let mut config = Config::clone(&self.0.current.load());
        let targets = targets(pairs)?;
        for (target, (name, text)) in targets.iter().zip(pairs) {
            target.assign(&mut config, text).map_err(|why| refused(name, why))?;
        }
        if let Some(problem) = check(&config).first() {
            let name = pairs.first().map_or("", |(name, _)| name);
            return Err(refused(name, problem.message.clone()));
        }
        if config.server.clients_max > self.now().server.clients_max {
            provide_files(&config)?;
        }
        for setting in targets.iter().filter_map(Target::setting) {
            sources.origins[index_of(setting)] = Origin::Client;
        }
        self.0.current.store(Arc::new(config));
        self.0.changed.send_replace(());
        Ok(())
    }

    /// Admits fewer clients, because more do not fit in what the operating system allows.
    pub fn lower_clients(&self, clients: u32) {
        let mut sources = self.0.sources.lock();
        let mut config = Config::clone(&self.0.current.load());
        config.server.clients_max = clients;
        if let Some(row) = redis::setting("maxclients") {
            sources.origins[index_of(row)] = Origin::Machine;
        }
        self.0.current.store(Arc::new(config));
    }

    /// `CONFIG REWRITE`: puts what `CONFIG SET` changed into the file, which keeps its comments.
    pub fn rewrite(&self) -> Result<(), RewriteError> {
        let mut sources = self.0.sources.lock();
        let file = sources.file.clone().ok_or(RewriteError::NoFile)?;
        let config = self.config();
        let changed = SETTINGS.iter().zip(&sources.origins);
        let changed = changed.filter(|(_, origin)| **origin == Origin::Client);
        let rows: Vec<&Setting> = changed.map(|(row, _)| row).collect();
        rewrite::rewrite(&file, &config, &rows)?;
        for row in rows {
            sources.origins[index_of(row)] = Origin::File(file.display().to_string());
        }
        Ok(())
    }

    /// Every setting for people.
    pub fn show(&self) -> Vec<Shown> {
        let config = self.config();
        show(&config, &self.0.sources.lock().origins)
    }

    /// The file that `rewrite` changes.
    pub fn file(&self) -> Option<PathBuf> {
        self.0.sources.lock().file.clone()
    }
}

/// Every setting of `config` for people.
pub fn show(config: &Config, origins: &[Origin]) -> Vec<Shown> {
    let rows = SETTINGS.iter().zip(origins);
    let show = |(row, origin): (&Setting, &Origin)| Shown {
        name: row.path(),
        value: row.shown(config),
        origin: origin.to_string(),
        live: row.is_live,
    };
    rows.map(show).collect()
}

/// What a name of `CONFIG SET` stands for.
enum Target {
    Setting(&'static Setting),
    Constant(&'static str),
}

impl Target {
    fn find(name: &str) -> Option<Target> {
        let constant = || redis::constant(name).map(|(_, value)| Target::Constant(value));
        redis::setting(name).map(Target::Setting).or_else(constant)
    }

    fn setting(&self) -> Option<&'static Setting> {
        match self {
            Target::Setting(setting) => Some(setting),
            Target::Constant(_) => None,
        }
    }

    fn is_mutable(&self) -> bool {
        self.setting().is_none_or(|setting| setting.is_live)
    }

    fn assign(&self, config: &mut Config, text: &str) -> Result<(), String> {
        match self {
            Target::Setting(setting) => setting.assign(config, text),
            Target::Constant(value) if value.eq_ignore_ascii_case(text) => Ok(()),
            Target::Constant(value) => Err(format!("it is always '{value}' here")),
        }
    }

    fn is(&self, other: &Target) -> bool {
        match (self, other) {
            (Target::Setting(a), Target::Setting(b)) => a.path() == b.path(),
            _ => false,
        }
    }
}

/// Finds every target before anything is read, unknown names first, in the order of Redis.
fn targets(pairs: &[(String, String)]) -> Result<Vec<Target>, SetError> {
    let find = |(name, _): &(String, String)| {
        Target::find(name).ok_or_else(|| SetError::Unknown(name.clone()))
    };
    let targets: Vec<Target> = pairs.iter().map(find).collect::<Result<_, _>>()?;
    for (index, target) in targets.iter().enumerate() {
        let name = &pairs[index].0;
        if !target.is_mutable() {
            return Err(refused(name, "can't set immutable config".into()));
        }
        if targets[..index].iter().any(|earlier| earlier.is(target)) {
            return Err(refused(name, "duplicate parameter".into()));
        }
    }
    Ok(targets)
}

/// As many clients as `config` admits, or Redis's refusal.
fn provide_files(config: &Config) -> Result<(), SetError> {
    let fit = config.provide_files();
    if fit == config.server.clients_max {
        return Ok(());
    }
    let why =
        "The operating system is not able to handle the specified number of clients, try with";
    Err(refused("maxclients", format!("{why} {fit}")))
}

fn refused(name: &str, why: String) -> SetError {
    SetError::Refused { name: name.into(), why }
}
