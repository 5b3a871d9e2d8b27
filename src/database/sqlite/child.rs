//! The process that reads a file. It receives its setup, then one request after the other. The last reply to a request
//! is the answer. Before it, progress and the tables of a snapshot may be sent.
//!
//! The process ends when its input ends, even during a statement. It also ends when a statement is long overdue. A
//! thread waits for each of these events, because SQLite checks the clock only between two operations.

use std::collections::BTreeSet;
use std::io::{self, Read, Write};
use std::path::Path;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::file::{self, Look};
use super::handle::{self, Handle};
use super::pipe::{self, Answer, Place, ReadError, Reply, Request, Setup, Work};
use super::read::{self, Wanted};
use super::{catalog, closed, vfs};
use crate::database::bootstrap;
use crate::guard::ApprovedSql;
use crate::guard::columns::ColumnRules;

/// How many times a file is opened at most for one read, if the file or the files beside it change during the read.
const OPENINGS: u32 = 8;
/// How many times a read is run at most, if the file changes during the read.
const READS: u32 = 5;
/// Pause between two openings: a writer that opens or closes the file needs a moment.
const BETWEEN_OPENINGS: Duration = Duration::from_millis(10);

/// Maximum bytes of one temporary file. A statement may use several such files.
const MAX_TEMPORARY_FILE_BYTES: u64 = 256 << 20;

/// Does the work of the process `tudb sqlite-worker`, on its standard input and output. Returns false if the pipe
/// failed or a message was invalid.
pub fn serve() -> bool {
    #[cfg(target_os = "linux")]
    let _ = rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::KILL));
    vfs::keep_owners();
    #[cfg(unix)]
    vfs::bound_files(MAX_TEMPORARY_FILE_BYTES);
    #[cfg(unix)]
    std::thread::spawn(end_with_input);
    let overdue = Overdue::watched();
    let served = answer_all(&mut io::stdin().lock(), &mut io::stdout().lock(), Some(&overdue));
    served.is_ok()
}

/// Ends the process when the other end of its input is closed.
#[cfg(unix)]
fn end_with_input() {
    use rustix::event::{PollFd, PollFlags, poll};
    let input = rustix::stdio::stdin();
    loop {
        let mut watched = [PollFd::new(&input, PollFlags::empty())];
        match poll(&mut watched, None) {
            Ok(_) if watched.iter().any(|one| one.revents().intersects(PollFlags::HUP | PollFlags::ERR)) => leave(),
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(_) => return,
        }
    }
}

fn leave() -> ! {
    // The process has written nothing that would have to be completed.
    #[allow(clippy::exit)]
    std::process::exit(0)
}

/// Ends the process when a statement runs past its deadline by more than `sqlite_overrun_ms`.
pub(super) struct Overdue {
    end: Mutex<Option<Instant>>,
    armed: Condvar,
}

impl Overdue {
    fn watched() -> Arc<Self> {
        let overdue = Arc::new(Overdue { end: Mutex::new(None), armed: Condvar::new() });
        let watch = Arc::clone(&overdue);
        std::thread::spawn(move || watch.watch());
        overdue
    }

    fn watch(&self) {
        let mut end = self.end.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            end = match *end {
                None => self.armed.wait(end).unwrap_or_else(PoisonError::into_inner),
                Some(at) => match at.checked_duration_since(Instant::now()) {
                    None => leave(),
                    Some(left) => self.armed.wait_timeout(end, left).unwrap_or_else(PoisonError::into_inner).0,
                },
            };
        }
    }

    fn set(&self, end: Option<Instant>) {
        *self.end.lock().unwrap_or_else(PoisonError::into_inner) = end;
        // For `None` the thread is not woken. It reads the new value when its wait for the old deadline ends.
        if end.is_some() {
            self.armed.notify_one();
        }
    }
}

/// Answers the setup and then every request until the input ends. `overdue` is given only in a process of its own,
/// where the memory of SQLite can be limited.
pub(super) fn answer_all(input: &mut impl Read, output: &mut impl Write, overdue: Option<&Overdue>) -> io::Result<()> {
    let Some(setup) = pipe::receive::<Setup>(input)? else { return Ok(()) };
    let mut reader = Reader::new(setup, overdue.is_some());
    match reader.opened(&mut 1, None) {
        Ok(()) => pipe::send(output, &Reply::Done(Box::new(Answer::Ready)))?,
        Err(error) => return pipe::send(output, &Reply::Failed(error)),
    }
    while let Some(request) = pipe::receive::<Request>(input)? {
        let end = Instant::now() + Duration::from_millis(request.timeout_ms);
        if let Some(overdue) = overdue {
            overdue.set(Some(end + Duration::from_millis(reader.setup.bounds.sqlite_overrun_ms)));
        }
        let tells = request.tells_rows;
        let mut told = Ok(());
        let answer = reader.answer(&request, end, &mut |reply| {
            let is_due = match &reply {
                Reply::Rows(rows) => tells && rows.is_multiple_of(super::super::TELL_EVERY),
                _ => true,
            };
            if is_due && told.is_ok() {
                told = pipe::send(output, &reply);
            }
        });
        told?;
        if let Some(overdue) = overdue {
            overdue.set(None);
        }
        let reply = match answer {
            Ok(answer) => Reply::Done(Box::new(answer)),
            Err(error) => Reply::Failed(error),
        };
        pipe::send(output, &reply)?;
    }
    Ok(())
}

