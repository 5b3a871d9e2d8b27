//! One connection to SQLite by its C interface: opening, limits, the authorizer, statements and their rows.
//!
//! The connection is used in the process that reads a file. Nothing else runs there, so each step is a blocking call.
//!
//! The authorizer is a second guard, which uses SQLite's own grammar. While SQLite compiles a statement, it calls the
//! authorizer for every table, column and function, also inside views and triggers. So TUDB learns which columns a
//! statement reads. SQLite does not report the columns by which NATURAL or USING joins two tables.
//!
//! This module, [`super::vfs`] and [`super::functions`] contain the only `unsafe` code of the engine. A [`Handle`] is
//! neither `Send` nor `Sync`. A [`Statement`] borrows the handle and is finalized when it is dropped. A [`Value`]
//! borrows its statement, so it cannot be used after the next [`Statement::step`].

#![allow(unsafe_code)]

use std::cell::{Cell, RefCell};
use std::ffi::{CStr, CString, c_char, c_int, c_void};
use std::marker::PhantomData;
use std::rc::Rc;
use std::time::{Duration, Instant};

use libsqlite3_sys as ffi;

use super::closed::Closed;
use super::functions::{self, StandIns};
use crate::database::result_set::ResultColumn;
use crate::guard::functions::is_harmless_in_sqlite;
use crate::guard::relations;

/// Virtual-machine steps between two checks of the deadline.
const STEPS_PER_LOOK: c_int = 10_000;

/// An error of SQLite.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Fault {
    /// The primary result code.
    pub code: c_int,
    /// True if a write failed.
    is_full: bool,
    pub message: String,
    /// Byte offset in the statement, when SQLite knows it.
    pub offset: Option<usize>,
}

/// An open database.
pub(super) struct Handle {
    db: *mut ffi::sqlite3,
    /// Deadline of the running statement. The progress handler reads it.
    end: Box<Cell<Option<Instant>>>,
    stand_ins: Box<StandIns>,
    /// True if SQLite reads a name in double quotes as a string literal when no column has this name.
    allows_strings: Cell<bool>,
    /// What [`super::closed::of`] found, and the version of the schema at that time.
    pub(super) closed: RefCell<Option<(i64, Rc<Closed>)>>,
}

impl Drop for Handle {
    fn drop(&mut self) {
        // SAFETY: every statement borrows the handle, so no statement is left. The fields that SQLite's callbacks use
        // are dropped after this call.
        unsafe { ffi::sqlite3_close(self.db) };
    }
}

impl Handle {
    /// Opens the database that `uri` names. Except in tests, `read_only` is false only for the sample, which is in
    /// memory.
    pub(super) fn open(uri: &str, vfs: Option<&CStr>, read_only: bool) -> Result<Self, Fault> {
        let uri = CString::new(uri).map_err(|_| Fault::own("the path holds a NUL byte"))?;
        let mode = if read_only { ffi::SQLITE_OPEN_READONLY } else { ffi::SQLITE_OPEN_READWRITE };
        let flags = mode | ffi::SQLITE_OPEN_URI | ffi::SQLITE_OPEN_NOMUTEX | ffi::SQLITE_OPEN_PRIVATECACHE;
        let mut db: *mut ffi::sqlite3 = std::ptr::null_mut();
        let vfs = vfs.map_or(std::ptr::null(), CStr::as_ptr);
        // SAFETY: the texts live until the call returns. SQLite sets `db` even if opening fails, unless there is no
        // memory. `Handle` closes it.
        let code = unsafe { ffi::sqlite3_open_v2(uri.as_ptr(), &raw mut db, flags, vfs) };
        if db.is_null() {
            return Err(Fault {
                code: ffi::SQLITE_NOMEM,
                is_full: false,
                message: "out of memory".into(),
                offset: None,
            });
        }
        let handle = Handle {
            db,
            end: Box::new(Cell::new(None)),
            stand_ins: Box::default(),
            allows_strings: Cell::new(true),
            closed: RefCell::default(),
        };
        if code != ffi::SQLITE_OK {
            return Err(handle.fault());
        }
        let end: *const Cell<Option<Instant>> = &raw const *handle.end;
        // SAFETY: the cell lives as long as the handle, and the callback runs on this thread during its calls.
        unsafe { ffi::sqlite3_progress_handler(db, STEPS_PER_LOOK, Some(is_late), end.cast_mut().cast::<c_void>()) };
        // SAFETY: the database is open, and the list lives as long as the handle.
        unsafe { functions::add(db, &raw const *handle.stand_ins) };
        Ok(handle)
    }

