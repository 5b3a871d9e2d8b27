//! Providers as data: how a host is recognised and what follows from it. Pure; an unknown host is plain PostgreSQL.
//!
//! Facts are read from the vendors' documentation; none was tried on the real provider.

/// What a provider changes in how TUDB connects.
#[derive(Debug, PartialEq, Eq)]
pub struct Preset {
    pub name: &'static str,
    /// The `sslmode` when nothing else says it; `None` decides by whether the host is local.
    pub tls: Option<&'static str>,
    /// Whether its databases sleep when nobody asks them, and take seconds to wake up.
    pub sleeps: bool,
    /// Schemas of the provider's own, left out of lists and of the schema context.
    pub hidden_schemas: &'static [&'static str],
    /// What to try when the host cannot be reached.
    pub unreachable: &'static str,
}

pub static POSTGRES: Preset = Preset {
    name: "postgres",
    tls: None,
    sleeps: false,
    hidden_schemas: &[],
    unreachable: "Check that PostgreSQL runs and that host and port are right.",
};

static SUPABASE: Preset = Preset {
    name: "supabase",
    // Its own root is not bundled yet, so the certificate is not verified unless sslrootcert is given.
    tls: Some("require"),
    sleeps: false,
    hidden_schemas: &[
        "auth",
        "storage",
        "vault",
        "realtime",
        "_realtime",
        "extensions",
        "graphql",
        "graphql_public",
        "pgsodium",
        "pgsodium_masks",
        "supabase_functions",
        "supabase_migrations",
        "_analytics",
        "_supavisor",
        "pgbouncer",
        "net",
        "cron",
        "pgmq",
        "tiger",
        "topology",
    ],
    unreachable: "The direct host speaks IPv6 only: use the pooler's host from the dashboard, or wake a paused project.",
};

static NEON: Preset = Preset {
    name: "neon",
    tls: Some("verify-full"),
    sleeps: true,
    hidden_schemas: &["neon", "neon_auth", "neon_control_plane"],
    unreachable: "The compute may be waking up: try again in a few seconds.",
};

static RAILWAY: Preset = Preset {
    name: "railway",
    tls: Some("require"),
    sleeps: false,
    hidden_schemas: &[],
    unreachable: "A .railway.internal host is reached from inside Railway only: use DATABASE_PUBLIC_URL.",
};

static RDS: Preset = Preset {
    name: "rds",
    // Amazon's roots are not bundled yet; verify-full needs sslrootcert with global-bundle.pem.
    tls: Some("require"),
    sleeps: true,
    hidden_schemas: &["aws_commons", "aws_s3", "aws_lambda"],
    unreachable: "Check the security group and that the instance is reachable from this network.",
};

/// The names `TUDB_PROVIDER` takes.
pub const NAMES: [&str; 6] = ["sqlite", "postgres", "supabase", "neon", "railway", "rds"];

/// The preset by its name, or `None` for `sqlite` and unknown names.
pub fn by_name(name: &str) -> Option<&'static Preset> {
    [&POSTGRES, &SUPABASE, &NEON, &RAILWAY, &RDS].into_iter().find(|preset| preset.name == name)
}

/// The preset that a host name tells.
pub fn by_host(host: &str) -> &'static Preset {
    let host = host.to_ascii_lowercase();
    let ends = |suffixes: &[&str]| suffixes.iter().any(|suffix| host.ends_with(suffix));
    if ends(&[".supabase.co", ".pooler.supabase.com"]) {
        &SUPABASE
    } else if ends(&[".neon.tech"]) {
        &NEON
    } else if ends(&[".rlwy.net", ".railway.internal", ".railway.app"]) {
        &RAILWAY
    } else if ends(&[".rds.amazonaws.com", ".rds.amazonaws.com.cn"]) {
        &RDS
    } else {
        &POSTGRES
    }
}

/// Whether host and port name a pooler in transaction mode, where a statement's name outlives its transaction on
/// another client's connection.
pub fn is_transaction_pooler(host: &str, port: u16) -> bool {
    let host = host.to_ascii_lowercase();
    let supabase = port == 6543 && (host.ends_with(".supabase.com") || host.ends_with(".supabase.co"));
    let first_label = host.split('.').next().unwrap_or_default();
    let neon = host.ends_with(".neon.tech") && first_label.ends_with("-pooler");
    let rds_proxy = host.contains(".proxy-") && host.contains(".rds.amazonaws.com");
    supabase || neon || rds_proxy || port == 6432
}

/// Whether a host's name says that the server itself is there. A provider whose names say nothing of it (Railway), and
/// one that the settings name, is looked at instead.
pub fn is_direct(host: &str, port: u16) -> bool {
    let host = host.to_ascii_lowercase();
    let supabase = host.starts_with("db.") && host.ends_with(".supabase.co") && port == 5432;
    let neon = host.ends_with(".neon.tech");
    let rds = host.ends_with(".rds.amazonaws.com") || host.ends_with(".rds.amazonaws.com.cn");
    (supabase || neon || rds) && !is_transaction_pooler(&host, port)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_tell_their_provider_and_pooler() {
        let cases = [
            ("localhost", 5432, "postgres", false),
            ("localhost", 6432, "postgres", true),
            ("db.abc.supabase.co", 5432, "supabase", false),
            ("aws-0-eu-central-1.pooler.supabase.com", 6543, "supabase", true),
            ("aws-0-eu-central-1.pooler.supabase.com", 5432, "supabase", false),
            ("ep-cool-1.eu-central-1.aws.neon.tech", 5432, "neon", false),
            ("ep-cool-1-pooler.eu-central-1.aws.neon.tech", 5432, "neon", true),
            ("x.proxy.rlwy.net", 40000, "railway", false),
            ("d.abc.eu-west-1.rds.amazonaws.com", 5432, "rds", false),
            ("p.proxy-abc.eu-west-1.rds.amazonaws.com", 5432, "rds", true),
        ];
        for (host, port, provider, pooler) in cases {
            assert_eq!(by_host(host).name, provider, "{host}");
            assert_eq!(is_transaction_pooler(host, port), pooler, "{host}:{port}");
            let direct = !pooler && ["supabase", "neon", "rds"].contains(&provider) && !host.contains("pooler");
            assert_eq!(is_direct(host, port), direct, "{host}:{port}");
        }
    }
}
