//! Settings: a TOML file overridden by environment variables, read once into one typed [`Config`].
//!
//! Nothing else reads TUDB's settings from the environment (the AWS SDK reads its own). An unknown key, a bad value or
//! a placeholder that a client did not expand is a [`ConfigError`] that names key and place; values are never quoted
//! where they may hold a secret.

mod bounds;
mod context;
mod file;

use std::collections::BTreeMap;
use std::path::PathBuf;

pub use context::{Context, ParameterKind, TableNote, Verified, placeholders};
use etcetera::BaseStrategy;
use serde::Deserialize;

use crate::error::{Code, ToolError, nearest};
use crate::guard::columns::{ColumnRule, ColumnRules, RuleKind};
use crate::limits::Limits;
use crate::secret::Secret;

/// The environment as the process was started with it: name to value. A map, so that tests need no process state.
pub type Environment = BTreeMap<String, String>;

/// What of the environment a connection string may leave to it: `PG*` variables and where the home directory is. Its
/// values cannot be printed.
#[derive(Clone, Debug, Default)]
pub struct PgEnvironment {
    values: BTreeMap<String, Secret>,
    /// Whether sockets of servers on this machine are looked for; not in tests of the strings.
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

    /// A file of the home directory.
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

/// All settings of a process.
#[derive(Clone, Debug)]
pub struct Config {
    /// In the order of the file; never empty.
    pub sources: Vec<SourceConfig>,
    pub default_source: String,
    pub limits: Limits,
    pub model: ModelConfig,
    pub audit: AuditConfig,
    /// The context file, when one is named.
    pub context: Option<Context>,
    /// What asking may cost.
    pub spending: SpendingLimits,
    /// By model id.
    pub prices: BTreeMap<String, Price>,
    /// `tracing` filter of the log on stderr.
    pub log: String,
    /// Where the sample database lives; `None` when the platform names no such directory.
    pub data_dir: Option<PathBuf>,
    /// One line for stderr: where the sources came from. Never a value.
    pub origin: String,
    /// Whether the source is a URL that lay about under a name of somebody else's: said aloud, so that nobody reads a
    /// database by surprise.
    pub found_by_name: bool,
}

/// One source: a database by name, with its own rules.
#[derive(Clone, Debug)]
pub struct SourceConfig {
    pub name: String,
    /// `None` is the embedded sample.
    pub url: Option<Secret>,
    pub provider: Option<String>,
    pub password: Option<PasswordFrom>,
    pub pg_environment: PgEnvironment,
    /// Schemas shown; empty means all but the hidden ones.
    pub schemas: Vec<String>,
    pub hidden_schemas: Vec<String>,
    /// An IANA name; governs timestamptz texts and what "today" means.
    pub time_zone: String,
    /// Tables and columns that may not be read, or only masked.
    pub column_rules: ColumnRules,
    /// Functions of the database's users that may be called, as `schema.name`.
    pub allow_functions: Vec<String>,
    /// Whether tables of other servers (`postgres_fdw` and the like) may be read.
    pub allow_foreign_tables: bool,
    /// How a call's `user_id` becomes a role and claims; `None` leaves the login role.
    pub user: Option<UserRule>,
    /// Refuse to work with a role that could do harm if every guard failed.
    pub require_safe_role: bool,
    /// The process's limits with this source's own over them.
    pub limits: Limits,
}

impl SourceConfig {
    /// A source with nothing set but where it is; `None` is the embedded sample.
    pub fn new(name: &str, url: Option<Secret>, limits: &Limits) -> Self {
        SourceConfig {
            name: name.into(),
            url,
            provider: None,
            password: None,
            pg_environment: PgEnvironment::default(),
            schemas: Vec::new(),
            hidden_schemas: Vec::new(),
            time_zone: "UTC".into(),
            column_rules: ColumnRules::default(),
            allow_functions: Vec::new(),
            allow_foreign_tables: true,
            user: None,
            require_safe_role: false,
            limits: limits.clone(),
        }
    }
}

/// What a transaction takes on for a user, so that row-level security applies.
#[derive(Clone, Debug)]
pub struct UserRule {
    pub role: String,
    /// `{user_id}` stands in its texts.
    pub claims: serde_json::Map<String, serde_json::Value>,
}

impl UserRule {
    /// The JSON of the claims of one user.
    pub fn claims_of(&self, user_id: &str) -> String {
        let mut claims = serde_json::Value::Object(self.claims.clone());
        fill(&mut claims, user_id);
        claims.to_string()
    }
}

/// What stands for the user in the claims' texts.
const USER_ID: &str = "{user_id}";

fn fill(value: &mut serde_json::Value, user_id: &str) {
    match value {
        serde_json::Value::String(text) => *text = text.replace(USER_ID, user_id),
        serde_json::Value::Array(list) => list.iter_mut().for_each(|value| fill(value, user_id)),
        serde_json::Value::Object(map) => map.values_mut().for_each(|value| fill(value, user_id)),
        serde_json::Value::Null | serde_json::Value::Bool(_) | serde_json::Value::Number(_) => {}
    }
}

/// Where a password comes from when it is not in the URL.
#[derive(Clone, Debug)]
pub enum PasswordFrom {
    File(PathBuf),
    Command(Vec<String>),
    RdsIam(RdsIam),
}

/// How AWS RDS tokens are signed.
#[derive(Clone, Debug, Default)]
pub struct RdsIam {
    /// By the host's name when it is not set.
    pub region: Option<String>,
    pub profile: Option<String>,
    /// The real endpoint, when the connection goes through a tunnel.
    pub sign_host: Option<String>,
}

/// Which language model answers questions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ModelChoice {
    Bedrock,
    OpenAi,
    Builtin,
}