    /// Makes reads wait for the lock of a writer. By default they fail at once.
    pub(super) fn wait_for_locks(&self) {
        // SAFETY: a plain setter.
        unsafe { ffi::sqlite3_busy_timeout(self.db, BUSY_TIMEOUT_MS) };
    }

    /// Sets the deadline of the next statement, which includes its compilation.
    pub(super) fn end_at(&self, end: Option<Instant>) {
        self.end.set(end);
    }

    /// True after the deadline.
    pub(super) fn is_late(&self) -> bool {
        self.end.get().is_some_and(|end| Instant::now() >= end)
    }

    /// Runs `work` with a nearer deadline, at most `limit` from now, and without waiting for the lock of a writer.
    pub(super) fn within<T>(&self, limit: Duration, work: impl FnOnce() -> T) -> T {
        let end = self.end.get();
        let near = Instant::now() + limit;
        self.end.set(Some(end.map_or(near, |end| end.min(near))));
        // SAFETY: a plain setter.
        unsafe { ffi::sqlite3_busy_timeout(self.db, 0) };
        let result = work();
        self.wait_for_locks();
        self.end.set(end);
        result
    }

    fn fault(&self) -> Fault {
        // SAFETY: the handle is open; the text is copied before the next call.
        unsafe {
            Fault {
                code: ffi::sqlite3_errcode(self.db) & 0xff,
                is_full: matches!(ffi::sqlite3_extended_errcode(self.db), ffi::SQLITE_FULL | ffi::SQLITE_IOERR_WRITE),
                message: text(ffi::sqlite3_errmsg(self.db)).unwrap_or_default(),
                offset: usize::try_from(ffi::sqlite3_error_offset(self.db)).ok(),
            }
        }
    }

    /// Compiles the first statement of a text; `None` if there is none. Also returns the number of bytes that it used.
    fn compile(&self, sql: &str) -> Result<(Option<Statement<'_>>, usize), Fault> {
        let length = c_int::try_from(sql.len()).map_err(|_| Fault::own("statement too long"))?;
        let mut raw: *mut ffi::sqlite3_stmt = std::ptr::null_mut();
        let mut rest: *const c_char = std::ptr::null();
        let start = sql.as_ptr().cast::<c_char>();
        // SAFETY: the text's pointer and length are given, and SQLite copies what it keeps.
        let code = unsafe { ffi::sqlite3_prepare_v2(self.db, start, length, &raw mut raw, &raw mut rest) };
        if code != ffi::SQLITE_OK {
            return Err(self.fault());
        }
        let used = (rest as usize).saturating_sub(start as usize).min(sql.len());
        let statement = (!raw.is_null()).then_some(Statement { raw, handle: self, row: PhantomData });
        Ok((statement, used))
    }