/// The database of a process. It is opened again when the file has changed.
struct Reader {
    setup: Setup,
    /// True if this database is the only user of SQLite in the process.
    is_alone: bool,
    open: Option<Open>,
    /// Name of the CTE around a statement. It contains a new UUID, so nothing else has this name.
    wrapper: String,
}

struct Open {
    handle: Handle,
    /// The state of the file when it was opened; `None` for a database in memory.
    look: Option<Look>,
    /// Bytes that SQLite used after it had read the schema.
    schema_bytes: i64,
}

impl Reader {
    fn new(setup: Setup, is_alone: bool) -> Self {
        let wrapper = format!("tudb_{}", uuid::Uuid::now_v7().simple());
        Reader { setup, is_alone, open: None, wrapper }
    }

    fn limit_heap(&self, bytes: i64) {
        if self.is_alone {
            handle::limit_heap(bytes);
        }
    }

    /// Opens the file, or opens it again if it has changed. A program that opens or closes the file at the same moment
    /// can make this fail, so it is tried up to [`OPENINGS`] times. `openings` counts the tries of a read.
    fn opened(&mut self, openings: &mut u32, end: Option<Instant>) -> Result<(), ReadError> {
        loop {
            match self.open_now() {
                Err(error)
                    if error.may_pass() && *openings < OPENINGS && end.is_none_or(|end| Instant::now() < end) =>
                {
                    *openings += 1;
                    std::thread::sleep(BETWEEN_OPENINGS);
                }
                other => return other,
            }
        }
    }

    fn open_now(&mut self) -> Result<(), ReadError> {
        let now = match &self.setup.place {
            Place::File { path, is_immutable } => Some(file::look(path, *is_immutable)?),
            Place::Sample(_) => None,
        };
        let open = match self.open.take() {
            Some(open) if open.look == now => open,
            other => {
                drop(other);
                self.connect(now)?
            }
        };
        self.open = Some(open);
        Ok(())
    }

    fn connect(&self, look: Option<Look>) -> Result<Open, ReadError> {
        let bounds = &self.setup.bounds;
        self.limit_heap(bytes(bounds.sqlite_large_heap_bytes));
        let handle = match (&self.setup.place, &look) {
            (Place::File { path, .. }, Some(look)) => {
                Handle::open(&look.uri(path), vfs::name(), true).map_err(|fault| unread(fault.into(), look, path))?
            }
            (Place::File { .. }, None) => {
                return Err(ReadError::Missing { message: "the file was not looked at".into() });
            }
            (Place::Sample(today), _) => {
                let handle = Handle::open("file::memory:", None, false).map_err(missing)?;
                let script = bootstrap::sample_script(*today)
                    .map_err(|error| ReadError::Missing { message: error.to_string() })?;
                for statement in &script {
                    handle.execute(statement).map_err(missing)?;
                }
                handle
            }
        };
        handle.execute("PRAGMA query_only = on; PRAGMA trusted_schema = off").map_err(missing)?;
        handle.lock(bounds.max_sql_bytes, bounds.sqlite_value_bytes);
        if !self.setup.rules.is_empty() {
            handle.scan_in_table_order();
        }
        // Reads the schema. If the schema is broken, or a writer holds a lock, the first read reports the error.
        let read = handle.execute("SELECT count(*) FROM sqlite_schema");
        handle.wait_for_locks();
        if let Ok(names) = catalog::collations(&handle) {
            handle.allow_stand_ins(names);
        }
        if let (Err(fault), Some(look), Place::File { path, .. }) = (read, &look, &self.setup.place)
            && (fault.is_no_database() || fault.is_stale())
        {
            return Err(unread(fault.into(), look, path));
        }
        let schema_bytes = if self.is_alone { handle::heap_used() } else { 0 };
        Ok(Open { handle, look, schema_bytes })
    }

