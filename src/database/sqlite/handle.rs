//! The few calls on SQLite's raw handle that sqlx does not offer: limits, the authorizer, and a statement's shape without
//! running it.
//!
//! The authorizer is worth its few lines: SQLite asks it about every table, column and function of a statement while
//! it compiles it, views and triggers included, so that it is a second guard with the real grammar, and the exact
//! source of what a statement reads. It holds no state of its own.
//!
//! The only module with `unsafe` code. Each block holds the connection's lock (`LockedSqliteHandle`), so the worker
//! thread makes no call at the same time, and every pointer comes from SQLite and is used before the next call.

#![allow(unsafe_code)]

use std::ffi::{CStr, c_char, c_int, c_void};

use libsqlite3_sys as ffi;
use sqlx::sqlite::LockedSqliteHandle;

use crate::database::result_set::ResultColumn;
use crate::guard::functions;

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
    // SAFETY: the callback needs no state and lives as long as the program.
    unsafe { ffi::sqlite3_set_authorizer(db, Some(authorize), std::ptr::null_mut()) };
    // SAFETY: this option takes an int and a pointer that may be null.
    unsafe { ffi::sqlite3_db_config(db, ffi::SQLITE_DBCONFIG_DEFENSIVE, 1 as c_int, std::ptr::null_mut::<c_int>()) };
}

/// Pragmas that describe the schema, which TUDB's own catalog reads use, and one that full-text tables ask.
const PRAGMAS: [&str; 8] = [
    "data_version",
    "table_info",
    "table_xinfo",
    "table_list",
    "index_list",
    "index_info",
    "index_xinfo",
    "foreign_key_list",
];

/// What a statement may contain: reads, functions of the guard's list and the operators that are functions inside. An
/// R-tree prepares writes to tables of its own when it is opened; that they never run is the read-only file's part.
fn is_harmless(action: c_int, first: &str, second: &str) -> bool {
    match action {
        ffi::SQLITE_SELECT | ffi::SQLITE_READ | ffi::SQLITE_RECURSIVE => true,
        ffi::SQLITE_FUNCTION => {
            let name = second.to_ascii_lowercase();
            matches!(name.as_str(), "->" | "->>" | "match" | "rtreecheck") || functions::is_harmless_in_sqlite(&name)
        }
        ffi::SQLITE_PRAGMA => PRAGMAS.contains(&first.to_ascii_lowercase().as_str()),
        ffi::SQLITE_INSERT | ffi::SQLITE_UPDATE | ffi::SQLITE_DELETE => {
            ["_node", "_rowid", "_parent"].iter().any(|ending| first.ends_with(ending))
        }
        _ => false,
    }
}

/// SQLite's callback. Source: <https://sqlite.org/c3ref/set_authorizer.html>.
///
/// # Safety
///
/// Called by SQLite with texts that are null or live until this returns; `reads` is null or the list of [`columns`].
unsafe extern "C" fn authorize(
    reads: *mut c_void,
    action: c_int,
    first: *const c_char,
    second: *const c_char,
    _database: *const c_char,
    accessor: *const c_char,
) -> c_int {
    // SAFETY: SQLite's promise about its texts.
    let (first, second, accessor) = unsafe { (text(first), text(second), text(accessor)) };
    let (first, second) = (first.unwrap_or_default(), second.unwrap_or_default());
    if !is_harmless(action, &first, &second) {
        return ffi::SQLITE_DENY;
    }
    if action == ffi::SQLITE_READ && !reads.is_null() {
        // SAFETY: `columns` gave the address of its list and waits for SQLite to return.
        let reads = unsafe { &mut *reads.cast::<Vec<ColumnRead>>() };
        let read = ColumnRead { table: first, column: second, inside: accessor };
        // A view that reads itself many times is told of each time.
        if !reads.contains(&read) {
            reads.push(read);
        }
    }
    ffi::SQLITE_OK
}

