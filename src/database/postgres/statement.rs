//! Runs the caller's statement: asks for its shape (names and types of its columns), wraps its text, and writes its
//! rows into the reply.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use futures_util::TryStreamExt;
use sqlx::postgres::{PgConnection, PgRow};
use sqlx::{AssertSqlSafe, Column as _, Executor, Row, SqlSafeStr, Statement, ValueRef};

use super::column_rules;
use super::look_up::Checked;
use super::probe::{DescribedColumn, FIRST_USER_OID, describe, has_known_type, probe, with_base_types};
use super::session::Opened;
use super::shapes::{MANY_COLUMNS, Shapes, is_large};
use super::value_kinds::Kind;
use super::{OWN_PATH, PostgresEngine, SearchPath, sql_error, under_path};
use crate::database::result_set::{Budget, ResultColumn, ResultSet, ResultWriter};
use crate::database::value::Cell;
use crate::database::{DatabaseError, ReadOptions};
use crate::guard::columns::MASK;
use crate::guard::{ApprovedSql, QualifiedSql};

/// A column of a statement.
#[derive(Clone, Debug)]
pub(super) struct ShapeColumn {
    name: String,
    type_name: String,
    kind: Kind,
    /// True if each of its values is replaced by `***`.
    masked: bool,
    /// True if a user made its type.
    is_users: bool,
}

/// A checked statement: its columns, and how its text runs. A shape may be remembered.
#[derive(Debug)]
pub(super) struct Shape {
    pub(super) columns: Vec<ShapeColumn>,
    /// The text that runs: the caller's text, with schemas added to names that could mean something else.
    text: QualifiedSql,
    /// The `search_path` under which the text was checked.
    pub(super) path: String,
    /// The caller's whole path at that time. Under another path the names may mean something else.
    pub(super) callers_path: String,
    /// True if all rows could not be counted in time. They are not counted again, because the server logs each such end.
    takes_long: AtomicBool,
}

impl PostgresEngine {
    /// Returns the columns of a statement and its text, remembered or newly checked, and true if they are new. Afterwards the
    /// transaction is under the path of the shape.
    async fn shape(
        &self,
        connection: &mut PgConnection,
        opened: &Opened,
        approved: &ApprovedSql,
        options: &ReadOptions,
    ) -> Result<(Arc<Shape>, bool), DatabaseError> {
        let key = Shapes::key(approved, options);
        let own = |error| sql_error(error, None);
        let path = opened.path;
        if self.may_remember() {
            // A remembered statement may run unchecked only for a short time. The wait in a pooler may have been longer.
            if path != SearchPath::Own && self.shapes.is_due() {
                return Err(DatabaseError::Changing);
            }
            self.look_for_changes(connection, path).await?;
            if let Some(shape) = self.shapes.get(&key).filter(|shape| shape.callers_path == opened.callers_path) {
                let is_set = match path {
                    SearchPath::Own => false,
                    SearchPath::OwnForCaller => shape.path == OWN_PATH,
                    // The whole opening message sets the schemas of the source's settings, and some of them may not
                    // exist. `callers_path` has only existing schemas. So the path is set again.
                    SearchPath::Callers => {
                        let is_same = opened.is_short || self.settings.schemas.is_empty();
                        is_same && shape.path == opened.callers_path
                    }
                };
                if !is_set {
                    connection.execute(AssertSqlSafe(opened.settings_of_caller(&shape.path))).await.map_err(own)?;
                }
                limit_planner(connection, approved).await?;
                return Ok((shape, false));
            }
        }
        let generation = self.shapes.generation();
        // The checked text and its path are remembered with the shape. All shapes are forgotten when the catalog
        // changes, because a name can then mean another object.
        let mut checked = Box::pin(self.judged(connection, opened, approved)).await?;
        // From here on the server may plan the caller's text, in the probes too.
        limit_planner(connection, approved).await?;
        // To describe a statement, the driver itself asks the catalog about each type that it meets for the first time. Its
        // query names functions and operators without a schema, so it must not run under the path of a caller.
        // The owner of a table can attach code to it, or a foreign table, while the planner waits for a lock. The planner
        // plans the probes too, and after them the statement is checked again.
        let is_attachable = self.settings.vouched.judges_owners_code && checked.is_replaceable;
        let is_probed = !self.may_name() || checked.path != OWN_PATH || is_attachable;
        let described = async {
            let columns = if is_probed { None } else { self.prepare(connection, &checked.text).await? };
            match columns {
                Some(columns) => Ok(columns),
                None => probe(connection, &checked.text).await,
            }
        };
        let mut columns = described.await.map_err(|error| checked.explain(error))?;
        if is_probed && columns.iter().any(|column| column.oid >= FIRST_USER_OID) {
            connection.execute(AssertSqlSafe(under_path(OWN_PATH))).await.map_err(own)?;
            let based = with_base_types(connection, &mut columns).await;
            based.map_err(own)?;
            connection.execute(AssertSqlSafe(under_path(&checked.path))).await.map_err(own)?;
        }
        if is_probed && !self.settings.column_rules.is_empty() {
            columns = self.with_origins(connection, &checked, columns).await.map_err(|error| checked.explain(error))?;
        }
        if is_probed && checked.is_replaceable {
            // To plan the probes, the server may have waited for the lock of a partition or an index. Another user may
            // have created an object meanwhile.
            self.confirm_held(connection, opened, approved, &mut checked).await?;
        }
        let Checked { text: sql, masked, path, may_change, .. } = checked;
        let oids: Vec<u32> = columns.iter().map(|column| column.oid).collect();
        let rules = &self.settings.column_rules;
        if self.types.are_unknown(&oids) || !rules.is_empty() {
            connection.execute(AssertSqlSafe(under_path(OWN_PATH))).await.map_err(own)?;
            self.types.learn(connection, &oids).await.map_err(own)?;
            if !rules.is_empty() {
                let origins: Vec<_> = columns.iter().map(|column| column.origin).collect();
                column_rules::compare(connection, &origins, &masked, rules).await?;
            }
            connection.execute(AssertSqlSafe(under_path(&path))).await.map_err(own)?;
        }
        let names = self.types.names(&oids);
        let columns = columns
            .into_iter()
            .zip(names)
            .enumerate()
            .map(|(index, (column, type_name))| {
                let masked = masked.contains(&index);
                let kind = if masked { Kind::Short } else { Kind::of(column.oid) };
                ShapeColumn { name: column.name, type_name, kind, masked, is_users: column.oid >= FIRST_USER_OID }
            })
            .collect();
        let callers_path = opened.callers_path.clone();
        let shape = Arc::new(Shape { columns, text: sql, path, callers_path, takes_long: AtomicBool::new(false) });
        if !may_change && self.may_remember() {
            self.shapes.insert(&key, &shape, generation, self.limits.remembered_shapes);
        }
        Ok((shape, true))
    }