    pub(super) fn prepare(&self, sql: &str) -> Result<Statement<'_>, Fault> {
        self.compile(sql)?.0.ok_or_else(|| Fault::own("the statement is empty"))
    }

    /// Runs every statement of a text to its end. The text is written by TUDB.
    pub(super) fn execute(&self, sql: &str) -> Result<(), Fault> {
        let mut rest = sql;
        while !rest.is_empty() {
            let (statement, used) = self.compile(rest)?;
            let Some(mut statement) = statement else { return Ok(()) };
            while statement.step()? {}
            rest = rest.get(used..).unwrap_or_default();
        }
        Ok(())
    }

    /// Restricts the connection: lowers SQLite's limits, allows no attached database, turns on defensive mode, sets the
    /// authorizer and turns off strings in double quotes. Sources: <https://sqlite.org/c3ref/limit.html> and
    /// <https://sqlite.org/c3ref/c_dbconfig_defensive.html>.
    pub(super) fn lock(&self, max_sql_bytes: usize, max_value_bytes: usize) {
        // The guard limits the length of the caller's text. SQLite applies this limit also to the CREATE statements of
        // the schema, which may be longer.
        let sql_bytes = c_int::try_from(max_sql_bytes.saturating_add(200_000).max(16 << 20)).unwrap_or(c_int::MAX);
        let limits = [
            (ffi::SQLITE_LIMIT_LENGTH, c_int::try_from(max_value_bytes).unwrap_or(c_int::MAX)),
            (ffi::SQLITE_LIMIT_SQL_LENGTH, sql_bytes),
            (ffi::SQLITE_LIMIT_COMPOUND_SELECT, 500),
            (ffi::SQLITE_LIMIT_ATTACHED, 0),
            (ffi::SQLITE_LIMIT_TRIGGER_DEPTH, 10),
            (ffi::SQLITE_LIMIT_WORKER_THREADS, 0),
        ];
        for (limit, value) in limits {
            // SAFETY: the handle is open; sqlite3_limit only stores an integer.
            unsafe { ffi::sqlite3_limit(self.db, limit, value) };
        }
        // SAFETY: the callback needs no state and lives as long as the program; this option takes an int and a pointer
        // that may be null.
        unsafe {
            ffi::sqlite3_set_authorizer(self.db, Some(authorize), std::ptr::null_mut());
            ffi::sqlite3_db_config(self.db, ffi::SQLITE_DBCONFIG_DEFENSIVE, 1 as c_int, std::ptr::null_mut::<c_int>());
        }
        self.set_strings_in_double_quotes(false);
    }

    fn set_strings_in_double_quotes(&self, allowed: bool) {
        // SAFETY: this option takes an int and a pointer that may be null.
        unsafe {
            let value = c_int::from(allowed);
            ffi::sqlite3_db_config(self.db, ffi::SQLITE_DBCONFIG_DQS_DML, value, std::ptr::null_mut::<c_int>());
        }
        self.allows_strings.set(allowed);
    }

    /// Turns on strings in double quotes until the returned value is dropped: SQLite then reads a name in double quotes
    /// as a string literal if no column has this name. This is SQLite's default, and views of other programs may need
    /// it. [`Handle::lock`] turns such strings off, because a misspelt column in a caller's statement would become a
    /// string. Source: <https://sqlite.org/quirks.html#dblquote>.
    pub(super) fn allow_strings_in_double_quotes(&self) -> StringsAllowed<'_> {
        let before = self.allows_strings.get();
        self.set_strings_in_double_quotes(true);
        StringsAllowed { handle: self, before }
    }

    /// Sets the collations that may get a stand-in. `names` are the collations that the schema names, in lower case.
    pub(super) fn allow_stand_ins(&self, names: std::collections::BTreeSet<String>) {
        *self.stand_ins.allowed.borrow_mut() = names;
    }

    /// Returns the names of the collations that have a stand-in now. Only another program defines these collations.
    pub(super) fn stand_ins(&self) -> Vec<String> {
        self.stand_ins.used.borrow().clone()
    }

    /// Turns off two optimizations of the planner: the scan of a covering index instead of the table, and the
    /// skip-scan. With them SQLite may return rows in the order of an index, and this order could reveal the ranking of
    /// a column that the statement may not read.
    ///
    /// The two constants are `SQLITE_CoverIdxScan` and `SQLITE_SkipScan` of SQLite's `sqliteInt.h`.
    pub(super) fn scan_in_table_order(&self) {
        const COVERING_INDEX_SCAN: c_int = 0x20;
        const SKIP_SCAN: c_int = 0x4000;
        // SAFETY: this option takes an open database and an int of bits to switch off.
        unsafe {
            ffi::sqlite3_test_control(ffi::SQLITE_TESTCTRL_OPTIMIZATIONS, self.db, COVERING_INDEX_SCAN | SKIP_SCAN);
        }
    }

    /// Removes the authorizer, for tests of the protections behind it.
    #[cfg(test)]
    pub(super) fn forget_authorizer(&self) {
        // SAFETY: the callback may be null, which removes the authorizer.
        unsafe { ffi::sqlite3_set_authorizer(self.db, None, std::ptr::null_mut()) };
    }

    /// Compiles `sql` and returns its columns with their declared types, and everything that it reads. Nothing runs.
    pub(super) fn shape(&self, sql: &str) -> Result<Shape<'_>, Fault> {
        let mut reads: Vec<ColumnRead> = Vec::new();
        // SAFETY: the list outlives the compilation. The second call removes the pointer to the list from SQLite.
        let compiled = unsafe {
            ffi::sqlite3_set_authorizer(self.db, Some(authorize), (&raw mut reads).cast::<c_void>());
            let compiled = self.prepare(sql);
            ffi::sqlite3_set_authorizer(self.db, Some(authorize), std::ptr::null_mut());
            compiled
        };
        let compiled = compiled?;
        // The guard refuses parameters. What it took for something else must not run: within a parameter such as `@a(..)`
        // SQLite reads quotes as plain characters.
        if compiled.has_parameters() {
            return Err(Fault::own("the statement has a parameter: write the value itself"));
        }
        Ok(Shape { columns: compiled.columns(), origins: compiled.origins(), reads, strings: None })
    }
}

