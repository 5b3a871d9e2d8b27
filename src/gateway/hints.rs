//! What an error or an empty result needs from the schema: names that the caller could have meant, the spelling of this
//! dialect, values that are stored in another spelling.

use std::sync::Arc;
use std::time::Duration;

use super::{Caller, Gateway, Ran, Read};
use crate::audit::OpenEntry;
use crate::config::SourceConfig;
use crate::database::catalog::Snapshot;
use crate::database::{advice, spelling};
use crate::error::{Code, ToolError};

/// Time that a finished statement waits for the schema, which a warning needs.
const WARNING_PATIENCE: Duration = Duration::from_millis(250);

impl Gateway {
    /// Adds the source that has the table which an error misses, as far as the snapshots of the other sources are known.
    pub(super) fn elsewhere(&self, caller: &Caller, source: &SourceConfig, error: ToolError) -> ToolError {
        let is_missing = error.code == Code::UnknownTable || error.sqlstate.as_deref() == Some("42P01");
        let wanted = match error.message.strip_prefix("no such table: ") {
            Some(name) => name,
            None if is_missing => error.message.split('"').nth(1).unwrap_or_default(),
            None => return error,
        };
        let bare = |name: &str| name.rsplit('.').next().unwrap_or_default().trim_matches('"').to_lowercase();
        let wanted = bare(wanted);
        let has_it = |snapshot: &Snapshot| snapshot.tables.iter().any(|table| bare(&table.name) == wanted);
        let allowed = |name: &str| caller.grant.as_ref().is_none_or(|grant| grant.allows_source(name));
        let others = self.config.sources.iter().filter(|other| other.name != source.name && allowed(&other.name));
        let mut found = others.filter(|other| self.snapshots.known(&other.name).is_some_and(|known| has_it(&known)));
        match found.next() {
            Some(other) if !wanted.is_empty() => {
                let own = error.hint.as_deref().map_or_else(String::new, |own| format!("{own} "));
                let hint = format!("{own}The table {wanted} is in the source {0}: pass source={0}.", other.name);
                error.hint(hint)
            }
            _ => error,
        }
    }

    /// Adds to an error of a statement what the next one needs. `tables` are those that the statement names.
    pub(super) async fn explained(
        &self,
        caller: &Caller,
        source: &SourceConfig,
        (sql, tables): (Option<&str>, &[String]),
        error: ToolError,
        entry: &OpenEntry,
    ) -> ToolError {
        let (Some(sql), Ok(dialect)) = (sql, self.dialect(source)) else { return error };
        if !spelling::may_help(&error) {
            return error;
        }
        let mut error = error;
        if error.code == Code::SqlError && source.column_rules.denies() {
            // The database's own hint may contain the name of a denied column.
            error.hint = Some("Correct the statement; `describe_table` shows names and types.".into());
        }
        let is_about_names = advice::is_about_names(&error);
        if !is_about_names && let Some(remedy) = spelling::remedy(dialect, &error, sql, None) {
            return error.hint(remedy);
        }
        if error.code == Code::FunctionRefused {
            return error;
        }
        // What the guard refuses has not reached the database, and does not wait for it.
        let snapshot = match error.code {
            Code::SqlError => self.snapshot_for_advice(caller, source, entry).await,
            _ => self.snapshots.known(&source.name),
        };
        let Some(snapshot) = snapshot else { return error };
        if let Some(remedy) = spelling::remedy(dialect, &error, sql, Some(&snapshot)) {
            return error.hint(remedy);
        }
        if !is_about_names {
            return error;
        }
        let server = self.database_report(source).await.and_then(|report| report.server);
        let role = server.as_ref().map_or("", |server| server.role.as_str());
        advice::with_names(error, (dialect, role), &snapshot, tables)
    }

    /// Warns of a result without rows whose statement compares with a text that is stored in another spelling, and of a
    /// value of the session that was meant as a table.
    pub(super) async fn warn_of_result(&self, caller: &Caller, sql: &str, read: &mut Read<Ran>) {
        let Ran::Rows(rows) = &mut read.value else { return };
        let Ok(source) = self.source(Some(&read.source)) else { return };
        let is_nothing = rows.row_count == 0 && sql.contains('\'');
        let may_be_value = rows.row_count == 1 && spelling::may_read_value(read.dialect, sql);
        if !is_nothing && !may_be_value {
            return;
        }
        // The statement succeeded, so its answer waits only a moment for a warning.
        if self.snapshots.is_slow(&source.name) {
            return;
        }
        let snapshot =
            tokio::time::timeout(WARNING_PATIENCE, Box::pin(self.snapshot(caller, source, &read.entry))).await;
        let snapshot = match snapshot {
            Ok(Ok(snapshot)) => snapshot,
            Ok(Err(_)) => return,
            Err(_) => return self.snapshots.was_slow(&source.name),
        };
        rows.warnings.extend(spelling::value_for_table(read.dialect, sql, &snapshot));
        if !is_nothing {
            return;
        }
        let near = advice::near_values(sql, &snapshot);
        if !near.is_empty() {
            rows.warnings.push(format!("nothing matched: {}", near.join("; ")));
        }
    }

    /// The snapshot, if it comes within the time for advice.
    async fn snapshot_for_advice(
        &self,
        caller: &Caller,
        source: &SourceConfig,
        entry: &OpenEntry,
    ) -> Option<Arc<Snapshot>> {
        let patience = Duration::from_millis(source.limits.advice_timeout_ms);
        tokio::time::timeout(patience, self.snapshot(caller, source, entry)).await.ok()?.ok()
    }
}
