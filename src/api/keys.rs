//! API keys: how they are made, kept and recognised.
//!
//! A key is made of 32 random bytes, so nobody can guess it from a list of likely keys. A plain SHA-256 hash is
//! therefore enough to store it. The file of keys has one line for each key: `NAME = { hash = "sha256:..", .. }`, in
//! TOML. A presented key is hashed and compared with every hash in constant time, so that the time of an answer tells
//! nothing about the keys.

use std::collections::BTreeMap;
use std::num::NonZeroU32;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use governor::{DefaultDirectRateLimiter, Quota, RateLimiter};
use serde::Deserialize;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use crate::command;
use crate::config::{Config, KeysFrom};
use crate::gateway::{DailyTokens, Grant};
use crate::tools::ToolName;

/// What every key begins with, so that people and secret scanners recognise it.
const PREFIX: &str = "tudb_";
/// Random bytes of a key.
const RANDOM_BYTES: usize = 32;
/// Longest name of a key, in bytes.
const MAX_NAME_BYTES: usize = 64;
/// Maximum size of the file of keys.
const MAX_FILE_BYTES: usize = 4 << 20;
/// Time limit of `keys_command`.
const COMMAND_TIMEOUT: Duration = Duration::from_secs(10);

/// One line of the file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    hash: String,
    sources: Option<Vec<String>>,
    tools: Option<Vec<String>>,
    user_id: Option<String>,
    /// Whether the key may read `GET /metrics`. By default only a key without `sources` and `tools` may.
    metrics: Option<bool>,
    requests_per_minute: Option<NonZeroU32>,
    tokens_per_day: Option<u64>,
}

/// A key and what it allows.
#[derive(Debug)]
pub struct Key {
    hash: [u8; 32],
    pub grant: Arc<Grant>,
    limiter: Option<Arc<(NonZeroU32, DefaultDirectRateLimiter)>>,
}

impl Key {
    /// Counts a request. `Err` has the time after which the next request is admitted.
    pub fn admit(&self) -> Result<(), Duration> {
        self.limiter.as_ref().map_or(Ok(()), |limiter| admitted(&limiter.1))
    }
}

/// A limiter that admits `per_minute` requests at once and then evenly.
pub fn limiter(per_minute: NonZeroU32) -> DefaultDirectRateLimiter {
    RateLimiter::direct(Quota::per_minute(per_minute))
}

/// Counts a request. `Err` has the time after which the next one is admitted.
pub fn admitted(limiter: &DefaultDirectRateLimiter) -> Result<(), Duration> {
    use governor::clock::{Clock as _, DefaultClock};
    limiter.check().map_err(|refused| refused.wait_time_from(DefaultClock::default().now()))
}

/// All keys. They can be replaced while calls run.
#[derive(Debug)]
pub struct KeyRing {
    from: KeysFrom,
    keys: RwLock<Arc<Vec<Arc<Key>>>>,
}

impl KeyRing {
    /// Reads the keys.
    ///
    /// # Errors
    ///
    /// What is wrong with the file or the command. The text names a key or a line, and quotes no hash.
    pub async fn load(from: KeysFrom, config: &Config) -> Result<Self, String> {
        let ring = KeyRing { from, keys: RwLock::default() };
        ring.reload(config).await?;
        Ok(ring)
    }

    /// Reads the keys anew and returns their number. A key that keeps its name and hash also keeps the count of each
    /// limit that stays the same.
    ///
    /// # Errors
    ///
    /// As [`KeyRing::load`]. The keys stay as they were.
    pub async fn reload(&self, config: &Config) -> Result<usize, String> {
        let text = match &self.from {
            KeysFrom::File(path) => tokio::fs::read_to_string(path)
                .await
                .map_err(|error| format!("cannot read the file of keys: {error}"))?,
            KeysFrom::Command(command) => command::output("http.keys_command", command, COMMAND_TIMEOUT).await?,
        };
        let old = Arc::clone(&self.keys.read().unwrap_or_else(PoisonError::into_inner));
        let keys = parse(&text, config, &old)?;
        let count = keys.len();
        *self.keys.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(keys);
        Ok(count)
    }

    /// Number of keys.
    pub fn count(&self) -> usize {
        self.keys.read().unwrap_or_else(PoisonError::into_inner).len()
    }

