//! Reads a report on the server and on what the role could do if every guard failed. Writes the SQL that creates a safe
//! role.

use sqlx::postgres::{PgConnection, PgRow};
use sqlx::{Executor, Row};

use super::lossy::{self, Lossy};
use super::pooler_proof::End;
use crate::quoting::{self, printable};

/// One row of facts that no other user of the database can make slow or unreadable. [`ServerReport::read`] reads its columns by
/// position.
const FACTS: &str = r#"
SELECT current_user::text, current_database()::text, current_setting('server_version'), pg_is_in_recovery(), clock_timestamp()::text, host(inet_client_addr()), inet_client_port(),
  host(inet_server_addr()), inet_server_port(), (SELECT version FROM pg_stat_ssl WHERE pid = pg_backend_pid()),
  current_setting('server_encoding'),
  -- The settings of the role and of the database. Precedence: the role in this database, the role, the database, all roles.
  ARRAY(SELECT (SELECT substr(c, length(w.name) + 2) FROM pg_db_role_setting s, unnest(s.setconfig) c
      WHERE lower(split_part(c, '=', 1)) = w.name AND s.setdatabase IN (0, (SELECT oid FROM pg_database WHERE datname = current_database()))
        AND s.setrole IN (0, (SELECT oid FROM pg_roles WHERE rolname = session_user))
      ORDER BY s.setrole <> 0 AND s.setdatabase <> 0 DESC, s.setrole <> 0 DESC, s.setdatabase <> 0 DESC LIMIT 1)
    FROM (VALUES (1, 'timezone'), (2, 'datestyle'), (3, 'intervalstyle')) w(place, name) ORDER BY w.place),
  current_setting('log_timezone'), current_setting('IntervalStyle'), current_setting('restrict_nonsystem_relation_kind', true)
"#;

/// One row: the number of readable foreign tables, the rights of the role beyond reading, the views and the child
/// tables past row-level security, and the role that owns the most tables of `public`. Predefined roles that an older
/// server does not have are left out.
///
/// `$1` is the role that statements run as by the source's settings, or an empty text. The rights of the other roles
/// that the role may become count, but not those of `$1`, because a second report has them.
const RIGHTS: &str = r#"
WITH own AS MATERIALIZED (SELECT oid, rolsuper FROM pg_roles WHERE rolname = current_user),
  -- The role itself, and each role that it may become by SET ROLE, or by a membership that it may grant itself.
  becomes AS MATERIALIZED (SELECT r.*, CASE WHEN r.rolname = current_user THEN '' ELSE ' (by SET ROLE ' || quote_ident(r.rolname) || ')' END AS by
    FROM pg_roles r, own o WHERE r.oid = o.oid OR NOT o.rolsuper AND r.rolname <> $1 AND pg_has_role(o.oid, r.oid,
      CASE WHEN current_setting('server_version_num')::int >= 160000 THEN 'SET, MEMBER WITH ADMIN OPTION' ELSE 'MEMBER' END))
