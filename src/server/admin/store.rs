//! Work on the store that takes long.

use std::sync::Arc;

use storage::Store;

/// Runs it on a thread of its own. A fault stops the node.
pub async fn with_store<T, F>(store: Arc<Store>, run: F) -> T
where
    T: Send + 'static,
    F: FnOnce(&Store) -> storage::Result<T> + Send + 'static,
{
    match tokio::task::spawn_blocking(move || run(&store)).await {
        Ok(Ok(result)) => result,
        Ok(Err(fault)) => crate::node::fatal(&fault),
        Err(panicked) => std::panic::resume_unwind(panicked.into_panic()),
    }
}