/// How long a reader waits for the lock of a writer.
const BUSY_TIMEOUT_MS: c_int = 5_000;

/// The progress callback of SQLite: a result other than 0 ends the statement.
///
/// # Safety
///
/// Called by SQLite with the address of the handle's `end`.
unsafe extern "C" fn is_late(end: *mut c_void) -> c_int {
    // SAFETY: `open` gave the address, and the handle lives while SQLite runs.
    let end = unsafe { &*end.cast::<Cell<Option<Instant>>>() };
    c_int::from(end.get().is_some_and(|end| Instant::now() >= end))
}

/// Limits the memory of SQLite in the whole process. Beyond the limit an allocation fails, and the statement fails with
/// it. Source: <https://sqlite.org/c3ref/hard_heap_limit64.html>.
pub(super) fn limit_heap(bytes: i64) {
    // SAFETY: a plain setter.
    unsafe { ffi::sqlite3_hard_heap_limit64(bytes) };
}

/// Returns the bytes that SQLite uses in the whole process.
pub(super) fn heap_used() -> i64 {
    // SAFETY: a plain getter.
    unsafe { ffi::sqlite3_memory_used() }
}

impl Fault {
    fn own(message: &str) -> Self {
        Fault { code: ffi::SQLITE_ERROR, is_full: false, message: message.to_owned(), offset: None }
    }

    pub(super) fn is_interrupted(&self) -> bool {
        self.code == ffi::SQLITE_INTERRUPT
    }

    pub(super) fn is_out_of_memory(&self) -> bool {
        self.code == ffi::SQLITE_NOMEM
    }

    pub(super) fn is_locked(&self) -> bool {
        matches!(self.code, ffi::SQLITE_BUSY | ffi::SQLITE_LOCKED)
    }

    pub(super) fn is_damaged(&self) -> bool {
        self.code == ffi::SQLITE_CORRUPT
    }

    pub(super) fn is_too_big(&self) -> bool {
        self.code == ffi::SQLITE_TOOBIG
    }

    /// True if a write failed. A reader writes only temporary files, whose size is bounded.
    pub(super) fn is_full(&self) -> bool {
        self.is_full
    }

    pub(super) fn is_no_database(&self) -> bool {
        self.code == ffi::SQLITE_NOTADB
    }

    /// True if the error may be caused by a change of the database's files while the database was open. Opening the
    /// database again may help.
    pub(super) fn is_stale(&self) -> bool {
        matches!(self.code, ffi::SQLITE_CANTOPEN | ffi::SQLITE_READONLY | ffi::SQLITE_PROTOCOL | ffi::SQLITE_IOERR)
    }
}

/// A compiled statement, finalized when dropped.
pub(super) struct Statement<'a> {
    raw: *mut ffi::sqlite3_stmt,
    handle: &'a Handle,
    row: PhantomData<Cell<()>>,
}

impl Drop for Statement<'_> {
    fn drop(&mut self) {
        // SAFETY: the statement is SQLite's own and is not used again.
        unsafe { ffi::sqlite3_finalize(self.raw) };
    }
}

/// A cell as SQLite stores it. TEXT need not be UTF-8.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Value<'a> {
    Null,
    Integer(i64),
    Real(f64),
    Text(&'a [u8]),
    Blob(&'a [u8]),
}

impl Value<'_> {
    /// Returns the name of the storage class; `None` for NULL.
    pub(super) fn class(&self) -> Option<&'static str> {
        match self {
            Value::Null => None,
            Value::Integer(_) => Some("INTEGER"),
            Value::Real(_) => Some("REAL"),
            Value::Text(_) => Some("TEXT"),
            Value::Blob(_) => Some("BLOB"),
        }
    }
}

