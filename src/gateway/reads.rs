//! The reads of the tools. A read runs after the intent of its record and before the outcome. A new tool needs a
//! request in `requests`, a read here, and a file in `tools`.

use std::sync::Arc;

use super::{Caller, Gateway, Prepared, Ran};
use crate::audit::OpenEntry;
use crate::config::SourceConfig;
use crate::database::catalog::{Snapshot, TableDescription};
use crate::database::{DatabaseError, Explanation, ListRequest, Session, TablePage};
use crate::error::{Code, ToolError};
use crate::guard::ApprovedSql;

/// One kind of read.
pub(super) trait Reading: Sync {
    type Found;

    /// The caller's statement, which the guard has to approve. `None` for reads of the catalog.
    fn sql(&self) -> Option<&str> {
        None
    }

    /// Whether the statement is explained with `analyze`, which counts the rows that it reads.
    fn analyzes(&self) -> bool {
        false
    }

    /// Whether the statement runs as it is. A remembered one then needs no check in its session.
    fn runs(&self) -> bool {
        false
    }

    /// Whether the statement is only planned, so that it may have parameters.
    fn plans(&self) -> bool {
        false
    }

    /// Whether the read needs a session of its own.
    fn needs_session(&self, _source: &SourceConfig) -> bool {
        true
    }

    /// Runs the read. After an error for which `Database::is_retryable` is true, the read runs again in a new session.
    fn run(&self, work: Work<'_>) -> impl Future<Output = Result<Self::Found, ToolError>> + Send;
}

/// The inputs of a read.
pub(super) struct Work<'a> {
    pub gateway: &'a Gateway,
    pub caller: &'a Caller,
    pub entry: &'a OpenEntry,
    pub prepared: &'a Prepared<'a>,
    /// `None` only if [`Reading::needs_session`] is false.
    pub session: Option<Session<'a>>,
}

impl<'a> Work<'a> {
    fn session(&mut self) -> Result<Session<'a>, ToolError> {
        self.session.take().ok_or_else(ToolError::internal)
    }

    fn approved(&self) -> Result<&'a ApprovedSql, ToolError> {
        self.prepared.approved.as_ref().ok_or_else(ToolError::internal)
    }
}

/// `run_sql`.
pub(super) struct RunStatement<'a>(pub &'a str);

impl Reading for RunStatement<'_> {
    type Found = Ran;

    fn sql(&self) -> Option<&str> {
        Some(self.0)
    }

    fn runs(&self) -> bool {
        true
    }

    async fn run(&self, mut work: Work<'_>) -> Result<Ran, ToolError> {
        let (session, sql, options) = (work.session()?, work.approved()?, &work.prepared.options);
        if sql.is_explain() {
            return Ok(Ran::Plan(session.explain(work.entry, sql, false, options).await?));
        }
        Ok(Ran::Rows(session.run(work.entry, sql, options).await?))
    }
}

/// `explain_query`.
pub(super) struct ExplainStatement<'a> {
    pub sql: &'a str,
    pub analyze: bool,
}

impl Reading for ExplainStatement<'_> {
    type Found = Explanation;

    fn sql(&self) -> Option<&str> {
        Some(self.sql)
    }

    fn analyzes(&self) -> bool {
        self.analyze
    }

    fn plans(&self) -> bool {
        !self.analyze
    }

    async fn run(&self, mut work: Work<'_>) -> Result<Explanation, ToolError> {
        let (session, sql) = (work.session()?, work.approved()?);
        Ok(session.explain(work.entry, sql, self.analyze, &work.prepared.options).await?)
    }
}

/// `list_tables`. A database pages its own list and does not know the source's column rules. If there are rules, the
/// list is made from the snapshot instead.
pub(super) struct List<'a>(pub &'a ListRequest);

impl Reading for List<'_> {
    type Found = TablePage;

    fn needs_session(&self, source: &SourceConfig) -> bool {
        source.column_rules.is_empty()
    }

    async fn run(&self, work: Work<'_>) -> Result<TablePage, ToolError> {
        let Work { gateway, caller, entry, prepared, session } = work;
        match session {
            Some(session) => Ok(session.list(entry, self.0, &prepared.options).await?),
            None => Ok(gateway.listed_snapshot(caller, entry, prepared).await?.page(self.0)?),
        }
    }
}

/// `describe_table`: the tables of these names, in this order.
pub(super) struct Describe<'a> {
    /// The names as the caller wrote them. A SQLite name may contain a comma, and `list_tables` shows it without quotes.
    pub list: &'a str,
    pub names: &'a [String],
}

/// A name, and the table that it means. The error is `unknown_table` or `ambiguous_table`.
pub type Described = (String, Result<TableDescription, ToolError>);

impl Reading for Describe<'_> {
    type Found = Vec<Described>;

    /// An unknown name is an error of the read only if it is the only name.
    async fn run(&self, mut work: Work<'_>) -> Result<Vec<Described>, ToolError> {
        let mut session = Some(work.session()?);
        let mut described = Vec::with_capacity(self.names.len());
        for name in self.names {
            // A session serves one read.
            let session = match session.take() {
                Some(session) => session,
                None => work.prepared.open(work.entry.id()).await?,
            };
            match one(&work, session, name).await {
                Err(error)
                    if self.names.len() == 1 || !matches!(error.code, Code::UnknownTable | Code::AmbiguousTable) =>
                {
                    return Err(error);
                }
                found => described.push((name.clone(), found)),
            }
        }
        if described.len() > 1 && described.iter().all(|(_, found)| found.is_err()) {
            let session = work.prepared.open(work.entry.id()).await?;
            if let Ok(table) = one(&work, session, self.list).await {
                return Ok(vec![(self.list.to_owned(), Ok(table))]);
            }
        }
        return Ok(described);

        /// Describes one table, as far as the rules of the source allow.
        async fn one(work: &Work<'_>, session: Session<'_>, name: &str) -> Result<TableDescription, ToolError> {
            let source = work.prepared.source;
            let rules = &source.column_rules;
            let unknown = || DatabaseError::UnknownTable {
                name: name.to_owned(),
                source_name: source.name.clone(),
                nearest: Vec::new(),
            };
            match session.describe(work.entry, name, &work.prepared.options).await {
                Ok(mut table) => {
                    if table.obey(rules) {
                        Ok(table)
                    } else {
                        Err(unknown().into())
                    }
                }
                // The names in these errors may be those of denied tables.
                Err(DatabaseError::UnknownTable { .. } | DatabaseError::AmbiguousTable { .. }) if rules.denies() => {
                    Err(unknown().into())
                }
                Err(error) => Err(error.into()),
            }
        }
    }
}

impl Gateway {
    /// Returns the snapshot for a list, within the call's time limit and unless the call is cancelled.
    async fn listed_snapshot(
        &self,
        caller: &Caller,
        entry: &OpenEntry,
        prepared: &Prepared<'_>,
    ) -> Result<Arc<Snapshot>, ToolError> {
        let options = &prepared.options;
        let left = options.time_left();
        tokio::select! {
            snapshot = self.current_snapshot(caller, prepared.source, entry) => snapshot,
            () = options.cancel.cancelled() => Err(DatabaseError::Cancelled.into()),
            () = tokio::time::sleep(left) => {
                let limit_ms = u64::try_from(left.as_millis()).unwrap_or(u64::MAX);
                Err(DatabaseError::Timeout { limit_ms }.into())
            }
        }
    }
}
