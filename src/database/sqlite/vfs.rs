//! The way to the disk that SQLite is given: as the platform's own, but nothing beside a user's database is created,
//! changed or deleted.
//!
//! A connection that SQLite opens read-only may still create a `-wal` file and delete a journal. Which files are there
//! can change between looking and opening, so that choosing the right way of opening is not enough. Temporary files,
//! which are not beside the database, are left alone.

#![allow(unsafe_code)]

use std::ffi::{CStr, c_char, c_int};
use std::sync::OnceLock;

use libsqlite3_sys as ffi;

/// The name it is registered under.
const NAME: &CStr = c"tudb-reads";

/// Files that stand beside a database.
const BESIDE: c_int =
    ffi::SQLITE_OPEN_MAIN_DB | ffi::SQLITE_OPEN_MAIN_JOURNAL | ffi::SQLITE_OPEN_SUPER_JOURNAL | ffi::SQLITE_OPEN_WAL;

/// The platform's own.
struct Platform(*mut ffi::sqlite3_vfs);

// SAFETY: SQLite's list of file systems lives as long as the process, and this pointer is only read.
unsafe impl Send for Platform {}
// SAFETY: as above.
unsafe impl Sync for Platform {}

static PLATFORM: OnceLock<Option<Platform>> = OnceLock::new();

/// Registers it once and returns its name; `None` when SQLite has no file system at all.
pub(super) fn name() -> Option<&'static CStr> {
    let platform = PLATFORM.get_or_init(|| {
        // SAFETY: sqlite3_vfs_find initialises the library. The copy is leaked, so that it lives as long as SQLite uses
        // it; the platform's functions get the copy and find in it what they need (`pAppData`, `szOsFile`).
        unsafe {
            let platform = ffi::sqlite3_vfs_find(std::ptr::null());
            if platform.is_null() {
                return None;
            }
            let mut copy = std::ptr::read(platform);
            copy.zName = NAME.as_ptr();
            copy.pNext = std::ptr::null_mut();
            copy.xOpen = Some(open);
            copy.xDelete = Some(delete);
            ffi::sqlite3_vfs_register(Box::into_raw(Box::new(copy)), 0);
            Some(Platform(platform))
        }
    });
    platform.as_ref().map(|_| NAME)
}

/// Makes SQLite leave the owner of a file as it is: for root it would set a `-shm` file's owner to the database's. For the
/// whole process.
pub(super) fn keep_owners() {
    // SAFETY: SQLite calls it in place of fchown(2), with the same arguments and result.
    unsafe {
        let platform = ffi::sqlite3_vfs_find(std::ptr::null());
        if let Some(set) = platform.as_ref().and_then(|platform| platform.xSetSystemCall) {
            let call: Fchown = leave_owner;
            set(platform, c"fchown".as_ptr(), Some(std::mem::transmute::<Fchown, unsafe extern "C" fn()>(call)));
        }
    }
}

/// Bounds every file that this process writes: only SQLite's temporary files are, of a sort or a join that does not fit
/// its memory. Beyond the bound a write fails, and SQLite says that the disk is full.
#[cfg(unix)]
pub(super) fn bound_files(bytes: u64) {
    // SAFETY: ignoring a signal, so that the write fails instead of ending the process; no handler is installed.
    unsafe { libc::signal(libc::SIGXFSZ, libc::SIG_IGN) };
    let bound = rustix::process::Rlimit { current: Some(bytes), maximum: Some(bytes) };
    let _ = rustix::process::setrlimit(rustix::process::Resource::Fsize, bound);
}

/// fchown(2).
type Fchown = unsafe extern "C" fn(c_int, u32, u32) -> c_int;

unsafe extern "C" fn leave_owner(_file: c_int, _user: u32, _group: u32) -> c_int {
    0
}

/// Opens files beside a database for reading and never creates them.
///
/// # Safety
///
/// Called by SQLite, as `xOpen` of <https://sqlite.org/c3ref/vfs.html>.
unsafe extern "C" fn open(
    vfs: *mut ffi::sqlite3_vfs,
    name: ffi::sqlite3_filename,
    file: *mut ffi::sqlite3_file,
    flags: c_int,
    flags_out: *mut c_int,
) -> c_int {
    let Some(platform) = PLATFORM.get().and_then(Option::as_ref) else { return ffi::SQLITE_CANTOPEN };
    let flags = if flags & BESIDE == 0 {
        flags
    } else {
        flags & !(ffi::SQLITE_OPEN_READWRITE | ffi::SQLITE_OPEN_CREATE | ffi::SQLITE_OPEN_DELETEONCLOSE)
            | ffi::SQLITE_OPEN_READONLY
    };
    // SAFETY: the arguments are SQLite's own, and so is the function.
    match unsafe { (*platform.0).xOpen } {
        Some(open) => unsafe { open(vfs, name, file, flags, flags_out) },
        None => ffi::SQLITE_CANTOPEN,
    }
}

/// Deletes nothing: temporary files are gone from the directory as soon as they are open.
///
/// # Safety
///
/// Called by SQLite.
unsafe extern "C" fn delete(_vfs: *mut ffi::sqlite3_vfs, _name: *const c_char, _sync: c_int) -> c_int {
    ffi::SQLITE_IOERR_DELETE
}