SELECT (SELECT count(*) FROM pg_class WHERE relkind = 'f' AND has_table_privilege(oid, 'SELECT')),
  (SELECT coalesce(array_agg(name ORDER BY place, name), '{}') FROM (
    SELECT 1 AS place, 'SUPERUSER' || b.by AS name FROM becomes b WHERE b.rolsuper
    UNION ALL SELECT 2, 'CREATEROLE' || b.by FROM becomes b WHERE b.rolcreaterole
    UNION ALL SELECT 3, 'CREATEDB' || b.by FROM becomes b WHERE b.rolcreatedb
    UNION ALL SELECT 4, 'REPLICATION' || b.by FROM becomes b WHERE b.rolreplication
    UNION ALL SELECT 5, 'BYPASSRLS' || b.by FROM becomes b WHERE b.rolbypassrls
    UNION ALL SELECT 6, r.rolname::text FROM pg_roles r WHERE r.rolname IN ('pg_read_server_files', 'pg_write_server_files',
      'pg_execute_server_program', 'pg_signal_backend', 'pg_write_all_data', 'pg_checkpoint', 'pg_maintain',
      'pg_create_subscription') AND EXISTS (SELECT 1 FROM becomes b WHERE pg_has_role(b.oid, r.oid, 'USAGE'))
    UNION ALL SELECT 7, 'writing to ' || n.nspname || '.' || c.relname || c.by FROM (
      SELECT c.relname, c.relnamespace, b.by FROM becomes b, pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
        WHERE c.relkind IN ('r', 'p', 'f', 'v', 'm') AND n.nspname <> 'information_schema' AND n.nspname NOT LIKE 'pg\_%'
        AND (has_table_privilege(b.oid, c.oid, 'INSERT, UPDATE, DELETE, TRUNCATE, TRIGGER'
          || CASE WHEN current_setting('server_version_num')::int >= 170000 THEN ', MAINTAIN' ELSE '' END)
          -- A table without rights of its columns is not searched: it may have 1,600 columns.
          OR EXISTS (SELECT 1 FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attnum > 0 AND a.attacl IS NOT NULL
            AND has_column_privilege(b.oid, c.oid, a.attnum, 'INSERT, UPDATE')))
        LIMIT 1) c
      JOIN pg_namespace n ON n.oid = c.relnamespace
    UNION ALL SELECT 8, 'creating objects in schema ' || nspname || by FROM (SELECT n.nspname, b.by FROM becomes b, pg_namespace n
      WHERE n.nspname NOT LIKE 'pg\_%' AND has_schema_privilege(b.oid, n.oid, 'CREATE') LIMIT 1) s
    UNION ALL SELECT 10, 'owning objects' || b.by FROM becomes b WHERE NOT b.rolsuper AND EXISTS (
      -- A user mapping and default rights belong to the role, but give it nothing. Temporary tables end with their session.
      SELECT 1 FROM pg_shdepend d WHERE d.refclassid = 'pg_authid'::regclass AND d.refobjid = b.oid AND d.deptype = 'o'
        AND d.dbid IN (0, (SELECT oid FROM pg_database WHERE datname = current_database()))
        AND d.classid NOT IN ('pg_user_mapping'::regclass, 'pg_default_acl'::regclass)
        AND NOT EXISTS (SELECT 1 FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
          WHERE d.classid = 'pg_class'::regclass AND c.oid = d.objid AND n.nspname ~ '^pg_(toast_)?temp_')
        AND NOT EXISTS (SELECT 1 FROM pg_type t JOIN pg_namespace n ON n.oid = t.typnamespace
          WHERE d.classid = 'pg_type'::regclass AND t.oid = d.objid AND n.nspname ~ '^pg_(toast_)?temp_'))
    UNION ALL SELECT 11, 'changing the sequence ' || nspname || '.' || relname || by FROM (
      SELECT n.nspname, c.relname, b.by FROM becomes b, pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
        WHERE CASE WHEN c.relkind = 'S' THEN has_sequence_privilege(b.oid, c.oid, 'USAGE, UPDATE') END
          AND has_schema_privilege(b.oid, n.oid, 'USAGE') AND n.nspname !~ '^pg_' LIMIT 1) s
    UNION ALL SELECT 12, 'using the foreign server ' || srvname || by FROM (SELECT s.srvname, b.by FROM becomes b, pg_foreign_server s
      WHERE has_server_privilege(b.oid, s.oid, 'USAGE') LIMIT 1) s
    -- The catalog of rights on parameters exists from version 15 on.
    UNION ALL SELECT 13, 'changing parameters of the server' || b.by FROM becomes b WHERE NOT b.rolsuper AND EXISTS (
      SELECT 1 FROM pg_shdepend d JOIN pg_roles r ON r.oid = d.refobjid WHERE d.classid = to_regclass('pg_catalog.pg_parameter_acl')
        AND d.refclassid = 'pg_authid'::regclass AND d.deptype = 'a' AND pg_has_role(b.oid, r.oid, 'USAGE'))
    UNION ALL SELECT 9, 'creating schemas' || b.by FROM becomes b WHERE has_database_privilege(b.oid, current_database(), 'CREATE')) rights),
  -- Views and materialized views that read a table with row-level security as an owner whom the policies do not bind.
  -- Views over these views. Those of superusers and of the database's owner come first, so that no other user can crowd them out.
  ARRAY(WITH RECURSIVE reader AS MATERIALIZED (
      SELECT DISTINCT d.refobjid AS of, v.oid, v.relowner,
        v.relkind = 'v' AND coalesce((SELECT o.option_value::bool FROM pg_options_to_table(v.reloptions) o
          WHERE o.option_name = 'security_invoker'), false) AS is_invoker
      FROM pg_depend d JOIN pg_rewrite r ON r.oid = d.objid AND r.ev_type = '1' JOIN pg_class v ON v.oid = r.ev_class
      WHERE d.classid = 'pg_rewrite'::regclass AND d.refclassid = 'pg_class'::regclass AND v.oid <> d.refobjid
        AND v.relkind IN ('v', 'm') AND EXISTS (SELECT 1 FROM pg_class WHERE relrowsecurity)),
    past(oid) AS (
      SELECT v.oid FROM reader v JOIN pg_class t ON t.oid = v.of JOIN pg_roles o ON o.oid = v.relowner
      WHERE t.relrowsecurity AND NOT v.is_invoker AND (o.rolsuper OR o.rolbypassrls
        OR NOT t.relforcerowsecurity AND pg_has_role(o.oid, t.relowner, 'USAGE'))
      UNION SELECT v.oid FROM past p JOIN reader v ON v.of = p.oid)
    SELECT quote_ident(n.nspname) || '.' || quote_ident(c.relname) FROM past p JOIN pg_class c ON c.oid = p.oid
      JOIN pg_namespace n ON n.oid = c.relnamespace JOIN pg_roles o ON o.oid = c.relowner
    WHERE n.nspname !~ '^pg_' AND has_schema_privilege(n.oid, 'USAGE') AND has_table_privilege(c.oid, 'SELECT')
      AND NOT EXISTS (SELECT 1 FROM pg_roles WHERE rolname = current_user AND (rolsuper OR rolbypassrls))
    ORDER BY o.rolsuper OR o.oid = (SELECT datdba FROM pg_database WHERE datname = current_database()) DESC, 1 LIMIT 21),
  -- Partitions and other children without row-level security of a table with it, and their children.
  ARRAY(WITH RECURSIVE past(oid) AS (
      SELECT c.oid FROM pg_inherits i JOIN pg_class p ON p.oid = i.inhparent JOIN pg_class c ON c.oid = i.inhrelid
      WHERE p.relrowsecurity AND NOT c.relrowsecurity
      UNION SELECT c.oid FROM past p JOIN pg_inherits i ON i.inhparent = p.oid JOIN pg_class c ON c.oid = i.inhrelid
      WHERE NOT c.relrowsecurity)
    SELECT quote_ident(n.nspname) || '.' || quote_ident(c.relname) FROM past p JOIN pg_class c ON c.oid = p.oid
      JOIN pg_namespace n ON n.oid = c.relnamespace JOIN pg_roles o ON o.oid = c.relowner
    WHERE has_schema_privilege(n.oid, 'USAGE') AND has_table_privilege(c.oid, 'SELECT')
      AND NOT EXISTS (SELECT 1 FROM pg_roles WHERE rolname = current_user AND (rolsuper OR rolbypassrls))
    ORDER BY o.rolsuper OR o.oid = (SELECT datdba FROM pg_database WHERE datname = current_database()) DESC, 1 LIMIT 21),
  -- The role that owns the most tables of the schema `public`.
  (SELECT quote_ident(pg_get_userbyid(c.relowner)) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE n.nspname = 'public' AND c.relkind IN ('r', 'p') GROUP BY c.relowner ORDER BY count(*) DESC LIMIT 1)
