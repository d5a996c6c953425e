//! Gives the crate `cfg(Py_3_12)` and the like, so that `ffi/` can tell the Pythons apart.

fn main() {
    pyo3_build_config::use_pyo3_cfgs();
}
