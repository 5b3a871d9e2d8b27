use super::*;

fn env(pairs: &[(&str, &str)]) -> Environment {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

pub(crate) fn load(text: &str, pairs: &[(&str, &str)]) -> Result<Config, ConfigError> {
    let env = env(pairs);
    let mut keys = file::parse(text, "tudb.toml")?;
    keys.apply_environment(&env)?;
    keys.reject_placeholders("tudb.toml")?;
    keys.into_config(&env, "tudb.toml")
}

#[test]
fn a_string_with_a_password_needs_no_other() {
    let file = "[sources.main]\nurl = 'postgres://a@h/d'\npassword_file = 'p'\n";
    let password = |url: &str| {
        let config = load(file, &[("TUDB_DATABASE_URL", url)]).unwrap();
        config.sources[0].password.is_some()
    };
    for url in
        ["postgres://b:x@h/d", "postgres://b:x@h,i/d", "postgres://h/d?sslmode=require&password=x", "host=h password=x"]
    {
        assert!(!password(url), "{url}");
    }
    for url in ["postgres://b@h/d", "postgres://b:@h/d", "postgres://h/d?sslpassword=x", "postgres://h/a:b@c"] {
        assert!(password(url), "{url}");
    }
}

#[test]
fn nothing_set_is_the_sample_and_the_builtin_engine() {
    let config = load("", &[]).unwrap();
    assert_eq!(config.default_source, "main");
    assert!(config.sources[0].url.is_none());
    assert_eq!(config.model.choice, ModelChoice::Builtin);
    assert_eq!(config.limits, Limits::default());
}

#[test]
fn the_environment_overrides_the_file() {
    let text =
        "max_rows = 7\n[sources.main]\nurl = 'sqlite://a.db'\n[sources.other]\nurl = 'sqlite://b.db'\nmax_rows = 5\n";
    let config = load(text, &[("TUDB_MAX_ROWS", "9"), ("TUDB_DATABASE_URL", "sqlite://c.db")]).unwrap();
    assert_eq!(config.limits.max_rows, 9);
    assert_eq!(config.source("main").unwrap().url.as_ref().unwrap().reveal(), "sqlite://c.db");
    assert_eq!(config.source("other").unwrap().limits.max_rows, 5);
}

#[test]
fn found_names_are_taken_only_when_nothing_names_a_source() {
    let found = [("DATABASE_URL", "postgres://u:p@h/d")];
    assert_eq!(load("", &found).unwrap().origin, "source main from DATABASE_URL");
    let config = load("[sources.a]\nurl = 'sqlite://a.db'\n", &found).unwrap();
    assert_eq!(config.sources.len(), 1);
    assert_eq!(config.default_source, "a");
}

#[test]
fn bedrock_is_chosen_only_when_something_says_so() {
    let choice = |pairs: &[(&str, &str)]| load("", pairs).unwrap().model.choice;
    assert_eq!(choice(&[("AWS_REGION", "eu-west-1")]), ModelChoice::Builtin);
    for sign in BEDROCK_SIGNS {
        assert_eq!(choice(&[(sign, "x")]), ModelChoice::Bedrock, "{sign}");
    }
    assert_eq!(choice(&[("AWS_PROFILE", "x"), ("TUDB_MODEL", "builtin")]), ModelChoice::Builtin);
    assert_eq!(load("[bedrock]\nregion = 'eu-west-1'\n", &[]).unwrap().model.choice, ModelChoice::Bedrock);
}

const OAUTH_OF_NO_SOURCE: &str = "[http.oauth]\nissuer = 'https://id.example'\nresource = 'https://tudb.example/mcp'\n\
    jwks_file = 'keys.json'\nsources = ['main', 'nowhere']\n";
const OAUTH_OF_NO_TOOL: &str = "[http.oauth]\nissuer = 'https://id.example'\nresource = 'https://tudb.example/mcp'\n\
    jwks_file = 'keys.json'\ntools = []\n";

#[test]
fn errors_name_key_and_place_and_never_a_value() {
    type Case<'a> = (&'a str, &'a [(&'a str, &'a str)], &'a str);
    let cases: &[Case<'_>] = &[
        ("max_rowz = 1\n", &[], "tudb.toml, line 1: unknown field `max_rowz`"),
        ("", &[("TUDB_MAX_ROWZ", "1")], "environment: unknown setting TUDB_MAX_ROWZ (did you mean TUDB_MAX_ROWS?)"),
        (OAUTH_OF_NO_SOURCE, &[], "http.oauth.sources"),
        (OAUTH_OF_NO_TOOL, &[], "http.oauth.tools"),
        ("", &[("TUDB_MAX_ROWS", "many")], "environment: TUDB_MAX_ROWS must be a whole number"),
        ("", &[("TUDB_MAX_ROWS", "0")], "max_rows must be from 1 to 10000"),
        ("", &[("TUDB_DATABASE_URL", "${DB}")], "TUDB_DATABASE_URL still holds a ${..} placeholder"),
        ("[sources.a]\nurl = '${DB_s3cret}'\n", &[], "sources.a.url still holds a ${..} placeholder"),
        ("[sources.a]\nauth = 'kerberos'\n", &[], "sources.a.auth must be password or rds-iam"),
        ("[sources.a]\nregion = 'eu-west-1'\n", &[], "sources.a.region is allowed only with auth"),
        ("[sources.a]\nauth = 'rds-iam'\npassword_file = 'p'\n", &[], "sources.a.auth is ambiguous"),
        ("[sources.a]\nallow_foreign_tables = 's3cret'\n", &[], "[sources.a]: the value has the wrong type"),
        ("[sources.a.user]\nrole = '{user_id}'\n", &[], "sources.a.user.role must be the name of one role"),
        (
            "[sources.a.user]\nrole = 'r'\nclaims = { sub = 's3cret' }\n",
            &[],
            "sources.a.user.claims must hold {user_id}",
        ),
        ("[sources.a]\nmask = ['x']\n", &[], "sources.a.mask must name columns"),
        ("[sources.a]\ndeny = ['a..b']\n", &[], "sources.a.deny must hold patterns"),
        ("[sources.a]\nallow_functions = ['f']\n", &[], "sources.a.allow_functions must hold names with their schema"),
        ("default_source = 'b'\n[sources.a]\n", &[], "default_source names b"),
        ("", &[("TUDB_MODEL", "gpt")], "model must be one of auto, bedrock, openai, builtin"),
        ("[sources]\nmain = 'postgres://u:s3cret@h/d'\n", &[], "[sources.main]: the value has the wrong type"),
        ("max_rows = 's3cret'\n", &[], "line 1: the value has the wrong type"),
        ("[model]\nsend_row = true\n", &[], "tudb.toml, [model]: unknown field `send_row`"),
        ("[audit]\ndurability = 's3cret'\n", &[], "audit.durability must be process or power"),
    ];
    for (text, pairs, expected) in cases {
        let message = load(text, pairs).unwrap_err().to_string();
        assert!(message.contains(expected), "{message}");
        assert!(!message.contains("s3cret") || text.contains("DB_s3cret"), "{message}");
    }
}
