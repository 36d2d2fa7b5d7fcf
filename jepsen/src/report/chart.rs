//! The frame that the pictures share: a title, a legend, a strip that names the faults, and panels
//! one below the other over the same time, each shaded where a fault lasted.

use std::fmt::Display;

use super::facts::Facts;
use super::faults::{self, Band};
use super::latency::disc;
use super::markup::{Markup, Px, shorten};
use super::scale::{Scale, clock, seconds, span};

const STYLE: [&str; 2] = [include_str!("palette.css"), include_str!("chart.css")];
const WIDTH: f64 = 1200.0;
const LEFT: f64 = 76.0;
const RIGHT: f64 = 1180.0;
const CHARACTER: f64 = 6.7;
const STRIP_ROW: f64 = 17.0;
const STRIP_ROWS_MAX: usize = 6;
const CHIP_TEXT_MAX: usize = 44;

/// A picture that grows downwards.
pub struct Chart<'a> {
    facts: &'a Facts<'a>,
    body: Markup,
    time: Scale,
    legend: (f64, f64),
    y: f64,
}

/// Where a panel's inside begins and ends.
#[derive(Clone, Copy)]
pub struct Panel {
    /// Its upper edge.
    pub top: f64,
    /// Its lower edge.
    pub bottom: f64,
}

