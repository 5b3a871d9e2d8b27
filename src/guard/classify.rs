//! Decides whether a statement is a query. For any other statement, returns the words with which the guard refuses it.
//! Part of the guard; pure.

use sqlparser::ast::Statement;

/// The class of a parsed statement. Only a query goes on to the walk. The guard has already removed a leading
/// `EXPLAIN`.
pub(super) enum StatementClass<'a> {
    Query(&'a sqlparser::ast::Query),
    /// A statement that changes data, structure, rights or files. The text is the first part of the refusal's message.
    Write(String),
    /// Anything else: settings, transactions, sessions, procedures.
    Other(String),
}

/// Classifies a statement. The match has no wildcard. So if a new version of the parser adds a statement, this function
/// does not compile until the statement is reviewed.
pub(super) fn classify(statement: &Statement) -> StatementClass<'_> {
    let write = |what: &str| StatementClass::Write(what.to_owned());
    let other = |what: &str| StatementClass::Other(what.to_owned());
    match statement {
        Statement::Query(query) => StatementClass::Query(query),
        Statement::Insert { .. } => write("INSERT"),
        Statement::Update { .. } => write("UPDATE"),
        Statement::Delete { .. } => write("DELETE"),
        Statement::Merge { .. } => write("MERGE"),
        Statement::Truncate { .. } => write("TRUNCATE"),
        Statement::Copy { .. } => write("COPY"),
        Statement::Drop { .. } => write("DROP"),
        Statement::AlterTable { .. } => write("ALTER TABLE"),
        Statement::CreateTable { .. } => write("CREATE TABLE"),
        Statement::CreateView { .. } => write("CREATE VIEW"),
        Statement::CreateIndex { .. } => write("CREATE INDEX"),
        Statement::CreateFunction { .. } => write("CREATE FUNCTION"),
        Statement::Grant { .. } => write("GRANT"),
        Statement::Revoke { .. } => write("REVOKE"),
        Statement::Vacuum { .. } => write("VACUUM"),
        Statement::Comment { .. } => write("COMMENT"),
        Statement::Analyze { .. } => write("ANALYZE"),
        Statement::AlterCollation { .. }
        | Statement::AlterConnector { .. }
        | Statement::AlterFunction { .. }
        | Statement::AlterIndex { .. }
        | Statement::AlterOperator { .. }
        | Statement::AlterOperatorClass { .. }
        | Statement::AlterOperatorFamily { .. }
        | Statement::AlterPolicy { .. }
        | Statement::AlterRole { .. }
        | Statement::AlterSchema { .. }
        | Statement::AlterTextSearch { .. }
        | Statement::AlterType { .. }
        | Statement::AlterUser { .. }
        | Statement::AlterView { .. }
        | Statement::Cache { .. }
        | Statement::CopyIntoSnowflake { .. }
        | Statement::CreateCollation { .. }
        | Statement::CreateConnector { .. }
        | Statement::CreateDatabase { .. }
        | Statement::CreateDomain { .. }
        | Statement::CreateExtension { .. }
        | Statement::CreateFileFormat { .. }
        | Statement::CreateMacro { .. }
        | Statement::CreateOperator { .. }
        | Statement::CreateOperatorClass { .. }
        | Statement::CreateOperatorFamily { .. }
        | Statement::CreatePolicy { .. }
        | Statement::CreateProcedure { .. }
        | Statement::CreateRole { .. }
        | Statement::CreateSchema { .. }
        | Statement::CreateSecret { .. }
        | Statement::CreateSequence { .. }
        | Statement::CreateServer { .. }
        | Statement::CreateStage { .. }
        | Statement::CreateTextSearch { .. }
        | Statement::CreateTrigger { .. }
        | Statement::CreateType { .. }
        | Statement::CreateUser { .. }
        | Statement::CreateVirtualTable { .. }
        | Statement::CreateWarehouse { .. }
        | Statement::Deny { .. }
        | Statement::Directory { .. }
        | Statement::DropConnector { .. }
        | Statement::DropDomain { .. }
        | Statement::DropExtension { .. }
        | Statement::DropFunction { .. }
        | Statement::DropOperator { .. }
        | Statement::DropOperatorClass { .. }
        | Statement::DropOperatorFamily { .. }
        | Statement::DropPolicy { .. }
        | Statement::DropProcedure { .. }
        | Statement::DropSecret { .. }
        | Statement::DropTrigger { .. }
        | Statement::ExportData { .. }
        | Statement::Install { .. }
        | Statement::Load { .. }
        | Statement::LoadData { .. }
        | Statement::Msck { .. }
        | Statement::OptimizeTable { .. }
        | Statement::Put { .. }
        | Statement::Remove { .. }
        | Statement::RenameTable { .. }
        | Statement::UNCache { .. }
        | Statement::Unload { .. } => write("a statement that makes, changes or removes something"),
        Statement::Set { .. } => other("SET"),
        Statement::Reset { .. } => other("RESET"),
        Statement::Pragma { .. } => other("PRAGMA"),
        Statement::AttachDatabase { .. } => other("ATTACH"),
        Statement::Call { .. } => other("CALL"),
        Statement::ShowVariable { .. } => other("SHOW of this setting"),
        Statement::LISTEN { .. } => other("LISTEN"),
        Statement::NOTIFY { .. } => other("NOTIFY"),
        Statement::Lock { .. } => other("LOCK"),
        Statement::Declare { .. } => other("DECLARE"),
        Statement::Discard { .. } => other("DISCARD"),
        Statement::Execute { .. } | Statement::Prepare { .. } | Statement::Deallocate { .. } => {
            other("a prepared statement")
        }
        Statement::StartTransaction { .. }
        | Statement::Commit { .. }
        | Statement::Rollback { .. }
        | Statement::Savepoint { .. }
        | Statement::ReleaseSavepoint { .. } => other("transaction control"),
        Statement::AlterSession { .. }
        | Statement::Assert { .. }
        | Statement::AttachDuckDBDatabase { .. }
        | Statement::Case { .. }
        | Statement::Close { .. }
        | Statement::DetachDuckDBDatabase { .. }
        | Statement::ExplainTable { .. }
        | Statement::Fetch { .. }
        | Statement::Flush { .. }
        | Statement::If { .. }
        | Statement::Kill { .. }
        | Statement::List { .. }
        | Statement::LockTables { .. }
        | Statement::Open { .. }
        | Statement::Print { .. }
        | Statement::RaisError { .. }
        | Statement::Raise { .. }
        | Statement::Return { .. }
        | Statement::ShowCatalogs { .. }
        | Statement::ShowCharset { .. }
        | Statement::ShowCollation { .. }
        | Statement::ShowColumns { .. }
        | Statement::ShowCreate { .. }
        | Statement::ShowDatabases { .. }
        | Statement::ShowFunctions { .. }
        | Statement::ShowObjects { .. }
        | Statement::ShowProcessList { .. }
        | Statement::ShowSchemas { .. }
        | Statement::ShowStatus { .. }
        | Statement::ShowTables { .. }
        | Statement::ShowVariables { .. }
        | Statement::ShowViews { .. }
        | Statement::Throw { .. }
        | Statement::UNLISTEN { .. }
        | Statement::UnlockTables
        | Statement::Explain { .. }
        | Statement::Use { .. }
        | Statement::WaitFor { .. }
        | Statement::While { .. } => other("this kind of statement"),
    }
}
