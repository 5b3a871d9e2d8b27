//! The few calls on SQLite's raw handle that sqlx does not offer: limits, and a statement's shape without running it.
//!
//! The only module with `unsafe` code. Each block holds the connection's lock (`LockedSqliteHandle`), so the worker
//! thread makes no call at the same time, and every pointer comes from SQLite and is used before the next call.

#![allow(unsafe_code)]

use std::ffi::{CStr, c_char, c_int};

use libsqlite3_sys as ffi;
use sqlx::sqlite::LockedSqliteHandle;

use crate::database::result_set::ResultColumn;

/// Bytes a string or blob may have inside a statement: one opcode that builds a larger one fails at once, and the
/// progress handler never sees such an opcode.
const MAX_LENGTH_BYTES: c_int = 16 << 20;

/// Lowers what one connection may do: lengths, depths, no attached databases, defensive mode.
/// Source: <https://sqlite.org/c3ref/limit.html> and <https://sqlite.org/c3ref/c_dbconfig_defensive.html>.
pub(super) fn lower_limits(handle: &mut LockedSqliteHandle<'_>, max_sql_bytes: usize) {
    let sql_bytes = c_int::try_from(max_sql_bytes.saturating_add(200_000)).unwrap_or(c_int::MAX);
    let limits = [
        (ffi::SQLITE_LIMIT_LENGTH, MAX_LENGTH_BYTES),
        // The wrapper adds the column list to the caller's text.
        (ffi::SQLITE_LIMIT_SQL_LENGTH, sql_bytes),
        (ffi::SQLITE_LIMIT_COMPOUND_SELECT, 500),
        (ffi::SQLITE_LIMIT_ATTACHED, 0),
        (ffi::SQLITE_LIMIT_TRIGGER_DEPTH, 10),
        (ffi::SQLITE_LIMIT_WORKER_THREADS, 0),
    ];
    let db = handle.as_raw_handle().as_ptr();
    for (limit, value) in limits {
        // SAFETY: `db` is open and locked; sqlite3_limit only stores an integer.
        unsafe { ffi::sqlite3_limit(db, limit, value) };
    }
    // SAFETY: this option takes an int and a pointer that may be null.
    unsafe { ffi::sqlite3_db_config(db, ffi::SQLITE_DBCONFIG_DEFENSIVE, 1 as c_int, std::ptr::null_mut::<c_int>()) };
}

/// A statement that SQLite would not prepare.
#[derive(Debug)]
pub(super) struct PrepareError {
    pub message: String,
    /// Byte offset in the text, when SQLite knows it.
    pub offset: Option<usize>,
}

/// Prepares `sql`, reads its column names and declared types, and drops it again. Nothing runs.
pub(super) fn columns(handle: &mut LockedSqliteHandle<'_>, sql: &str) -> Result<Vec<ResultColumn>, PrepareError> {
    let db = handle.as_raw_handle().as_ptr();
    let Ok(length) = c_int::try_from(sql.len()) else {
        return Err(PrepareError { message: "statement too long".into(), offset: None });
    };
    let mut statement: *mut ffi::sqlite3_stmt = std::ptr::null_mut();
    // SAFETY: the text's pointer and length are given; SQLite copies what it keeps. The error text and every name are
    // copied before the next call on the handle, and the statement is finalized on each path.
    unsafe {
        let code = ffi::sqlite3_prepare_v2(
            db,
            sql.as_ptr().cast::<c_char>(),
            length,
            &raw mut statement,
            std::ptr::null_mut(),
        );
        if code != ffi::SQLITE_OK {
            let message = text(ffi::sqlite3_errmsg(db)).unwrap_or_default();
            let offset = usize::try_from(ffi::sqlite3_error_offset(db)).ok();
            ffi::sqlite3_finalize(statement);
            return Err(PrepareError { message, offset });
        }
        let columns = (0..ffi::sqlite3_column_count(statement))
            .map(|index| ResultColumn {
                name: text(ffi::sqlite3_column_name(statement, index)).unwrap_or_default(),
                type_name: text(ffi::sqlite3_column_decltype(statement, index)).filter(|name| !name.is_empty()),
            })
            .collect();
        ffi::sqlite3_finalize(statement);
        Ok(columns)
    }
}

/// # Safety
///
/// `pointer` is null or points to a NUL-terminated string that lives until this returns.
unsafe fn text(pointer: *const c_char) -> Option<String> {
    if pointer.is_null() {
        return None;
    }
    // SAFETY: the caller's promise.
    Some(unsafe { CStr::from_ptr(pointer) }.to_string_lossy().into_owned())
}
