//! `talus config …`: check and show settings.

use super::failure::Failure;
use super::flags::Settings;
use crate::config::live::show;
use crate::config::reference::{effective, reference};
use crate::config::{Loaded, Sources};
use clap::{Args, Subcommand, ValueEnum};
use std::path::PathBuf;

#[derive(Subcommand)]
pub enum Configuration {
    /// Say everything that is wrong with a file, or with the environment if there is none
    Check {
        /// The file
        #[arg(env = "TALUS_CONFIG")]
        file: Option<PathBuf>,
    },
    /// Print every setting that `talus serve` would use with the same options
    Show(Show),
    /// Print a file with every setting, its default and what it is for
    Init,
}

#[derive(Args)]
pub struct Show {
    #[command(flatten)]
    settings: Settings,
    /// Say where each value comes from
    #[arg(long)]
    origin: bool,
    /// How to print it
    #[arg(short, long, value_name = "FORMAT", default_value = "toml")]
    output: Format,
}

#[derive(Clone, Copy, ValueEnum)]
enum Format {
    Toml,
    Json,
}

impl Configuration {
    pub fn run(self) -> Result<(), Failure> {
        match self {
            Configuration::Check { file } => check(file),
            Configuration::Show(show) => {
                print!("{}", show.print()?);
                Ok(())
            }
            Configuration::Init => {
                print!("{}", reference());
                Ok(())
            }
        }
    }
}

fn check(file: Option<PathBuf>) -> Result<(), Failure> {
    let loaded = Sources::of_process(file, Vec::new()).load()?;
    for warning in &loaded.warnings {
        eprintln!("warning: {warning}");
    }
    println!("the settings are right");
    Ok(())
}

impl Show {
    pub fn print(self) -> Result<String, Failure> {
        let Loaded { config, origins, .. } = self.settings.load()?;
        let shown = show(&config, &origins);
        Ok(match self.output {
            Format::Toml => effective(&config, &shown, self.origin),
            Format::Json => {
                let json = serde_json::to_string_pretty(&shown);
                json.expect("strings and booleans are JSON") + "\n"
            }
        })
    }
}
