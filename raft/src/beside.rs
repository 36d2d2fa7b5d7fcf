//! Work that must not hold up consensus: it runs beside it, on a thread.
//!
//! A runtime that was built with one thread has no beside. There such work takes its turn with
//! everything else, so that whoever drives the runtime decides what happens when; that is how the
//! simulation runs a whole cluster in one thread.

use std::future::Future;
use std::io;

use tokio::runtime::{Handle, RuntimeFlavor};
use tokio::task::{JoinHandle, yield_now};

/// Whether everything here has to run on one thread.
fn is_alone() -> bool {
    Handle::try_current()
        .is_ok_and(|runtime| runtime.runtime_flavor() == RuntimeFlavor::CurrentThread)
}

/// Runs file work where it may block.
pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> io::Result<T> {
    if is_alone() {
        yield_now().await;
        return work();
    }
    tokio::task::spawn_blocking(work).await.map_err(io::Error::other)?
}

/// Starts work that waits now and then and blocks in between.
pub(crate) fn spawn<T: Send + 'static>(
    work: impl Future<Output = T> + Send + 'static,
) -> JoinHandle<T> {
    if is_alone() {
        return tokio::spawn(work);
    }
    tokio::task::spawn_blocking(|| futures::executor::block_on(work))
}

/// Does something that takes a while and that nobody waits for.
pub(crate) fn forget(name: &str, work: impl FnOnce() + Send + 'static) -> io::Result<()> {
    if is_alone() {
        work();
        return Ok(());
    }
    std::thread::Builder::new().name(name.into()).spawn(work).map(drop)
}

/// Gives work a thread of its own that lasts as long as the work.
pub(crate) fn start(
    name: String,
    work: impl Future<Output = ()> + Send + 'static,
) -> io::Result<()> {
    if is_alone() {
        tokio::spawn(work);
        return Ok(());
    }
    let thread = std::thread::Builder::new().name(name);
    thread.spawn(|| futures::executor::block_on(work)).map(drop)
}
