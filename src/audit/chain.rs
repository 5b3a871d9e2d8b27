//! The hash chain that makes changes to the trail detectable. Each hash covers the previous hash and the row: SHA-256,
//! or HMAC-SHA256 with a key that is kept outside the store. Pure.

use hmac::{Hmac, KeyInit, Mac};
use serde::Serialize;
use sha2::{Digest, Sha256};

use super::record::hex;
use crate::secret::Secret;

/// Minimum length of a key.
pub(super) const LEAST_KEY_BYTES: usize = 16;

/// How a chain is hashed: with a key, or without one.
#[derive(Clone, Debug, Default)]
pub struct Seal(Option<Secret>);

impl Seal {
    /// Hashes with a key. Without the key nobody can forge a hash.
    pub fn new(key: Secret) -> Self {
        Seal(Some(key))
    }

    /// Identifies the key without revealing it. `None` without a key.
    pub(super) fn key_id(&self) -> Option<String> {
        let id = self.hash(&["tudb audit key"]);
        self.0.as_ref().and_then(|_| id.get(..16).map(str::to_owned))
    }

    /// The hash of the parts, joined by line feeds, as lower-case hexadecimal.
    pub(super) fn hash(&self, parts: &[&str]) -> String {
        let text = parts.join("\n");
        match self.0.as_ref().and_then(|key| Hmac::<Sha256>::new_from_slice(key.reveal().as_bytes()).ok()) {
            Some(mut mac) => {
                mac.update(text.as_bytes());
                hex(&mac.finalize().into_bytes())
            }
            None => hex(&Sha256::digest(text)),
        }
    }
}

/// One event, as stored.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Row {
    pub seq: i64,
    pub kind: String,
    pub id: String,
    pub at: String,
    pub body: String,
    pub hash: String,
}

impl Row {
    /// The hash that this event must have after an event with the hash `previous`.
    pub(super) fn expected(&self, seal: &Seal, previous: &str, process: &str) -> String {
        seal.hash(&[previous, process, &self.seq.to_string(), &self.kind, &self.id, &self.at, &self.body])
    }
}

/// The `process` row, which begins a chain.
#[derive(Clone, Debug, Default)]
pub(super) struct Beginning {
    pub process: String,
    pub started_at: String,
    pub version: String,
    pub key_id: Option<String>,
    /// The last events of earlier chains, as `PROCESS SEQ HASH [closed]`, joined by `, `.
    pub previous: Option<String>,
    /// `None` for a chain that began before schema version 2.
    pub hash: Option<String>,
}

impl Beginning {
    pub(super) fn expected(&self, seal: &Seal) -> String {
        let text = |value: &Option<String>| value.clone().unwrap_or_default();
        seal.hash(&[
            "process",
            &self.process,
            &self.started_at,
            &self.version,
            &text(&self.key_id),
            &text(&self.previous),
        ])
    }
}

/// The hash of a `closing` row.
pub(super) fn closing(seal: &Seal, process: &str, at: &str, last_seq: i64, head: &str) -> String {
    seal.hash(&["closing", process, at, &last_seq.to_string(), head])
}

/// Replaces the events that retention removed from the beginning of a chain.
#[derive(Clone, Debug, Default)]
pub(super) struct Checkpoint {
    pub seq: i64,
    pub head: String,
    pub at: String,
    pub removed: i64,
    pub key_id: Option<String>,
    pub hash: String,
}

impl Checkpoint {
    pub(super) fn expected(&self, seal: &Seal, process: &str) -> String {
        let (seq, removed) = (self.seq.to_string(), self.removed.to_string());
        seal.hash(&["checkpoint", process, &seq, &self.head, &self.at, &removed, self.key_id.as_deref().unwrap_or("")])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_changes_every_hash_and_is_not_told() {
        let (plain, keyed) = (Seal::default(), Seal::new(Secret::new("a key of thirty-two bytes or more")));
        let other = Seal::new(Secret::new("another key of that length"));
        let row = Row {
            seq: 1,
            kind: "intent".into(),
            id: "x".into(),
            at: "t".into(),
            body: "{}".into(),
            hash: String::new(),
        };
        let hashes = [&plain, &keyed, &other].map(|seal| row.expected(seal, "", "p"));
        assert!(hashes[0] != hashes[1] && hashes[1] != hashes[2]);
        assert_eq!(plain.key_id(), None);
        assert!(keyed.key_id() != other.key_id() && !format!("{keyed:?}").contains("thirty"));
    }
}
