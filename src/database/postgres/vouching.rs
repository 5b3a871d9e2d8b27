//! What the names of a statement mean in this database: the part of the guard that only the catalog can decide.
//!
//! PostgreSQL chooses functions, operators, casts and types by name and argument types, and a user's may be chosen
//! where a built-in is meant. So everything that the names could reach is looked up in one query (functions and
//! operators of that name in any schema, domains' checks, casts, the functions and relations inside of views), and each
//! finding must be a harmless built-in, belong to an extension that only computes, or be one that the configuration
//! vouches for. Built-ins inside a view are found in its rule's tree, because `pg_depend` leaves them out.

use std::collections::BTreeSet;

use sqlx::Row;
use sqlx::postgres::PgConnection;

use super::catalog::own;
use super::sql_error;
use crate::database::DatabaseError;
use crate::dialect::Dialect;
use crate::guard::{Names, extensions, functions, relations};

/// $1 functions by bare name, $2 and $10 schemas and names of others, $3 fields, $4 operators, $5 and $6 schemas and names of
/// relations, $7 types, $8 whether the statement casts, $9 operators that text has a built-in of, $11 whether foreign tables are refused.
///
/// Rows: what, schema, name, identity, extension, volatility, language, whether it takes the server's internals.
const REACHED: &str = r#"
WITH RECURSIVE
  named AS (SELECT to_regclass(CASE WHEN s IS NULL THEN '' ELSE quote_ident(s) || '.' END || quote_ident(n))::oid AS oid
    FROM unnest($5::text[], $6::text[]) u(s, n)),
  reach AS (SELECT oid, true AS named FROM named WHERE oid IS NOT NULL
    UNION
    SELECT m[1]::oid, false FROM reach r JOIN pg_class c ON c.oid = r.oid AND c.relkind = 'v'
        AND c.relnamespace NOT IN ('pg_catalog'::regnamespace, 'information_schema'::regnamespace)
      JOIN pg_rewrite w ON w.ev_class = c.oid,
      LATERAL regexp_matches(w.ev_action::text, ':relid (\d+)', 'g') m),
  -- With partitions, what inherits and what policies read, where foreign tables are refused.
  parts AS (SELECT oid FROM reach WHERE $11 UNION SELECT x.oid FROM parts p, LATERAL (
    SELECT i.inhrelid AS oid FROM pg_inherits i WHERE i.inhparent = p.oid
    UNION ALL SELECT m[1]::oid FROM pg_policy y,
      LATERAL regexp_matches(y.polqual::text, ':relid (\d+)', 'g') m WHERE y.polrelid = p.oid
    UNION ALL SELECT m[1]::oid FROM pg_class c JOIN pg_rewrite w ON w.ev_class = c.oid,
      LATERAL regexp_matches(w.ev_action::text, ':relid (\d+)', 'g') m WHERE c.oid = p.oid AND c.relkind = 'v') x),
  -- Arrays in place of sets keep the planner's estimates, and with them its wish to compile, small.
  reached AS (SELECT coalesce(array_agg(DISTINCT oid), '{}') AS oids FROM reach),
  trees AS (SELECT w.ev_action::text AS tree FROM unnest((SELECT oids FROM reached)) r(oid)
      JOIN pg_class c ON c.oid = r.oid AND c.relkind = 'v'
        AND c.relnamespace NOT IN ('pg_catalog'::regnamespace, 'information_schema'::regnamespace)
      JOIN pg_rewrite w ON w.ev_class = c.oid),
  types AS (SELECT t.oid FROM pg_type t
      WHERE (t.typname = ANY ($7) OR t.typname = ANY (ARRAY(SELECT '_' || x FROM unnest($7::text[]) x)))
        AND t.typnamespace NOT IN ('pg_catalog'::regnamespace, 'information_schema'::regnamespace)
      UNION SELECT m[1]::oid FROM trees, LATERAL regexp_matches(tree,
        ':(?:resulttype|consttype|funcresulttype|row_typeid) (\d+)', 'g') m
      UNION SELECT unnest(string_to_array(m[1], ' '))::oid FROM trees,
        LATERAL regexp_matches(tree, ':(?:funccoltypes|coltypes) \(o ([\d ]+)\)', 'g') m
    UNION
    SELECT part.oid FROM types x JOIN pg_type t ON t.oid = x.oid, LATERAL (
      SELECT t.typelem AS oid WHERE t.typelem <> 0 UNION ALL SELECT t.typbasetype WHERE t.typbasetype <> 0
      UNION ALL SELECT g.rngsubtype FROM pg_range g WHERE t.oid IN (g.rngtypid, g.rngmultitypid)
      UNION ALL SELECT a.atttypid FROM pg_attribute a WHERE t.typtype = 'c' AND a.attrelid = t.typrelid AND a.attnum > 0
        AND NOT a.attisdropped) part),
  typed AS (SELECT coalesce(array_agg(oid), '{}') AS oids FROM types),
  have AS (SELECT t.oid FROM pg_type t WHERE t.typname = ANY ($7)
    UNION SELECT a.atttypid FROM pg_attribute a
      WHERE a.attrelid = ANY ((SELECT oids FROM reached)::oid[]) AND a.attnum > 0 AND NOT a.attisdropped
    UNION
    SELECT part.oid FROM have x JOIN pg_type t ON t.oid = x.oid AND (t.oid >= 16384 OR t.typelem >= 16384), LATERAL (
      SELECT t.typelem AS oid WHERE t.typelem <> 0 UNION ALL SELECT t.typbasetype WHERE t.typbasetype <> 0
      UNION ALL SELECT g.rngsubtype FROM pg_range g WHERE t.oid IN (g.rngtypid, g.rngmultitypid)
      UNION ALL SELECT a.atttypid FROM pg_attribute a WHERE t.typtype = 'c' AND a.attrelid = t.typrelid AND a.attnum > 0
        AND NOT a.attisdropped) part),
  -- Types of values that the statement can meet; those below 16384 come with the server.
  met AS (SELECT coalesce(array_agg(oid), '{}') AS oids FROM have WHERE oid >= 16384),
  checks AS (SELECT k.conbin::text AS tree FROM pg_constraint k
      WHERE k.contypid = ANY ((SELECT oids FROM typed)::oid[]) AND k.connamespace <> 'information_schema'::regnamespace),
  called AS (
    SELECT p.oid, 'function' AS what FROM pg_proc p WHERE p.proname = ANY ($1)
    UNION SELECT p.oid, 'function of a schema' FROM unnest($2::text[], $10::text[]) q(schema, name)
      JOIN pg_proc p ON p.proname = q.name JOIN pg_namespace n ON n.oid = p.pronamespace AND n.nspname = q.schema
    UNION SELECT p.oid, 'function of a row' FROM pg_proc p WHERE p.proname = ANY ($3)
      AND p.pronargs - p.pronargdefaults <= 1 AND p.oid >= 16384 AND (p.provariadic <> 0 OR EXISTS (
        SELECT 1 FROM pg_type t WHERE t.oid = p.proargtypes[0] AND t.typtype IN ('c', 'p', 'd')))
    UNION SELECT m[1]::oid, 'function inside' FROM (SELECT tree FROM trees UNION ALL SELECT tree FROM checks) t,
      LATERAL regexp_matches(tree, ':(?:funcid|aggfnoid|winfnoid) (\d+)', 'g') m
    UNION SELECT m[1]::oid, 'operator inside' FROM (SELECT tree FROM trees UNION ALL SELECT tree FROM checks) t,
      LATERAL regexp_matches(tree, ':opfuncid (\d+)', 'g') m
    UNION SELECT g.rngcanonical, 'function inside' FROM pg_range g
      WHERE (g.rngtypid = ANY ((SELECT oids FROM typed)::oid[]) OR g.rngmultitypid = ANY ((SELECT oids FROM typed)::oid[]))
        AND g.rngcanonical <> 0
    UNION SELECT o.oprcode, 'operator' FROM pg_operator o
      WHERE o.oid >= 16384 AND (o.oprname = ANY ($4) OR o.oprname = ANY ($9) AND (
        o.oprleft BETWEEN 1 AND 16383 OR o.oprleft = ANY ((SELECT oids FROM met)::oid[])
        OR o.oprright BETWEEN 1 AND 16383 OR o.oprright = ANY ((SELECT oids FROM met)::oid[])))
    UNION SELECT a.amproc, 'operator class' FROM pg_amproc a
      WHERE a.amproc >= 16384 AND (a.amproclefttype = ANY ((SELECT oids FROM met)::oid[])
          OR a.amprocfamily IN (SELECT o.opcfamily FROM pg_opclass o WHERE o.oid = ANY (ARRAY(
            SELECT unnest(i.indclass::oid[]) FROM pg_index i WHERE i.indrelid = ANY ((SELECT oids FROM reached)::oid[])
            UNION ALL SELECT unnest(t.partclass::oid[]) FROM pg_partitioned_table t
              WHERE t.partrelid = ANY ((SELECT oids FROM reached)::oid[])
            UNION ALL SELECT g.rngsubopc FROM pg_range g WHERE g.rngtypid = ANY ((SELECT oids FROM typed)::oid[])))))
        AND NOT EXISTS (SELECT 1 FROM pg_depend d WHERE d.classid = 'pg_proc'::regclass AND d.objid = a.amproc AND d.deptype = 'e')
    UNION SELECT k.castfunc, 'cast' FROM pg_cast k JOIN pg_type t ON t.oid = k.casttarget
      WHERE k.castfunc >= 16384
        AND (k.casttarget < 16384 OR k.casttarget = ANY ((SELECT oids FROM met)::oid[]))
        AND (k.castsource < 16384 OR k.castsource = ANY ((SELECT oids FROM met)::oid[])
          OR $8 AND t.typname = ANY ($7))
        AND ($8 OR k.castcontext = 'i'))
