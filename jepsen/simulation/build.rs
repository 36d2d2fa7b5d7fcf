//! Compiles what stands for the operating system in the simulation.

fn main() {
    const SOURCES: [&str; 2] = ["os.c", "files.c"];
    SOURCES.iter().for_each(|source| println!("cargo:rerun-if-changed={source}"));
    let archive = "simulated_os";
    cc::Build::new().files(SOURCES).warnings(true).cargo_metadata(false).compile(archive);
    let dir = std::env::var("OUT_DIR").expect("cargo says where");
    println!("cargo:rustc-link-search=native={dir}");
    // Whole: nothing asks for it by name, it has to come before the C library.
    println!(
        "cargo:rustc-link-arg-bins=-Wl,--whole-archive,{dir}/lib{archive}.a,--no-whole-archive"
    );
}
