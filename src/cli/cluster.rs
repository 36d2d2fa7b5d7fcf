//! `talus cluster …`: look at a cluster and change it, through any of its nodes.

use super::client::Client;
use super::failure::Failure;
use super::table::{self, Align};
use crate::admin::backend::{ClusterView, DigestView, Done, Health, ReplicaDigest};
use clap::{Args, Subcommand, ValueEnum};
use serde::Serialize;
use serde_json::{Value, json};
use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;
use ureq::http::Method;

#[derive(Args)]
pub struct Cluster {
    /// HTTP addresses of nodes; the first that can be reached is asked
    #[arg(
        long,
        global = true,
        value_name = "URL",
        env = "TALUS_URL",
        value_delimiter = ',',
        default_value = "http://127.0.0.1:6380"
    )]
    url: Vec<String>,
    /// File with the token (admin.token), if the nodes ask for one
    #[arg(long, global = true, value_name = "FILE", env = "TALUS_TOKEN_FILE")]
    token_file: Option<PathBuf>,
    /// How to print the answer
    #[arg(short, long, global = true, value_name = "FORMAT", default_value = "table")]
    output: Format,
    /// Seconds to wait for an answer
    #[arg(long, global = true, value_name = "SECONDS", default_value_t = 70)]
    timeout: u64,
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Clone, Copy, PartialEq, ValueEnum)]
enum Format {
    Table,
    Json,
}

#[derive(Subcommand)]
enum Verb {
    /// Show the members (* is the node that answers); exits with 0 if the cluster is healthy, 1 if
    /// it is degraded, 2 without a quorum, 3 if nobody could be asked
    Status {
        /// Show it again every so many seconds
        #[arg(long, value_name = "SECONDS", num_args = 0..=1, default_missing_value = "2")]
        watch: Option<u64>,
    },
    /// Say in one line how the cluster is; exits as `status` does
    Health,
    /// Announce a node that receives the log and does not vote. It comes with `serve --join`, and
    /// takes the place that is kept for its address, under an id of its own
    AddLearner {
        /// HOST:PORT for Redis clients
        #[arg(value_name = "HOST:PORT")]
        address: String,
        /// HOST:PORT for other nodes, if not 10000 above
        #[arg(long, value_name = "HOST:PORT", default_value = "")]
        rpc: String,
        /// HOST:PORT for HTTP, if it can be reached
        #[arg(long, value_name = "HOST:PORT", default_value = "")]
        http: String,
    },
    /// Make a learner that has caught up a voter
    Promote {
        /// Its id
        id: u64,
    },
    /// Make a voter a learner
    Demote {
        /// Its id
        id: u64,
    },
    /// Remove a member for good
    Remove {
        /// Its id
        id: u64,
        /// Even if what remains has no quorum
        #[arg(long)]
        force: bool,
    },
    /// Let a learner take the place of a member
    Replace {
        /// The member that goes
        #[arg(value_name = "OLD_ID")]
        old: u64,
        /// The learner that comes
        #[arg(value_name = "NEW_ID")]
        new: u64,
    },
    /// Make another voter the leader
    Transfer {
        /// Its id
        #[arg(value_name = "ID")]
        to: u64,
    },
    /// Take a snapshot on the node that is asked
    Snapshot,
    /// Compare the states of all replicas at one log index; exits with 1 if they differ
    Digest,
}

impl Cluster {
    pub fn run(self) -> Result<ExitCode, Failure> {
        let token = self.token_file.as_ref().map(read_token).transpose()?;
        let client = Client::new(&self.url, token, Duration::from_secs(self.timeout.max(1)));
        match &self.verb {
            Verb::Status { watch: Some(seconds) } => self.watch(&client, *seconds),
            Verb::Status { watch: None } => self.status(&client, table::status),
            Verb::Health => self.status(&client, |view| table::sentence(view) + "\n"),
            Verb::Digest => self.digest(&client),
            verb => self.act(&client, request(verb)),
        }
    }

