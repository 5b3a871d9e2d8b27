//! `tudb audit`: reads, verifies and prunes the audit trail.

mod report;

use clap::{Args, Subcommand, ValueEnum};
use serde_json::{Value, json};
use time::format_description::well_known::Rfc3339;
use time::{Duration, OffsetDateTime};

use super::table::plain;
use super::{DONE, NO, USAGE, complain, say, tell};
use crate::audit::{
    AuditLog, EntryStart, FIELDS, Filter, Finished, OutcomeKind, Outcomes, Retention, Trail, TrailError, prune,
};
use crate::config::{AuditConfig, AuditStore, Config};
use crate::quoting::steers;

/// The SQL that creates the store on PostgreSQL.
const POSTGRES: &str = include_str!("../../migrations/audit/postgres.sql");

/// What to do with the trail.
#[derive(Subcommand)]
pub(super) enum Audit {
    /// Show the newest records
    Show(Show),
    /// Check that no record was changed, removed or reordered
    Verify(Verify),
    /// Print all records
    Export(Export),
    /// Print one HTML page: calls by day, refusals, slowest statements, cost
    Report(Only),
    /// Remove old records; what is left can still be verified
    Prune(Prune),
    /// Print the SQL that makes a store on PostgreSQL, with a role that may only insert
    Schema,
}

#[derive(Args)]
pub(super) struct Show {
    /// Newest records to show
    #[arg(long, default_value_t = 50)]
    last: u64,
    /// Only records older than the record with this id, for the next page
    #[arg(long, value_name = "ID")]
    before: Option<String>,
    #[command(flatten)]
    only: Only,
    /// One JSON object a line
    #[arg(long)]
    json: bool,
}

#[derive(Args)]
pub(super) struct Only {
    /// From this time on: 2026-11-01, 2026-11-01T09:00:00Z, or an age such as 90m, 24h or 7d
    #[arg(long, value_name = "TIME")]
    since: Option<String>,
    /// Before this time
    #[arg(long, value_name = "TIME")]
    until: Option<String>,
    /// Only this user_id
    #[arg(long, value_name = "ID")]
    user: Option<String>,
    /// Only this tool
    #[arg(long)]
    tool: Option<String>,
    /// Only this decision
    #[arg(long, value_parser = ["allowed", "refused"])]
    decision: Option<String>,
    /// Only this outcome
    #[arg(long, value_parser = ["ok", "rejected", "failed", "timed_out", "cancelled", "unfinished"])]
    outcome: Option<String>,
    /// Only this source
    #[arg(long)]
    source: Option<String>,
    /// Only the record with this id; of a question also its statements
    #[arg(long, value_name = "ID")]
    id: Option<String>,
    /// Only records whose question or statement holds this text
    #[arg(long)]
    text: Option<String>,
}

#[derive(Args)]
pub(super) struct Export {
    #[arg(long, value_enum, default_value_t = Format::Jsonl)]
    format: Format,
    /// One JSON object a line (the default)
    #[arg(long, conflicts_with = "format")]
    json: bool,
    #[command(flatten)]
    only: Only,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    Jsonl,
    Csv,
}

#[derive(Args)]
pub(super) struct Verify {
    #[arg(long)]
    json: bool,
    /// Accept chains without a key that began before this time, when the key was introduced
    #[arg(long, value_name = "TIME")]
    unkeyed_until: Option<String>,
}

#[derive(Args)]
pub(super) struct Prune {
    /// Remove what is older: 2026-11-01, 2026-11-01T09:00:00Z, or 24h, 90d
    #[arg(long, value_name = "TIME", required_unless_present = "larger_than")]
    older_than: Option<String>,
    /// Remove the oldest records until the rest is about this many megabytes
    #[arg(long, value_name = "MB", value_parser = clap::value_parser!(u64).range(1..))]
    larger_than: Option<u64>,
}

/// The changes that go undetected in a trail without a key.
const UNKEYED: &str = "chains written anew with new hashes (a key, audit.key_file, prevents that)";

/// Records that an export reads per query.
const PAGE: u64 = 50_000;

/// A command that ended early: its exit code and its message.
struct Ended(u8, String);

impl From<TrailError> for Ended {
    fn from(error: TrailError) -> Self {
        Ended(NO, format!("audit_unavailable: {error}"))
    }
}

impl Audit {
    pub(super) async fn run(self, config: Config) -> u8 {
        let config = &config.audit;
        let result = match self {
            Audit::Show(show) => show.run(config).await,
            Audit::Export(export) => export.run(config).await,
            Audit::Report(only) => report(only, config).await,
            Audit::Verify(verify) => verify.run(config).await,
            Audit::Prune(prune) => prune.run(config).await,
            Audit::Schema => {
                say(POSTGRES.trim_end());
                Ok(DONE)
            }
        };
        result.unwrap_or_else(|Ended(code, message)| {
            complain(&message);
            code
        })
    }
}

