//! The log for people, on standard error: text on a terminal, one JSON object a line elsewhere.

use crate::config::Live;
use crate::config::settings::Log;
use crate::config::value::{Level, LogFormat};
use std::io::IsTerminal;
use tracing::Subscriber;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::reload::{self, Handle};
use tracing_subscriber::util::{SubscriberInitExt, TryInitError};
use tracing_subscriber::{EnvFilter, Layer, Registry, fmt};

/// Changes the level while the node runs.
pub struct Logging(Handle<EnvFilter, Registry>);

/// Starts logging for this process as configured.
pub fn start(log: &Log) -> Result<Logging, TryInitError> {
    let (filter, handle) = reload::Layer::new(filter(log.level));
    let text = match log.format {
        LogFormat::Auto => std::io::stderr().is_terminal(),
        LogFormat::Text => true,
        LogFormat::Json => false,
    };
    tracing_subscriber::registry().with(filter).with(lines(text)).try_init()?;
    Ok(Logging(handle))
}

fn lines<S: Subscriber + for<'a> LookupSpan<'a>>(text: bool) -> Box<dyn Layer<S> + Send + Sync> {
    let lines = fmt::layer().with_writer(std::io::stderr);
    match text {
        true => lines.with_ansi(std::io::stderr().is_terminal()).boxed(),
        false => lines.json().flatten_event(true).boxed(),
    }
}

/// What the libraries below us say is of use only to those who look for something.
fn filter(level: Level) -> EnvFilter {
    let ours = match level {
        Level::Error => LevelFilter::ERROR,
        Level::Warn => LevelFilter::WARN,
        Level::Info => LevelFilter::INFO,
        Level::Debug => LevelFilter::DEBUG,
        Level::Trace => LevelFilter::TRACE,
    };
    let libraries =
        if level == Level::Trace { LevelFilter::DEBUG } else { ours.min(LevelFilter::WARN) };
    let directives =
        ["talus", "raft", "storage", "resp", "proto"].map(|name| format!("{name}={ours}"));
    // RocksDB calls its banner a warning; its faults reach us as errors of its calls.
    EnvFilter::new(format!("{libraries},rocksdb=error,{}", directives.join(",")))
}

impl Logging {
    /// Follows the configuration until the node stops.
    pub async fn follow(self, live: Live) {
        let mut changes = live.changes();
        let mut level = live.config().log.level;
        while changes.changed().await.is_ok() {
            let wanted = live.config().log.level;
            if wanted != level && self.0.reload(filter(wanted)).is_ok() {
                level = wanted;
                tracing::info!(level = ?wanted, "log level changed");
            }
        }
    }
}
