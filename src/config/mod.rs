//! Settings: a TOML file and environment variables, which take precedence. They are read once into a typed [`Config`].
//!
//! Only this module reads TUDB's settings from the environment; the AWS SDK reads its own. An unknown key, a bad value
//! or a placeholder that a client did not expand is a [`ConfigError`]. It names the key and the place, and quotes no
//! value that may be a secret.

mod bounds;
mod context;
mod file;
mod http;

use std::collections::BTreeMap;
use std::path::PathBuf;

pub(crate) use context::places;
pub use context::{Context, ParameterKind, TableNote, Verified, placeholders};
use etcetera::BaseStrategy;
pub use http::{HttpConfig, JwksFrom, KeysFrom, OAuthConfig};
use serde::Deserialize;

pub use crate::environment::{Environment, PgEnvironment};
use crate::error::{Code, ToolError, nearest};
use crate::guard::columns::{ColumnRule, ColumnRules, RuleKind};
use crate::limits::Limits;
use crate::secret::Secret;

/// All settings of the process.
#[derive(Clone, Debug)]
pub struct Config {
    /// In the order of the file; never empty.
    pub sources: Vec<SourceConfig>,
    pub default_source: String,
    pub limits: Limits,
    pub model: ModelConfig,
    pub audit: AuditConfig,
    /// The content of the context file, if one is configured.
    pub context: Option<Context>,
    /// Limits on asking.
    pub spending: SpendingLimits,
    pub http: HttpConfig,
    /// By model id.
    pub prices: BTreeMap<String, Price>,
    /// `tracing` filter of the log on stderr.
    pub log: String,
    /// The directory of the sample database. `None` if the platform defines none.
    pub data_dir: Option<PathBuf>,
    /// One line for stderr that says where the sources come from. It contains no values.
    pub origin: String,
    /// Whether the source was found in a variable that is not TUDB's, such as `DATABASE_URL` or `PGHOST`. The server
    /// then says so, because the user did not choose this database.
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
    /// An IANA time zone. It determines timestamptz texts and the meaning of "today".
    pub time_zone: Option<String>,
    /// Tables and columns that may not be read, or only masked.
    pub column_rules: ColumnRules,
    /// User-defined functions that may be called, as `schema.name`.
    pub allow_functions: Vec<String>,
    /// Extensions whose types, functions and operators statements may use.
    pub allow_extensions: Vec<String>,
    /// Whether tables of other servers (`postgres_fdw` and the like) may be read.
    pub allow_foreign_tables: bool,
    /// How a call's `user_id` becomes a role and claims. With `None`, statements run as the login role.
    pub user: Option<UserRule>,
    /// Whether TUDB refuses a database role that has more rights than it needs for reading.
    pub require_safe_role: bool,
    /// The process's limits, overridden by the source's own.
    pub limits: Limits,
}

impl SourceConfig {
    /// A source with default settings at a URL. `None` is the embedded sample.
    pub fn new(name: &str, url: Option<Secret>, limits: &Limits) -> Self {
        SourceConfig {
            name: name.into(),
            url,
            provider: None,
            password: None,
            pg_environment: PgEnvironment::default(),
            schemas: Vec::new(),
            hidden_schemas: Vec::new(),
            time_zone: None,
            column_rules: ColumnRules::default(),
            allow_functions: Vec::new(),
            allow_extensions: Vec::new(),
            allow_foreign_tables: true,
            user: None,
            require_safe_role: false,
            limits: limits.clone(),
        }
    }
}

/// The role and claims that a transaction takes for a user, so that row-level security applies.
#[derive(Clone, Debug)]
pub struct UserRule {
    pub role: String,
    /// Texts may contain the placeholder `{user_id}`.
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

/// The placeholder for the user's id in claims.
const USER_ID: &str = "{user_id}";

fn fill(value: &mut serde_json::Value, user_id: &str) {
    match value {
        serde_json::Value::String(text) => *text = text.replace(USER_ID, user_id),
        serde_json::Value::Array(list) => list.iter_mut().for_each(|value| fill(value, user_id)),
        serde_json::Value::Object(map) => map.values_mut().for_each(|value| fill(value, user_id)),
        serde_json::Value::Null | serde_json::Value::Bool(_) | serde_json::Value::Number(_) => {}
    }
}

/// The origin of a password that is not in the URL.
#[derive(Clone, Debug)]
pub enum PasswordFrom {
    File(PathBuf),
    Command(Vec<String>),
    RdsIam(RdsIam),
}

/// Settings for signing AWS RDS tokens.
#[derive(Clone, Debug, Default)]
pub struct RdsIam {
    /// Derived from the host name if not set.
    pub region: Option<String>,
    pub profile: Option<String>,
    /// The real endpoint, if the connection goes through a tunnel.
    pub sign_host: Option<String>,
}

/// The answerer of questions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ModelChoice {
    Bedrock,
    OpenAi,
    Builtin,
}

