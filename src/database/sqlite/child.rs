//! The process that reads a file: it takes its setup, then one request after the other, and answers each once.
//!
//! It ends at the end of its input, also in the middle of a statement, and by itself when a statement has outlived its
//! end: a thread of its own watches each of the two, because SQLite looks at the clock only between two operations.

use std::io::{self, Read, Write};
use std::path::Path;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::file::{self, Look};
use super::handle::{self, Handle};
use super::pipe::{self, Answer, Place, ReadError, Reply, Request, Setup, Work};
use super::read::{self, Wanted};
use super::{catalog, rules, vfs};
use crate::database::bootstrap;
use crate::guard::ApprovedSql;

/// How often a file is opened anew for one read, because it or its neighbours changed under the read.
const OPENINGS: u32 = 3;
/// Between two of them: a writer that opens or closes the file needs a moment.
const BETWEEN_OPENINGS: Duration = Duration::from_millis(20);

/// Bytes of one temporary file; a statement has a few.
const MAX_TEMPORARY_FILE_BYTES: u64 = 256 << 20;

/// Serves as the process that `tudb sqlite-worker` starts, on its standard input and output.
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

/// Ends the process when nobody holds the other end of its input any more.
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
    // Nothing was written that would have to be finished.
    #[allow(clippy::exit)]
    std::process::exit(0)
}

/// Ends the process when a statement is overdue.
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
        // A watch that sleeps until an earlier end finds the new one when it wakes up.
        if end.is_some() {
            self.armed.notify_one();
        }
    }
}

/// Answers the setup and then every request until the input ends. `overdue` also says that the process is this engine's
/// alone, so that the memory of SQLite in it can be bounded.
pub(super) fn answer_all(input: &mut impl Read, output: &mut impl Write, overdue: Option<&Overdue>) -> io::Result<()> {
    let Some(setup) = pipe::receive::<Setup>(input)? else { return Ok(()) };
    let mut reader = Reader::new(setup, overdue.is_some());
    match reader.handle() {
        Ok(_) => pipe::send(output, &Reply::Done(Box::new(Answer::Ready)))?,
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

/// The database of a process, opened anew whenever the file is another one.
struct Reader {
    setup: Setup,
    /// Whether the memory of SQLite in the process is this database's alone.
    is_alone: bool,
    open: Option<Open>,
    /// Name of the CTE around a statement. Nobody can know it, so that it is the name of nothing else.
    wrapper: String,
}

struct Open {
    handle: Handle,
    /// The file as it was when it was opened; `None` for a database in memory.
    look: Option<Look>,
    /// Memory that SQLite held once the schema was read.
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

    /// The connection to the file as it is now.
    fn handle(&mut self) -> Result<&Open, ReadError> {
        let now = match &self.setup.place {
            Place::File(path) => Some(file::look(path)?),
            Place::Sample(_) => None,
        };
        let open = match self.open.take() {
            Some(open) if open.look == now => open,
            other => {
                drop(other);
                self.connect(now)?
            }
        };
        Ok(self.open.insert(open))
    }

    fn connect(&self, look: Option<Look>) -> Result<Open, ReadError> {
        let bounds = &self.setup.bounds;
        self.limit_heap(bytes(bounds.sqlite_large_heap_bytes));
        let handle = match (&self.setup.place, &look) {
            (Place::File(path), Some(look)) => {
                Handle::open(&look.uri(path), vfs::name(), true).map_err(|fault| self.failed(fault, look, path))?
            }
            (Place::File(_), None) => return Err(ReadError::Missing { message: "the file was not looked at".into() }),
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
        // Reads the schema. What is wrong with it, or a writer's lock, is told by the first read.
        let read = handle.execute("SELECT count(*) FROM sqlite_schema");
        handle.wait_for_locks();
        if let (Err(fault), Some(look), Place::File(path)) = (read, &look, &self.setup.place)
            && (fault.is_no_database() || (look.is_shared() && fault.is_stale()))
        {
            return Err(self.failed(fault, look, path));
        }
        let schema_bytes = if self.is_alone { handle::heap_used() } else { 0 };
        Ok(Open { handle, look, schema_bytes })
    }

    fn failed(&self, fault: handle::Fault, look: &Look, path: &Path) -> ReadError {
        if look.is_shared() && fault.is_stale() {
            return file::unusable(path, &fault.message);
        }
        missing(fault)
    }

    /// Does what a request asks. A read during which an unlocked file changed, or that failed because the files beside the
    /// database did, is done again.
    fn answer(&mut self, request: &Request, end: Instant, tell: &mut dyn FnMut(Reply)) -> Result<Answer, ReadError> {
        let mut openings = 1;
        loop {
            let bounds = self.setup.bounds;
            self.handle()?;
            let Some(open) = &self.open else { return Err(ReadError::Timeout) };
            let heap = if request.is_large { bounds.sqlite_large_heap_bytes } else { bounds.sqlite_heap_bytes };
            self.limit_heap(open.schema_bytes.saturating_add(bytes(heap)));
            open.handle.end_at(Some(end));
            let answer = self.read(open, &request.work, tell);
            open.handle.end_at(None);
            let Place::File(path) = &self.setup.place else { return answer };
            let is_final = openings >= OPENINGS || Instant::now() >= end;
            let look = open.look.as_ref();
            if look.is_some_and(Look::is_unlocked) && file::look(path).ok().as_ref() != look {
                if is_final {
                    return Err(file::changing(path));
                }
            } else if is_final || !matches!(answer, Err(ReadError::Stale { .. })) {
                return match answer {
                    Err(ReadError::Stale { message }) if look.is_some_and(Look::is_shared) => {
                        Err(file::unusable(path, &message))
                    }
                    Err(ReadError::Stale { message }) => Err(ReadError::Missing { message }),
                    other => other,
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
                let wanted = Wanted { format: *format, budget: *budget, max_rows_ceiling: *max_rows_ceiling };
                read::rows(handle, &self.wrapper, &approved(sql)?, rules, &wanted, &mut |rows| tell(Reply::Rows(rows)))
                    .map(Answer::Rows)
            }
            Work::Explain { sql } => read::plan(handle, &approved(sql)?, rules).map(Answer::Plan),
            Work::List(request) => catalog::list(handle, request).map(Answer::Page),
            Work::Describe(table) => {
                catalog::describe(handle, table, &rules::closed_tables(handle, rules)?).map(Answer::Table)
            }
            Work::Snapshot { unless } => {
                let fingerprint = catalog::fingerprint(handle)?;
                if unless.as_ref() == Some(&fingerprint) {
                    return Ok(Answer::Unchanged);
                }
                let closed = rules::closed_tables(handle, rules)?;
                let mut send = |table| tell(Reply::Table(Box::new(table)));
                let left_out =
                    catalog::snapshot(handle, &closed, bounds.sampled_values, bounds.max_snapshot_bytes, &mut send)?;
                Ok(Answer::Snapshot { left_out, fingerprint })
            }
        }
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