SELECT c.what, CASE WHEN p.oid >= 16384 AND n.nspname IN ('pg_catalog', 'information_schema') THEN 'user in ' ELSE '' END
      || n.nspname, p.proname::text,
    n.nspname || '.' || p.proname || '(' || pg_get_function_identity_arguments(p.oid) || ')', e.extname::text,
    p.provolatile::text,
    CASE WHEN l.lanname = 'internal' AND p.provolatile = 'i' AND EXISTS (SELECT 1 FROM pg_proc b
        WHERE b.pronamespace = 'pg_catalog'::regnamespace AND b.prolang = p.prolang AND b.prosrc = p.prosrc
          AND b.provolatile = 'i' AND p.oid >= 16384)
      THEN 'alias' ELSE l.lanname END::text,
    p.proargtypes::oid[] && ARRAY['internal'::regtype::oid, 'cstring'::regtype::oid]
      OR p.prorettype IN ('internal'::regtype, 'trigger'::regtype, 'event_trigger'::regtype, 'cstring'::regtype)
  FROM called c JOIN pg_proc p ON p.oid = c.oid JOIN pg_namespace n ON n.oid = p.pronamespace
  JOIN pg_language l ON l.oid = p.prolang
  LEFT JOIN pg_depend d ON d.classid = 'pg_proc'::regclass AND d.objid = p.oid AND d.deptype = 'e'
  LEFT JOIN pg_extension e ON e.oid = d.refobjid