    /// The key that a request presents. All keys are compared, even after a match, so that the time is always the same.
    pub fn find(&self, presented: &str) -> Option<Arc<Key>> {
        let hash: [u8; 32] = Sha256::digest(presented.as_bytes()).into();
        let keys = Arc::clone(&self.keys.read().unwrap_or_else(PoisonError::into_inner));
        let mut found = None;
        for key in keys.iter() {
            if bool::from(key.hash.ct_eq(&hash)) {
                found = Some(Arc::clone(key));
            }
        }
        found
    }
}

fn parse(text: &str, config: &Config, old: &[Arc<Key>]) -> Result<Vec<Arc<Key>>, String> {
    if text.len() > MAX_FILE_BYTES {
        return Err(format!("the keys have more than {MAX_FILE_BYTES} bytes"));
    }
    // The parser's own message may quote a hash, so the error gives only the number of the line.
    let lines: BTreeMap<String, Line> = toml::from_str(text).map_err(|error| {
        let before = error.span().and_then(|span| text.get(..span.start)).unwrap_or_default();
        let line = before.matches('\n').count() + 1;
        let fields = "hash, sources, tools, user_id, metrics, requests_per_minute (at least 1) and tokens_per_day";
        format!("line {line} of the keys cannot be read: a line is NAME = {{ hash = \"sha256:..\", .. }} with the fields {fields}")
    })?;
    if lines.is_empty() {
        return Err("there is no key: `tudb key new NAME` makes one".into());
    }
    let mut keys = Vec::with_capacity(lines.len());
    for (name, line) in lines {
        let bad = |problem: String| format!("key {name}: {problem}");
        // An invalid name is not quoted, because somebody may have written a key in place of the name.
        check_name(&name).map_err(|problem| format!("the name of a key: {problem}"))?;
        let hash =
            hash_of(&line.hash).ok_or_else(|| bad("its hash is not sha256: and 64 hexadecimal digits".into()))?;
        if hash == <[u8; 32]>::from(Sha256::digest(b"")) {
            return Err(bad("its hash is that of an empty text".into()));
        }
        if keys.iter().any(|key: &Arc<Key>| key.hash == hash) {
            return Err(bad("another key has the same hash".into()));
        }
        if line.user_id.as_deref() == Some("") {
            return Err(bad("its user_id is empty".into()));
        }
        if let Some(source) = line.sources.iter().flatten().find(|source| config.source(source).is_none()) {
            return Err(bad(format!("there is no source {source}")));
        }
        if let Some(tool) = line.tools.iter().flatten().find(|tool| ToolName::parse(tool).is_none()) {
            return Err(bad(format!("there is no tool {tool}")));
        }
        // A key for Prometheus needs no tools.
        let is_for_metrics = line.metrics == Some(true) && line.sources.is_none();
        let has_empty = |list: &Option<Vec<String>>| list.as_ref().is_some_and(Vec::is_empty);
        if has_empty(&line.sources) || has_empty(&line.tools) && !is_for_metrics {
            return Err(bad("an empty list allows nothing; leave it out to allow everything".into()));
        }
        let known = old.iter().find(|key| key.grant.key == name && key.hash == hash);
        let limiter = line.requests_per_minute.map(|per_minute| {
            let kept = known.and_then(|key| key.limiter.clone()).filter(|limiter| limiter.0 == per_minute);
            kept.unwrap_or_else(|| Arc::new((per_minute, limiter(per_minute))))
        });
        let tokens = line.tokens_per_day.map(|limit| {
            let kept = known.and_then(|key| key.grant.tokens.clone()).filter(|tokens| tokens.limit() == limit);
            kept.unwrap_or_else(|| Arc::new(DailyTokens::new(limit)))
        });
        keys.push(Arc::new(Key {
            hash,
            limiter,
            grant: Arc::new(Grant {
                key: name,
                sources: line.sources,
                tools: line.tools,
                user_id: line.user_id,
                metrics: line.metrics,
                tokens,
            }),
        }));
    }
    Ok(keys)
}

/// # Errors
///
/// What is wrong with the name.
pub fn check_name(name: &str) -> Result<(), String> {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    if name.is_empty() || name.len() > MAX_NAME_BYTES || !name.chars().all(is_plain) {
        return Err(format!("a name has letters, digits, - and _, at most {MAX_NAME_BYTES}"));
    }
    Ok(())
}

