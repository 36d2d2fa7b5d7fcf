//! `talus playground`: a cluster of real processes on this machine, with data that does not stay.
//!
//! Every node is this same program. It ends when its standard input is closed, so none is left
//! behind whichever way the playground ends.

mod control;
mod nodes;

use super::client::Client;
use super::failure::Failure;
use crate::admin::backend::{ClusterView, Health, Role};
use crate::config::value::{Seconds, Value};
use clap::{Args, Subcommand};
use control::Control;
use nodes::{Layout, Nodes};
use rand::RngExt;
use std::path::PathBuf;
use std::time::Duration;
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::{Instant, sleep};
use ureq::http::Method;

#[derive(Args)]
pub struct Playground {
    /// How many nodes
    #[arg(long, value_name = "COUNT", default_value_t = 3, value_parser = clap::value_parser!(u16).range(1..=9))]
    nodes: u16,
    /// Port of the first node for Redis clients; the others follow. HTTP is 1000 above, the port
    /// between nodes 10000 above
    #[arg(long, global = true, value_name = "PORT", default_value_t = 7001, value_parser = clap::value_parser!(u16).range(1..=55000))]
    base_port: u16,
    /// Kill and restart one node after the other, so often
    #[arg(long, value_name = "SECONDS", value_parser = seconds)]
    kill_random: Option<Duration>,
    /// Keep the data in this directory, and use what is there already
    #[arg(long, value_name = "DIR")]
    keep: Option<PathBuf>,
    #[command(subcommand)]
    verb: Option<Verb>,
}

#[derive(Subcommand)]
enum Verb {
    /// Stop the playground that runs on these ports
    Stop,
}

fn seconds(text: &str) -> Result<Duration, String> {
    let mut seconds = Seconds::default();
    seconds.assign(text)?;
    if seconds.0 == 0 { Err("it must be at least a second".into()) } else { Ok(seconds.duration()) }
}

impl Playground {
    pub fn run(self) -> Result<(), Failure> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(|error| Failure::new(error.to_string()))?;
        match self.verb {
            Some(Verb::Stop) => runtime.block_on(control::stop(self.base_port)),
            None => runtime.block_on(self.play()),
        }
    }

    async fn play(self) -> Result<(), Failure> {
        let control = Control::listen(self.base_port)?;
        let layout = Layout::new(self.nodes, self.base_port, self.keep.clone())?;
        let mut nodes = Nodes::new(layout);
        let (played, _asker) = tokio::select! {
            played = self.keep_playing(&mut nodes) => (played, None),
            interrupted = interrupted() => (interrupted, None),
            asker = control.asked_to_stop() => (Ok(()), asker),
        };
        println!("\n  stopping {} nodes", self.nodes);
        nodes.stop(played.is_ok()).await;
        played
    }

    async fn keep_playing(&self, nodes: &mut Nodes) -> Result<(), Failure> {
        let begun = Instant::now();
        found(nodes).await?;
        print!("{}", self.block(&nodes.layout, begun.elapsed()));
        let mut game = Game::new(self.kill_random);
        loop {
            nodes.revive().await?;
            game.turn(nodes).await?;
            sleep(Duration::from_millis(200)).await;
        }
    }

    fn block(&self, layout: &Layout, took: Duration) -> String {
        let head = format!("talus playground · {} nodes", self.nodes);
        let mut text = format!("\n  {head:<56} ready in {:.1} s\n", took.as_secs_f64());
        for number in 1..=self.nodes {
            let (resp, http) = (layout.resp(number), layout.http(number));
            text += &format!("  node {number}    redis://{resp:<20} http://{http}/\n");
        }
        let stays = if self.keep.is_some() { "kept" } else { "removed at the end" };
        let port = self.base_port;
        text += &format!("  try       redis-cli -p {port}\n");
        text += &format!("  status    talus cluster status --url {}\n", layout.urls().join(","));
        text += &format!("  data      {} ({stays})\n", layout.root.display());
        text + &format!("  stop      Ctrl-C, or: talus playground stop --base-port {port}\n\n")
    }
}