UNION ALL
SELECT CASE WHEN r.named THEN 'relation' ELSE 'relation inside' END, n.nspname::text, c.relname::text,
    n.nspname || '.' || c.relname, NULL, '', '', false
  FROM reach r JOIN pg_class c ON c.oid = r.oid JOIN pg_namespace n ON n.oid = c.relnamespace
  WHERE n.nspname IN ('pg_catalog', 'information_schema') OR n.nspname LIKE 'pg\_toast%'
UNION ALL
SELECT 'foreign table', n.nspname::text, c.relname::text, n.nspname || '.' || c.relname, NULL, '', '', false
  FROM parts p JOIN pg_class c ON c.oid = p.oid AND c.relkind = 'f' JOIN pg_namespace n ON n.oid = c.relnamespace
UNION ALL
SELECT 'type', n.nspname::text, t.typname::text, n.nspname || '.' || t.typname, e.extname::text, '', '', false
  FROM pg_type t JOIN pg_namespace n ON n.oid = t.typnamespace
  LEFT JOIN pg_depend d ON d.classid = 'pg_type'::regclass AND d.objid = t.oid AND d.deptype = 'e'
  LEFT JOIN pg_extension e ON e.oid = d.refobjid
  WHERE t.oid = ANY ((SELECT oids FROM typed)::oid[]) AND t.typtype = 'b' AND t.typcategory <> 'A' AND t.oid >= 16384
"#;

