//! `# Commandstats` and `# Latencystats`: one line a command that was called.

use super::{Facts, Field, field};
use crate::telemetry::CommandMetrics;

pub(super) fn calls(facts: &Facts<'_>) -> Vec<Field> {
    facts.server.telemetry.commands.iter().filter_map(calls_of).collect()
}

fn calls_of(command: &CommandMetrics) -> Option<Field> {
    let times = command.time.since_reset();
    let (calls, micros) = (times.count(), times.sum().as_micros());
    let (rejected, failed) = (command.rejected.since_reset(), command.failed.since_reset());
    let per_call = if calls == 0 { 0.0 } else { micros as f64 / calls as f64 };
    let line = format_args!(
        "calls={calls},usec={micros},usec_per_call={per_call:.2},rejected_calls={rejected},\
         failed_calls={failed}"
    );
    (calls + rejected > 0).then(|| field(format!("cmdstat_{}", command.name), line))
}

pub(super) fn latencies(facts: &Facts<'_>) -> Vec<Field> {
    facts.server.telemetry.commands.iter().filter_map(latency_of).collect()
}

fn latency_of(command: &CommandMetrics) -> Option<Field> {
    let times = command.time.since_reset();
    let percentile = |percent: f64| {
        let time = times.percentile(percent).filter(|_| times.count() > 0)?;
        Some(format!("p{percent}={:.3}", time.as_secs_f64() * 1e6))
    };
    let line: Option<Vec<String>> = [50.0, 99.0, 99.9].into_iter().map(percentile).collect();
    Some(field(format!("latency_percentiles_usec_{}", command.name), line?.join(",")))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::server::admin::info::tests::lines;
    use crate::telemetry::Metrics;

    #[test]
    fn only_what_was_called_is_shown() {
        let metrics = Metrics::new(["get", "config|get", "set"]);
        for micros in [10, 20] {
            metrics.executed(0, Duration::from_micros(micros), 1);
            if micros > 10 {
                metrics.failed(0);
            }
        }
        metrics.rejected(1);
        let shown: Vec<Field> = metrics.commands.iter().filter_map(calls_of).collect();
        assert_eq!(
            lines(&shown),
            [
                "cmdstat_get:calls=2,usec=30,usec_per_call=15.00,rejected_calls=0,failed_calls=1",
                "cmdstat_config|get:calls=0,usec=0,usec_per_call=0.00,rejected_calls=1,\
                 failed_calls=0",
            ]
        );
        let shown: Vec<Field> = metrics.commands.iter().filter_map(latency_of).collect();
        let lines = lines(&shown);
        assert_eq!(lines.len(), 1);
        assert!(lines[0].starts_with("latency_percentiles_usec_get:p50="), "{lines:?}");
        assert!(lines[0].contains(",p99=") && lines[0].contains(",p99.9="), "{lines:?}");
    }
}
