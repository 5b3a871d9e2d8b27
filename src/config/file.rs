//! The keys of the TOML file, their environment variables, and the conversion into a [`Config`].

use serde::Deserialize;
use std::path::PathBuf;

use super::bounds::LimitKeys;
use super::http::HttpKeys;
use super::*;
use crate::database::dsn;

/// The file's content. Environment variables replace its values before anything is interpreted.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Keys {
    default_source: Option<String>,
    database_url: Option<String>,
    provider: Option<String>,
    /// `model = "bedrock"` or a `[model]` table.
    model: Option<toml::Value>,
    bedrock_model: Option<String>,
    openai_base_url: Option<String>,
    openai_model: Option<String>,
    openai_api_key: Option<String>,
    audit_db: Option<String>,
    audit_jsonl: Option<String>,
    context: Option<String>,
    pub(super) max_rows: Option<u64>,
    pub(super) max_reply_bytes: Option<u64>,
    pub(super) max_cell_bytes: Option<u64>,
    pub(super) max_rows_ceiling: Option<u64>,
    pub(super) statement_timeout_ms: Option<u64>,
    pub(super) ask_timeout_ms: Option<u64>,
    log: Option<String>,
    sources: Option<toml::Table>,
    bedrock: Option<BedrockKeys>,
    http: HttpKeys,
    audit: AuditKeys,
    pub(super) limits: LimitKeys,
    pub(super) prices: BTreeMap<String, Price>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct ModelKeys {
    engine: Option<String>,
    send_rows: Option<bool>,
    send_values: Option<bool>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct BedrockKeys {
    region: Option<String>,
    profile: Option<String>,
    guardrail: Option<String>,
    guardrail_version: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct AuditKeys {
    required: Option<bool>,
    durability: Option<String>,
    sql: Option<String>,
    key_file: Option<PathBuf>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct SourceKeys {
    url: Option<Secret>,
    provider: Option<String>,
    password_file: Option<PathBuf>,
    password_command: Option<Vec<String>>,
    auth: Option<String>,
    region: Option<String>,
    profile: Option<String>,
    sign_host: Option<String>,
    connect_timeout_ms: Option<u64>,
    statement_timeout_ms: Option<u64>,
    max_rows: Option<u64>,
    schemas: Vec<String>,
    hidden_schemas: Vec<String>,
    time_zone: Option<String>,
    deny: Vec<String>,
    mask: Vec<String>,
    allow_functions: Vec<String>,
    #[serde(default)]
    allow_extensions: Vec<String>,
    require_safe_role: bool,
    allow_foreign_tables: Option<bool>,
    user: Option<UserKeys>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct UserKeys {
    role: String,
    claims: Option<toml::Table>,
}

/// Parses the file's text.
pub(super) fn parse(text: &str, place: &str) -> Result<Keys, ConfigError> {
    toml::from_str(text).map_err(|error| toml_error(&error, text, place))
}

fn toml_error(error: &toml::de::Error, text: &str, place: &str) -> ConfigError {
    let line = error.span().and_then(|span| text.get(..span.start)).map(|before| before.matches('\n').count() + 1);
    let place = line.map_or_else(|| place.to_owned(), |line| format!("{place}, line {line}"));
    ConfigError::Syntax { place, message: harmless(error) }
}

/// The parser's message only if it names a key. Other messages quote the value, which may be a secret.
fn harmless(error: &toml::de::Error) -> String {
    let message = error.message();
    if message.starts_with("unknown field `") || message.starts_with("duplicate key") {
        return message.to_owned();
    }
    "the value has the wrong type, or the line is not TOML".to_owned()
}

/// The value of a key that has an environment variable.
enum Slot<'a> {
    Text(&'a mut Option<String>),
    Number(&'a mut Option<u64>),
}

/// Whether Kubernetes sets a variable of this name for a service that is called `tudb`.
/// Source: <https://kubernetes.io/docs/concepts/services-networking/service/#environment-variables>.
fn is_of_service(key: &str) -> bool {
    key == "TUDB_PORT" || key.starts_with("TUDB_PORT_") || key.starts_with("TUDB_SERVICE_")
}

impl Keys {
    fn slots(&mut self) -> [(&'static str, Slot<'_>); 18] {
        [
            ("TUDB_DEFAULT_SOURCE", Slot::Text(&mut self.default_source)),
            ("TUDB_DATABASE_URL", Slot::Text(&mut self.database_url)),
            ("TUDB_PROVIDER", Slot::Text(&mut self.provider)),
            ("TUDB_BEDROCK_MODEL", Slot::Text(&mut self.bedrock_model)),
            ("TUDB_OPENAI_BASE_URL", Slot::Text(&mut self.openai_base_url)),
            ("TUDB_OPENAI_MODEL", Slot::Text(&mut self.openai_model)),
            ("TUDB_OPENAI_API_KEY", Slot::Text(&mut self.openai_api_key)),
            ("TUDB_AUDIT_DB", Slot::Text(&mut self.audit_db)),
            ("TUDB_AUDIT_JSONL", Slot::Text(&mut self.audit_jsonl)),
            ("TUDB_CONTEXT", Slot::Text(&mut self.context)),
            ("TUDB_LOG", Slot::Text(&mut self.log)),
            ("TUDB_HTTP_LISTEN", Slot::Text(&mut self.http.listen)),
            ("TUDB_MAX_ROWS", Slot::Number(&mut self.max_rows)),
            ("TUDB_MAX_REPLY_BYTES", Slot::Number(&mut self.max_reply_bytes)),
            ("TUDB_MAX_CELL_BYTES", Slot::Number(&mut self.max_cell_bytes)),
            ("TUDB_MAX_ROWS_CEILING", Slot::Number(&mut self.max_rows_ceiling)),
            ("TUDB_STATEMENT_TIMEOUT_MS", Slot::Number(&mut self.statement_timeout_ms)),
            ("TUDB_ASK_TIMEOUT_MS", Slot::Number(&mut self.ask_timeout_ms)),
        ]
    }

    /// Replaces values by the `TUDB_*` variables. An empty variable counts as not set.
    pub(super) fn apply_environment(&mut self, env: &Environment) -> Result<(), ConfigError> {
        let place = "environment";
        if let Some(name) = env.get("TUDB_MODEL").filter(|name| !name.is_empty()) {
            match &mut self.model {
                Some(toml::Value::Table(table)) => {
                    table.insert("engine".into(), name.clone().into());
                }
                slot => *slot = Some(name.clone().into()),
            }
        }
        let known: Vec<&str> =
            self.slots().iter().map(|(name, _)| *name).chain(["TUDB_MODEL"]).chain(NOT_IN_FILE).collect();
        let unknown = env.keys().filter(|key| key.starts_with("TUDB_") && !known.contains(&key.as_str()));
        let (of_service, unknown): (Vec<&String>, Vec<&String>) = unknown.partition(|key| is_of_service(key));
        if !of_service.is_empty() {
            tracing::warn!(?of_service, "variables that Kubernetes sets for a service named tudb are ignored");
        }
        if let Some(key) = unknown.into_iter().next() {
            let suggestion = suggestion(key, known.into_iter());
            return Err(ConfigError::UnknownKey { key: key.clone(), place: place.into(), suggestion });
        }
        for (name, slot) in self.slots() {
            let Some(value) = env.get(name).filter(|value| !value.is_empty()) else { continue };
            match slot {
                Slot::Text(text) => *text = Some(value.clone()),
                Slot::Number(number) => {
                    if value.contains("${") {
                        return Err(ConfigError::Unexpanded { key: name.into(), place: place.into() });
                    }
                    let parsed = value.trim().parse().map_err(|_| ConfigError::BadValue {
                        key: name.into(),
                        place: place.into(),
                        problem: "must be a whole number".into(),
                    })?;
                    *number = Some(parsed);
                }
            }
        }
        Ok(())
    }

    /// Refuses a value such as `${DB_URL}`: the client passed the placeholder instead of its value.
    pub(super) fn reject_placeholders(&mut self, place: &str) -> Result<(), ConfigError> {
        for (name, slot) in self.slots() {
            if let Slot::Text(Some(text)) = slot
                && text.contains("${")
            {
                return Err(ConfigError::Unexpanded { key: name.into(), place: format!("environment or {place}") });
            }
        }
        for (source, table) in self.sources.iter().flatten() {
            for (key, value) in table.as_table().into_iter().flatten() {
                if value.as_str().is_some_and(|text| text.contains("${")) {
                    let key = format!("sources.{source}.{key}");
                    return Err(ConfigError::Unexpanded { key, place: place.into() });
                }
            }
        }
        Ok(())
    }

    pub(super) fn into_config(mut self, env: &Environment, place: &str) -> Result<Config, ConfigError> {
        let mut limits = self.limits(place)?;
        let http = std::mem::take(&mut self.http).into_config(&mut limits, place)?;
        let model = self.model_config(env, place)?;
        let audit = self.audit_config(place)?;
        let context = match &self.context {
            None => None,
            Some(path) => {
                let text = std::fs::read_to_string(path)
                    .map_err(|error| ConfigError::File { path: path.clone(), reason: error.to_string() })?;
                Some(Context::parse(&text, path)?)
            }
        };
        let log = self.log.take().unwrap_or_else(|| "warn".into());
        let spending = self.spending(place)?;
        let (sources, origin, found_by_name) = self.source_configs(env, &limits, place)?;
        let names: Vec<&str> = sources.iter().map(|source| source.name.as_str()).collect();
        let default_source = match self.default_source {
            Some(name) if names.contains(&name.as_str()) => name,
            Some(name) => {
                return Err(ConfigError::BadValue {
                    key: "default_source".into(),
                    place: place.into(),
                    problem: format!("names {name}, which is not a source ({})", names.join(", ")),
                });
            }
            None if names.contains(&"main") => "main".into(),
            None => names.first().map_or_else(String::new, |name| (*name).to_owned()),
        };
        let prices = std::mem::take(&mut self.prices);
        let is_price = |part: &f64| part.is_finite() && *part >= 0.0;
        let all = |price: &Price| [price.input, price.output, price.cache_read, price.cache_write.unwrap_or(0.0)];
        if !prices.values().all(|price| all(price).iter().all(is_price)) {
            return Err(ConfigError::BadValue {
                key: "prices".into(),
                place: place.into(),
                problem: "must not be negative".into(),
            });
        }
        let of_tokens = http.oauth.iter().flat_map(|oauth| oauth.sources.iter().flatten());
        if let Some(unknown) = of_tokens.into_iter().find(|name| !sources.iter().any(|source| source.name == **name)) {
            return Err(ConfigError::BadValue {
                key: "http.oauth.sources".into(),
                place: place.into(),
                problem: format!("names {unknown:?}, which is no source"),
            });
        }
        Ok(Config {
            sources,
            default_source,
            limits,
            model,
            audit,
            context,
            spending,
            http,
            prices,
            log,
            data_dir: None,
            origin,
            found_by_name,
        })
    }

    fn model_config(&mut self, env: &Environment, place: &str) -> Result<ModelConfig, ConfigError> {
        let (engine, table) = match self.model.take() {
            None => (None, ModelKeys::default()),
            Some(toml::Value::String(name)) => (Some(name), ModelKeys::default()),
            Some(table) => {
                let mut keys: ModelKeys = table.try_into().map_err(|error: toml::de::Error| ConfigError::Syntax {
                    place: format!("{place}, [model]"),
                    message: harmless(&error),
                })?;
                (keys.engine.take(), keys)
            }
        };
        let sign = BEDROCK_SIGNS.into_iter().find(|name| env.get(*name).is_some_and(|value| !value.is_empty()));
        let openai = self.openai_base_url.is_some();
        let (choice, reason) = match engine.as_deref().unwrap_or("auto") {
            "bedrock" => (ModelChoice::Bedrock, ModelReason::Set(ModelChoice::Bedrock)),
            "openai" => (ModelChoice::OpenAi, ModelReason::Set(ModelChoice::OpenAi)),
            "builtin" => (ModelChoice::Builtin, ModelReason::Set(ModelChoice::Builtin)),
            "auto" => match sign {
                Some(name) => (ModelChoice::Bedrock, ModelReason::Found(name)),
                None if self.bedrock.is_some() => (ModelChoice::Bedrock, ModelReason::Found("[bedrock]")),
                None if self.bedrock_model.is_some() => (ModelChoice::Bedrock, ModelReason::Found("bedrock_model")),
                None if openai => (ModelChoice::OpenAi, ModelReason::Found("openai_base_url")),
                // If `openai_base_url` is missing, this choice leads to an error. The built-in answerer must not be
                // used silently.
                None if self.openai_model.is_some() => (ModelChoice::OpenAi, ModelReason::Found("openai_model")),
                None if self.openai_api_key.is_some() => (ModelChoice::OpenAi, ModelReason::Found("openai_api_key")),
                None => (ModelChoice::Builtin, ModelReason::NothingFound),
            },
            _ => {
                return Err(ConfigError::BadValue {
                    key: "model".into(),
                    place: format!("environment or {place}"),
                    problem: "must be one of auto, bedrock, openai, builtin".into(),
                });
            }
        };
        let bedrock = self.bedrock.take().unwrap_or_default();
        let found = env.get("BEDROCK_MODEL_ID").filter(|id| !id.is_empty()).cloned();
        Ok(ModelConfig {
            choice,
            reason,
            bedrock_model: self.bedrock_model.take().or(found).unwrap_or_else(|| DEFAULT_BEDROCK_MODEL.into()),
            bedrock_region: bedrock.region,
            bedrock_profile: bedrock.profile,
            guardrail: bedrock
                .guardrail
                .map(|id| (id, bedrock.guardrail_version.unwrap_or_else(|| "DRAFT".to_owned()))),
            openai_base_url: self.openai_base_url.take(),
            openai_model: self.openai_model.take(),
            openai_api_key: self.openai_api_key.take().map(Secret::new),
            send_rows: table.send_rows.unwrap_or(true),
            // Stored values come from rows, so without rows they are not sent either.
            send_values: table.send_rows.unwrap_or(true) && table.send_values.unwrap_or(true),
        })
    }

    fn audit_config(&mut self, place: &str) -> Result<AuditConfig, ConfigError> {
        let bad = |key: &str, problem: &str| ConfigError::BadValue {
            key: key.into(),
            place: format!("environment or {place}"),
            problem: problem.into(),
        };
        let power = match self.audit.durability.as_deref() {
            None | Some("process") => false,
            Some("power") => true,
            Some(_) => return Err(bad("audit.durability", "must be process or power")),
        };
        let sql = match self.audit.sql.as_deref() {
            None | Some("full") => AuditSql::Full,
            Some("fingerprint") => AuditSql::Fingerprint,
            Some("hash") => AuditSql::Hash,
            Some(_) => return Err(bad("audit.sql", "must be full, fingerprint or hash")),
        };
        let store = match self.audit_db.take() {
            None => AuditStore::Nowhere,
            Some(text) if dsn::is_dsn(&text) => {
                AuditStore::Postgres(Box::new(SourceConfig::new("audit", Some(Secret::new(text)), &Limits::default())))
            }
            Some(text) => {
                let path = text.split_once("://").map_or(text.as_str(), |(_, path)| path);
                // Any other URL may contain a password, which would become part of a file name.
                if path.len() != text.len() && !text.to_ascii_lowercase().starts_with("sqlite:") {
                    return Err(bad("audit_db", "must be a SQLite file or a postgres:// URL"));
                }
                AuditStore::File(PathBuf::from(path))
            }
        };
        Ok(AuditConfig {
            store,
            required: self.audit.required.unwrap_or(true),
            power,
            sql,
            mirror: self.audit_jsonl.take().map(|sink| match sink.as_str() {
                "stderr" => Mirror::Stderr,
                path => Mirror::File(PathBuf::from(path)),
            }),
            key_file: self.audit.key_file.take(),
        })
    }

    fn source_configs(
        &mut self,
        env: &Environment,
        limits: &Limits,
        place: &str,
    ) -> Result<(Vec<SourceConfig>, String, bool), ConfigError> {
        let mut sources = Vec::new();
        let mut found_by_name = false;
        for (name, table) in self.sources.take().unwrap_or_default() {
            let keys: SourceKeys = table.try_into().map_err(|error: toml::de::Error| ConfigError::Syntax {
                place: format!("{place}, [sources.{name}]"),
                message: harmless(&error),
            })?;
            sources.push(keys.into_config(name, limits, place)?);
        }
        let mut origin = format!("sources from {place}");
        if let Some(url) = self.database_url.take() {
            let said = if env.get("TUDB_DATABASE_URL").is_some_and(|value| !value.is_empty()) {
                "TUDB_DATABASE_URL".to_owned()
            } else {
                format!("database_url of {place}")
            };
            origin = format!("source main from {said}");
            match sources.iter_mut().find(|source| source.name == "main") {
                Some(main) => {
                    origin = format!("sources from {place}; the url of main from {said}");
                    // A string with a password is whole: the password of the other database does not fit.
                    if has_password(&url) {
                        main.password = None;
                    }
                    main.url = Some(Secret::new(url));
                }
                None => sources.insert(0, SourceConfig::new("main", Some(Secret::new(url)), limits)),
            }
        }
        if sources.is_empty() {
            let set = |name: &'static str| Some((name, env.get(name).filter(|value| !value.is_empty())?.clone()));
            let found = FOUND_NAMES.into_iter().find_map(set);
            // The URL has only a scheme, so the libpq variables determine the whole connection.
            let found =
                found.or_else(|| PG_NAMES.into_iter().find_map(set).map(|(name, _)| (name, "postgres://".into())));
            origin = match found {
                Some((name, url)) => {
                    sources.push(SourceConfig::new("main", Some(Secret::new(url)), limits));
                    found_by_name = true;
                    format!("source main from {name}")
                }
                None => {
                    sources.push(SourceConfig::new("main", None, limits));
                    "source main is the embedded sample".into()
                }
            };
        }
        if let Some(provider) = self.provider.take()
            && let Some(main) = sources.iter_mut().find(|source| source.name == "main")
        {
            main.provider = Some(provider);
        }
        Ok((sources, origin, found_by_name))
    }
}

impl SourceKeys {
    fn into_config(self, name: String, limits: &Limits, place: &str) -> Result<SourceConfig, ConfigError> {
        let bad = |key: &str, problem: &str| ConfigError::BadValue {
            key: format!("sources.{name}.{key}"),
            place: place.to_owned(),
            problem: problem.to_owned(),
        };
        let mut limits = limits.clone();
        for (key, value, into) in [
            ("connect_timeout_ms", self.connect_timeout_ms, &mut limits.connect_timeout_ms),
            ("connect_timeout_ms", self.connect_timeout_ms, &mut limits.wake_timeout_ms),
            ("statement_timeout_ms", self.statement_timeout_ms, &mut limits.statement_timeout_ms),
        ] {
            match value {
                Some(0) => return Err(bad(key, "must be at least 1")),
                Some(value) => *into = value,
                None => {}
            }
        }
        if let Some(rows) = self.max_rows {
            if rows == 0 || rows > limits.max_rows_ceiling {
                return Err(bad("max_rows", &format!("must be from 1 to {}", limits.max_rows_ceiling)));
            }
            limits.max_rows = rows;
        }
        let is_zone =
            |name: &String| !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || "/_+-".contains(c));
        if self.time_zone.as_ref().is_some_and(|zone| !is_zone(zone)) {
            return Err(bad("time_zone", "must be a time zone name such as UTC or Europe/Zurich"));
        }
        for function in &self.allow_functions {
            // Argument types may follow the name, and they may have a schema.
            let name = function.split('(').next().unwrap_or_default();
            if name.split('.').filter(|part| !part.is_empty()).count() != 2 {
                return Err(bad("allow_functions", "must hold names with their schema, such as analytics.score"));
            }
        }
        let mut columns = Vec::new();
        for (key, patterns, kind) in [("deny", self.deny, RuleKind::Deny), ("mask", self.mask, RuleKind::Mask)] {
            for pattern in patterns {
                columns.push(ColumnRule::new(&pattern, kind).map_err(|problem| bad(key, problem))?);
            }
        }
        let iam = match self.auth.as_deref() {
            None | Some("password") => None,
            Some("rds-iam") => Some(RdsIam {
                region: self.region.clone(),
                profile: self.profile.clone(),
                sign_host: self.sign_host.clone(),
            }),
            Some(_) => return Err(bad("auth", "must be password or rds-iam")),
        };
        let only_iam = [("region", self.region), ("profile", self.profile), ("sign_host", self.sign_host)];
        if let (None, Some((key, _))) = (&iam, only_iam.iter().find(|(_, value)| value.is_some())) {
            return Err(bad(key, "is allowed only with auth = \"rds-iam\""));
        }
        let password = match (self.password_file, self.password_command, iam) {
            (None, None, None) => None,
            (Some(path), None, None) => Some(PasswordFrom::File(path)),
            (None, Some(command), None) if !command.is_empty() => Some(PasswordFrom::Command(command)),
            (None, None, Some(iam)) => Some(PasswordFrom::RdsIam(iam)),
            (None, Some(_), None) => return Err(bad("password_command", "is empty")),
            _ => return Err(bad("auth", "is ambiguous: set only one of password_file, password_command and rds-iam")),
        };
        let user = self.user.map(|user| user.rule().map_err(|(key, problem)| bad(key, problem))).transpose()?;
        Ok(SourceConfig {
            url: self.url,
            provider: self.provider,
            password,
            pg_environment: PgEnvironment::default(),
            schemas: self.schemas,
            hidden_schemas: self.hidden_schemas,
            time_zone: self.time_zone,
            column_rules: ColumnRules::new(columns),
            allow_functions: self.allow_functions,
            allow_extensions: self.allow_extensions,
            allow_foreign_tables: self.allow_foreign_tables.unwrap_or(true),
            user,
            require_safe_role: self.require_safe_role,
            limits,
            name,
        })
    }
}

impl UserKeys {
    fn rule(self) -> Result<UserRule, (&'static str, &'static str)> {
        // PostgreSQL reads "none" as the login role.
        if self.role.is_empty() || self.role.contains(['{', '\0']) || self.role.eq_ignore_ascii_case("none") {
            return Err(("user.role", "must be the name of one role; the user's id goes into the claims"));
        }
        let claims = match self.claims {
            None => serde_json::Map::from_iter([
                ("sub".to_owned(), USER_ID.into()),
                ("role".to_owned(), self.role.clone().into()),
            ]),
            Some(claims) => match serde_json::to_value(claims) {
                Ok(serde_json::Value::Object(claims)) => claims,
                _ => return Err(("user.claims", "must be a table that can be written as JSON")),
            },
        };
        let rule = UserRule { role: self.role, claims };
        // Without the placeholder all users would get the same claims.
        if rule.claims_of("a") == rule.claims_of("b") {
            return Err(("user.claims", "must hold {user_id} in one of its texts"));
        }
        Ok(rule)
    }
}

/// Whether a connection string contains a password: `user:password@`, or the parameter `password`.
fn has_password(url: &str) -> bool {
    let login = url.split_once("://").and_then(|(_, rest)| rest.split(['/', '?']).next()?.rsplit_once('@'));
    let in_login = login.and_then(|(login, _)| login.split_once(':')).is_some_and(|(_, password)| !password.is_empty());
    in_login
        || url.split(['?', '&', ' ']).any(|part| part.strip_prefix("password=").is_some_and(|text| !text.is_empty()))
}