/// Operators that keywords stand for: IN, BETWEEN, LIKE, NULLIF, CASE .. WHEN, USING, SIMILAR TO. There is a built-in of
/// each for texts, which a plain literal prefers, so that a user's is only chosen for values of its own types.
const OPERATORS_OF_KEYWORDS: [&str; 11] = ["=", "<>", "<", ">", "<=", ">=", "~~", "~~*", "!~~", "!~~*", "~"];

/// What the configuration vouches for, and the look-up.
#[derive(Debug)]
pub(super) struct Vouched {
    /// Functions, as `schema.name`.
    pub(super) functions: Vec<String>,
    /// Whether tables of other servers may be read: a view there can do more than read.
    pub(super) foreign_tables: bool,
    /// A word of this process's own, which the look-up says in its last row: behind an unseen pooler its name could
    /// stand for another client's statement, and no finding would mean that all is harmless.
    mark: String,
    query: String,
}

impl Vouched {
    pub(super) fn new(functions: Vec<String>, foreign_tables: bool) -> Self {
        let mark = uuid::Uuid::now_v7().to_string();
        let query = format!("{REACHED} UNION ALL SELECT '{MARK}', '', '', '{mark}', NULL, '', '', false");
        Vouched { functions, foreign_tables, mark, query }
    }
}

/// What the row says that carries the mark.
const MARK: &str = "mark";

/// One thing that a name could mean.
struct Finding {
    what: String,
    schema: String,
    name: String,
    identity: String,
    extension: Option<String>,
    volatility: String,
    language: String,
    takes_internals: bool,
}

/// Makes sure that nothing the statement could reach runs code that nobody vouches for. Returns the names of harmless built-ins that a user's function
/// could be chosen for: they have to be called as `pg_catalog.name`. `keep_plan` prepares the look-up by name, which a
/// pooler may not keep apart.
///
/// # Errors
///
/// [`DatabaseError::NotVouched`], naming the first finding that is not harmless.
pub(super) async fn vouch(
    connection: &mut PgConnection,
    names: &Names,
    vouched: &Vouched,
    keep_plan: bool,
) -> Result<BTreeSet<String>, DatabaseError> {
    let mut shadowed = BTreeSet::new();
    if *names == Names::default() {
        return Ok(shadowed);
    }
    let mut bare = names.functions.clone();
    let (mut function_schemas, mut qualified) = (Vec::new(), Vec::new());
    for (schema, name) in &names.unknown {
        match schema {
            Some(schema) => {
                function_schemas.push(schema.clone());
                qualified.push(name.clone());
            }
            None => bare.push(name.clone()),
        }
    }
    let operators = names.operators.iter().filter(|name| !OPERATORS_OF_KEYWORDS.contains(&name.as_str()));
    let operators: Vec<String> = operators.cloned().collect();
    // Patterns are matched by words that the second reader has seen, if at all.
    let says = |word: &str| names.types.iter().any(|name| name == word);
    let matches_patterns =
        says("like") || says("ilike") || says("similar") || names.operators.iter().any(|o| o.contains('~'));
    let of_keywords = OPERATORS_OF_KEYWORDS.iter().filter(|name| matches_patterns || !name.contains('~'));
    let of_keywords: Vec<String> = of_keywords.map(|name| (*name).to_owned()).collect();
    let (schemas, relations): (Vec<Option<String>>, Vec<String>) = names.reads.iter().cloned().unzip();
    // The driver goes on using the name of a text that it has named once.
    let query = if keep_plan { vouched.query.clone() } else { format!("{}\n", vouched.query) };
    let rows = sqlx::query(own(query))
        .bind(bare)
        .bind(function_schemas)
        .bind(names.fields.clone())
        .bind(operators)
        .bind(schemas)
        .bind(relations)
        .bind(names.types.clone())
        .bind(names.casts)
        .bind(of_keywords)
        .bind(qualified)
        .bind(!vouched.foreign_tables)
        .persistent(keep_plan)
        .fetch_all(connection)
        .await
        .map_err(|error| sql_error(error, None))?;
    let mut findings = Vec::new();
    for row in rows {
        let text = |at: usize| row.try_get::<String, _>(at).map_err(DatabaseError::Connection);
        findings.push(Finding {
            what: text(0)?,
            schema: text(1)?,
            name: text(2)?,
            identity: text(3)?,
            extension: row.try_get(4).map_err(DatabaseError::Connection)?,
            volatility: text(5)?,
            language: text(6)?,
            takes_internals: row.try_get(7).map_err(DatabaseError::Connection)?,
        });
    }
    let before = findings.len();
    findings.retain(|finding| finding.what != MARK || finding.identity != vouched.mark);
    if findings.len() + 1 != before {
        return Err(DatabaseError::Sql {
            message: "the look-up of names was answered by another statement".into(),
            hint: None,
            sqlstate: Some("26000".into()),
            position: None,
        });
    }
    let (called, reached): (Vec<Finding>, Vec<Finding>) =
        findings.into_iter().partition(|finding| finding.what == "function");
    for finding in reached {
        finding.judge(&vouched.functions)?;
    }
    let builtins: BTreeSet<String> = called
        .iter()
        .filter(|finding| finding.schema == "pg_catalog" && names.can_be_qualified(&finding.name))
        .map(|finding| finding.name.clone())
        .collect();
    for finding in called {
        let name = finding.name.clone();
        let is_builtin = finding.schema == "pg_catalog";
        match finding.judge(&vouched.functions) {
            Err(_) if !is_builtin && builtins.contains(&name) => {
                shadowed.insert(name);
            }
            judged => judged?,
        }
    }
    Ok(shadowed)
}