    /// Prepares the caller's text and returns its columns. `None` if the driver cannot describe the text, for example
    /// because of a type that the driver does not know (a multirange).
    async fn prepare(
        &self,
        connection: &mut PgConnection,
        sql: &QualifiedSql,
    ) -> Result<Option<Vec<DescribedColumn>>, DatabaseError> {
        // The driver keeps the description of a text. On a source whose statements are not remembered, a changed table does
        // not remove that description. So each text gets a number of its own.
        let mark = if self.may_remember() {
            self.generation_mark()
        } else {
            format!("\n/* description {} */", self.shapes.next_description())
        };
        let text = format!("{}{mark}", sql.text());
        match connection.prepare(approved(text).into_sql_str()).await {
            Ok(statement) => {
                let columns = statement.columns().iter().map(|column| {
                    let origin = column.relation_id().map(|table| table.0).zip(column.relation_attribute_no());
                    Some(DescribedColumn { name: column.name().to_owned(), oid: column.type_info().oid()?.0, origin })
                });
                Ok(columns.collect::<Option<Vec<_>>>())
            }
            Err(error @ sqlx::Error::Database(_)) => Err(sql_error(error, Some((0, sql)))),
            Err(error @ (sqlx::Error::Io(_) | sqlx::Error::Tls(_))) => Err(DatabaseError::Connection(error)),
            Err(error) => {
                tracing::debug!(%error, "the driver cannot describe this statement; probing instead");
                Ok(None)
            }
        }
    }

