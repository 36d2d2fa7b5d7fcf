//! The numbers in the text format of Prometheus (OpenMetrics).

use super::histogram::Snapshot;
use super::{CommandMetrics, Counter, Histogram, Metrics, Sample};
use prometheus_client::collector::Collector;
use prometheus_client::encoding::text::encode;
use prometheus_client::encoding::{DescriptorEncoder, MetricEncoder, NoLabelSet};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::Registry;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

const PREFIX: &str = "talus";

/// Upper ends of the buckets that are shown, in microseconds; the others are in between.
const SHOWN_US: [u64; 18] = [
    25, 50, 100, 250, 500, 1000, 2000, 4000, 8000, 16_000, 32_000, 64_000, 128_000, 256_000,
    512_000, 1_000_000, 4_000_000, 16_000_000,
];

impl Metrics {
    /// Everything, as `/metrics` answers.
    pub fn render(self: &Arc<Self>) -> String {
        let mut registry = Registry::with_prefix(PREFIX);
        registry.register_collector(Box::new(Export(self.clone())));
        let mut text = String::new();
        encode(&mut text, &registry).expect("strings take everything");
        text
    }
}

struct Export(Arc<Metrics>);

impl fmt::Debug for Export {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Export")
    }
}

impl Collector for Export {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let metrics = &self.0;
        for (name, help, counter) in metrics.counters.all() {
            describe(&mut encoder, name, help, MetricType::Counter)?
                .encode_counter::<NoLabelSet, _, u64>(&counter.get(), None)?;
        }
        for (name, help, gauge) in metrics.gauges.all() {
            describe(&mut encoder, name, help, MetricType::Gauge)?.encode_gauge(&gauge.get())?;
        }
        let write = ("write_stage_seconds", "Where writes spend their time");
        stages(&mut encoder, write, metrics.write.all())?;
        let read = ("read_stage_seconds", "Where reads spend their time");
        stages(&mut encoder, read, metrics.read.all())?;
        commands(&mut encoder, &metrics.commands)?;
        errors(&mut encoder, &metrics.errors(Counter::get))?;
        samples(&mut encoder, metrics)
    }
}

fn describe<'a>(
    encoder: &'a mut DescriptorEncoder<'_>,
    name: &'a str,
    help: &str,
    kind: MetricType,
) -> Result<MetricEncoder<'a>, fmt::Error> {
    encoder.encode_descriptor(name, help, None, kind)
}

fn stages<'a>(
    encoder: &mut DescriptorEncoder<'_>,
    (name, help): (&str, &str),
    stages: impl Iterator<Item = (&'static str, &'static str, &'a Histogram)>,
) -> fmt::Result {
    let mut metric = describe(encoder, name, help, MetricType::Histogram)?;
    for (stage, _, times) in stages {
        histogram(&mut metric, ("stage", stage), &times.snapshot())?;
    }
    Ok(())
}

/// Commands nobody has called are left out.
fn commands(encoder: &mut DescriptorEncoder<'_>, commands: &[CommandMetrics]) -> fmt::Result {
    let called = || commands.iter().filter(|command| command.time.snapshot().count() > 0);
    let help = "How long executing commands took";
    let mut metric = describe(encoder, "command_seconds", help, MetricType::Histogram)?;
    for command in called() {
        histogram(&mut metric, ("command", command.name), &command.time.snapshot())?;
    }
    let help = "Commands refused before they were executed";
    let mut metric = describe(encoder, "commands_rejected", help, MetricType::Counter)?;
    for command in commands.iter().filter(|command| command.rejected.get() > 0) {
        counter(&mut metric, ("command", command.name), command.rejected.get())?;
    }
    let help = "Commands answered with an error";
    let mut metric = describe(encoder, "commands_failed", help, MetricType::Counter)?;
    for command in commands.iter().filter(|command| command.failed.get() > 0) {
        counter(&mut metric, ("command", command.name), command.failed.get())?;
    }
    Ok(())
}

fn errors(encoder: &mut DescriptorEncoder<'_>, errors: &BTreeMap<String, u64>) -> fmt::Result {
    let help = "Errors replied, by their first word";
    let mut metric = describe(encoder, "errors", help, MetricType::Counter)?;
    errors.iter().try_for_each(|(kind, count)| counter(&mut metric, ("kind", kind), *count))
}

fn counter(metric: &mut MetricEncoder<'_>, label: (&str, &str), count: u64) -> fmt::Result {
    let labels = [label];
    metric.encode_family(&labels)?.encode_counter::<NoLabelSet, _, u64>(&count, None)
}

fn histogram(metric: &mut MetricEncoder<'_>, label: (&str, &str), times: &Snapshot) -> fmt::Result {
    let mut before = 0;
    let mut bucket = |us: u64| {
        let up_to = times.count_up_to(Duration::from_micros(us));
        (us as f64 / 1e6, up_to - std::mem::replace(&mut before, up_to))
    };
    let mut buckets: Vec<(f64, u64)> = SHOWN_US.iter().map(|us| bucket(*us)).collect();
    buckets.push((f64::INFINITY, times.count() - before));
    let labels = [label];
    let mut member = metric.encode_family(&labels)?;
    member.encode_histogram::<NoLabelSet>(times.sum().as_secs_f64(), times.count(), &buckets, None)
}

/// Samples of one name must follow each other, whichever source they are from.
fn samples(encoder: &mut DescriptorEncoder<'_>, metrics: &Metrics) -> fmt::Result {
    let mut by_name: BTreeMap<&str, Vec<Sample>> = BTreeMap::new();
    for sample in metrics.sources.lock().iter().flat_map(|source| source()) {
        by_name.entry(sample.name).or_default().push(sample);
    }
    for (name, samples) in &by_name {
        let help = samples.first().map_or("", |sample| sample.help);
        let mut metric = describe(encoder, name, help, MetricType::Gauge)?;
        for sample in samples {
            metric.encode_family(&sample.labels)?.encode_gauge(&sample.value)?;
        }
    }
    Ok(())
}
