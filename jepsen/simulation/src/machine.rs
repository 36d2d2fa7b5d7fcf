//! A machine: a runtime of one thread that runs only when it is told to, and then until nothing in
//! it is ready. To pause a machine is not to run it; to lose its power is to drop it.

use std::future::{Future, poll_fn};
use std::sync::Arc;
use std::task::{Poll, Waker};

use parking_lot::Mutex;
use tokio::runtime::{Builder, Handle, Runtime};

/// See the module.
pub struct Machine {
    runtime: Runtime,
    rest: Arc<Mutex<Rest>>,
}

/// Whether the runtime came to rest since it was last run.
#[derive(Default)]
struct Rest {
    came: bool,
    waker: Option<Waker>,
}

impl Machine {
    /// A machine on which nothing runs yet.
    pub fn new() -> Self {
        let rest = Arc::new(Mutex::new(Rest::default()));
        let resting = Arc::clone(&rest);
        // By then the runtime has said until when it has nothing to do: see `os.c`.
        let on_rest = move || {
            let mut rest = resting.lock();
            rest.came = true;
            rest.waker.take().into_iter().for_each(Waker::wake);
        };
        let runtime = Builder::new_current_thread().enable_all().on_thread_unpark(on_rest).build();
        Self { runtime: runtime.expect("a runtime starts"), rest }
    }

    /// Starts a task.
    pub fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        drop(self.runtime.spawn(task));
    }

    /// What its parts are started on.
    pub fn handle(&self) -> Handle {
        self.runtime.handle().clone()
    }

    /// Runs what is ready now, timers that are due among it.
    pub fn run(&self) {
        self.runtime.block_on(async {
            // Timers first: what they wake runs before the machine rests.
            tokio::task::yield_now().await;
            self.rest.lock().came = false;
            poll_fn(|context| {
                let mut rest = self.rest.lock();
                rest.waker = Some(context.waker().clone());
                if rest.came { Poll::Ready(()) } else { Poll::Pending }
            })
            .await;
        });
    }
}
