//! A string that cannot be printed: passwords, keys and the URLs that hold them.

use serde::Deserialize;

/// A secret. `Debug` shows nothing of it and there is no `Display`. Only [`Secret::reveal`] returns its text.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub struct Secret(String);

impl Secret {
    pub fn new(text: impl Into<String>) -> Self {
        Secret(text.into())
    }

    /// Returns the text, for the code that passes it to a driver or a service.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("***")
    }
}
