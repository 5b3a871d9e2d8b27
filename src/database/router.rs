//! Maps source names to engines. An engine is created on first use, so TUDB can list its tools even if a database
//! cannot be reached.

use std::path::PathBuf;
use std::sync::Arc;

use tokio::sync::OnceCell;

use super::target::{self, Target};
use super::{Database, DatabaseError, Place, PostgresEngine, SqliteEngine, bootstrap};
use crate::config::{Config, SourceConfig};
use crate::dialect::Dialect;

/// All configured sources.
#[derive(Debug)]
pub struct Router {
    sources: Vec<Routed>,
    data_dir: Option<PathBuf>,
}

#[derive(Debug)]
struct Routed {
    config: SourceConfig,
    database: OnceCell<Arc<Database>>,
}

impl Router {
    pub fn new(config: &Config) -> Self {
        let sources =
            config.sources.iter().map(|source| Routed { config: source.clone(), database: OnceCell::new() }).collect();
        Router { sources, data_dir: config.data_dir.clone() }
    }

    /// Returns the engine of a source.
    ///
    /// # Errors
    ///
    /// [`DatabaseError::Config`] for an unknown name and for settings that cannot be used. The next call tries again.
    pub async fn database(&self, name: &str) -> Result<Arc<Database>, DatabaseError> {
        let routed = self.routed(name)?;
        let database = routed.database.get_or_try_init(async || self.make(&routed.config).await).await?;
        Ok(Arc::clone(database))
    }

    /// Returns the SQL dialect of a source, without connecting.
    ///
    /// # Errors
    ///
    /// As [`Router::database`].
    pub fn dialect(&self, name: &str) -> Result<Dialect, DatabaseError> {
        let routed = self.routed(name)?;
        target::dialect(&routed.config)
            .map_err(|problem| DatabaseError::Config { source_name: routed.config.name.clone(), problem })
    }

    fn routed(&self, name: &str) -> Result<&Routed, DatabaseError> {
        self.sources.iter().find(|source| source.config.name == name).ok_or_else(|| DatabaseError::Config {
            source_name: name.to_owned(),
            problem: "it is not configured".into(),
        })
    }

    fn resolve(&self, source: &SourceConfig) -> Result<Target, DatabaseError> {
        target::resolve(source).map_err(|problem| DatabaseError::Config { source_name: source.name.clone(), problem })
    }

    async fn make(&self, source: &SourceConfig) -> Result<Arc<Database>, DatabaseError> {
        let database = match self.resolve(source)? {
            Target::Sample => {
                let place = bootstrap::sample(self.data_dir.as_deref()).await;
                Database::Sqlite(Box::new(SqliteEngine::new(source, place)))
            }
            Target::Sqlite { path, is_immutable } => {
                Database::Sqlite(Box::new(SqliteEngine::new(source, Place::file(&path, is_immutable))))
            }
            Target::Postgres(target) => Database::Postgres(Box::new(PostgresEngine::new(source, *target))),
        };
        Ok(Arc::new(database))
    }

    /// Closes every engine that was opened.
    pub async fn close(&self) {
        for source in &self.sources {
            if let Some(database) = source.database.get() {
                database.close().await;
            }
        }
    }
}
