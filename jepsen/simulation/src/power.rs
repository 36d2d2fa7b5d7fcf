//! The power of the node that runs now. It may fail at any change of its files or of its log's disk,
//! in the middle of whatever the node does.
//!
//! From that moment on no file changes, the disk writes nothing and nothing leaves over the network;
//! who runs the node takes note once it comes to rest. For files that is the work of `files.c`,
//! which also keeps what is known of the power, so that all of them see the same.

use std::fs::{read_link, remove_file};
use std::os::unix::fs::symlink;
use std::sync::atomic::{AtomicBool, Ordering};

/// See `files.c`.
const LINK: &str = "/simulated/power";

/// Whether the power of the node that runs now is known to fail some time.
static IS_METERED: AtomicBool = AtomicBool::new(false);

/// How long a node's power lasts.
pub struct Supply(String);

impl Supply {
    /// For so many changes of files. The first that counts is at a place whose name has `begins`
    /// in it.
    pub fn of(changes: u64, begins: &str) -> Self {
        Self(format!("{changes} {begins}"))
    }

    /// Until the log's disk loses it.
    pub fn until_cut() -> Self {
        Self::of(u64::MAX, "")
    }

    /// The node that draws from it runs now.
    pub fn connect(self) {
        set(&self.0);
        IS_METERED.store(true, Ordering::Relaxed);
    }

    /// That node has come to rest.
    ///
    /// # Errors
    /// Where the power has failed.
    pub fn disconnect() -> Result<Self, String> {
        let shown = shown();
        IS_METERED.store(false, Ordering::Relaxed);
        set(&Self::until_cut().0);
        shown.strip_prefix("off ").map_or_else(|| Ok(Self(shown.clone())), |at| Err(at.to_owned()))
    }
}

/// Whether the node that runs now has power.
pub fn is_on() -> bool {
    !IS_METERED.load(Ordering::Relaxed) || !shown().starts_with("off")
}

/// It fails, not at a change of files.
pub fn cut() {
    remove_file(LINK).expect("files.c takes it");
}

fn set(text: &str) {
    symlink(text, LINK).expect("files.c takes it");
}

fn shown() -> String {
    read_link(LINK).expect("files.c tells").to_string_lossy().into_owned()
}

/// What a node was doing when its power failed at a place among its files.
pub fn amid(place: &str, serves: bool) -> &'static str {
    const KNOWN: [(&str, &str); 4] = [
        ("elsewhere", "log"),
        ("/snapshots/building", "build"),
        ("/incoming", "receive"),
        ("/snapshots", "snapshots"),
    ];
    if !serves {
        return "start";
    }
    let known = KNOWN.iter().find(|(part, _)| place.contains(part));
    known.map_or("install", |(_, what)| what)
}