impl Finding {
    fn judge(self, allowed: &[String]) -> Result<(), DatabaseError> {
        let system =
            matches!(self.schema.as_str(), "pg_catalog" | "information_schema") || self.schema.starts_with("pg_toast");
        let extension = self.extension.as_deref();
        let harmless = match self.what.as_str() {
            "foreign table" => false,
            "relation" | "relation inside" => {
                relations::refusal(Dialect::Postgresql, Some(&self.schema), &self.name).is_none()
            }
            "type" => extension.is_some_and(extensions::is_known),
            // An operator's function, or what an expression was made of when the view was: built-in operators only
            // compute.
            "operator inside" if system => self.volatility != "v",
            _ if system => functions::is_harmless_builtin(&self.name, self.volatility == "i", self.takes_internals),
            // Another name for a built-in, as every range type makes some.
            _ if self.language == "alias" && !self.takes_internals => true,
            _ => match extension {
                Some(extension) => {
                    extensions::permits(extension, &self.name, self.volatility == "v", &self.language)
                        || self.is_allowed(allowed)
                }
                None => self.is_allowed(allowed),
            },
        };
        if harmless {
            return Ok(());
        }
        let listed = allowed.contains(&format!("{}.{}", self.schema, self.name));
        Err(DatabaseError::NotVouched {
            is_relation: self.what.starts_with("relation") || self.what == "foreign table",
            reason: match self.what.as_str() {
                "foreign table" => "is on another server, and the source's allow_foreign_tables is false",
                "relation" | "relation inside" => "can show secrets, other sessions or files of the server",
                "type" => "is a type whose input function is a user's",
                _ if listed => "is in allow_functions, but is declared VOLATILE: it may change data",
                "cast" => "is run by a cast between these types",
                "operator" => "is run by an operator of this name",
                "operator class" => "is run by comparisons of its type",
                "function inside" | "operator inside" => {
                    "is run inside a view or a domain of the statement, and is not known to be harmless"
                }
                _ if system => "is not on the list of functions known to be harmless",
                _ if extension.is_some() => "belongs to an extension, and is not known to only compute",
                _ => "is a function of this database's users that could be called here",
            },
            hint: match self.what.as_str() {
                "relation" | "relation inside" | "foreign table" | "type" => {
                    "`list_tables` shows what may be read.".to_owned()
                }
                _ if listed => "Declare it STABLE or IMMUTABLE if it only reads.".to_owned(),
                _ if system => "Use another built-in function.".to_owned(),
                _ => format!(
                    "Its administrator can list \"{}.{}\" in the source's allow_functions.",
                    self.schema, self.name
                ),
            },
            name: self.identity,
        })
    }

    /// Whether the configuration lists it; not being volatile is necessary too.
    fn is_allowed(&self, allowed: &[String]) -> bool {
        self.volatility != "v" && allowed.iter().any(|name| *name == format!("{}.{}", self.schema, self.name))
    }
}
