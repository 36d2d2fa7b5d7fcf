//! Faults of processes: they are killed, stopped, starved, or believe another time.

use std::time::Duration;

use super::effect::{Effect, Outcome, all, each, resolve};
use super::fault::{Clock, Who};
use crate::cluster::{Cluster, Problem, TERM_MAX, clock};

type Installed<'a> = Result<Effect<'a>, Problem>;

pub(super) fn kill<'a>(cluster: &'a Cluster, who: &Who) -> Installed<'a> {
    let nodes = each(&resolve(cluster, who)?, |node| {
        let mut node = cluster.node(node)?;
        is_up(node.runs())?;
        node.kill();
        Ok(())
    })?;
    Ok(Effect::of("kill", &nodes.clone(), move || all(&nodes, |node| cluster.launch(node))))
}

/// What is served by the first that are back must be as fresh as ever: they have only each other.
pub(super) fn outage<'a>(cluster: &'a Cluster, first: &'a [u32]) -> Installed<'a> {
    const DARK: Duration = Duration::from_secs(1);
    let everybody: Vec<u32> = (1..=cluster.nodes()).collect();
    kill(cluster, &Who::Nodes(everybody.clone())).map(drop)?;
    let undo = move || all(&everybody, |node| cluster.launch(node));
    Ok(Effect::of("first", first, undo).driven(move |until| {
        until.sleep(DARK);
        all(first, |node| cluster.launch(node))
    }))
}

pub(super) fn term<'a>(cluster: &'a Cluster, who: &Who) -> Installed<'a> {
    let nodes = resolve(cluster, who)?;
    let terminate = |node: u32| {
        let mut locked = cluster.node(node)?;
        is_up(locked.runs())?;
        if locked.terminate(TERM_MAX) { Ok(()) } else { Err(too_long(node)) }
    };
    // All at once: the last to end has nobody to hand over to.
    let outcomes: Vec<Outcome> = std::thread::scope(|scope| {
        let threads = nodes.iter().map(|node| scope.spawn(move || terminate(*node)));
        let threads: Vec<_> = threads.collect();
        let panicked = |_| Err(Problem::new("term", "its thread panicked"));
        threads.into_iter().map(|thread| thread.join().unwrap_or_else(panicked)).collect()
    });
    let mut outcomes = outcomes.into_iter();
    let ended = each(&nodes, |_| outcomes.next().unwrap_or(Ok(())));
    let ended = ended.inspect_err(|_| drop(all(&nodes, |node| cluster.launch(node))))?;
    Ok(Effect::of("term", &ended, move || all(&nodes, |node| cluster.launch(node))))
}

fn too_long(node: u32) -> Problem {
    Problem::new(format!("node {node}"), format!("did not end within {TERM_MAX:?} of SIGTERM"))
}

fn is_up(runs: bool) -> Outcome {
    if runs { Ok(()) } else { Err(Problem::new("node", "it is down")) }
}

pub(super) fn pause<'a>(cluster: &'a Cluster, who: &Who) -> Installed<'a> {
    let pause = |node, paused| cluster.node(node)?.pause(paused);
    let nodes = each(&resolve(cluster, who)?, |node| pause(node, true))?;
    Ok(Effect::of("pause", &nodes.clone(), move || {
        // One that was killed meanwhile goes on anyway.
        nodes.iter().for_each(|node| drop(pause(*node, false)));
        Ok(())
    }))
}

pub(super) fn cpu<'a>(cluster: &'a Cluster, who: &Who, percent: u64) -> Installed<'a> {
    let nodes = each(&resolve(cluster, who)?, |node| cluster.starve(node, Some(percent)))?;
    let kind = format!("percent-{percent}");
    Ok(Effect::of(&kind, &nodes.clone(), move || all(&nodes, |node| cluster.starve(node, None))))
}

pub(super) fn clock<'a>(cluster: &'a Cluster, who: &Who, how: &'a Clock) -> Installed<'a> {
    const STROBE: Duration = Duration::from_millis(200);
    let set = |node, seconds| Ok(clock::set(&cluster.clock(node)?, seconds)?);
    let nodes = each(&resolve(cluster, who)?, |node| match how {
        Clock::Jump(seconds) | Clock::Strobe(seconds) => set(node, *seconds),
        Clock::Drift(speed) => Ok(clock::set_speed(&cluster.clock(node)?, *speed)?),
    })?;
    let kind = match how {
        Clock::Jump(seconds) => format!("jump{seconds:+}"),
        Clock::Strobe(seconds) => format!("strobe{seconds:+}"),
        Clock::Drift(speed) => format!("drift*{speed}"),
    };
    let right = nodes.clone();
    let undo = move || all(&right, |node| set(node, 0));
    let effect = Effect::of(&kind, &nodes, undo);
    let Clock::Strobe(seconds) = how else { return Ok(effect) };
    Ok(effect.driven(move |until| {
        let mut times = [0, *seconds].into_iter().cycle();
        while until.sleep(STROBE) {
            let time = times.next().unwrap_or_default();
            all(&nodes, |node| set(node, time))?;
        }
        Ok(())
    }))
}
