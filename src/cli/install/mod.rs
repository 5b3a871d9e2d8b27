//! `tudb install` and `tudb uninstall`: add the server to a client's configuration file, and take it out.

mod clients;
mod edit;

use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
pub(super) use clients::Client;
use clients::{Passing, System};

use super::{DONE, NO, USAGE, complain, tell};
use crate::config::Config;
use crate::database::dsn;
use crate::database::target::has_sqlite_ending;
use crate::environment::{Environment, PgEnvironment};

/// The variable that names the database.
const URL: &str = "TUDB_DATABASE_URL";

/// Arguments of `tudb install`.
#[derive(Args)]
#[command(
    after_help = "Example: tudb install claude-desktop --source postgres://reader@db.example:5432/shop --dry-run"
)]
pub(super) struct Install {
    #[command(flatten)]
    place: Place,
    /// Connection string of the database. It is written to the file as it is, with its password
    #[arg(long, value_name = "URL")]
    source: Option<String>,
}

/// Arguments of `tudb uninstall`.
#[derive(Args)]
#[command(after_help = "Example: tudb uninstall claude-desktop")]
pub(super) struct Uninstall {
    #[command(flatten)]
    place: Place,
}

#[derive(Args)]
struct Place {
    /// The client
    #[arg(value_enum)]
    client: Client,
    /// The client's configuration file, if it is not at its usual place
    #[arg(long)]
    file: Option<PathBuf>,
    /// The name of the entry
    #[arg(long, default_value = "tudb")]
    name: String,
    /// Show the change and write nothing
    #[arg(long)]
    dry_run: bool,
    /// Do not ask
    #[arg(long)]
    yes: bool,
}

impl Install {
    /// `config` is the settings file of TUDB, if the command line or `TUDB_CONFIG` names one.
    pub(super) fn run(self, config: Option<PathBuf>, env: &Environment) -> u8 {
        let Ok(command) = std::env::current_exe() else {
            complain("The path of this program is not known.");
            return NO;
        };
        let client = self.place.client;
        let mut arguments = vec!["serve".to_owned()];
        let mut values: Vec<(&str, String)> = Vec::new();
        let mut passed: Vec<&str> = Vec::new();
        let mut notes: Vec<String> = Vec::new();
        let config = config.or_else(|| env.get("TUDB_CONFIG").filter(|path| !path.is_empty()).map(PathBuf::from));
        // The server would read this file anyway. `tudb setup` writes it, and names it in its entries too.
        let config = config.or_else(|| Config::default_file(env).filter(|file| file.exists()));
        if let Some(file) = &config {
            let Ok(file) = file.canonicalize() else {
                complain(&format!("config_error: the settings file {} does not exist", file.display()));
                return USAGE;
            };
            arguments.extend(["--config".to_owned(), file.display().to_string()]);
        }
        if let Some(url) = &self.source {
            match checked(url, env) {
                Ok(url) => {
                    if has_secret(&url, env) {
                        notes.push(
                            "The password of --source stands in the entry as it is. `tudb setup` keeps a password in a \
                             file of its own."
                                .to_owned(),
                        );
                    }
                    values.push((URL, url));
                }
                Err(problem) => {
                    complain(&format!("config_error: --source: {problem}"));
                    return USAGE;
                }
            }
        } else if let Some(url) = env.get(URL).filter(|url| !url.is_empty()) {
            // The user did not give this string to the file, so a password in it stays out.
            match (has_secret(url, env), client.passing()) {
                (false, _) => values.push((URL, url.clone())),
                (true, Passing::Never) => notes.push(format!(
                    "{URL} has a password, which was not written, and {} passes on no variables. Give the string with \
                     --source, or name a settings file with --config.",
                    client.title()
                )),
                (true, _) => {
                    passed.push(URL);
                    notes.push(format!(
                        "{URL} has a password, which was not written. Set {URL} in the environment of {}.",
                        client.title()
                    ));
                }
            }
        } else if config.is_none() {
            notes.push("No database is named, so the server will read the embedded sample.".to_owned());
        }
        if is_in_cache(&command) {
            notes.push(
                "This program is in the cache of npx, uvx or pipx, and may be deleted with it. Install tudb for good (npm \
                 install -g tudb, or uv tool install tudb), then run that program's install command."
                    .to_owned(),
            );
        }
        let entry = client.entry(&self.place.name, &command.display().to_string(), &arguments, &values, &passed);
        self.place.apply(Some(&entry), &notes, env)
    }
}

