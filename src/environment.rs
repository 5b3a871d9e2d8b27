//! The environment of the process, as a value. It completes settings and connection strings.

use std::collections::BTreeMap;
use std::path::PathBuf;

use crate::secret::Secret;

/// The environment at process start, name to value. It is a map, so that tests need no process state.
pub type Environment = BTreeMap<String, String>;

/// The environment that completes a connection string: `PG*` variables, home directory and user name. Its values cannot
/// be printed.
#[derive(Clone, Debug, Default)]
pub struct PgEnvironment {
    values: BTreeMap<String, Secret>,
    /// Whether to look for sockets of local servers. `false` in tests of connection strings.
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

    /// The path of a file in the home directory.
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