/// Starts the nodes, each joining those before it, and waits until all vote.
async fn found(nodes: &mut Nodes) -> Result<(), Failure> {
    const STARTED_MAX: Duration = Duration::from_secs(60);
    const VOTING_MAX: Duration = Duration::from_secs(120);
    for number in 1..=nodes.layout.nodes {
        nodes.start(number)?;
        let path = "/health/ready";
        let ready = async |nodes: &mut Nodes| {
            nodes.check()?;
            let urls = [nodes.layout.url(number)];
            Ok(ask::<serde_json::Value>(&urls, path).await.is_some())
        };
        within(STARTED_MAX, nodes, ready, || format!("node {number} does not become ready"))
            .await?;
    }
    let all = usize::from(nodes.layout.nodes);
    let voting = async |nodes: &mut Nodes| {
        nodes.check()?;
        let view = view(&nodes.layout).await;
        Ok(view.is_some_and(|view| view.health == Health::Healthy && voters(&view) == all))
    };
    within(VOTING_MAX, nodes, voting, || "not all nodes become voters".into()).await
}

fn voters(view: &ClusterView) -> usize {
    let votes = |role| matches!(role, Role::Leader | Role::Voter);
    view.members.iter().filter(|member| votes(member.role)).count()
}

/// Tries until it holds, with a limit.
async fn within(
    limit: Duration,
    nodes: &mut Nodes,
    mut holds: impl AsyncFnMut(&mut Nodes) -> Result<bool, Failure>,
    message: impl FnOnce() -> String,
) -> Result<(), Failure> {
    let deadline = Instant::now() + limit;
    while Instant::now() < deadline {
        if holds(nodes).await? {
            return Ok(());
        }
        sleep(Duration::from_millis(50)).await;
    }
    Err(Failure::new(message()).help(format!("see the logs in {}", nodes.layout.root.display())))
}

/// What the first node that can be reached says of the cluster.
async fn view(layout: &Layout) -> Option<ClusterView> {
    ask(&layout.urls(), "/v1/cluster").await
}

async fn ask<T: serde::de::DeserializeOwned + Send + 'static>(
    urls: &[String],
    path: &'static str,
) -> Option<T> {
    let client = Client::new(urls, nodes::token(), Duration::from_secs(3));
    let answer = tokio::task::spawn_blocking(move || client.ask(Method::GET, path, None)).await;
    answer.ok()?.ok()
}

async fn interrupted() -> Result<(), Failure> {
    let failure = |error: std::io::Error| Failure::new(error.to_string());
    let mut terminate = signal(SignalKind::terminate()).map_err(failure)?;
    let mut hangup = signal(SignalKind::hangup()).map_err(failure)?;
    tokio::select! {
        interrupted = tokio::signal::ctrl_c() => interrupted.map_err(failure),
        _ = terminate.recv() => Ok(()),
        _ = hangup.recv() => Ok(()),
    }
}

/// Kills a node now and then, one at a time, and only while all are healthy.
struct Game {
    period: Option<Duration>,
    next: Instant,
    killed: Option<u16>,
}

impl Game {
    fn new(period: Option<Duration>) -> Game {
        Game { period, next: Instant::now() + period.unwrap_or_default(), killed: None }
    }

    async fn turn(&mut self, nodes: &mut Nodes) -> Result<(), Failure> {
        let Some(period) = self.period else { return Ok(()) };
        if Instant::now() < self.next {
            return Ok(());
        }
        let Some(view) = view(&nodes.layout).await else { return Ok(()) };
        if view.health != Health::Healthy {
            return Ok(());
        }
        let number = self.choose(nodes.layout.nodes);
        let address = nodes.layout.resp(number);
        let leads =
            view.members.iter().any(|member| member.resp == address && member.role == Role::Leader);
        println!("  killed node {number}{}", if leads { ", the leader" } else { "" });
        nodes.kill(number).await;
        sleep(Duration::from_secs(1)).await;
        nodes.start(number)?;
        println!("  restarted node {number}");
        self.next = Instant::now() + period;
        Ok(())
    }

    /// Any node but the last one, if there are others.
    fn choose(&mut self, nodes: u16) -> u16 {
        let others: Vec<u16> = (1..=nodes).filter(|node| Some(*node) != self.killed).collect();
        let chosen =
            if others.is_empty() { 1 } else { others[rand::rng().random_range(..others.len())] };
        self.killed = Some(chosen);
        chosen
    }
}