/// Settings of asking.
#[derive(Clone, Debug)]
pub struct ModelConfig {
    pub choice: ModelChoice,
    /// Why the choice fell as it did, for `doctor` and the log.
    pub reason: String,
    pub bedrock_model: String,
    pub bedrock_region: Option<String>,
    pub bedrock_profile: Option<String>,
    /// Identifier and version.
    pub guardrail: Option<(String, String)>,
    pub openai_base_url: Option<String>,
    pub openai_model: Option<String>,
    pub openai_api_key: Option<Secret>,
    /// Whether result rows may go to the model.
    pub send_rows: bool,
    /// Whether stored values (samples, enum labels) may go to the model.
    pub send_values: bool,
}

/// What asking may cost; `None` is no limit. Money is counted in the currency of `[prices]`.
#[derive(Clone, Debug, PartialEq)]
pub struct SpendingLimits {
    pub asks_per_minute: usize,
    pub question_tokens: Option<u64>,
    pub process_tokens: Option<u64>,
    pub question_cost: Option<f64>,
    pub process_cost: Option<f64>,
}

/// What a model costs, a million tokens, in any currency.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct Price {
    pub input: f64,
    pub output: f64,
    #[serde(default)]
    pub cache_read: f64,
}

impl Price {
    /// The cost of so many tokens; those read from the cache are not among the input's.
    pub fn of(&self, input: u64, output: u64, cache_read: u64) -> f64 {
        (input as f64 * self.input + output as f64 * self.output + cache_read as f64 * self.cache_read) / 1e6
    }
}

/// Settings of the audit store.
#[derive(Clone, Debug)]
pub struct AuditConfig {
    pub store: AuditStore,
    /// Whether a call is refused when its intent cannot be written.
    pub required: bool,
    /// Whether each intent must survive a power cut.
    pub power: bool,
    pub sql: AuditSql,
    pub mirror: Option<Mirror>,
    /// A file outside the store whose text the chains are hashed with.
    pub key_file: Option<PathBuf>,
}

/// Where records are kept.
#[derive(Clone, Debug)]
pub enum AuditStore {
    /// The platform names no directory for it.
    Nowhere,
    /// A SQLite file.
    File(PathBuf),
    /// A connection string of a role that may insert, read like a source's.
    Postgres(Box<SourceConfig>),
}

impl std::fmt::Display for AuditStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            AuditStore::Nowhere => f.write_str("no place for it"),
            AuditStore::File(path) => write!(f, "{}", path.display()),
            AuditStore::Postgres(_) => f.write_str("PostgreSQL"),
        }
    }
}

/// How much of a statement's text a record keeps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AuditSql {
    Full,
    Fingerprint,
    Hash,
}

/// A copy of each record as one JSON line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Mirror {
    Stderr,
    File(PathBuf),
}

/// A setting that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    #[error("cannot read the configuration file {path}: {reason}")]
    File { path: String, reason: String },
    #[error("{place}: {message}")]
    Syntax { place: String, message: String },
    #[error("{place}: unknown setting {key}{suggestion}")]
    UnknownKey { key: String, place: String, suggestion: String },
    #[error("{place}: {key} {problem}")]
    BadValue { key: String, place: String, problem: String },
    #[error("{place}: {key} still holds a ${{..}} placeholder")]
    Unexpanded { key: String, place: String },
}