impl Statement<'_> {
    /// Binds a number to the placeholder `?1`.
    pub(super) fn bind_integer(&mut self, value: i64) -> Result<(), Fault> {
        // SAFETY: the statement is compiled, and SQLite copies the number.
        let code = unsafe { ffi::sqlite3_bind_int64(self.raw, 1, value) };
        if code == ffi::SQLITE_OK { Ok(()) } else { Err(self.handle.fault()) }
    }

    /// Binds a text to the placeholder `?1`.
    pub(super) fn bind(&mut self, value: &str) -> Result<(), Fault> {
        let length = c_int::try_from(value.len()).map_err(|_| Fault::own("text too long"))?;
        // SAFETY: SQLITE_TRANSIENT makes SQLite copy the text before the call returns.
        let code = unsafe {
            ffi::sqlite3_bind_text(self.raw, 1, value.as_ptr().cast::<c_char>(), length, ffi::SQLITE_TRANSIENT())
        };
        if code == ffi::SQLITE_OK { Ok(()) } else { Err(self.handle.fault()) }
    }

    /// Reads the next row; false after the last one.
    pub(super) fn step(&mut self) -> Result<bool, Fault> {
        // SAFETY: the statement is compiled; nothing that borrows its row is alive, because this takes it mutably.
        match unsafe { ffi::sqlite3_step(self.raw) } {
            ffi::SQLITE_ROW => Ok(true),
            ffi::SQLITE_DONE => Ok(false),
            _ => Err(self.handle.fault()),
        }
    }

    fn has_parameters(&self) -> bool {
        // SAFETY: the statement is compiled.
        unsafe { ffi::sqlite3_bind_parameter_count(self.raw) > 0 }
    }

    fn columns(&self) -> Vec<ResultColumn> {
        // SAFETY: the statement is compiled, and every name is copied before the next call.
        unsafe {
            (0..ffi::sqlite3_column_count(self.raw))
                .map(|index| ResultColumn {
                    name: text(ffi::sqlite3_column_name(self.raw, index)).unwrap_or_default(),
                    type_name: text(ffi::sqlite3_column_decltype(self.raw, index)).filter(|name| !name.is_empty()),
                })
                .collect()
        }
    }

    /// Returns for each column of the result the table and the column that it comes from, through views, sub-queries and
    /// aliases. `None` for a computed value. Source: <https://sqlite.org/c3ref/column_database_name.html>.
    fn origins(&self) -> Vec<Option<(String, String)>> {
        // SAFETY: the statement is compiled, and every name is copied before the next call.
        unsafe {
            (0..ffi::sqlite3_column_count(self.raw))
                .map(|index| {
                    let table = text(ffi::sqlite3_column_table_name(self.raw, index))?;
                    Some((table, text(ffi::sqlite3_column_origin_name(self.raw, index))?))
                })
                .collect()
        }
    }

    /// Returns a cell of the current row.
    pub(super) fn value(&self, column: usize) -> Value<'_> {
        let Ok(column) = c_int::try_from(column) else { return Value::Null };
        // SAFETY: a column beyond the last one reads as NULL. Bytes are asked for after the pointer, as the manual
        // says, and live until the next step, which takes the statement mutably.
        unsafe {
            let bytes = |pointer: *const u8| {
                let length = usize::try_from(ffi::sqlite3_column_bytes(self.raw, column)).unwrap_or(0);
                if pointer.is_null() { &[][..] } else { std::slice::from_raw_parts(pointer, length) }
            };
            match ffi::sqlite3_column_type(self.raw, column) {
                ffi::SQLITE_INTEGER => Value::Integer(ffi::sqlite3_column_int64(self.raw, column)),
                ffi::SQLITE_FLOAT => Value::Real(ffi::sqlite3_column_double(self.raw, column)),
                ffi::SQLITE_TEXT => Value::Text(bytes(ffi::sqlite3_column_text(self.raw, column))),
                ffi::SQLITE_BLOB => Value::Blob(bytes(ffi::sqlite3_column_blob(self.raw, column).cast::<u8>())),
                _ => Value::Null,
            }
        }
    }

    /// Returns a cell as text; `None` for NULL. Bytes that are not UTF-8 are replaced.
    pub(super) fn text(&self, column: usize) -> Option<String> {
        match self.value(column) {
            Value::Null => None,
            Value::Integer(value) => Some(value.to_string()),
            Value::Real(value) => Some(value.to_string()),
            Value::Text(bytes) | Value::Blob(bytes) => Some(String::from_utf8_lossy(bytes).into_owned()),
        }
    }

    /// Returns a cell as an integer; 0 for any other type.
    pub(super) fn integer(&self, column: usize) -> i64 {
        if let Value::Integer(value) = self.value(column) { value } else { 0 }
    }
}

