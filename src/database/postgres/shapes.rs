//! Remembers statements that ran before, and the names of plain statements, until the catalog changes.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use sha2::{Digest, Sha256};
use sqlx::postgres::PgConnection;

use super::plain::Sought;
use super::plain_names::{PlainNames, UsersNames};
use super::statement::Shape;
use super::{OWN_PATH, PostgresEngine, SearchPath, catalog, sql_error};
use crate::database::{DatabaseError, Purpose, ReadOptions};
use crate::guard::ApprovedSql;
use crate::limits::LARGE_SQL_BYTES;

/// Age at which the fingerprint of the catalog is read again. A remembered shape may be wrong after the catalog
/// changed.
const FINGERPRINT_EVERY: Duration = Duration::from_secs(5);

/// Shapes of statements that ran before. All shapes are forgotten when the fingerprint of the catalog changes, when a
/// remembered statement fails and a changed object may be the cause, and when there are too many shapes. The names of
/// plain statements are forgotten with them.
#[derive(Debug, Default)]
pub(super) struct Shapes {
    known: Mutex<HashMap<String, Arc<Shape>>>,
    /// SHA-256 of the texts of statements that failed under a path without the schemas of users. The look-up sees no
    /// name in such a text that needs the caller's whole path.
    of_whole_path: Mutex<HashSet<[u8; 32]>>,
    /// Number of calls of [`Shapes::forget`]. A number above 0 is appended as a comment to texts that may be prepared
    /// by name. So the driver prepares these texts again.
    generation: AtomicU64,
    /// Number of descriptions that were asked for on a source whose statements are not remembered.
    descriptions: AtomicU64,
    /// What short look-ups found.
    plain: Mutex<PlainNames>,
    /// When the fingerprint of the catalog was last read, and the fingerprint.
    fingerprint: Mutex<(Option<Instant>, String)>,
}

/// Maximum columns of a shape that is remembered. The wrapped statement of a shape with more columns is not prepared by
/// name.
pub(super) const MANY_COLUMNS: usize = 200;

/// True if a statement is too long to be remembered, here or by the driver.
pub(super) fn is_large(sql: &str) -> bool {
    sql.len() > LARGE_SQL_BYTES
}

fn digest(sql: &str) -> [u8; 32] {
    Sha256::digest(sql).into()
}