/// What stands before a word of the legend.
pub enum Key<'a> {
    /// A filled box of a class.
    Box(&'a str),
    /// A line of a class.
    Line(&'a str),
    /// The shape of a path that begins with a relative move.
    Shape(&'a str),
}

impl<'a> Chart<'a> {
    /// Begins a picture with its title and, below it, which run it is of.
    pub fn new(facts: &'a Facts<'a>, title: &str, run: &str) -> Self {
        let mut body = Markup::default();
        body.element("text", &[("class", &"title"), ("x", &"16"), ("y", &"26")], title);
        body.element(
            "text",
            &[("class", &"faint"), ("x", &"16"), ("y", &"44")],
            &shorten(run, 180),
        );
        let time = Scale::linear((0.0, seconds(facts.end)), (LEFT, RIGHT));
        Self { facts, body, time, legend: (16.0, 66.0), y: 66.0 }
    }

    /// The place of a time.
    pub fn x(&self, time: u64) -> f64 {
        self.time.at(seconds(time))
    }

    /// Adds a word to the legend.
    pub fn key(&mut self, key: &Key<'_>, word: &str) {
        let width = 26.0 + word.chars().count() as f64 * CHARACTER;
        if self.legend.0 + width > RIGHT {
            self.legend = (16.0, self.legend.1 + 17.0);
        }
        let (x, y) = self.legend;
        match key {
            Key::Box(class) => self.rect(class, (x, y - 9.0), (11.0, 11.0)),
            Key::Line(class) => {
                self.path(&format!("line {class}"), &format!("M{} {}h13", Px(x), Px(y - 4.0)));
            }
            Key::Shape(shape) => {
                let place = format!("M{} {}{shape}", Px(x + 6.0), Px(y - 4.0));
                self.path(&format!("dots key{}", disc(shape)), &place);
            }
        }
        self.label("", (x + 17.0, y), word);
        self.legend.0 += width;
        self.y = y + 8.0;
    }

    /// Names the faults: in the legend, and in a strip above the panels to come.
    pub fn faults(&mut self) {
        let counts = faults::carried_out(&self.facts.bands);
        for name in faults::names(&self.facts.bands) {
            let count = counts.get(name).copied().unwrap_or_default();
            let key = format!("fault {}", hue(self.facts, name));
            self.key(&Key::Box(&key), &format!("{name} ×{count}"));
        }
        let top = self.y + 4.0;
        let (lanes, words) = self.strip();
        for (band, lane) in self.facts.bands.iter().zip(&lanes.of) {
            let y = top + *lane.min(&(STRIP_ROWS_MAX - 1)) as f64 * STRIP_ROW;
            self.chip(band, y, words);
        }
        self.y = top + lanes.count.min(STRIP_ROWS_MAX) as f64 * STRIP_ROW + 2.0;
    }

    /// Lanes with room for each fault's words, or, if that takes too many, for the faults alone.
    fn strip(&self) -> (Lanes, bool) {
        let end = |band: &Band, words: bool| {
            let words = if words { wide(&chip_text(band)) } else { 0.0 };
            self.x(band.until).max(self.x(band.from) + words + 2.0)
        };
        let bands = || self.facts.bands.iter();
        let with_words = Lanes::new(bands().map(|band| (self.x(band.from), end(band, true))));
        if with_words.count <= STRIP_ROWS_MAX {
            return (with_words, true);
        }
        (Lanes::new(bands().map(|band| (self.x(band.from), end(band, false)))), false)
    }

    fn chip(&mut self, band: &Band, y: f64, words: bool) {
        let text = chip_text(band);
        let (from, lasts) = (self.x(band.from), self.x(band.until) - self.x(band.from));
        let words = words || wide(&text) <= lasts;
        let least = if words && band.error.is_some() { wide(&text) } else { 3.0 };
        let title = format!("{}\n{} to {}", band.label(), clock(band.from), clock(band.until));
        let class = format!("fault {}", self.class(band));
        self.titled(&class, (from, y), (lasts.max(least), STRIP_ROW - 2.0), &title);
        if words {
            self.label("", (from + 3.0, y + 11.5), &text);
        }
    }

    fn class(&self, band: &Band) -> String {
        match band.error {
            Some(_) => "void".to_string(),
            None => hue(self.facts, &band.name),
        }
    }

    /// Begins a panel of that height below all others.
    pub fn panel(&mut self, height: f64, caption: &str) -> Panel {
        let panel = Panel { top: self.y + 22.0, bottom: self.y + 22.0 + height };
        self.label("caption", (LEFT, panel.top - 6.0), caption);
        self.rect("panel", (LEFT, panel.top), (RIGHT - LEFT, height));
        for band in self.facts.bands.iter().filter(|band| band.error.is_none()) {
            let (from, until) = (self.x(band.from), self.x(band.until));
            let class = format!("shade {}", self.class(band));
            self.rect(&class, (from, panel.top), ((until - from).max(1.0), height));
        }
        for tick in self.time.ticks(12) {
            let x = Px(self.time.at(tick));
            self.path("grid", &format!("M{x} {}V{}", Px(panel.top), Px(panel.bottom)));
        }
        self.y = panel.bottom;
        panel
    }

    /// Writes ticks at the left of a panel, a line across at each.
    pub fn ticks(&mut self, scale: &Scale, about: usize, text: impl Fn(f64) -> String) {
        for tick in scale.ticks(about) {
            let y = scale.at(tick);
            self.path("grid", &format!("M{} {}H{}", Px(LEFT), Px(y), Px(RIGHT)));
            self.label("left", (LEFT - 6.0, y + 4.0), &text(tick));
        }
    }

    /// A filled rectangle.
    pub fn rect(&mut self, class: &str, at: (f64, f64), size: (f64, f64)) {
        self.body.empty("rect", &rectangle(&class, &Px(at.0), &Px(at.1), &Px(size.0), &Px(size.1)));
    }

    /// A filled rectangle that tells something to who points at it.
    pub fn titled(&mut self, class: &str, at: (f64, f64), size: (f64, f64), title: &str) {
        let (x, y, width, height) = (Px(at.0), Px(at.1), Px(size.0), Px(size.1));
        self.body.titled("rect", &rectangle(&class, &x, &y, &width, &height), title);
    }

    /// A path.
    pub fn path(&mut self, class: &str, path: &str) {
        self.body.empty("path", &[("class", &class), ("d", &path)]);
    }

    /// Text.
    pub fn label(&mut self, class: &str, at: (f64, f64), text: &str) {
        let attributes: [(&str, &dyn Display); 3] =
            [("x", &Px(at.0)), ("y", &Px(at.1)), ("class", &class)];
        let used = if class.is_empty() { 2 } else { 3 };
        self.body.element("text", &attributes[..used], text);
    }

    /// Text in the left margin.
    pub fn margin(&mut self, y: f64, text: &str) {
        self.label("left", (LEFT - 6.0, y), text);
    }

    /// Says in a panel that there is nothing to be seen.
    pub fn nothing(&mut self, panel: Panel, why: &str) {
        let middle = ((LEFT + RIGHT) / 2.0, (panel.top + panel.bottom) / 2.0 + 4.0);
        self.label("faint middle", middle, why);
    }

    /// Says at the upper right how it was made.
    pub fn note(&mut self, text: &str) {
        self.label("faint left", (RIGHT, 44.0), text);
    }

    /// The whole picture, the time written below the last panel.
    pub fn finish(mut self) -> String {
        for tick in self.time.ticks(12) {
            let text = span((tick * 1e9).round() as u64);
            self.label("middle", (self.time.at(tick), self.y + 16.0), &text);
        }
        let size = format!("{} {}", Px(WIDTH), Px((self.y + 28.0).ceil()));
        let mut svg = Markup::default();
        let view = format!("0 0 {size}");
        svg.open(
            "svg",
            &[
                ("xmlns", &"http://www.w3.org/2000/svg"),
                ("viewBox", &view),
                ("preserveAspectRatio", &"xMidYMin"),
            ],
        );
        svg.raw(&format!("<style>\n{}</style>\n", STYLE.concat()));
        svg.empty("rect", &[("class", &"page"), ("width", &"100%"), ("height", &"100%")]);
        svg.raw(&self.body.finish());
        svg.finish()
    }
}

/// The class that gives a fault its colour: the same in all pictures of a run.
pub fn hue(facts: &Facts<'_>, name: &str) -> String {
    let place = faults::names(&facts.bands).iter().position(|it| *it == name);
    format!("f{}", place.unwrap_or_default() % 8)
}

/// Spans side by side where they overlap.
pub struct Lanes {
    /// The lane of each span.
    pub of: Vec<usize>,
    /// How many lanes there are.
    pub count: usize,
}

impl Lanes {
    /// Gives each span, in the order of their beginnings, the first lane that is free.
    pub fn new(spans: impl Iterator<Item = (f64, f64)>) -> Self {
        let mut ends: Vec<f64> = Vec::new();
        let mut of = Vec::new();
        for (from, until) in spans {
            let lane = ends.iter().position(|end| *end <= from).unwrap_or(ends.len());
            match ends.get_mut(lane) {
                Some(last) => *last = until,
                None => ends.push(until),
            }
            of.push(lane);
        }
        Self { of, count: ends.len() }
    }
}

/// About how wide a text is in a chip.
fn wide(text: &str) -> f64 {
    text.chars().count() as f64 * CHARACTER + 6.0
}

fn chip_text(band: &Band) -> String {
    shorten(&band.what(), CHIP_TEXT_MAX)
}

fn rectangle<'a>(
    class: &'a dyn Display,
    x: &'a Px,
    y: &'a Px,
    width: &'a Px,
    height: &'a Px,
) -> [(&'a str, &'a dyn Display); 5] {
    [("class", class), ("x", x), ("y", y), ("width", width), ("height", height)]
}