/// True if the authorizer allows an action: a read, a function on the list of the guard, an operator that SQLite
/// implements as a function, `rtreecheck`, or a pragma that only reads.
///
/// Writes to the shadow tables of R-trees are allowed too, because SQLite compiles such writes when it opens an R-tree.
/// These writes cannot run, because the file is open read-only.
fn is_harmless(action: c_int, first: &str, second: &str) -> bool {
    match action {
        ffi::SQLITE_SELECT | ffi::SQLITE_READ | ffi::SQLITE_RECURSIVE => true,
        ffi::SQLITE_FUNCTION => {
            let name = second.to_ascii_lowercase();
            matches!(name.as_str(), "->" | "->>" | "match" | "rtreecheck") || is_harmless_in_sqlite(&name)
        }
        // SQLite's full-text tables use `data_version`. The last pragmas are allowed only without an argument, because
        // an argument could change a setting.
        ffi::SQLITE_PRAGMA => {
            let table = format!("pragma_{}", first.to_ascii_lowercase());
            first == "data_version"
                || relations::PRAGMAS.contains(&table.as_str())
                || second.is_empty() && relations::PRAGMAS_WITHOUT_ARGUMENT.contains(&table.as_str())
        }
        ffi::SQLITE_INSERT | ffi::SQLITE_UPDATE | ffi::SQLITE_DELETE => {
            ["_node", "_rowid", "_parent"].iter().any(|ending| first.ends_with(ending))
        }
        _ => false,
    }
}

/// The authorizer callback of SQLite. Source: <https://sqlite.org/c3ref/set_authorizer.html>.
///
/// # Safety
///
/// Called by SQLite with texts that are null or live until this returns; `reads` is null or the list of
/// [`Handle::shape`].
unsafe extern "C" fn authorize(
    reads: *mut c_void,
    action: c_int,
    first: *const c_char,
    second: *const c_char,
    _database: *const c_char,
    accessor: *const c_char,
) -> c_int {
    // SAFETY: SQLite's texts are null or live until this returns.
    let (first, second, accessor) = unsafe { (text(first), text(second), text(accessor)) };
    let (first, second) = (first.unwrap_or_default(), second.unwrap_or_default());
    if !is_harmless(action, &first, &second) {
        return ffi::SQLITE_DENY;
    }
    if action == ffi::SQLITE_READ && !reads.is_null() {
        // SAFETY: `shape` gave the address of its list and waits for SQLite to return.
        let reads = unsafe { &mut *reads.cast::<Vec<ColumnRead>>() };
        let read = ColumnRead { table: first, column: second, inside: accessor };
        // If a statement reads a view several times, SQLite reports the reads of the view each time.
        if !reads.contains(&read) {
            reads.push(read);
        }
    }
    ffi::SQLITE_OK
}

/// True if only white space follows the first statement of `sql`, and if SQLite reports that the statement only reads
/// or cannot be compiled. No protection of TUDB is used.
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

/// A column that a statement reads, as SQLite resolved it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ColumnRead {
    pub table: String,
    /// Empty if the table is read without any column.
    pub column: String,
    /// The view or CTE that reads the column for the statement.
    pub inside: Option<String>,
}

/// The columns of a statement, and everything that it reads.
pub(super) struct Shape<'a> {
    pub columns: Vec<ResultColumn>,
    /// For each column, the table and the column that it comes from. `None` for a computed value.
    pub origins: Vec<Option<(String, String)>>,
    pub reads: Vec<ColumnRead>,
    /// Held while the statement runs, when a view that it reads has strings in double quotes.
    pub strings: Option<StringsAllowed<'a>>,
}

/// See [`Handle::allow_strings_in_double_quotes`].
pub(super) struct StringsAllowed<'a> {
    handle: &'a Handle,
    before: bool,
}

impl Drop for StringsAllowed<'_> {
    fn drop(&mut self) {
        self.handle.set_strings_in_double_quotes(self.before);
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