    /// Returns probed columns with their origins, as the server describes the statement. Afterwards the transaction is
    /// under the path of `checked`.
    ///
    /// The driver sends a catalog query for each type that it meets for the first time. That query must not run under the
    /// path of a caller. So a statement with the same types is described first, under [`OWN_PATH`].
    ///
    /// The columns stay without origins if one of them has a pseudo-type (`record`, `anyarray`), or if the driver
    /// cannot describe one of the two statements. If statements may not be named, they also stay without origins if one
    /// of them has an uncommon type: the driver's catalog query discards the unnamed statement, and the driver then fails.
    async fn with_origins(
        &self,
        connection: &mut PgConnection,
        checked: &Checked,
        columns: Vec<DescribedColumn>,
    ) -> Result<Vec<DescribedColumn>, DatabaseError> {
        const NAMES: &str = "SELECT format_type(oid, NULL) FROM pg_type WHERE oid = ANY ($1::oid[]) AND typtype <> 'p'";
        let own = |error| sql_error(error, None);
        let new: BTreeSet<u32> = columns.iter().map(|column| column.oid).filter(|oid| !has_known_type(*oid)).collect();
        if !new.is_empty() {
            if !self.may_name() {
                return Ok(columns);
            }
            let bound: Vec<_> = new.iter().map(|oid| sqlx::postgres::types::Oid(*oid)).collect();
            connection.execute(AssertSqlSafe(under_path(OWN_PATH))).await.map_err(own)?;
            let names = sqlx::query_scalar::<_, String>(NAMES).bind(bound).persistent(false);
            let names = names.fetch_all(&mut *connection).await.map_err(own)?;
            let nulls: Vec<String> = names.iter().map(|name| format!("NULL::{name}")).collect();
            let typed = AssertSqlSafe(format!("SELECT {}", nulls.join(", ")));
            let is_known = names.len() == new.len() && connection.prepare(typed.into_sql_str()).await.is_ok();
            connection.execute(AssertSqlSafe(under_path(&checked.path))).await.map_err(own)?;
            if !is_known {
                return Ok(columns);
            }
        }
        Ok(describe(connection, &checked.text).await?.filter(|found| found.len() == columns.len()).unwrap_or(columns))
    }

    /// Returns the comment with the generation of the shapes, or an empty text. See [`Shapes`].
    fn generation_mark(&self) -> String {
        match self.shapes.generation() {
            0 => String::new(),
            generation => format!("\n/* {generation} */"),
        }
    }

    /// Runs the wrapped statement. The flag is true if the server may have more rows to send, because a row did not
    /// fit.
    pub(super) async fn rows(
        &self,
        connection: &mut PgConnection,
        opened: &Opened,
        sql: &ApprovedSql,
        options: &ReadOptions,
    ) -> Result<(ResultSet, bool), DatabaseError> {
        let (shape, is_new) = self.shape(connection, opened, sql, options).await?;
        if let Some(identity) = options.identity.as_ref().filter(|_| is_new) {
            self.take_role_again(connection, opened, identity, &shape.path).await?;
        }
        let began = Instant::now();
        let (mut text, prefix) = wrap(shape.text.text(), &shape.columns, &options.budget);
        let _ = write!(text, " LIMIT {}{}", options.budget.max_rows.saturating_add(1), self.generation_mark());
        let columns = shape
            .columns
            .iter()
            .map(|column| ResultColumn { name: column.name.clone(), type_name: Some(column.type_name.clone()) })
            .collect();
        let mut writer = ResultWriter::new(columns, options.format, options.budget, options.max_rows_ceiling)
            .map_err(|error| DatabaseError::HeaderTooLong { bytes: error.bytes })?;
        let place = Some((prefix, &shape.text));
        // The server parses a named prepared statement again when an object that it uses changes. Under the caller's
        // path it could then choose an object that another user created meanwhile.
        let may_name = self.may_name()
            && self.may_remember()
            && shape.path == OWN_PATH
            && !is_large(sql.text())
            && shape.columns.len() <= MANY_COLUMNS;
        let mut rows = connection.fetch(sqlx::query(approved(text)).persistent(may_name));
        let mut unread = false;
        let mut is_first = true;
        while let Some(row) = rows.try_next().await.map_err(|error| sql_error(error, place))? {
            if std::mem::take(&mut is_first) && !has_types(&row, &shape.columns) {
                return Err(DatabaseError::Changing);
            }
            if !writer.wants_row() {
                writer.more_rows();
                break;
            }
            if !write_row(&mut writer, &row, &shape.columns)? {
                unread = true;
                break;
            }
            options.tell_rows(writer.row_count());
        }
        drop(rows);
        let mut set = writer.finish();
        let count_for = Duration::from_millis(self.limits.count_timeout_ms);
        // Policies of another user may have changed the role of the transaction. And without its name the statement is planned
        // again, which may take long.
        let may_count = options.identity.is_none() && !sql.is_demanding() && !shape.takes_long.load(Ordering::Relaxed);
        if set.is_cut_by_rows() && may_count && began.elapsed() < count_for {
            let limit = count_for.min(options.time_left());
            // Some operators do not heed a cancel. Then the rows are returned without their number, and the connection is
            // closed.
            let counted = tokio::time::timeout(limit + COUNT_GRACE, self.total(connection, &shape, limit)).await;
            unread |= counted.is_err();
            let total = counted.ok().flatten();
            shape.takes_long.store(total.is_none(), Ordering::Relaxed);
            // Rows can be deleted meanwhile.
            set.total = total.filter(|total| *total > set.row_count);
        }
        Ok((set, unread))
    }

