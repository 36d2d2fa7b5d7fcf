//! From values to places: linear and logarithmic scales, ticks at round numbers, and how times and
//! counts are written.

/// Maps values to pixels.
#[derive(Debug, Clone, Copy)]
pub struct Scale {
    values: (f64, f64),
    pixels: (f64, f64),
    log: bool,
}

impl Scale {
    /// A scale on which equal differences are equally far apart.
    pub fn linear(values: (f64, f64), pixels: (f64, f64)) -> Self {
        Self { values, pixels, log: false }
    }

    /// A scale on which equal ratios are equally far apart, from one power of ten to another around
    /// `values`, which are positive.
    pub fn log(values: (f64, f64), pixels: (f64, f64)) -> Self {
        let low = values.0.log10().floor();
        let high = values.1.log10().ceil().max(low + 1.0);
        Self { values: (10f64.powf(low), 10f64.powf(high)), pixels, log: true }
    }

    /// The place of a value; values outside lie on the edge.
    pub fn at(&self, value: f64) -> f64 {
        let (low, high) = self.values;
        let share = if self.log {
            (value.max(low) / low).log10() / (high / low).log10()
        } else {
            (value - low) / (high - low)
        };
        self.pixels.0 + share.clamp(0.0, 1.0) * (self.pixels.1 - self.pixels.0)
    }

    /// Round values from end to end, about as many as `about`.
    pub fn ticks(&self, about: usize) -> Vec<f64> {
        if self.log { self.decades() } else { self.multiples(about) }
    }

    fn multiples(&self, about: usize) -> Vec<f64> {
        let step = nice((self.values.1 - self.values.0) / about.max(1) as f64);
        let first = (self.values.0 / step).ceil() as i64;
        let last = (self.values.1 / step * (1.0 + 1e-9)).floor() as i64;
        (first..=last).map(|count| count as f64 * step).collect()
    }

    /// Powers of ten; where these are few, their doubles and quintuples too.
    fn decades(&self) -> Vec<f64> {
        let (low, high) =
            (self.values.0.log10().round() as i32, self.values.1.log10().round() as i32);
        let within: &[f64] = if high - low <= 2 { &[1.0, 2.0, 5.0] } else { &[1.0] };
        let mut ticks: Vec<f64> = (low..high)
            .flat_map(|power| within.iter().map(move |digit| digit * 10f64.powi(power)))
            .collect();
        ticks.push(10f64.powi(high));
        ticks
    }
}

/// The smallest of 1, 2, 5 times a power of ten that is not below `least`.
pub fn nice(least: f64) -> f64 {
    if least.is_nan() || least <= 0.0 {
        return 1.0;
    }
    let power = 10f64.powf(least.log10().floor());
    let digit = [1.0, 2.0, 5.0].into_iter().find(|digit| digit * power >= least * (1.0 - 1e-9));
    digit.unwrap_or(10.0) * power
}

/// Nanoseconds as seconds.
pub fn seconds(nanoseconds: u64) -> f64 {
    nanoseconds as f64 / 1e9
}

/// A length of time as people write it: three digits and a unit.
pub fn span(nanoseconds: u64) -> String {
    let value = nanoseconds as f64;
    let (value, unit) = match nanoseconds {
        0 => return "0 s".to_string(),
        1..1_000 => (value, "ns"),
        1_000..1_000_000 => (value / 1e3, "µs"),
        1_000_000..1_000_000_000 => (value / 1e6, "ms"),
        _ => (value / 1e9, "s"),
    };
    let places = if value < 10.0 { 2 } else { usize::from(value < 100.0) };
    let digits = format!("{value:.places$}");
    let digits = match digits.contains('.') {
        true => digits.trim_end_matches('0').trim_end_matches('.'),
        false => &digits,
    };
    format!("{digits} {unit}")
}

/// A time of the run: seconds and milliseconds.
pub fn clock(nanoseconds: u64) -> String {
    format!("{:.3} s", seconds(nanoseconds))
}

/// A count with its thousands apart.
pub fn grouped(count: usize) -> String {
    let digits = count.to_string();
    let mut grouped = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_round_and_reach_both_ends() {
        let ticks = Scale::linear((0.0, 60.0), (0.0, 1.0)).ticks(10);
        assert_eq!(ticks, [0.0, 10.0, 20.0, 30.0, 40.0, 50.0, 60.0]);
        assert_eq!(Scale::linear((0.0, 7.3), (0.0, 1.0)).ticks(4), [0.0, 2.0, 4.0, 6.0]);
        let log = Scale::log((0.0004, 3.0), (0.0, 1.0)).ticks(9);
        let expected = [1e-4, 1e-3, 1e-2, 0.1, 1.0, 10.0];
        assert_eq!(log.len(), expected.len());
        assert!(
            log.iter().zip(expected).all(|(is, want)| (is / want - 1.0).abs() < 1e-9),
            "{log:?}"
        );
    }

    #[test]
    fn a_scale_never_leaves_its_pixels() {
        let log = Scale::log((1.0, 1.0), (100.0, 0.0));
        assert_eq!((log.at(0.0), log.at(1.0), log.at(1e9)), (100.0, 100.0, 0.0));
        let linear = Scale::linear((0.0, 2.0), (10.0, 20.0));
        assert_eq!((linear.at(-1.0), linear.at(1.0), linear.at(3.0)), (10.0, 15.0, 20.0));
    }

    #[test]
    fn nice_steps_are_never_smaller_than_asked() {
        assert_eq!(
            [nice(0.5), nice(0.6), nice(3.0), nice(7.0), nice(0.0)],
            [0.5, 1.0, 5.0, 10.0, 1.0]
        );
    }

    #[test]
    fn times_and_counts_are_written_as_people_do() {
        let times = [0, 999, 1_500, 4_321_000, 120_000_000, 2_310_000_000, 75_000_000_000];
        let written: Vec<String> = times.iter().map(|time| span(*time)).collect();
        assert_eq!(written, ["0 s", "999 ns", "1.5 µs", "4.32 ms", "120 ms", "2.31 s", "75 s"]);
        assert_eq!(clock(12_345_678_901), "12.346 s");
        assert_eq!([grouped(0), grouped(999), grouped(1_234_567)], ["0", "999", "1,234,567"]);
    }
}
