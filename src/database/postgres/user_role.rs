//! The role and the claims of a user, for row-level security.

use sqlx::postgres::PgConnection;
use sqlx::{AssertSqlSafe, Executor, Row};

use super::connect::{NotOpened, names};
use super::session::Opened;
use super::{OWN_PATH, PostgresEngine, SearchPath, path_of, sql_error, under_path};
use crate::database::{DatabaseError, Identity};

impl PostgresEngine {
    /// Takes on the role and the claims of the user until the transaction ends. Row-level security reads both. Resolves
    /// the caller's path under the role, and stores it in `opened`. Afterwards the transaction is under [`OWN_PATH`].
    ///
    /// # Errors
    ///
    /// [`NotOpened::Refused`] if the role does not exist, cannot be taken on, or is not bound by row-level security.
    pub(super) async fn take_role(
        &self,
        connection: &mut PgConnection,
        opened: &mut Opened,
        identity: &Identity,
    ) -> Result<(), NotOpened> {
        // The meaning of "$user" and the usable schemas depend on the role, so the path is resolved again under the new
        // role. A path from the source's settings has lost the schemas that the login role may not use.
        const TAKE: &str = "SELECT pg_catalog.set_config('role', $1, true),
            CASE WHEN $2 <> '' THEN pg_catalog.set_config('request.jwt.claims', $2, true) END,
            (SELECT r.rolsuper OR r.rolbypassrls FROM pg_catalog.pg_roles r WHERE r.rolname = $1),
            pg_catalog.set_config('search_path', $3, true),
            pg_catalog.array_to_json(pg_catalog.current_schemas(true))::pg_catalog.text,
            pg_catalog.set_config('search_path', $4, true)";
        let refused = |problem: String| {
            let source_name = self.source_name.clone();
            NotOpened::Refused(DatabaseError::Config { source_name, problem })
        };
        let claims = identity.claims.as_deref().unwrap_or_default();
        // Both paths are bound values. `set_path` may hold any text, but a bound value never becomes part of a
        // statement.
        let set_path = if self.settings.schemas.is_empty() { &opened.set_path } else { &opened.callers_path };
        let set_path = if set_path.trim_matches(['"', ' ']).is_empty() { OWN_PATH } else { set_path };
        let take = sqlx::query(TAKE).bind(&identity.role).bind(claims).bind(set_path).bind(OWN_PATH);
        let row = take.persistent(self.may_name()).fetch_one(connection).await;
        let row = row.map_err(|error| match &error {
            // invalid_parameter_value, undefined_object, insufficient_privilege.
            sqlx::Error::Database(said) if matches!(said.code().as_deref(), Some("22023" | "42704" | "42501")) => {
                refused(format!("its user.role cannot be taken on: {}; GRANT it to the login role", said.message()))
            }
            _ => NotOpened::Failed(error),
        })?;
        let taken: (Option<String>, Option<String>) = (row.try_get(0)?, row.try_get(1)?);
        if taken.0.as_ref() != Some(&identity.role) || taken.1.unwrap_or_default() != claims {
            return Err(refused("its user.role was not taken on".into()));
        }
        let schemas = names(row.try_get(4)?)?;
        // Behind a pooler another client may have left a temporary table in the session. It must not be found before a table
        // of the database, so its schema comes last, as in `callers_path`.
        let (temporary, mut lasting): (Vec<_>, Vec<_>) =
            schemas.into_iter().partition(|schema| schema.starts_with("pg_temp"));
        lasting.extend(temporary);
        opened.schemas = lasting;
        opened.callers_path = path_of(&opened.schemas);
        opened.path = SearchPath::Own;
        match row.try_get::<Option<bool>, _>(2)? {
            Some(false) => Ok(()),
            Some(true) => Err(NotOpened::Refused(DatabaseError::UnsafeRole {
                source_name: self.source_name.clone(),
                summary: format!("role {} is not bound by row-level security", identity.role),
                remedy: "CREATE ROLE app_user NOLOGIN NOSUPERUSER NOBYPASSRLS;".into(),
            })),
            None => Err(refused(format!("there is no role {}", identity.role))),
        }
    }

    /// Takes on the role and the claims again, and sets the path to `path`. A function in another user's policy can change
    /// role and claims while a probe is planned.
    ///
    /// # Errors
    ///
    /// [`DatabaseError::Changing`] if the role has other schemas now, and those of the database.
    pub(super) async fn take_role_again(
        &self,
        connection: &mut PgConnection,
        opened: &Opened,
        identity: &Identity,
        path: &str,
    ) -> Result<(), DatabaseError> {
        let own = |error| sql_error(error, None);
        connection.execute(AssertSqlSafe(under_path(OWN_PATH))).await.map_err(own)?;
        let mut again = opened.clone();
        self.take_role(connection, &mut again, identity).await.map_err(|error| match error {
            NotOpened::Failed(error) => own(error),
            NotOpened::Refused(error) => error,
        })?;
        if again.schemas != opened.schemas {
            return Err(DatabaseError::Changing);
        }
        connection.execute(AssertSqlSafe(under_path(path))).await.map_err(own)?;
        Ok(())
    }
}