    /// Counts the rows of a statement that has just run. `None` if this takes longer than `limit`, or fails.
    async fn total(&self, connection: &mut PgConnection, shape: &Shape, limit: Duration) -> Option<u64> {
        let limit_ms = limit.as_millis().max(1);
        // The statement's functions may have changed the path.
        let settings = format!("SET LOCAL statement_timeout={limit_ms};{}", under_path(&shape.path));
        connection.execute(AssertSqlSafe(settings)).await.ok()?;
        let text = format!("SELECT pg_catalog.count(*) FROM ({}\n) AS tudb_result", shape.text.text());
        let row = connection.fetch_one(sqlx::query(approved(text)).persistent(false)).await.ok()?;
        u64::try_from(row.try_get::<i64, _>(0).ok()?).ok()
    }
}

/// How long the server may take to end a count after its limit.
const COUNT_GRACE: Duration = Duration::from_millis(100);

/// Makes the planner take little memory for a demanding statement, until the transaction ends.
///
/// For 30 conditions on each of eight tables, the planner takes 1.2 GB with its usual settings and 5 MB with these
/// settings. With these settings it considers no merge joins, and not every order of the joins. The planner estimates
/// that so many conditions leave one row, for which it would choose nested loops. A wrong estimate harms nested loops,
/// but not hash joins (14 s and 0.1 s for eight tables of 5,000 rows). So nested loops are off too.
pub(super) async fn limit_planner(connection: &mut PgConnection, sql: &ApprovedSql) -> Result<(), DatabaseError> {
    if sql.is_demanding() {
        let settings = "SET LOCAL enable_mergejoin=off; SET LOCAL enable_nestloop=off; SET LOCAL geqo_threshold=2";
        connection.execute(settings).await.map_err(|error| sql_error(error, None))?;
    }
    Ok(())
}

/// Replaces the error "undefined function". To be called only if the check added `pg_catalog` to calls of the text.
/// Then only a user's function fits the call, and the configuration does not allow that function.
pub(super) fn shadowed(error: DatabaseError) -> DatabaseError {
    match error {
        DatabaseError::Sql { sqlstate: Some(state), message, .. } if state == "42883" => DatabaseError::NotVouched {
            name: message.replace(" does not exist", ""),
            reason: "is no built-in function, and the configuration does not allow a user's function of that name",
            hint: "The administrator of the source can list it as \"schema.name\" in allow_functions.".into(),
            is_relation: false,
        },
        other => other,
    }
}

/// The only place where text from outside becomes a statement of this engine. `text` is built from an [`ApprovedSql`].
pub(super) fn approved(text: String) -> AssertSqlSafe<String> {
    AssertSqlSafe(text)
}

/// Wraps the caller's text as a sub-query. The query around it converts each column to the form in which the server
/// sends the value. After these columns it has the full length of each [`Kind::Long`] column, in bytes. Also returns
/// the number of characters before the caller's text.
///
/// A number is never cut in a reply. A number longer than the whole reply is cut here, because the row of that number
/// is left out anyway.
fn wrap(sql: &str, shape: &[ShapeColumn], budget: &Budget) -> (String, usize) {
    let (max_cell_bytes, max_digits) = (budget.max_cell_bytes, budget.max_reply_bytes + 1);
    let mut text = String::with_capacity(sql.len() + 48 * shape.len() + 64);
    text.push_str("SELECT ");
    for (index, column) in shape.iter().enumerate() {
        let comma = if index > 0 { "," } else { "" };
        let n = index + 1;
        if column.masked {
            let _ = write!(text, "{comma}'{MASK}'::pg_catalog.text");
            continue;
        }
        let value = text_of(n, column.is_users);
        let _ = match column.kind {
            Kind::Bool | Kind::Int2 | Kind::Int4 | Kind::Int8 => write!(text, "{comma}c{n}"),
            Kind::Float | Kind::Short => write!(text, "{comma}{value}"),
            Kind::Digits => write!(text, "{comma}pg_catalog.left({value},{max_digits})"),
            Kind::Long => write!(text, "{comma}pg_catalog.left({value},{max_cell_bytes})"),
        };
    }
    for (index, column) in shape.iter().enumerate() {
        if column.kind == Kind::Long {
            let _ = write!(text, ",pg_catalog.octet_length({})", text_of(index + 1, column.is_users));
        }
    }
    text.push_str(" FROM (");
    let prefix = text.chars().count();
    let _ = write!(text, "{sql}\n) AS tudb_result");
    for index in 1..=shape.len() {
        let separator = if index == 1 { "(" } else { "," };
        let _ = write!(text, "{separator}c{index}");
    }
    if !shape.is_empty() {
        text.push(')');
    }
    (text, prefix)
}

