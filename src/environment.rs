//! A copy of the process's environment variables. Settings are read from the copy, and parameters that a connection
//! string does not contain.

use std::collections::BTreeMap;
use std::path::PathBuf;

use crate::secret::Secret;

/// The environment variables at process start, by name. The type is a map, so that tests do not have to change the
/// environment of their process.
pub type Environment = BTreeMap<String, String>;

/// The environment variables that complete a connection string: those whose names begin with `PG`, and `HOME`, `USER`
/// and `LOGNAME`. Empty variables are left out. A value is a [`Secret`], so it does not appear in logs.
#[derive(Clone, Debug, Default)]
pub struct PgEnvironment {
    values: BTreeMap<String, Secret>,
    /// True if the default host may be the socket of a server on this machine. False in tests of connection strings.
    sockets: bool,
}

impl PgEnvironment {
    pub fn new(env: &Environment) -> Self {
        let known = |name: &str| name.starts_with("PG") || ["HOME", "USER", "LOGNAME"].contains(&name);
        let values = env
            .iter()
            .filter(|(name, value)| known(name) && !value.is_empty())
            .map(|(name, value)| (name.clone(), Secret::new(value.clone())))
            .collect();
        PgEnvironment { values, sockets: true }
    }

    pub fn get(&self, name: &str) -> Option<String> {
        self.values.get(name).map(|value| value.reveal().to_owned())
    }

    /// Returns the path that the file `name` has in the home directory. `None` if `HOME` is not set.
    pub fn home(&self, name: &str) -> Option<PathBuf> {
        self.get("HOME").map(|home| PathBuf::from(home).join(name))
    }

    pub fn looks_for_sockets(&self) -> bool {
        self.sockets
    }

    #[cfg(test)]
    pub(crate) fn without_sockets(mut self) -> Self {
        self.sockets = false;
        self
    }
}
