//! The file system (VFS) that SQLite uses: the platform's own, except that no file beside a user's database is created,
//! changed or deleted.
//!
//! A connection that SQLite opens read-only may still create a `-wal` file and delete a journal. The files beside the
//! database can change between the check and the opening, so choosing the right open mode is not enough. Temporary
//! files are not beside the database and work as usual.

#![allow(unsafe_code)]

use std::ffi::{CStr, c_char, c_int};
use std::sync::OnceLock;

use libsqlite3_sys as ffi;

/// The name under which the file system is registered.
const NAME: &CStr = c"tudb-reads";

/// Open flags of a database and of the files beside it. `-shm` files have no flag here. The URI parameters that the
/// module `file` sets protect them.
const BESIDE: c_int =
    ffi::SQLITE_OPEN_MAIN_DB | ffi::SQLITE_OPEN_MAIN_JOURNAL | ffi::SQLITE_OPEN_SUPER_JOURNAL | ffi::SQLITE_OPEN_WAL;

/// The platform's own file system.
struct Platform(*mut ffi::sqlite3_vfs);

// SAFETY: SQLite's list of file systems lives as long as the process, and this pointer is only read.
unsafe impl Send for Platform {}
// SAFETY: as above.
unsafe impl Sync for Platform {}

static PLATFORM: OnceLock<Option<Platform>> = OnceLock::new();

/// Registers the file system once and returns its name; `None` if SQLite has no file system at all.
pub(super) fn name() -> Option<&'static CStr> {
    let platform = PLATFORM.get_or_init(|| {
        // SAFETY: sqlite3_vfs_find initialises the library. The copy is leaked, because SQLite uses it until the process
        // ends. The platform's functions get the copy, and read the fields `pAppData` and `szOsFile` of
        // the copy.
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

/// Stops SQLite from changing the owner of files, in the whole process. SQLite that runs as root would give a `-shm` file
/// the owner of the database.
pub(super) fn keep_owners() {
    // SAFETY: SQLite calls `leave_owner` in place of fchown(2), with the same arguments and result.
    unsafe {
        let platform = ffi::sqlite3_vfs_find(std::ptr::null());
        if let Some(set) = platform.as_ref().and_then(|platform| platform.xSetSystemCall) {
            let call: Fchown = leave_owner;
            set(platform, c"fchown".as_ptr(), Some(std::mem::transmute::<Fchown, unsafe extern "C" fn()>(call)));
        }
    }
}

/// Limits the size of every file that this process writes. It writes only SQLite's temporary files, for a sort or a
/// join that does not fit into memory. Beyond the limit a write fails, and SQLite reports that the disk is full.
#[cfg(unix)]
pub(super) fn bound_files(bytes: u64) {
    // Without this, SIGXFSZ ends the process at the limit. With it, the write fails.
    // SAFETY: the call only ignores a signal. It installs no handler.
    unsafe { libc::signal(libc::SIGXFSZ, libc::SIG_IGN) };
    let bound = rustix::process::Rlimit { current: Some(bytes), maximum: Some(bytes) };
    let _ = rustix::process::setrlimit(rustix::process::Resource::Fsize, bound);
}

/// fchown(2).
type Fchown = unsafe extern "C" fn(c_int, u32, u32) -> c_int;

unsafe extern "C" fn leave_owner(_file: c_int, _user: u32, _group: u32) -> c_int {
    0
}

/// Opens a database and the files beside it for reading only, and never creates one. Other files are opened as the
/// platform opens them.
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

/// Deletes nothing. Temporary files do not need this function: the platform removes them from the directory as soon as
/// they are open.
///
/// # Safety
///
/// Called by SQLite.
unsafe extern "C" fn delete(_vfs: *mut ffi::sqlite3_vfs, _name: *const c_char, _sync: c_int) -> c_int {
    ffi::SQLITE_IOERR_DELETE
}
