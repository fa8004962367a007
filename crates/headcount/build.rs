//! Link settings of the `tiny` profile, the one that is shipped: see ARCHITECTURE.md, "Size".

use std::env;

fn main() {
    println!("cargo:rerun-if-changed=no-unwind-tables.ld");
    // Cargo tells a build script nothing of a profile's name or of `panic`; only `tiny` has this.
    if env::var("OPT_LEVEL").as_deref() != Ok("z") {
        return;
    }
    let directory = env::var("CARGO_MANIFEST_DIR").unwrap_or_default();
    for argument in [
        format!("-Wl,-T,{directory}/no-unwind-tables.ld"),
        "-Wl,--no-eh-frame-hdr".to_owned(),
        // A static PIE relocates itself at start: as a bitmap the list is 1 KB instead of 45.
        "-Wl,-z,pack-relative-relocs".to_owned(),
    ] {
        println!("cargo:rustc-link-arg-bins={argument}");
    }
}
