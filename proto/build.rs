//! Turns `proto/*.proto` into Rust without a system `protoc`: protox parses, tonic-prost generates.

use std::error::Error;

fn main() -> Result<(), Box<dyn Error>> {
    let files = ["proto/node.proto", "proto/log.proto"];
    for file in files {
        println!("cargo:rerun-if-changed={file}");
    }
    let descriptors = protox::compile(files, ["proto"])?;
    // Bytes everywhere: decoding a message out of a `Bytes` copies no payload.
    tonic_prost_build::configure().bytes(".").compile_fds(descriptors)?;
    Ok(())
}