/// Returns the SQL expression for the text of column `n`. For a type that a user made, the expression calls the type's
/// output function and no cast. The owner of the type could create a cast to text at any time, and the server would run
/// that cast (`findings/postgresql_cast_is_found_outside_the_path.sh`).
fn text_of(n: usize, is_users: bool) -> String {
    if is_users {
        // `IS NULL` is also true for a row of NULLs (`findings/postgresql_row_of_nulls_is_null_and_counted.sh`).
        format!("CASE WHEN pg_catalog.num_nulls(c{n})=0 THEN pg_catalog.concat(c{n}) END")
    } else {
        format!("c{n}::pg_catalog.text")
    }
}

/// True if the columns of a row have the types that the wrapped statement asks for. The type of a table's column can
/// change after the shape of the statement was remembered.
fn has_types(row: &PgRow, shape: &[ShapeColumn]) -> bool {
    // The oids of bool, int2, int4, int8 and text, in `pg_type.dat`.
    let expected = |column: &ShapeColumn| match column.kind {
        _ if column.masked => 25,
        Kind::Bool => 16,
        Kind::Int2 => 21,
        Kind::Int4 => 23,
        Kind::Int8 => 20,
        Kind::Float | Kind::Digits | Kind::Short | Kind::Long => 25,
    };
    let sent = row.columns().iter().map(|column| column.type_info().oid().map(|oid| oid.0));
    shape.iter().zip(sent).all(|(column, sent)| sent == Some(expected(column)))
}

/// Writes one row. Returns false if the row did not fit into the reply.
fn write_row(writer: &mut ResultWriter, row: &PgRow, shape: &[ShapeColumn]) -> Result<bool, DatabaseError> {
    let mut length_at = shape.len();
    writer.begin_row();
    for (index, column) in shape.iter().enumerate() {
        let value = row.try_get_raw(index).map_err(DatabaseError::Connection)?;
        let is_long = column.kind == Kind::Long;
        if value.is_null() {
            writer.cell(Cell::Null);
        } else {
            let bytes = value.as_bytes().map_err(|error| DatabaseError::Connection(sqlx::Error::Decode(error)))?;
            // A server with the encoding SQL_ASCII sends whatever bytes were stored.
            let text = String::from_utf8_lossy(bytes);
            match column.kind {
                Kind::Bool => writer.cell(Cell::Bool(bytes.first() == Some(&1))),
                Kind::Int2 | Kind::Int4 | Kind::Int8 => writer.cell(Cell::Integer(big_endian(bytes))),
                Kind::Float => writer.cell(Cell::Float(&text)),
                Kind::Digits => writer.cell(Cell::Digits(&text)),
                Kind::Short => writer.cell(Cell::text(&text)),
                Kind::Long => {
                    let length: i32 = row.try_get_unchecked(length_at).map_err(DatabaseError::Connection)?;
                    let full_bytes = usize::try_from(length).unwrap_or(bytes.len());
                    writer.cell(Cell::Text { text: &text, full_bytes });
                }
            }
        }
        length_at += usize::from(is_long);
    }
    Ok(writer.end_row())
}

/// Reads a signed integer of two, four or eight bytes in network byte order.
fn big_endian(bytes: &[u8]) -> i64 {
    let negative = bytes.first().is_some_and(|byte| byte & 0x80 != 0);
    bytes.iter().fold(if negative { -1 } else { 0 }, |value, byte| (value << 8) | i64::from(*byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers_keep_their_sign() {
        assert_eq!(big_endian(&(-2i16).to_be_bytes()), -2);
        assert_eq!(big_endian(&7i32.to_be_bytes()), 7);
        assert_eq!(big_endian(&i64::MIN.to_be_bytes()), i64::MIN);
    }
}
