//! Counting, forgetting, and the text of `/metrics`.

use super::*;
use std::sync::Arc;

#[test]
fn the_text_has_every_number() {
    let metrics = Arc::new(Metrics::new(["get", "config|get"]));
    metrics.executed(0, Duration::from_micros(30), 1);
    metrics.executed(0, Duration::from_micros(300), 1);
    metrics.failed(0);
    metrics.rejected(1);
    metrics.error("WRONGTYPE Operation against a key");
    metrics.gauges.clients_connected.add(3);
    metrics.write.fsync.record(Duration::from_micros(90));
    let lag = |id, lag| Sample::new("raft_lag", "Entries behind", lag).label("member", id);
    metrics.add_source(Box::new(move || vec![lag(1, 0.0), lag(2, 7.0)]));
    let text = metrics.render();
    for line in [
        "# TYPE talus_commands_processed counter",
        "talus_commands_processed_total 2",
        "talus_clients_connected 3",
        "talus_write_stage_seconds_count{stage=\"fsync\"} 1",
        "talus_write_stage_seconds_bucket{le=\"0.00005\",stage=\"fsync\"} 0",
        "talus_write_stage_seconds_bucket{le=\"0.0001\",stage=\"fsync\"} 1",
        "talus_write_stage_seconds_bucket{le=\"+Inf\",stage=\"fsync\"} 1",
        "talus_command_seconds_count{command=\"get\"} 2",
        "talus_commands_failed_total{command=\"get\"} 1",
        "talus_commands_rejected_total{command=\"config|get\"} 1",
        "talus_errors_total{kind=\"WRONGTYPE\"} 1",
        "talus_raft_lag{member=\"2\"} 7.0",
        "# EOF",
    ] {
        assert!(text.lines().any(|found| found == line), "{line}\n{text}");
    }
}

#[test]
fn kinds_of_errors_are_bounded() {
    let metrics = Metrics::new([]);
    for kind in 0..1000 {
        metrics.error(&format!("E{kind} it went wrong"));
    }
    let errors = metrics.errors(Counter::get);
    assert_eq!((errors.len(), errors["other"]), (129, 872));
    assert_eq!(metrics.counters.errors_replied.get(), 1000);
}

#[test]
fn reset_hides_counts_and_keeps_levels_and_totals() {
    let metrics = Arc::new(Metrics::new(["get"]));
    metrics.executed(0, Duration::from_micros(30), 1);
    metrics.failed(0);
    metrics.gauges.clients_connected.add(1);
    metrics.error("ERR x");
    metrics.write.total.record(Duration::from_micros(30));
    let text = metrics.render();
    metrics.reset();
    let command = &metrics.commands[0];
    assert_eq!(metrics.counters.commands_processed.since_reset(), 0);
    assert_eq!(command.time.since_reset().sum(), Duration::ZERO);
    assert_eq!(command.failed.since_reset(), 0);
    assert_eq!(metrics.write.total.since_reset().count(), 0);
    assert_eq!(metrics.errors(Counter::since_reset)["ERR"], 0);
    assert_eq!(metrics.gauges.clients_connected.get(), 1);
    assert_eq!(metrics.render(), text, "what /metrics shows never falls");
}

#[test]
fn counting_goes_on_after_a_reset() {
    let metrics = Metrics::new(["get"]);
    metrics.executed(0, Duration::from_micros(500), 7);
    metrics.reset();
    metrics.executed(0, Duration::from_micros(30), 2);
    metrics.reset();
    metrics.executed(0, Duration::from_micros(20), 3);
    assert_eq!(metrics.counters.commands_processed.since_reset(), 3);
    assert_eq!(metrics.counters.commands_processed.get(), 12);
    let shown = metrics.commands[0].time.since_reset();
    assert_eq!((shown.count(), shown.sum()), (3, Duration::from_micros(60)));
    assert!(shown.percentile(99.9) < Some(Duration::from_micros(30)));
    assert_eq!(metrics.commands[0].time.snapshot().count(), 12);
}

#[test]
fn rates_are_those_of_the_last_samples() {
    let metrics = Metrics::new([]);
    for _ in 0..20 {
        metrics.counters.commands_processed.add(50);
        metrics.counters.net_input_bytes.add(1000);
        metrics.tick(Duration::from_millis(100));
    }
    assert_eq!(metrics.rates.operations().round(), 500.0);
    assert_eq!(metrics.rates.input_bytes().round(), 10_000.0);
    assert_eq!(metrics.rates.output_bytes(), 0.0);
}
