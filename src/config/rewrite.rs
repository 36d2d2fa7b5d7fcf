//! Putting changed settings back into a configuration file without touching the rest of it.
//!
//! The file is replaced as a whole: whoever reads it finds the old or the new one.

use super::settings::{Config, Setting};
use super::source::{Syntax, words};
use super::value::Notation;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::Path;
use toml_edit::{DocumentMut, Item, Table, Value};

/// Why the file was not rewritten; Display is the text for the client.
#[derive(Debug, thiserror::Error)]
pub enum RewriteError {
    /// The node was started without one.
    #[error("ERR The server is running without a config file")]
    NoFile,
    /// It could not be read or written.
    #[error("ERR Rewriting config file: {0}")]
    Io(#[from] io::Error),
    /// It is no longer what it was when the node started.
    #[error("ERR Rewriting config file: {0}")]
    Unreadable(String),
}

/// Puts the values of `rows` in `config` into `file`.
pub fn rewrite(file: &Path, config: &Config, rows: &[&Setting]) -> Result<(), RewriteError> {
    let text = fs::read_to_string(file)?;
    let text = match Syntax::of(&file.to_string_lossy()) {
        Syntax::Toml => toml(&text, config, rows)?,
        Syntax::Redis => redis(&text, config, rows),
    };
    Ok(replace(file, text.as_bytes())?)
}

fn toml(text: &str, config: &Config, rows: &[&Setting]) -> Result<String, RewriteError> {
    let unreadable =
        |error: toml_edit::TomlError| RewriteError::Unreadable(error.message().replace('\n', ", "));
    let mut document: DocumentMut = text.parse().map_err(unreadable)?;
    for row in rows {
        let section = document.entry(row.section).or_insert_with(|| Item::Table(Table::new()));
        let section = section.as_table_like_mut().ok_or_else(|| {
            RewriteError::Unreadable(format!("[{}] is not a section", row.section))
        })?;
        let mut value = toml_value(row, config);
        if let Some(old) = section.get(row.key).and_then(Item::as_value) {
            *value.decor_mut() = old.decor().clone();
        }
        section.insert(row.key, Item::Value(value));
    }
    Ok(document.to_string())
}

/// The value of `row` as TOML has it.
pub fn toml_value(row: &Setting, config: &Config) -> Value {
    let value = row.value(config);
    let text = value.text();
    match value.notation() {
        Notation::Quoted => Value::from(text),
        Notation::Bare => text.parse().expect("numbers and booleans are TOML"),
    }
}

/// Replaces the last line of each setting, drops its others, appends what was not there.
fn redis(text: &str, config: &Config, rows: &[&Setting]) -> String {
    let mut lines: Vec<Option<String>> = text.lines().map(|line| Some(line.to_string())).collect();
    for row in rows {
        let new = format!("{} {}", row.config_name(), redis_value(row, config));
        let of_row = |line: &Option<String>| line.as_deref().is_some_and(|line| sets(line, row));
        let places: Vec<usize> = (0..lines.len()).filter(|place| of_row(&lines[*place])).collect();
        for place in &places {
            lines[*place] = None;
        }
        match places.last() {
            Some(place) => lines[*place] = Some(new),
            None => lines.push(Some(new)),
        }
    }
    lines.into_iter().flatten().map(|line| line + "\n").collect()
}

fn sets(line: &str, row: &Setting) -> bool {
    let name = words(line).and_then(|words| words.into_iter().next());
    let found = name.and_then(|name| super::redis::setting(&name));
    found.is_some_and(|found| found.path() == row.path())
}

fn redis_value(row: &Setting, config: &Config) -> String {
    let text = row.value(config).redis();
    let plain = |c: char| c.is_ascii_graphic() && !"\"'\\".contains(c) || c == ' ';
    if !text.is_empty() && !text.starts_with(' ') && text.chars().all(plain) {
        return text;
    }
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n"))
}

fn replace(file: &Path, contents: &[u8]) -> io::Result<()> {
    let directory = match file.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    let name = file.file_name().unwrap_or_default().to_string_lossy();
    let temporary = directory.join(format!(".{name}.{}", std::process::id()));
    let written = write_durably(&temporary, contents, fs::metadata(file)?.permissions());
    let renamed = written.and_then(|()| fs::rename(&temporary, file));
    if renamed.is_err() {
        // What is left of the attempt is of no use; the error that matters is the first one.
        let _ = fs::remove_file(&temporary);
    }
    renamed?;
    File::open(directory)?.sync_all()
}

fn write_durably(file: &Path, contents: &[u8], permissions: fs::Permissions) -> io::Result<()> {
    let mut output = File::create(file)?;
    output.set_permissions(permissions)?;
    output.write_all(contents)?;
    output.sync_all()
}
