//! The SQL dialect of a source.

use serde::Serialize;

/// SQL dialect of a source: which parser the guard uses and which notes the model gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Dialect {
    Postgresql,
    Sqlite,
}

impl Dialect {
    /// The name in replies and traces.
    pub fn name(self) -> &'static str {
        match self {
            Dialect::Postgresql => "postgresql",
            Dialect::Sqlite => "sqlite",
        }
    }
}