"#;

/// Maximum number of names in [`ServerReport::views_past_policies`] and [`ServerReport::children_past_policies`].
const MOST_NAMES: usize = 20;

/// The time zone, the order of date fields and the interval style that a session has if its client sets none.
///
/// The driver sets `TimeZone` to UTC and `DateStyle` to `ISO, MDY` in every session. So all three values are read from
/// the settings of the role and of the database. If these have no value, the configuration file decides, but the
/// driver's value hides that of the file. Then `log_timezone` stands for the time zone, because `initdb` writes one
/// zone to both settings. The order of date fields is assumed to be `MDY`. The interval style is that of the open
/// transaction.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OwnSettings {
    pub time_zone: String,
    /// `MDY`, `DMY` or `YMD`.
    pub order_of_fields: &'static str,
    pub interval_style: String,
}

impl OwnSettings {
    /// `settings`: the values of TimeZone, DateStyle and IntervalStyle in the settings of the role or of the database.
    /// `log_time_zone` and `interval_style` stand in for a missing TimeZone and IntervalStyle.
    fn of(settings: Vec<Option<String>>, log_time_zone: String, interval_style: String) -> Self {
        let mut settings = settings.into_iter();
        let mut next = || settings.next().flatten();
        let (time_zone, date_style, own_interval_style) = (next(), next(), next());
        let date_style = date_style.unwrap_or_default().to_ascii_lowercase();
        // Source of the words: `check_datestyle` in PostgreSQL's `variable.c`.
        let mut order = date_style.split([',', ' ']).filter_map(|word| match word {
            "ymd" => Some("YMD"),
            "dmy" => Some("DMY"),
            "mdy" | "us" => Some("MDY"),
            word if word.starts_with("euro") => Some("DMY"),
            word if word.starts_with("noneuro") => Some("MDY"),
            _ => None,
        });
        OwnSettings {
            time_zone: time_zone.unwrap_or(log_time_zone),
            order_of_fields: order.next_back().unwrap_or(if date_style.contains("german") { "DMY" } else { "MDY" }),
            interval_style: own_interval_style.unwrap_or(interval_style),
        }
    }
}