fn hash_of(text: &str) -> Option<[u8; 32]> {
    let is_hash = |digits: &&str| digits.len() == 64 && digits.bytes().all(|byte| byte.is_ascii_hexdigit());
    let digits = text.strip_prefix("sha256:").filter(is_hash)?;
    let mut hash = [0_u8; 32];
    for (byte, pair) in hash.iter_mut().zip(digits.as_bytes().chunks(2)) {
        *byte = u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()?;
    }
    Some(hash)
}

/// Makes a key. Returns it, and its line for the file.
///
/// # Errors
///
/// The name is not usable, or the system has no random numbers.
pub fn new_key(name: &str) -> Result<(String, String), String> {
    check_name(name)?;
    let mut random = [0_u8; RANDOM_BYTES];
    getrandom::fill(&mut random).map_err(|error| format!("the system gives no random numbers: {error}"))?;
    let key = format!("{PREFIX}{}", crate::audit::hex(&random));
    let hash = crate::audit::hex(&Sha256::digest(key.as_bytes()));
    Ok((key, format!("{name} = {{ hash = \"sha256:{hash}\" }}")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::tests::load;

    fn parsed(text: &str) -> Result<Vec<Arc<Key>>, String> {
        parse(text, &load("", &[]).unwrap(), &[])
    }

    #[test]
    fn a_new_key_is_found_by_its_line() {
        let (key, line) = new_key("reports").unwrap();
        assert!(key.starts_with(PREFIX) && key.len() == PREFIX.len() + 64 && !line.contains(&key[PREFIX.len()..]));
        let (other, _) = new_key("reports").unwrap();
        let ring = KeyRing { from: KeysFrom::File("k".into()), keys: RwLock::new(Arc::new(parsed(&line).unwrap())) };
        assert_eq!(ring.find(&key).unwrap().grant.key, "reports");
        for wrong in [other.as_str(), "", &key[1..], &key.to_uppercase(), &format!("{key} ")] {
            assert!(ring.find(wrong).is_none(), "{wrong}");
        }
    }

    #[test]
    fn a_mistake_in_the_file_names_the_key_and_no_hash() {
        let hash = format!("sha256:{}", "ab".repeat(32));
        for (text, told) in [
            ("", "no key"),
            ("a = 1", "line 1"),
            ("a = { hash = \"sha256:12\" }", "key a"),
            ("\n\nb = { hash = \"HASH\", sauces = [] }", "line 3"),
            ("a = { hash = \"HASH\", sources = [\"nowhere\"] }", "nowhere"),
            ("a = { hash = \"HASH\", sources = [] }", "empty list"),
            ("a = { hash = \"HASH\", tools = [\"drop\"] }", "drop"),
            ("a = { hash = \"HASH\", requests_per_minute = 0 }", "line 1"),
            ("\"a b\" = { hash = \"HASH\" }", "letters"),
            ("a = { hash = \"HASH\" }\nb = { hash = \"HASH\" }", "same hash"),
            ("a = { hash = \"HASH\", user_id = \"\" }", "empty"),
            ("[a]\nhash = \"HASH\"\n[a]", "line 3"),
        ] {
            let error = parsed(&text.replace("HASH", &hash)).unwrap_err();
            assert!(error.contains(told) && !error.contains("abab"), "{text}: {error}");
        }
        let (key, _) = new_key("a").unwrap();
        assert!(!parsed(&format!("{key} = {{ hash = \"{hash}\" }}")).unwrap_err().contains(&key));
    }

    #[test]
    fn a_key_that_stays_keeps_its_counts() {
        let (_, line) = new_key("a").unwrap();
        let text = line.replace(" }", ", requests_per_minute = 2, tokens_per_day = 10 }");
        let first = parsed(&text).unwrap();
        assert!(first[0].admit().is_ok() && first[0].admit().is_ok());
        first[0].grant.tokens.as_ref().unwrap().add(10);
        let again = parse(&text, &load("", &[]).unwrap(), &first).unwrap();
        assert!(again[0].grant.check_tokens().is_err());
        let wait = again[0].admit().unwrap_err();
        assert!(wait > Duration::from_secs(20) && wait <= Duration::from_secs(30), "{wait:?}");
        let another = parse(&new_key("a").unwrap().1, &load("", &[]).unwrap(), &first).unwrap();
        assert!(another[0].grant.check_tokens().is_ok() && another[0].admit().is_ok());
    }
}