impl Only {
    fn filter(self) -> Result<Filter, Ended> {
        Ok(Filter {
            tool: self.tool,
            decision: self.decision,
            outcome: self.outcome,
            source: self.source,
            user: self.user,
            id: self.id,
            text: self.text,
            from: self.since.as_deref().map(|time| first_id("since", time)).transpose()?,
            after: None,
            before: self.until.as_deref().map(|time| first_id("until", time)).transpose()?,
            last: None,
        })
    }
}

impl Show {
    async fn run(self, config: &AuditConfig) -> Result<u8, Ended> {
        let mut filter = self.only.filter()?;
        // `--until` and `--before` both leave out newer records, so the earlier of the two applies.
        filter.before = filter.before.into_iter().chain(self.before).min();
        filter.last = Some(self.last);
        let records = Trail::open(config).await?.records(&filter).await?;
        for record in &records {
            say(&if self.json { record.to_string() } else { line(record) });
        }
        if records.is_empty() {
            complain("no record matches");
        }
        let is_full = u64::try_from(records.len()).is_ok_and(|shown| shown == self.last);
        if let Some(first) = records.first().and_then(|first| first.get("id")?.as_str()).filter(|_| is_full) {
            complain(&format!("older records: --before {first}"));
        }
        Ok(DONE)
    }
}

impl Export {
    async fn run(self, config: &AuditConfig) -> Result<u8, Ended> {
        let is_csv = !self.json && self.format == Format::Csv;
        if is_csv {
            say(&csv_line(FIELDS.map(str::to_owned).to_vec()));
        }
        each(self.only, config, |record| {
            say(&if is_csv {
                csv_line(FIELDS.iter().map(|field| cell(part(record, field))).collect())
            } else {
                record.to_string()
            });
        })
        .await?;
        Ok(DONE)
    }
}

async fn report(only: Only, config: &AuditConfig) -> Result<u8, Ended> {
    let mut report = report::Report::default();
    each(only, config, |record| report.add(record)).await?;
    say(&report.page());
    Ok(DONE)
}

/// Reads the records, oldest first.
async fn each(only: Only, config: &AuditConfig, mut read: impl FnMut(&Value)) -> Result<(), Ended> {
    let mut filter = only.filter()?;
    (filter.after, filter.last) = (Some(String::new()), Some(PAGE));
    let mut trail = Trail::open(config).await?;
    loop {
        let records = trail.records(&filter).await?;
        records.iter().for_each(&mut read);
        let Some(last) = records.last().and_then(|last| last.get("id")?.as_str()) else { return Ok(()) };
        filter.after = Some(last.to_owned());
    }
}

fn csv_line(cells: Vec<String>) -> String {
    let mut table = csv::Writer::from_writer(Vec::new());
    // Writing to memory cannot fail.
    let _ = table.write_record(cells);
    let bytes = table.into_inner().unwrap_or_default();
    String::from_utf8_lossy(&bytes).trim_end_matches('\n').to_owned()
}

/// Puts a `'` in front of a text that a spreadsheet would read as a formula. Spreadsheets ignore invisible characters
/// at the beginning, and some accept the full-width forms of the signs.
fn cell(text: String) -> String {
    let shown = text.trim_start_matches(|c: char| c.is_whitespace() || steers(c));
    let is_formula = shown.starts_with(['=', '+', '-', '@', '＝', '＋', '－', '＠']);
    if is_formula || text.starts_with(['\t', '\r', '\n']) { format!("'{text}") } else { text }
}

impl Verify {
    async fn run(self, config: &AuditConfig) -> Result<u8, Ended> {
        let until = self.unkeyed_until.as_deref().map(|time| moment("unkeyed-until", time)).transpose()?;
        let until = until.and_then(|time| time.to_offset(time::UtcOffset::UTC).format(&Rfc3339).ok());
        let verdict = Trail::open(config).await?.verify(until.as_deref()).await?;
        if self.json {
            let found = json!({"events": verdict.events, "processes": verdict.processes, "removed": verdict.removed,
                "keyed": verdict.keyed, "faults": verdict.faults, "unfinished": verdict.unfinished});
            say(&found.to_string());
        } else {
            let found = match verdict.faults.len() {
                0 => "ok".to_owned(),
                faults => format!("{faults} faults"),
            };
            tell(&format!("{found}: {} events of {} processes checked", verdict.events, verdict.processes));
            if verdict.removed > 0 {
                tell(&format!("{} older events were removed by `tudb audit prune`", verdict.removed));
            }
            verdict.faults.iter().for_each(|fault| tell(&format!("FAULT {fault}")));
            verdict.unfinished.iter().for_each(|id| tell(&format!("unfinished {id}")));
            let key = if verdict.keyed { "whatever is done by who has the key" } else { UNKEYED };
            let processes = match config.store {
                AuditStore::Postgres(_) => "; that a process was removed as a whole",
                AuditStore::File(_) | AuditStore::Nowhere => "",
            };
            tell(&format!(
                "Not detectable here: that the end of a chain was removed, if no later process has recorded it; that the newest \
                 processes were removed; that the store was replaced by an older copy of itself{processes}; {key}."
            ));
        }
        Ok(if verdict.faults.is_empty() { DONE } else { NO })
    }
}

