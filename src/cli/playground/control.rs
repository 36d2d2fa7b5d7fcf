//! How `talus playground stop` finds the playground: a socket named after the first port.

use crate::cli::failure::Failure;
use std::fs::{self, DirBuilder};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{UnixListener, UnixStream};
use tokio::time::timeout;

/// The side of the playground.
pub struct Control {
    listener: UnixListener,
    path: PathBuf,
}

impl Control {
    pub fn listen(base_port: u16) -> Result<Control, Failure> {
        let path = socket(base_port)?;
        // What is left of a playground that was killed has nobody behind it.
        if std::os::unix::net::UnixStream::connect(&path).is_ok() {
            return Err(Failure::new(format!("a playground runs on port {base_port} already"))
                .help(format!(
                    "talus playground stop --base-port {base_port}, or another --base-port"
                )));
        }
        match fs::remove_file(&path) {
            Err(error) if error.kind() != ErrorKind::NotFound => {
                return Err(failure(&path, &error));
            }
            _ => {}
        }
        let listener = UnixListener::bind(&path).map_err(|error| failure(&path, &error))?;
        Ok(Control { listener, path })
    }

    /// Whoever asks says so with one byte, and waits until the connection is dropped: that is
    /// the answer. Who says nothing only wanted to know whether a playground is here.
    pub async fn asked_to_stop(&self) -> Option<UnixStream> {
        loop {
            let (mut stream, _) = self.listener.accept().await.ok()?;
            if timeout(Duration::from_secs(1), stream.read_u8())
                .await
                .is_ok_and(|said| said.is_ok())
            {
                return Some(stream);
            }
        }
    }
}

impl Drop for Control {
    fn drop(&mut self) {
        // A path that is left over is removed by the next playground.
        let _ = fs::remove_file(&self.path);
    }
}

/// Stops the playground and waits until it has ended.
pub async fn stop(base_port: u16) -> Result<(), Failure> {
    const STOPPED_MAX: Duration = Duration::from_secs(60);
    let stream = UnixStream::connect(socket(base_port)?).await;
    let mut stream = stream.map_err(|_| {
        Failure::new(format!("no playground runs on port {base_port}"))
            .help("name its first port with --base-port")
    })?;
    let mut nothing = [0];
    let asked = stream.write_u8(b'!').await;
    asked.map_err(|error| Failure::new(format!("the playground does not listen: {error}")))?;
    let ended = timeout(STOPPED_MAX, stream.read(&mut nothing)).await;
    // However the connection ends, nobody is behind it any more.
    let _ = ended.map_err(|_| Failure::new("the playground does not stop"))?;
    println!("stopped");
    Ok(())
}

/// In a directory that nobody else may write to.
fn socket(base_port: u16) -> Result<PathBuf, Failure> {
    let uid = rustix::process::getuid().as_raw();
    let directory = std::env::temp_dir().join(format!("talus-playground-{uid}"));
    let made = DirBuilder::new().recursive(true).mode(0o700).create(&directory);
    let owner = made.and_then(|()| fs::symlink_metadata(&directory));
    let owner = owner.map_err(|error| failure(&directory, &error))?;
    if !owner.is_dir() || owner.uid() != uid {
        let error = io::Error::new(ErrorKind::PermissionDenied, "it belongs to somebody else");
        return Err(failure(&directory, &error));
    }
    Ok(directory.join(format!("{base_port}.sock")))
}

fn failure(path: &Path, error: &io::Error) -> Failure {
    Failure::new(format!("{}: {error}", path.display()))
}