/// A server, TUDB's role on the server, and the rights of the role beyond reading.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerReport {
    pub version: String,
    pub is_standby: bool,
    /// Client address and server address of the connection, as the server sees them; `None` on a Unix socket.
    pub(super) ends: Option<(End, End)>,
    /// When the report was read, by the server's clock.
    pub(super) seen_at: String,
    /// True if a pooler in transaction mode was known when the server was inspected. The caller of `read` sets this
    /// field. A pooler that is detected later does not change the report.
    pub is_pooled: bool,
    /// True if pgpool-II is between TUDB and the server. The caller of `read` sets this field.
    pub is_pgpool: bool,
    /// The TLS version of an encrypted connection. Behind a pooler, the version of the connection between pooler and
    /// server.
    pub encryption: Option<String>,
    /// The encoding of the database, such as `UTF8` or `LATIN1`.
    pub encoding: String,
    pub role: String,
    pub database: String,
    /// Number of foreign tables that the role may read.
    pub foreign_tables: i64,
    pub own_settings: OwnSettings,
    /// The value of the setting `restrict_nonsystem_relation_kind`. `None` if the server does not have it: PostgreSQL 17 has
    /// it, and so have the minor releases of August 2024 of the versions before.
    pub(super) restricted_relations: Option<String>,
    /// Attributes, memberships, owned objects and rights (on tables, views, columns, sequences, schemas, the database,
    /// foreign servers and parameters) that go beyond reading. If the rights could not be read, the only entry says
    /// so. If there is no entry, the role counts as safe.
    pub dangers: Vec<String>,
    /// False if the rights could not be read.
    pub(super) knows_rights: bool,
    /// Views, quoted, that show the role rows which row-level security hides in the tables. At most 20; if there
    /// are more, the last entry is "and more".
    pub views_past_policies: Vec<String>,
    /// Partitions and child tables that the role may read. The parent has row-level security, and they have none.
    /// Quoted and limited as in `views_past_policies`.
    pub children_past_policies: Vec<String>,
    /// The role that owns the most tables of the schema `public`, quoted.
    pub owner: Option<String>,
}

impl ServerReport {
    /// The major version, if the server names one.
    pub fn major(&self) -> Option<u32> {
        let digits = self.version.split(|character: char| !character.is_ascii_digit()).next();
        digits.and_then(|digits| digits.parse().ok())
    }

    /// Reads the report in the open transaction. `may_become`: the role that statements run as by the source's
    /// settings. The rights of that role are left out, because the caller adds a report on it.
    pub(super) async fn read(connection: &mut PgConnection, may_become: Option<&str>) -> Result<Self, sqlx::Error> {
        let row = sqlx::query(FACTS).persistent(false).fetch_one(&mut *connection).await?;
        let mut report = ServerReport {
            role: row.try_get(0)?,
            database: row.try_get(1)?,
            version: row.try_get(2)?,
            is_standby: row.try_get(3)?,
            is_pooled: false,
            is_pgpool: false,
            seen_at: row.try_get(4)?,
            ends: end(&row, 5)?.zip(end(&row, 7)?),
            encryption: row.try_get(9)?,
            encoding: row.try_get(10)?,
            own_settings: OwnSettings::of(row.try_get(11)?, row.try_get(12)?, row.try_get(13)?),
            restricted_relations: row.try_get(14)?,
            foreign_tables: 0,
            dangers: Vec::new(),
            knows_rights: true,
            views_past_policies: Vec::new(),
            children_past_policies: Vec::new(),
            owner: None,
        };
        // Other users can make many objects, with any names, so that this query fails. Here the failure only becomes
        // an entry of `dangers`. Only `require_safe_role` refuses such a role.
        connection.execute("SAVEPOINT rights").await?;
        connection.execute("SET LOCAL statement_timeout=2000").await?;
        if report.encoding == "SQL_ASCII" {
            connection.execute("SET LOCAL client_encoding=SQL_ASCII").await?;
        }
        match report.add_rights(connection, may_become.unwrap_or_default()).await {
            Ok(()) => {}
            Err(sqlx::Error::Database(error)) => {
                let message: String = printable(error.message()).collect();
                report.dangers = vec![format!("rights that could not be read ({message})")];
                report.knows_rights = false;
            }
            Err(error) => return Err(error),
        }
        connection.execute("ROLLBACK TO SAVEPOINT rights").await?;
        Ok(report)
    }