/// Adds the server to a client's file, with a settings file. Returns the exit code.
pub(super) fn add(client: Client, settings: &Path, yes: bool, env: &Environment) -> u8 {
    let place = Place { client, file: None, name: "tudb".to_owned(), dry_run: false, yes };
    // The settings file names the database.
    let env = env.iter().filter(|(name, _)| *name != URL).map(|(name, value)| (name.clone(), value.clone())).collect();
    Install { place, source: None }.run(Some(settings.to_owned()), &env)
}

impl Uninstall {
    pub(super) fn run(self, env: &Environment) -> u8 {
        self.place.apply(None, &[], env)
    }
}

impl Place {
    /// Shows the change, asks, makes a copy of the file and writes it.
    fn apply(&self, entry: Option<&serde_json::Value>, notes: &[String], env: &Environment) -> u8 {
        let client = self.client;
        let Some(path) = self.file.clone().or_else(|| client.path(System::here(), env)) else {
            complain("The home directory is not known: set HOME, or name the file with --file.");
            return USAGE;
        };
        // A link is followed, so that it stays a link.
        let path = path.canonicalize().unwrap_or(path);
        let old = match std::fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == ErrorKind::NotFound => String::new(),
            Err(error) => return fail(&path, &error.to_string()),
        };
        let new = match edit::edit(client.format(), &old, client.section(), &self.name, entry) {
            Ok(text) => text,
            Err(problem) => return fail(&path, &format!("{problem}. Nothing was changed")),
        };
        if new == old {
            let state = if entry.is_some() { "has this entry already" } else { "has no such entry" };
            tell(&format!("{} {state}: {}", client.title(), path.display()));
            return DONE;
        }
        let place = format!("{}.{}", client.section(), self.name);
        tell(&format!("{}: {}", client.title(), path.display()));
        // Lines of the file are not shown: they may hold secrets of other entries, or the password of an older entry.
        match entry {
            Some(entry) => tell(&format!("sets {place} to\n{}", shown(entry, env).trim_end())),
            None => tell(&format!("removes {place}")),
        }
        for note in notes {
            complain(note);
        }
        if self.dry_run {
            tell("Nothing was written (--dry-run).");
            return DONE;
        }
        if !super::confirmed("Write these changes?", self.yes) {
            return NO;
        }
        // An older copy would keep the password that is taken out here.
        let written = if entry.is_some() { write(&path, &new) } else { write_new(&path, &new).map(|()| None) };
        match written {
            Ok(copy) => {
                let copy = copy.map(|copy| format!(" The old file is {}.", copy.display())).unwrap_or_default();
                tell(&format!("Written.{copy} {}", client.next_step()));
                DONE
            }
            Err(error) => fail(&path, &error.to_string()),
        }
    }
}

/// Whether a program is in the cache of a package runner: `_npx` is npm's directory, `archive-v0` uv's, `.cache` or `Caches`
/// pipx's (seen with npm 11, uv 0.13 and pipx 1.7).
fn is_in_cache(program: &Path) -> bool {
    let caches = ["_npx", "archive-v0", ".cache", "Caches"];
    program.components().any(|part| caches.iter().any(|cache| part.as_os_str() == *cache))
}

fn fail(path: &Path, problem: &str) -> u8 {
    complain(&format!("{}: {problem}.", path.display()));
    NO
}

/// Checks that a connection string can be read, and returns it as it is written to a file: the path of a SQLite file does not
/// depend on the working directory.
///
/// # Errors
///
/// One sentence without a value of the string.
pub(super) fn checked(url: &str, env: &Environment) -> Result<String, String> {
    let url = url.trim();
    let quoted = ['"', '\''].iter().find_map(|quote| url.strip_prefix(*quote)?.strip_suffix(*quote));
    let url = quoted.unwrap_or(url);
    if let Some(path) = sqlite_path(url, env) {
        let (path, parameters) = path.split_at(path.find('?').unwrap_or(path.len()));
        let path =
            std::path::absolute(without_tilde(path, env)).map_err(|error| format!("the path of the file: {error}"))?;
        let path = path.canonicalize().unwrap_or(path);
        return Ok(format!("sqlite://{}{parameters}", path.display()));
    }
    if url.starts_with("sqlite:") || url.starts_with("file:") {
        return Ok(url.to_owned());
    }
    if !url.contains("://") && !url.contains('=') {
        return Err("write postgres://USER:PASSWORD@HOST:5432/DATABASE or sqlite:///PATH".to_owned());
    }
    dsn::read(url, &PgEnvironment::new(env)).map_err(|problem| problem.to_string())?;
    Ok(url.to_owned())
}

