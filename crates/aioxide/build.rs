//! Gives the crate `cfg(Py_3_12)` and the like, so that `ffi/` can tell the Pythons apart, and lays the
//! extension out so that profilers find its symbols.

fn main() {
    pyo3_build_config::use_pyo3_cfgs();
    separate_segments();
}

/// Starts each loadable segment on a page of its own, as GNU ld does for code.
///
/// LLD, which rustc uses by default, lets neighbours share a page of the file. The executable segment then
/// begins inside a page, and py-spy (0.4), which takes the start of the mapping for the start of the segment,
/// ends its native stacks at our frames. GNU ld ignores the option with a warning. zig's own command line
/// refuses it.
fn separate_segments() {
    println!("cargo:rerun-if-env-changed=RUSTC_LINKER");
    let target = std::env::var("CARGO_CFG_TARGET_OS").unwrap_or_default();
    let linker = std::env::var("RUSTC_LINKER").unwrap_or_default();
    if target == "linux" && !linker.contains("zig") {
        println!("cargo:rustc-cdylib-link-arg=-Wl,-z,separate-loadable-segments");
    }
}