/// Why a model was chosen; its text is for `doctor` and the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ModelReason {
    /// The setting names the model.
    Set(ModelChoice),
    /// `auto` found the setting or the variable of this name.
    Found(&'static str),
    /// `auto` found nothing.
    NothingFound,
}

impl std::fmt::Display for ModelReason {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            ModelReason::Set(ModelChoice::Bedrock) => formatter.write_str("model = bedrock"),
            ModelReason::Set(ModelChoice::OpenAi) => formatter.write_str("model = openai"),
            ModelReason::Set(ModelChoice::Builtin) => formatter.write_str("model = builtin"),
            ModelReason::Found(name) => write!(formatter, "auto: {name} is set"),
            ModelReason::NothingFound => formatter.write_str("auto: no model is configured"),
        }
    }
}

/// Settings of the model that answers questions.
#[derive(Clone, Debug)]
pub struct ModelConfig {
    pub choice: ModelChoice,
    pub reason: ModelReason,
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

/// Limits on asking; `None` means no limit. Costs are in the currency of `[prices]`.
#[derive(Clone, Debug, PartialEq)]
pub struct SpendingLimits {
    pub asks_per_minute: usize,
    pub question_tokens: Option<u64>,
    pub process_tokens: Option<u64>,
    pub question_cost: Option<f64>,
    pub process_cost: Option<f64>,
}

/// Prices of a model per million tokens, in any currency.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct Price {
    pub input: f64,
    pub output: f64,
    #[serde(default)]
    pub cache_read: f64,
    /// If not set, a token written to the cache costs twice as much as an input token. That is the price for a cache
    /// lifetime of one hour.
    pub cache_write: Option<f64>,
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
    /// A file outside the store that contains the key of the hash chains.
    pub key_file: Option<PathBuf>,
}

/// The place of the audit store.
#[derive(Clone, Debug)]
pub enum AuditStore {
    /// No store: the platform defines no directory.
    Nowhere,
    /// A SQLite file.
    File(PathBuf),
    /// A connection string, as for a source. Its role needs only to insert.
    Postgres(Box<SourceConfig>),
}

impl std::fmt::Display for AuditStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            AuditStore::Nowhere => f.write_str("none: the platform defines no directory"),
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
                "Your client did not expand the placeholder: write the value itself, or use the placeholder syntax \
                 of your client."
            }
            _ => "Correct the setting and restart the server; docs/settings.md lists all settings.",
        };
        ToolError::new(Code::ConfigError, error.to_string()).hint(hint)
    }
}

/// The default Bedrock model.
pub const DEFAULT_BEDROCK_MODEL: &str = "global.anthropic.claude-sonnet-4-6";

/// Names of variables that commonly contain a database URL, in order of precedence.
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

/// Variables of libpq that are enough to name a database.
const PG_NAMES: [&str; 4] = ["PGSERVICE", "PGHOST", "PGHOSTADDR", "PGDATABASE"];

/// Variables whose presence selects Bedrock under `auto`.
const BEDROCK_SIGNS: [&str; 6] = [
    "TUDB_BEDROCK_MODEL",
    "BEDROCK_MODEL_ID",
    "AWS_BEARER_TOKEN_BEDROCK",
    "AWS_ACCESS_KEY_ID",
    "AWS_PROFILE",
    "AWS_ENDPOINT_URL_BEDROCK_RUNTIME",
];

/// TUDB's variables that have no key in the file.
const NOT_IN_FILE: [&str; 1] = ["TUDB_CONFIG"];

impl Config {
    /// Reads the file and applies the environment. The file is `explicit`, else `TUDB_CONFIG`, else the platform's
    /// default.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] if a named file cannot be read, or if the file or the environment has an error.
    pub fn load(explicit: Option<PathBuf>, env: &Environment) -> Result<Config, ConfigError> {
        let directories = directories(env);
        let named = explicit.or_else(|| env.get("TUDB_CONFIG").filter(|path| !path.is_empty()).map(PathBuf::from));
        let implied = Config::default_file(env);
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

    /// The file that is read when none is named. `None` if the platform defines none.
    pub fn default_file(env: &Environment) -> Option<PathBuf> {
        directories(env).map(|place| place.config_dir().join("tudb").join("tudb.toml"))
    }

    /// A source by name.
    pub fn source(&self, name: &str) -> Option<&SourceConfig> {
        self.sources.iter().find(|source| source.name == name)
    }
}

fn directories(env: &Environment) -> Option<impl BaseStrategy> {
    etcetera::choose_base_strategy().ok().filter(|_| env.contains_key("HOME") || cfg!(windows))
}

fn suggestion<'a>(key: &str, known: impl Iterator<Item = &'a str>) -> String {
    nearest(key, known, 1).first().map_or(String::new(), |name| format!(" (did you mean {name}?)"))
}

#[cfg(test)]
pub(crate) mod tests;