impl Shapes {
    /// Returns the key of a statement: the role of its user, if it has one, and its text. A role may have its own
    /// `search_path`, so one text may mean different things for two roles.
    pub(super) fn key<'a>(sql: &'a ApprovedSql, options: &ReadOptions) -> Cow<'a, str> {
        match &options.identity {
            None => Cow::Borrowed(sql.text()),
            Some(identity) => Cow::Owned(format!("{}\0{}", identity.role, sql.text())),
        }
    }

    pub(super) fn get(&self, sql: &str) -> Option<Arc<Shape>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner).get(sql).cloned()
    }

    /// Remembers a shape, unless it is too large or the shapes were forgotten after `generation` was read. A shape from
    /// before that moment may describe the old catalog. If `most` shapes are remembered already, these are forgotten.
    pub(super) fn insert(&self, sql: &str, shape: &Arc<Shape>, generation: u64, most: usize) {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if self.generation.load(Ordering::Relaxed) != generation || is_large(sql) || shape.columns.len() > MANY_COLUMNS
        {
            return;
        }
        if known.len() >= most {
            known.clear();
        }
        known.insert(sql.to_owned(), Arc::clone(shape));
    }

    pub(super) fn needs_whole_path(&self, sql: &str) -> bool {
        self.of_whole_path.lock().unwrap_or_else(PoisonError::into_inner).contains(&digest(sql))
    }

    pub(super) fn keep_whole_path(&self, sql: &str, most: usize) {
        let mut texts = self.of_whole_path.lock().unwrap_or_else(PoisonError::into_inner);
        if texts.len() >= most {
            texts.clear();
        }
        texts.insert(digest(sql));
    }

    pub(super) fn forget(&self) {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.clear();
        let mut plain = self.plain.lock().unwrap_or_else(PoisonError::into_inner);
        plain.forget();
        self.generation.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn generation(&self) -> u64 {
        self.generation.load(Ordering::Relaxed)
    }

    /// A number for the next such description.
    pub(super) fn next_description(&self) -> u64 {
        self.descriptions.fetch_add(1, Ordering::Relaxed)
    }

    /// As [`PlainNames::insert`]. Nothing is remembered if the names were forgotten after `generation` was read.
    pub(super) fn keep_plain(
        &self,
        sought: &Sought<'_>,
        schemas: &[String],
        found: &BTreeMap<String, String>,
        generation: u64,
    ) -> bool {
        let mut plain = self.plain.lock().unwrap_or_else(PoisonError::into_inner);
        self.generation() == generation && plain.insert(sought, schemas, found)
    }

    /// Remembers the names of users' objects, unless names were forgotten after `generation` was read.
    pub(super) fn keep_users_names(&self, users: Option<UsersNames>, generation: u64) {
        let mut plain = self.plain.lock().unwrap_or_else(PoisonError::into_inner);
        if self.generation() == generation {
            plain.keep(users);
        }
    }

    /// See [`PlainNames::found`].
    pub(super) fn plain(&self, sought: &Sought<'_>, schemas: &[String]) -> Option<BTreeMap<String, String>> {
        self.plain.lock().unwrap_or_else(PoisonError::into_inner).found(sought, schemas)
    }

    /// See [`PlainNames::has`].
    pub(super) fn has_plain(&self, sought: &Sought<'_>) -> bool {
        self.plain.lock().unwrap_or_else(PoisonError::into_inner).has(sought)
    }

    /// True if this is the fingerprint that was read last.
    #[cfg(debug_assertions)]
    pub(super) fn is_same(&self, fingerprint: &str) -> bool {
        self.fingerprint.lock().unwrap_or_else(PoisonError::into_inner).1 == fingerprint
    }

    /// True if the fingerprint of the catalog is due to be read again.
    pub(super) fn is_due(&self) -> bool {
        let looked = self.fingerprint.lock().unwrap_or_else(PoisonError::into_inner).0;
        looked.is_none_or(|at| at.elapsed() >= FINGERPRINT_EVERY)
    }

    fn saw(&self, now: String) {
        let mut fingerprint = self.fingerprint.lock().unwrap_or_else(PoisonError::into_inner);
        let changed = !fingerprint.1.is_empty() && fingerprint.1 != now;
        *fingerprint = (Some(Instant::now()), now);
        drop(fingerprint);
        if changed {
            self.forget();
        }
    }
}

impl PostgresEngine {
    /// True if a remembered statement may run without another check. False for a source with column rules, and for a
    /// source that refuses foreign tables. Such a source checks each run, because a change of the catalog may be
    /// noticed only after [`FINGERPRINT_EVERY`].
    pub(super) fn may_remember(&self) -> bool {
        self.settings.column_rules.is_empty() && self.settings.vouched.foreign_tables
    }

    /// Returns the path that a transaction begins with. For a remembered statement it is one of the two paths for a
    /// caller's text, so that the statement can run at once. For a statement that uses known names only, it is the path
    /// of such statements. Otherwise it is [`SearchPath::Own`].
    pub(super) fn first_path(&self, purpose: Purpose<'_>, options: &ReadOptions) -> SearchPath {
        let (Purpose::Run(sql) | Purpose::Plan(sql)) = purpose else { return SearchPath::Own };
        if !self.may_remember() || self.shapes.is_due() {
            return SearchPath::Own;
        }
        let is_run = matches!(purpose, Purpose::Run(_));
        match self.shapes.get(&Shapes::key(sql, options)).filter(|_| is_run) {
            Some(shape) if shape.path == OWN_PATH => SearchPath::OwnForCaller,
            Some(_) => SearchPath::Callers,
            None if self.has_known_names(sql) => SearchPath::OwnForCaller,
            None => SearchPath::Own,
        }
    }

    /// Forgets what is remembered of statements if the catalog has changed. Reads the catalog's fingerprint if the last
    /// time was [`FINGERPRINT_EVERY`] ago. Does nothing under a path for a caller's text.
    pub(super) async fn look_for_changes(
        &self,
        connection: &mut PgConnection,
        path: SearchPath,
    ) -> Result<(), DatabaseError> {
        if path == SearchPath::Own && self.may_remember() && self.shapes.is_due() {
            let now = catalog::fingerprint(connection).await.map_err(|error| sql_error(error, None))?;
            self.shapes.saw(now);
        }
        Ok(())
    }
}