    /// Answers a request. The read is repeated if the file is not locked and changed during the read, or if the read
    /// failed because the files beside the database changed.
    fn answer(&mut self, request: &Request, end: Instant, tell: &mut dyn FnMut(Reply)) -> Result<Answer, ReadError> {
        let (mut openings, mut reads) = (1, 0);
        loop {
            let bounds = self.setup.bounds;
            self.opened(&mut openings, Some(end))?;
            let Some(open) = &self.open else { return Err(ReadError::Timeout) };
            let heap = if request.is_large { bounds.sqlite_large_heap_bytes } else { bounds.sqlite_heap_bytes };
            self.limit_heap(open.schema_bytes.saturating_add(bytes(heap)));
            open.handle.end_at(Some(end));
            let answer = self.read(open, &request.work, tell);
            open.handle.end_at(None);
            let Place::File { path, is_immutable } = &self.setup.place else { return answer };
            reads += u32::from(answer.is_ok());
            let is_final = openings >= OPENINGS || reads >= READS || Instant::now() >= end;
            let look = open.look.as_ref();
            if look.is_some_and(Look::is_unlocked) && file::look(path, *is_immutable).ok().as_ref() != look {
                if is_final {
                    return Err(file::changing(path));
                }
            } else if is_final || !matches!(answer, Err(ReadError::Stale { .. })) {
                return match (answer, look) {
                    (Err(error), Some(look)) => Err(unread(error, look, path)),
                    (answer, _) => answer,
                };
            }
            openings += 1;
            tell(Reply::Again);
            self.open = None;
            std::thread::sleep(BETWEEN_OPENINGS);
        }
    }

    fn read(&self, open: &Open, work: &Work, tell: &mut dyn FnMut(Reply)) -> Result<Answer, ReadError> {
        let (handle, rules, bounds) = (&open.handle, &self.setup.rules, &self.setup.bounds);
        let approved = |sql| {
            ApprovedSql::from_pipe(sql).map_err(|error| ReadError::Sql {
                message: format!("the statement did not come through: {error}"),
                hint: None,
                position: None,
            })
        };
        match work {
            Work::Run { sql, format, budget, max_rows_ceiling } => {
                let count_for = Duration::from_millis(self.setup.bounds.count_timeout_ms);
                let wanted =
                    Wanted { format: *format, budget: *budget, max_rows_ceiling: *max_rows_ceiling, count_for };
                read::rows(handle, &self.wrapper, &approved(sql)?, rules, &wanted, &mut |rows| tell(Reply::Rows(rows)))
                    .map(Answer::Rows)
            }
            Work::Explain { sql } => read::plan(handle, &approved(sql)?, rules).map(Answer::Plan),
            Work::List(request) => catalog::list(handle, request).map(Answer::Page),
            Work::Describe(table) => catalog::describe(handle, table, &closed_names(handle, rules)?)
                .map(|table| Answer::Table(Box::new(table))),
            Work::Snapshot { unless } => {
                let fingerprint = catalog::fingerprint(handle)?;
                if unless.as_ref() == Some(&fingerprint) {
                    return Ok(Answer::Unchanged);
                }
                let closed = closed_names(handle, rules)?;
                let mut send = |table| tell(Reply::Table(Box::new(table)));
                let left_out =
                    catalog::snapshot(handle, &closed, bounds.sampled_values, bounds.max_snapshot_bytes, &mut send)?;
                Ok(Answer::Snapshot { left_out, fingerprint })
            }
        }
    }
}

/// Replaces the error of a read by a more exact one, if the file or the files beside it show the cause.
fn unread(error: ReadError, look: &Look, path: &Path) -> ReadError {
    match error {
        ReadError::Stale { message } if look.is_shared() => file::unusable(path, &message),
        ReadError::Stale { .. } if file::has_journal(path) => file::half_written(path),
        ReadError::Stale { message } => ReadError::Missing { message: format!("{}: {message}", path.display()) },
        ReadError::NotSqlite => file::not_sqlite(path),
        other => other,
    }
}

/// The error of a database that does not open.
fn missing(fault: handle::Fault) -> ReadError {
    match ReadError::from(fault) {
        ReadError::Sql { message, .. } | ReadError::Stale { message } => ReadError::Missing { message },
        other => other,
    }
}

fn bytes(bytes: usize) -> i64 {
    i64::try_from(bytes).unwrap_or(i64::MAX)
}

/// The virtual tables and views that no statement may read, by their names in ASCII lower case.
fn closed_names(handle: &Handle, rules: &ColumnRules) -> Result<BTreeSet<String>, ReadError> {
    if rules.is_empty() { Ok(BTreeSet::new()) } else { Ok(closed::of(handle, rules)?.names()) }
}