impl Prune {
    /// Prunes the trail. The removal has its own record.
    async fn run(self, config: &AuditConfig) -> Result<u8, Ended> {
        let from = self.older_than.as_deref().map(|time| first_id("older-than", time)).transpose()?;
        let max_bytes = self.larger_than.map(|megabytes| megabytes.saturating_mul(1_000_000));
        let mut retention = Retention { from, max_bytes, own: None };
        let log = AuditLog::start(config);
        let start = EntryStart {
            client: Some(format!("tudb audit/{}", env!("CARGO_PKG_VERSION"))),
            tool: "audit_prune".into(),
            ..EntryStart::default()
        };
        let entry = log.begin(start, &Outcomes::default()).committed().await;
        let entry = entry.map_err(|error| Ended(NO, format!("audit_unavailable: {error}")))?;
        retention.own = Some(entry.id().to_owned());
        let result = prune(config, &retention).await;
        let mut finished = Finished::new(if result.is_ok() { OutcomeKind::Ok } else { OutcomeKind::Failed });
        finished.row_count = result.as_ref().ok().copied();
        entry.close(finished);
        log.finish().await;
        let removed = result?;
        tell(&format!("{removed} events removed; `tudb audit verify` goes on from the checkpoint"));
        Ok(DONE)
    }
}

/// Parses a day, a time or an age.
fn moment(option: &str, text: &str) -> Result<OffsetDateTime, Ended> {
    let day = time::macros::format_description!("[year]-[month]-[day]");
    let ago = || {
        let (number, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
        let seconds = match unit {
            "s" => 1,
            "m" => 60,
            "h" => 3_600,
            "d" => 86_400,
            _ => return None,
        };
        let seconds = number.parse::<u32>().ok().map(|number| i64::from(number).saturating_mul(seconds))?;
        OffsetDateTime::now_utc().checked_sub(Duration::seconds(seconds))
    };
    let moment = OffsetDateTime::parse(text, &Rfc3339)
        .ok()
        .or_else(|| time::Date::parse(text, day).ok().map(|day| day.midnight().assume_utc()))
        .or_else(ago);
    moment.ok_or_else(|| {
        let forms = "a day (2026-11-01), a time (2026-11-01T09:00:00Z) or an age (24h, 7d)";
        Ended(USAGE, format!("invalid_argument: --{option} must be {forms}"))
    })
}

/// The smallest id of a record at this time or later. Ids begin with their time in milliseconds.
fn first_id(option: &str, text: &str) -> Result<String, Ended> {
    let milliseconds = u64::try_from(moment(option, text)?.unix_timestamp_nanos() / 1_000_000).unwrap_or(0);
    Ok(format!("{:08x}-{:04x}", milliseconds >> 16, milliseconds & 0xffff))
}

fn part(record: &Value, name: &str) -> String {
    match record.get(name) {
        Some(Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
        None => String::new(),
    }
}

/// One record on one line, for a person.
fn line(record: &Value) -> String {
    let part = |name| plain(&part(record, name));
    format!(
        "{} {:<14} {:<8} {:<8} {:<10} {:>10} {:>6} ms  {}{}",
        part("started_at"),
        part("tool"),
        part("source"),
        part("decision"),
        part("outcome"),
        if part("row_count").is_empty() { String::new() } else { format!("{} rows", part("row_count")) },
        part("elapsed_ms"),
        part("question"),
        part("sql")
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_cell_begins_as_a_formula() {
        for text in ["=1", "+1", "-1", "@a", "\t1", "\r1", "\n1", " =1", "\u{feff}=1", "\u{202e}\u{1}@a", "＝1", "＠a"]
        {
            assert_eq!(cell(text.to_owned()), format!("'{text}"));
        }
        for text in ["", "a=1", "'=1", "SELECT -1", " a", "(=1)"] {
            assert_eq!(cell(text.to_owned()), text);
        }
    }
}
