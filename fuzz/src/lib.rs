//! Fuzz targets of the guard; see `tests/guard.rs`.