/// The path, with parameters, of a string that names a SQLite file: `sqlite://path`, or the path of a file that exists or
/// ends as databases do. `None` for every other string, and for `sqlite::memory:`.
fn sqlite_path<'a>(url: &'a str, env: &Environment) -> Option<&'a str> {
    if let Some(rest) = url.strip_prefix("sqlite:") {
        let path = rest.strip_prefix("//").unwrap_or(rest);
        return Some(path).filter(|path| !path.is_empty() && !path.starts_with(':'));
    }
    let is_file = |path: &str| without_tilde(path, env).is_file();
    let is_named_so = has_sqlite_ending(url);
    (!url.contains("://") && !url.starts_with("file:") && (is_named_so && !url.contains('=') || is_file(url)))
        .then_some(url)
}

/// The path with the home directory in place of a leading `~`.
fn without_tilde(path: &str, env: &Environment) -> PathBuf {
    let in_home = path.strip_prefix("~/").zip(env.get("HOME"));
    in_home.map_or_else(|| PathBuf::from(path), |(rest, home)| Path::new(home).join(rest))
}

/// The client of a name as people write it, such as "Claude Desktop" or "vs code".
pub(super) fn client_named(name: &str) -> Option<Client> {
    let plain = |text: &str| text.to_lowercase().replace(|character: char| !character.is_alphanumeric(), "");
    let wanted = plain(name);
    Client::value_variants().iter().copied().find(|client| {
        let id = client.to_possible_value().is_some_and(|value| plain(value.get_name()) == wanted);
        id || plain(client.title()) == wanted
    })
}

/// True unless the string is known to have no password. A string that cannot be read counts as one with a password, and so
/// does one with a parameter such as `sslpassword`.
fn has_secret(url: &str, env: &Environment) -> bool {
    !url.starts_with("sqlite:")
        && (url.to_lowercase().contains("password=")
            || password_of(url, env).is_some()
            || dsn::read(url, &PgEnvironment::default()).is_err())
}

/// The password in a connection string, and not one from the environment or the password file.
pub(super) fn password_of(url: &str, env: &Environment) -> Option<String> {
    let alone: Environment = env
        .iter()
        .filter(|(name, _)| !name.starts_with("PG") && *name != "HOME")
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect();
    dsn::read(url, &PgEnvironment::new(&alone)).ok()?.password.map(|password| password.reveal().to_owned())
}

/// The entry as it is shown. A connection string with a password is replaced, however string and password are spelled.
fn shown(entry: &serde_json::Value, env: &Environment) -> String {
    let mut entry = entry.clone();
    let tables = ["env", "envs"];
    for table in entry.as_object_mut().into_iter().flatten().filter(|(name, _)| tables.contains(&name.as_str())) {
        if let Some(value) = table.1.get_mut(URL)
            // The name of a variable is no secret.
            && value.as_str().is_some_and(|text| !text.starts_with('$') && has_secret(text, env))
        {
            *value = "***".into();
        }
    }
    serde_json::to_string_pretty(&entry).unwrap_or_default().lines().map(|line| format!("+ {line}\n")).collect()
}

/// Writes the file, and leaves a copy of the old file beside it. A copy that is there already stays: it is the file as it
/// was before TUDB.
pub(super) fn write(path: &Path, new: &str) -> std::io::Result<Option<PathBuf>> {
    let copy = beside(path, ".before-tudb");
    let is_copied = path.exists() && !copy.exists();
    if is_copied {
        // `copy` keeps the permissions.
        std::fs::copy(path, &copy)?;
    }
    write_new(path, new)?;
    Ok(is_copied.then_some(copy))
}

fn beside(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(ending);
    path.with_file_name(name)
}

/// Writes the file by a rename, so that nobody reads half of it. A new file can be read by its owner alone; an old one keeps
/// its permissions.
pub(super) fn write_new(path: &Path, new: &str) -> std::io::Result<()> {
    if let Some(directory) = path.parent().filter(|directory| !directory.as_os_str().is_empty()) {
        std::fs::create_dir_all(directory)?;
    }
    let next = beside(path, &format!(".{}.new", std::process::id()));
    let written = write_to(&next, path, new);
    if written.is_err() {
        let _ = std::fs::remove_file(&next);
    }
    written
}

fn write_to(next: &Path, path: &Path, new: &str) -> std::io::Result<()> {
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(next)?;
    file.write_all(new.as_bytes())?;
    file.sync_all()?;
    if let Ok(old) = std::fs::metadata(path) {
        std::fs::set_permissions(next, old.permissions())?;
        // If root replaces the file of another user, that user has to be able to read the new one.
        #[cfg(unix)]
        {
            use std::os::unix::fs::MetadataExt;
            let _ = std::os::unix::fs::chown(next, Some(old.uid()), Some(old.gid()));
        }
    }
    std::fs::rename(next, path)
}