impl From<ConfigError> for ToolError {
    fn from(error: ConfigError) -> Self {
        let hint = match &error {
            ConfigError::Unexpanded { .. } => {
                "Your client did not expand the placeholder: write the value itself, or use your client's own form."
            }
            _ => "Correct the setting and restart the server; docs/settings.md lists all settings.",
        };
        ToolError::new(Code::ConfigError, error.to_string()).hint(hint)
    }
}

/// Model id used when none is set: the one all sources agree on.
pub const DEFAULT_BEDROCK_MODEL: &str = "global.anthropic.claude-sonnet-4-6";

/// Names of database URLs that users already have, in the order they are taken.
const FOUND_NAMES: [&str; 9] = [
    "SUPABASE_DB_URL",
    "NEON_DATABASE_URL",
    "DATABASE_PUBLIC_URL",
    "DATABASE_URL_UNPOOLED",
    "POSTGRES_URL_NON_POOLING",
    "DIRECT_URL",
    "DATABASE_URL",
    "POSTGRES_URL",
    "POSTGRES_PRISMA_URL",
];

/// libpq's own variables that name a database by themselves.
const PG_NAMES: [&str; 4] = ["PGSERVICE", "PGHOST", "PGHOSTADDR", "PGDATABASE"];

/// What in the environment says that Bedrock is meant, under `auto`.
const BEDROCK_SIGNS: [&str; 6] = [
    "TUDB_BEDROCK_MODEL",
    "BEDROCK_MODEL_ID",
    "AWS_BEARER_TOKEN_BEDROCK",
    "AWS_ACCESS_KEY_ID",
    "AWS_PROFILE",
    "AWS_ENDPOINT_URL_BEDROCK_RUNTIME",
];

/// Variables of TUDB's own that are not keys of the file.
const NOT_IN_FILE: [&str; 1] = ["TUDB_CONFIG"];

impl Config {
    /// Reads the file (`explicit`, else `TUDB_CONFIG`, else the platform's place) and the environment over it.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] for a file that is named and cannot be read, and for anything wrong in file or environment.
    pub fn load(explicit: Option<PathBuf>, env: &Environment) -> Result<Config, ConfigError> {
        let directories = etcetera::choose_base_strategy().ok().filter(|_| env.contains_key("HOME") || cfg!(windows));
        let named = explicit.or_else(|| env.get("TUDB_CONFIG").map(PathBuf::from));
        let implied = directories.as_ref().map(|place| place.config_dir().join("tudb").join("tudb.toml"));
        let read = |path: &PathBuf| {
            std::fs::read_to_string(path)
                .map_err(|error| ConfigError::File { path: path.display().to_string(), reason: error.to_string() })
        };
        let (mut keys, place) = match (&named, &implied) {
            (Some(path), _) => (file::parse(&read(path)?, &path.display().to_string())?, path.display().to_string()),
            (None, Some(path)) if path.is_file() => {
                (file::parse(&read(path)?, &path.display().to_string())?, path.display().to_string())
            }
            _ => (file::Keys::default(), "the configuration file".to_owned()),
        };
        keys.apply_environment(env)?;
        keys.reject_placeholders(&place)?;
        let mut config = keys.into_config(env, &place)?;
        let pg_environment = PgEnvironment::new(env);
        let store = match &mut config.audit.store {
            AuditStore::Postgres(store) => Some(store.as_mut()),
            AuditStore::Nowhere | AuditStore::File(_) => None,
        };
        for source in config.sources.iter_mut().chain(store) {
            source.pg_environment = pg_environment.clone();
        }
        if let Some(place) = &directories {
            config.data_dir = Some(place.data_dir().join("tudb"));
            if matches!(config.audit.store, AuditStore::Nowhere) {
                let state = place.state_dir().unwrap_or_else(|| place.data_dir());
                config.audit.store = AuditStore::File(state.join("tudb").join("audit.db"));
            }
        }
        Ok(config)
    }

    /// A source by name.
    pub fn source(&self, name: &str) -> Option<&SourceConfig> {
        self.sources.iter().find(|source| source.name == name)
    }
}

fn suggestion<'a>(key: &str, known: impl Iterator<Item = &'a str>) -> String {
    nearest(key, known, 1).first().map_or(String::new(), |name| format!(" (did you mean {name}?)"))
}

#[cfg(test)]
mod tests;