    /// Reads the fields that [`RIGHTS`] returns. Control characters in names are replaced.
    async fn add_rights(&mut self, connection: &mut PgConnection, may_become: &str) -> Result<(), sqlx::Error> {
        let row = sqlx::query(RIGHTS).bind(may_become).persistent(false).fetch_one(connection).await?;
        let texts = |at: usize| {
            lossy::texts(&row, at).map(|texts| texts.iter().map(|text| printable(text).collect()).collect())
        };
        self.foreign_tables = row.try_get(0)?;
        self.dangers = texts(1)?;
        self.views_past_policies = texts(2)?;
        self.children_past_policies = texts(3)?;
        for names in [&mut self.views_past_policies, &mut self.children_past_policies] {
            if names.len() > MOST_NAMES {
                names.truncate(MOST_NAMES);
                names.push("and more".into());
            }
        }
        self.owner = row.try_get::<Option<Lossy>, _>(4)?.map(|owner| printable(&owner.0).collect());
        Ok(())
    }

    /// Adds the rights of `other`, the report on the role under which statements run. Replaces `views_past_policies` and
    /// `children_past_policies`.
    pub(super) fn add(&mut self, other: ServerReport) {
        self.knows_rights &= other.knows_rights;
        self.foreign_tables = self.foreign_tables.max(other.foreign_tables);
        for danger in other.dangers {
            let danger = format!("{danger} (as {})", other.role);
            self.dangers.push(danger);
        }
        // Statements run as the other role.
        self.views_past_policies = other.views_past_policies;
        self.children_past_policies = other.children_past_policies;
    }

    pub fn is_safe(&self) -> bool {
        self.dangers.is_empty()
    }

    /// Returns a sentence that says what the role can do.
    pub fn summary(&self, allow_foreign_tables: bool) -> String {
        let mut text = if self.is_safe() {
            format!("role {} can only read", self.role)
        } else {
            format!("role {} could do more than read if every guard failed: {}", self.role, self.dangers.join(", "))
        };
        if allow_foreign_tables && self.foreign_tables > 0 {
            text += &format!(
                "; {} foreign tables are read on other servers, where the transaction is not read-only \
                 (allow_foreign_tables = false refuses these tables)",
                self.foreign_tables
            );
        }
        text
    }

    /// Returns the statements that let the role read the tables of the schema `public`.
    pub fn grant(&self) -> String {
        let role = quoting::quoted_name(&self.role);
        format!("GRANT USAGE ON SCHEMA public TO {role}; GRANT SELECT ON ALL TABLES IN SCHEMA public TO {role};")
    }

    /// Returns the statements that create a role that can only read the tables of the schema `public`.
    pub fn remedy(&self) -> String {
        let database = quoting::quoted_name(&self.database);
        // ALTER DEFAULT PRIVILEGES applies only to tables that the role after FOR ROLE creates later.
        let owner = self.owner.as_ref().map(|owner| format!("FOR ROLE {owner} ")).unwrap_or_default();
        // One statement a line, as in docs/connecting.md, so that the lines can be copied.
        format!(
            "CREATE ROLE tudb_reader LOGIN PASSWORD '<choose one>' NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION NOBYPASSRLS;\n\
             ALTER ROLE tudb_reader SET default_transaction_read_only = on;\n\
             GRANT CONNECT ON DATABASE {database} TO tudb_reader;\n\
             GRANT USAGE ON SCHEMA public TO tudb_reader;\n\
             GRANT SELECT ON ALL TABLES IN SCHEMA public TO tudb_reader;\n\
             ALTER DEFAULT PRIVILEGES {owner}IN SCHEMA public GRANT SELECT ON TABLES TO tudb_reader;"
        )
    }
}

/// Reads an address and a port from the columns `at` and `at + 1`.
fn end(row: &PgRow, at: usize) -> Result<Option<End>, sqlx::Error> {
    let (address, port): (Option<String>, Option<i32>) = (row.try_get(at)?, row.try_get(at + 1)?);
    Ok(address.and_then(|text| text.parse().ok()).zip(port.and_then(|port| u16::try_from(port).ok())))
}