/// Whether SQLite itself, without any lock of ours, says that a statement only reads (or cannot prepare it), and that
/// nothing follows it.
#[cfg(test)]
pub(crate) fn reads_only(sql: &str) -> bool {
    let schema = c"CREATE TABLE canary (id, v); CREATE TABLE orders (id, total, status, customer_id, note);
        CREATE TABLE customers (id, name, email, country, balance, profile, created_at); CREATE VIEW paid AS SELECT 1;";
    let mut db: *mut ffi::sqlite3 = std::ptr::null_mut();
    let mut statement: *mut ffi::sqlite3_stmt = std::ptr::null_mut();
    let mut rest: *const c_char = std::ptr::null();
    let sql = std::ffi::CString::new(sql).unwrap();
    // SAFETY: a database in memory of this function's own; every pointer lives until it is closed.
    unsafe {
        ffi::sqlite3_open(c":memory:".as_ptr(), &raw mut db);
        ffi::sqlite3_exec(db, schema.as_ptr(), None, std::ptr::null_mut(), std::ptr::null_mut());
        let code = ffi::sqlite3_prepare_v2(db, sql.as_ptr(), -1, &raw mut statement, &raw mut rest);
        let reads = code != ffi::SQLITE_OK || statement.is_null() || ffi::sqlite3_stmt_readonly(statement) != 0;
        let follows = code == ffi::SQLITE_OK && !CStr::from_ptr(rest).to_bytes().iter().all(u8::is_ascii_whitespace);
        ffi::sqlite3_finalize(statement);
        ffi::sqlite3_close(db);
        reads && !follows
    }
}

/// Takes the authorizer off, for the tests of the locks behind it.
#[cfg(test)]
pub(super) fn forget_authorizer(handle: &mut LockedSqliteHandle<'_>) {
    // SAFETY: `db` is open and locked; no callback is one SQLite never calls.
    unsafe { ffi::sqlite3_set_authorizer(handle.as_raw_handle().as_ptr(), None, std::ptr::null_mut()) };
}

/// A column that a statement reads, as SQLite resolved it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ColumnRead {
    pub table: String,
    /// Empty when the table is read without any column.
    pub column: String,
    /// The view or CTE that reads it on behalf of the statement.
    pub inside: Option<String>,
}

/// A statement's columns, and everything it reads.
#[derive(Debug)]
pub(super) struct Shape {
    pub columns: Vec<ResultColumn>,
    pub reads: Vec<ColumnRead>,
}

/// A statement that SQLite would not prepare.
#[derive(Debug)]
pub(super) struct PrepareError {
    pub message: String,
    /// Byte offset in the text, when SQLite knows it.
    pub offset: Option<usize>,
}

/// Prepares `sql`, notes its column names, declared types and everything it reads, and drops it again. Nothing runs.
pub(super) fn columns(handle: &mut LockedSqliteHandle<'_>, sql: &str) -> Result<Shape, PrepareError> {
    let db = handle.as_raw_handle().as_ptr();
    let Ok(length) = c_int::try_from(sql.len()) else {
        return Err(PrepareError { message: "statement too long".into(), offset: None });
    };
    let mut reads: Vec<ColumnRead> = Vec::new();
    let mut statement: *mut ffi::sqlite3_stmt = std::ptr::null_mut();
    // SAFETY: the text's pointer and length are given; SQLite copies what it keeps. The error text and every name are
    // copied before the next call on the handle, and the statement is finalized on each path.
    unsafe {
        ffi::sqlite3_set_authorizer(db, Some(authorize), (&raw mut reads).cast::<c_void>());
        let code = ffi::sqlite3_prepare_v2(
            db,
            sql.as_ptr().cast::<c_char>(),
            length,
            &raw mut statement,
            std::ptr::null_mut(),
        );
        ffi::sqlite3_set_authorizer(db, Some(authorize), std::ptr::null_mut());
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
        Ok(Shape { columns, reads })
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