    fn status(
        &self,
        client: &Client,
        print: fn(&ClusterView) -> String,
    ) -> Result<ExitCode, Failure> {
        let view: ClusterView = client.ask(Method::GET, "/v1/cluster", None)?;
        self.print(&view, print);
        Ok(exit_code(view.health))
    }

    /// Until it is interrupted. Nodes that do not answer are part of what is watched.
    fn watch(&self, client: &Client, seconds: u64) -> Result<ExitCode, Failure> {
        const CLEAR: &str = "\x1b[2J\x1b[H";
        loop {
            if self.output == Format::Table {
                print!("{CLEAR}");
            }
            if let Err(failure) = self.status(client, table::status) {
                print!("{}", failure.lines());
            }
            std::io::stdout().flush().map_err(|error| Failure::new(error.to_string()))?;
            std::thread::sleep(Duration::from_secs(seconds.max(1)));
        }
    }

    fn digest(&self, client: &Client) -> Result<ExitCode, Failure> {
        let view: DigestView = client.ask(Method::GET, "/v1/digest", None)?;
        self.print(&view, digest_table);
        Ok(if view.equal { ExitCode::SUCCESS } else { 1.into() })
    }

    fn act(
        &self,
        client: &Client,
        request: (Method, String, Option<Value>),
    ) -> Result<ExitCode, Failure> {
        let (method, path, body) = request;
        let done: Done = client.ask(method, &path, body)?;
        self.print(&done, |done| format!("{}\n", done.message));
        Ok(ExitCode::SUCCESS)
    }

    fn print<T: Serialize>(&self, answer: &T, table: fn(&T) -> String) {
        match self.output {
            Format::Table => print!("{}", table(answer)),
            Format::Json => {
                let json = serde_json::to_string_pretty(answer);
                println!("{}", json.expect("answers came as JSON"));
            }
        }
    }
}

fn read_token(file: &PathBuf) -> Result<String, Failure> {
    let text = std::fs::read_to_string(file);
    let text = text.map_err(|error| Failure::new(format!("{}: {error}", file.display())))?;
    Ok(text.trim().to_owned())
}

/// What changes something, as a request.
fn request(verb: &Verb) -> (Method, String, Option<Value>) {
    let post = |path: String, body| (Method::POST, path, body);
    match verb {
        Verb::AddLearner { address, rpc, http } => {
            let body = json!({ "resp": address, "rpc": rpc, "http": http });
            post("/v1/members".into(), Some(body))
        }
        Verb::Promote { id } => post(format!("/v1/members/{id}/promote"), None),
        Verb::Demote { id } => post(format!("/v1/members/{id}/demote"), None),
        Verb::Remove { id, force } => {
            (Method::DELETE, format!("/v1/members/{id}?force={force}"), None)
        }
        Verb::Replace { old, new } => {
            post(format!("/v1/members/{old}/replace"), Some(json!({ "with": new })))
        }
        Verb::Transfer { to } => post("/v1/leader/transfer".into(), Some(json!({ "to": to }))),
        Verb::Snapshot => post("/v1/snapshot".into(), None),
        Verb::Status { .. } | Verb::Health => (Method::GET, "/v1/cluster".into(), None),
        Verb::Digest => (Method::GET, "/v1/digest".into(), None),
    }
}

fn exit_code(health: Health) -> ExitCode {
    match health {
        Health::Healthy => 0.into(),
        Health::Degraded => 1.into(),
        Health::NoQuorum => 2.into(),
    }
}

fn digest_table(view: &DigestView) -> String {
    const COLUMNS: [(&str, Align); 2] = [("NODE", Align::Right), ("DIGEST", Align::Left)];
    let row = |replica: &ReplicaDigest| {
        let error = replica.error.as_deref().unwrap_or("unknown");
        let digest = replica.digest.clone().unwrap_or_else(|| format!("({error})"));
        vec![replica.id.to_string(), digest]
    };
    let rows = view.replicas.iter().map(row).collect();
    let verdict = if view.equal { "equal" } else { "DIFFERENT" };
    format!("{} {verdict} at log index {}\n", table::print(&COLUMNS, rows), view.index)
}
