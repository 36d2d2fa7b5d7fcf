//! Printing settings: the documented file, and the effective values.

use super::live::Shown;
use super::rewrite::toml_value;
use super::settings::{Config, SECTIONS, SETTINGS, Setting};
use std::fmt::Write;

const HEAD: &str = "\
# Every setting of Talus with its default. Copy what you change; a line that is commented out has
# no effect. Each setting can also be given as a variable TALUS_SECTION__KEY, or as an option of
# `talus serve`: --set section.key=value. Order: defaults < this file < environment < options.
#
# Sizes: 64kb, 512mb, 2gb (1024s), or bytes. Durations: in the unit the name ends in, or with a
# unit: 150ms, 5s, 1m. `talus config check FILE` tells what is wrong with a file, `talus config
# show --origin` what is in effect and why.
";

/// The documented file with all defaults.
pub fn reference() -> String {
    let mut text = HEAD.to_string();
    for (section, about) in SECTIONS {
        text += "\n";
        comment(&mut text, about);
        text += &format!("[{section}]\n");
        for row in SETTINGS.iter().filter(|row| row.section == *section) {
            text += "\n";
            comment(&mut text, row.doc);
            comment(&mut text, &facts(row));
            text += &format!("#{} = {}\n", row.key, toml_value(row, &Config::default()));
        }
    }
    text
}

fn comment(text: &mut String, lines: &str) {
    for line in lines.lines() {
        writeln!(text, "#{}{line}", if line.starts_with(' ') { "" } else { " " })
            .expect("strings take everything");
    }
}

/// What else may be said about a row: its option, its name for `CONFIG`, whether it may change.
fn facts(row: &Setting) -> String {
    let flag = row.flag.map(|flag| format!("option --{}", flag.name));
    let change = if row.is_live { "CONFIG SET" } else { "CONFIG GET" };
    let name = Some(format!("{change} {}", row.config_name()));
    let facts: Vec<String> = [flag, name].into_iter().flatten().collect();
    format!("({})", facts.join(" · "))
}

/// The effective values as TOML, if asked for with the origin of each.
pub fn effective(config: &Config, shown: &[Shown], with_origin: bool) -> String {
    let mut text = String::new();
    for (section, _) in SECTIONS {
        text += &format!("[{section}]\n");
        let rows = SETTINGS.iter().zip(shown).filter(|(row, _)| row.section == *section);
        for (row, shown) in rows {
            let value = match row.is_secret {
                true => format!("\"{}\"", shown.value),
                false => toml_value(row, config).to_string(),
            };
            let line = format!("{} = {value}", row.key);
            text += &match with_origin {
                true => format!("{line:<44} # {}\n", shown.origin),
                false => line + "\n",
            };
        }
        text += "\n";
    }
    text.truncate(text.trim_end().len());
    text + "\n"
}
