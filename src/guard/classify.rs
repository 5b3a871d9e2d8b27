//! What kind of statement this is: a query, an explanation of one, or something to refuse. Part of the guard; pure.

use sqlparser::ast::Statement;

/// Class of a parsed statement. Only the first two may go on to the walk.
pub(super) enum StatementClass<'a> {
    Query(&'a sqlparser::ast::Query),
    /// `EXPLAIN` of the statement within, without `ANALYZE`.
    Explain(&'a Statement),
    /// Changes data, structure, rights or files; `what` opens the sentence that refuses it.
    Write(String),
    /// Anything else: settings, transactions, sessions, procedures.
    Other(String),
}

/// Sorts a statement into its class. What is not known to be a query is never one.
pub(super) fn classify(statement: &Statement) -> StatementClass<'_> {
    match statement {
        Statement::Query(query) => StatementClass::Query(query),
        Statement::Explain { statement, analyze, options, .. } => {
            // `EXPLAIN (ANALYZE)` arrives among the options, `EXPLAIN ANALYZE` in the flag; both execute.
            let asks = |option: &sqlparser::ast::UtilityOption| {
                let value = option.arg.as_ref().map(|value| value.to_string().to_ascii_lowercase());
                option.name.value.eq_ignore_ascii_case("analyze")
                    && !matches!(value.as_deref(), Some("false" | "off" | "0"))
            };
            let executes = *analyze || options.iter().flatten().any(asks);
            if executes {
                StatementClass::Other("EXPLAIN ANALYZE (it runs the statement; use explain_query with analyze)".into())
            } else {
                StatementClass::Explain(statement)
            }
        }
        Statement::Insert(_)
        | Statement::Update(_)
        | Statement::Delete(_)
        | Statement::Merge(_)
        | Statement::Truncate(_)
        | Statement::Copy { .. }
        | Statement::LoadData { .. }
        | Statement::CreateTable(_)
        | Statement::CreateView(_)
        | Statement::CreateIndex(_)
        | Statement::CreateFunction(_)
        | Statement::CreateProcedure { .. }
        | Statement::CreateTrigger(_)
        | Statement::CreateSchema { .. }
        | Statement::CreateDatabase { .. }
        | Statement::CreateRole(_)
        | Statement::CreateSequence { .. }
        | Statement::CreateType { .. }
        | Statement::CreateDomain(_)
        | Statement::CreateExtension(_)
        | Statement::CreatePolicy(_)
        | Statement::CreateServer(_)
        | Statement::CreateVirtualTable { .. }
        | Statement::AlterTable(_)
        | Statement::AlterIndex { .. }
        | Statement::AlterView { .. }
        | Statement::AlterType(_)
        | Statement::AlterRole { .. }
        | Statement::AlterPolicy(_)
        | Statement::Drop { .. }
        | Statement::DropFunction(_)
        | Statement::DropProcedure { .. }
        | Statement::DropTrigger(_)
        | Statement::DropPolicy(_)
        | Statement::DropExtension(_)
        | Statement::Comment { .. }
        | Statement::Grant(_)
        | Statement::Revoke(_)
        | Statement::Vacuum(_) => StatementClass::Write(first_words(statement)),
        other => StatementClass::Other(first_words(other)),
    }
}

/// The leading keywords, for the message; a tree is never printed whole (printing recurses).
fn first_words(statement: &Statement) -> String {
    // `Statement`'s variant name is the keyword in camel case; the derived Debug of the discriminant is not reachable
    // without printing the fields, so the few that users write are named by hand.
    let words = match statement {
        Statement::Insert(_) => "INSERT",
        Statement::Update(_) => "UPDATE",
        Statement::Delete(_) => "DELETE",
        Statement::Merge(_) => "MERGE",
        Statement::Truncate(_) => "TRUNCATE",
        Statement::Copy { .. } => "COPY",
        Statement::Drop { .. } => "DROP",
        Statement::AlterTable(_) => "ALTER TABLE",
        Statement::CreateTable(_) => "CREATE TABLE",
        Statement::Grant(_) => "GRANT",
        Statement::Revoke(_) => "REVOKE",
        Statement::Vacuum(_) => "VACUUM",
        Statement::Set(_) => "SET",
        Statement::Pragma { .. } => "PRAGMA",
        Statement::AttachDatabase { .. } => "ATTACH",
        Statement::Call(_) => "CALL",
        Statement::Execute { .. } | Statement::Prepare { .. } => "a prepared statement",
        Statement::ShowVariable { .. } => "SHOW",
        Statement::StartTransaction { .. }
        | Statement::Commit { .. }
        | Statement::Rollback { .. }
        | Statement::Savepoint { .. } => "transaction control",
        _ => "this kind of statement",
    };
    words.to_owned()
}
