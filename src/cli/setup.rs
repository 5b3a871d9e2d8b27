//! `tudb setup`: asks for database, model and clients, checks them, and writes the settings file.

use std::io::{BufRead, IsTerminal};
use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use toml_edit::{DocumentMut, Item, Table, TableLike};

use super::doctor::Doctor;
use super::install::{self, Client};
use super::{DONE, NO, USAGE, complain, confirmed, tell};
use crate::config::{Config, Environment};

/// Arguments of `tudb setup`.
#[derive(Args, Default)]
#[command(
    after_help = "Example: tudb setup --url postgres://reader:PASSWORD@db.example:5432/shop --client cursor --yes"
)]
pub(super) struct Setup {
    /// Connection string. Its password goes to a file of its own, which only you can read
    #[arg(long)]
    url: Option<String>,
    /// What answers questions
    #[arg(long, value_enum)]
    model: Option<Engine>,
    /// Region of AWS Bedrock
    #[arg(long)]
    region: Option<String>,
    /// Address of a server that speaks OpenAI's chat completions
    #[arg(long)]
    openai_base_url: Option<String>,
    /// The model of that server
    #[arg(long)]
    openai_model: Option<String>,
    /// A client to connect; may be given several times
    #[arg(long = "client", value_enum)]
    clients: Vec<Client>,
    /// The settings file to write
    #[arg(long)]
    file: Option<PathBuf>,
    /// Ask nothing: what no option names is left out
    #[arg(long)]
    yes: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Engine {
    Builtin,
    Bedrock,
    Openai,
}

impl Setup {
    pub(super) async fn run(mut self, env: &Environment) -> u8 {
        if !self.yes && !std::io::stdin().is_terminal() {
            complain("tudb setup asks in a terminal. In a script, name what you want by options and add --yes.");
            return USAGE;
        }
        let Some(path) = self.file.clone().or_else(|| Config::default_file(env)) else {
            complain("The home directory is not known: set HOME, or name the settings file with --file.");
            return USAGE;
        };
        // A link is followed, and the file names the password's file by a path that does not depend on the directory.
        let path = path.canonicalize().or_else(|_| std::path::absolute(&path)).unwrap_or(path);
        if let Err(problem) = self.ask_for_missing(&path, env).await {
            complain(&format!("config_error: {problem}"));
            return USAGE;
        }
        if self.url.is_none() && self.model.is_none() && self.clients.is_empty() {
            tell("Nothing was chosen, so nothing was written. Without settings, TUDB reads the embedded sample.");
            return DONE;
        }
        match self.write_checked(&path, env).await {
            Ok(true) => {}
            Ok(false) => return NO,
            Err(error) if error.kind() == std::io::ErrorKind::InvalidInput => {
                complain(&format!("config_error: {error}"));
                return USAGE;
            }
            Err(error) => {
                complain(&format!("{}: {error}.", path.display()));
                return NO;
            }
        }
        let mut code = DONE;
        for client in &self.clients {
            code = code.max(install::add(*client, &path, self.yes, env));
        }
        for name in ["TUDB_CONFIG", "TUDB_DATABASE_URL"].iter().filter(|name| env.contains_key(**name)) {
            complain(&format!("{name} is set and takes the place of what was written: unset it."));
        }
        tell("Try it: `tudb tables` shows what there is; then `tudb ask` with a question about it.");
        code
    }

    /// Asks for what no option names. An empty answer skips the step, and an answer that cannot be used is asked for again.
    ///
    /// # Errors
    ///
    /// One sentence if the string of `--url` cannot be read.
    async fn ask_for_missing(&mut self, path: &Path, env: &Environment) -> Result<(), String> {
        if let Some(url) = &self.url {
            self.url = Some(install::checked(url, env)?);
        }
        if self.yes {
            return Ok(());
        }
        let old = std::fs::read_to_string(path).unwrap_or_default();
        let has_source = old.parse::<DocumentMut>().is_ok_and(|old| old.get("sources").is_some());
        let empty = if has_source { "to leave it as it is" } else { "for the embedded sample" };
        let question = format!("Connection string, postgres://… or sqlite:///…; empty {empty}");
        let mut is_asked = self.url.is_none();
        while is_asked {
            let read = |text: &str| install::checked(text, env).and_then(|url| without_password(&url).map(|_| url));
            self.url = ask(&question, read);
            let is_usable = self.url.is_none() || self.can_connect(path, env).await;
            is_asked = !is_usable && !confirmed("Use it all the same?", false);
        }
        if self.model.is_none() {
            let question = "What answers questions: builtin, bedrock or openai; empty to leave it as it is";
            self.model = ask(question, |name| {
                Engine::from_str(name, true).map_err(|_| format!("{name} is none of builtin, bedrock and openai"))
            });
        }
        match self.model {
            Some(Engine::Bedrock) if self.region.is_none() => self.region = answer("AWS region"),
            Some(Engine::Openai) => {
                self.openai_base_url =
                    self.openai_base_url.take().or_else(|| answer("Address, such as http://127.0.0.1:11434/v1"));
                self.openai_model = self.openai_model.take().or_else(|| answer("Model, such as qwen3-coder"));
            }
            _ => {}
        }
        if self.clients.is_empty() {
            let known: Vec<String> = Client::value_variants()
                .iter()
                .filter_map(|client| Some(client.to_possible_value()?.get_name().to_owned()))
                .collect();
            let question = format!("Clients to connect, of {}; empty for none", known.join(", "));
            self.clients = ask(&question, clients).unwrap_or_default();
        }
        Ok(())
    }

    /// Checks the database alone, and prints what `tudb doctor` finds. Returns true if it can be used.
    async fn can_connect(&self, path: &Path, env: &Environment) -> bool {
        let alone = Setup { url: self.url.clone(), ..Setup::default() };
        matches!(alone.checked("", path, env).await, Ok(Checked { code: DONE, .. }))
    }

    /// The settings file with what was chosen, and the password that goes beside it. Other settings of `old` stay.
    fn settings(&self, old: &str, password_file: &Path) -> Result<(String, Option<String>), String> {
        let mut document: DocumentMut =
            old.parse().map_err(|error: toml_edit::TomlError| format!("the settings file: {}", error.message()))?;
        match self.model {
            Some(Engine::Builtin) => put(&mut document, &["model"], "engine", Some("builtin"))?,
            Some(Engine::Bedrock) => {
                put(&mut document, &["model"], "engine", Some("bedrock"))?;
                if let Some(region) = &self.region {
                    put(&mut document, &["bedrock"], "region", Some(region))?;
                }
            }
            Some(Engine::Openai) => {
                let (Some(address), Some(model)) = (&self.openai_base_url, &self.openai_model) else {
                    return Err("openai needs --openai-base-url and --openai-model".to_owned());
                };
                put(&mut document, &[], "openai_base_url", Some(address))?;
                put(&mut document, &[], "openai_model", Some(model))?;
                put(&mut document, &["model"], "engine", Some("openai"))?;
            }
            None => {}
        }
        let mut password = None;
        if let Some(url) = &self.url {
            let (bare, secret) = without_password(url)?;
            // These keys would override the new connection string.
            document.remove("database_url");
            if document.contains_key("default_source") {
                put(&mut document, &[], "default_source", Some("main"))?;
            }
            let main = document.get("sources").and_then(|sources| sources.get("main"));
            let before = main.and_then(|main| main.get("url")?.as_str()).map(str::to_owned);
            if secret.is_some() || before.as_ref() != Some(&bare) {
                for key in ["password_command", "auth", "region", "profile", "sign_host"] {
                    put(&mut document, &["sources", "main"], key, None)?;
                }
            }
            put(&mut document, &["sources", "main"], "url", Some(&bare))?;
            let file = secret.is_some().then(|| password_file.display().to_string());
            put(&mut document, &["sources", "main"], "password_file", file.as_deref())?;
            password = secret;
        }
        Ok((document.to_string(), password))
    }

    /// Writes drafts of the two files, checks them as `tudb doctor` does, and removes them.
    async fn checked(&self, old: &str, path: &Path, env: &Environment) -> std::io::Result<Checked> {
        let password_file = path.with_extension("password");
        let (draft, draft_password) = (path.with_extension("toml.draft"), path.with_extension("password.draft"));
        let invalid = |problem: String| std::io::Error::new(std::io::ErrorKind::InvalidInput, problem);
        if password_file == path {
            return Err(invalid(
                "--file: the password goes to a file that ends in .password; choose another name".to_owned(),
            ));
        }
        let (text, password) = self.settings(old, &password_file).map_err(invalid)?;
        let (text_of_draft, _) = self.settings(old, &draft_password).map_err(invalid)?;
        let drafts = Drafts([&draft, &draft_password]);
        // Writing to an existing file keeps its permissions, and others may be able to read it.
        drafts.remove();
        let secret = password.map(|password| format!("{password}\n"));
        install::write_new(&draft, &text_of_draft)?;
        if let Some(secret) = &secret {
            install::write_new(&draft_password, secret)?;
        }
        // A variable would take the place of what the file says.
        let without = |(name, value): (&String, &String)| {
            (!name.ends_with("DATABASE_URL")).then(|| (name.clone(), value.clone()))
        };
        let env: Environment = env.iter().filter_map(without).collect();
        let code = match Config::load(Some(draft.clone()), &env) {
            Ok(config) => Doctor::default().run(config, &env).await,
            Err(error) => {
                complain(&format!("config_error: {error}"));
                USAGE
            }
        };
        Ok(Checked { code, text, secret, password_file: password_file.clone() })
    }

    /// Checks what was chosen, and writes the files when the user agrees. Returns false if nothing was kept.
    async fn write_checked(&self, path: &Path, env: &Environment) -> std::io::Result<bool> {
        let old = if path.exists() { std::fs::read_to_string(path)? } else { String::new() };
        let Checked { code, text, secret, password_file } = self.checked(&old, path, env).await?;
        let question = format!("Write {}?", path.display());
        let is_kept = match code {
            DONE => confirmed(&question, self.yes),
            _ => !self.yes && confirmed(&format!("Something cannot be used. {question}"), false),
        };
        if !is_kept {
            complain("Nothing was written.");
            return Ok(false);
        }
        if let Some(secret) = &secret {
            // Its permissions are those of a new file: an older one may be readable by others.
            if password_file.exists() {
                std::fs::remove_file(&password_file)?;
            }
            install::write_new(&password_file, secret)?;
        }
        let copy = install::write(path, &text)?;
        let copy = copy.map(|copy| format!(" The old file is {}.", copy.display())).unwrap_or_default();
        tell(&format!("Written: {}.{copy}", path.display()));
        Ok(true)
    }
}

/// Settings that were checked.
struct Checked {
    /// Exit code of the check.
    code: u8,
    /// The settings file.
    text: String,
    /// The content of the password's file.
    secret: Option<String>,
    password_file: PathBuf,
}

/// Files that are removed when the check is over.
struct Drafts<'a>([&'a PathBuf; 2]);

impl Drafts<'_> {
    fn remove(&self) {
        for path in self.0 {
            let _ = std::fs::remove_file(path);
        }
    }
}

impl Drop for Drafts<'_> {
    fn drop(&mut self) {
        self.remove();
    }
}

/// Sets a key of a table of the document, or removes it when `value` is `None`. Makes the table if it is missing.
///
/// # Errors
///
/// One sentence if the document has something else than a table at that place.
fn put(document: &mut DocumentMut, tables: &[&str], key: &str, value: Option<&str>) -> Result<(), String> {
    let mut table: &mut dyn TableLike = document.as_table_mut();
    for name in tables {
        let mut made = Table::new();
        made.set_implicit(true);
        let item = table.entry(name).or_insert(Item::Table(made));
        table = item.as_table_like_mut().ok_or_else(|| format!("`{name}` of the settings file is not a table"))?;
    }
    match value {
        Some(value) => table.insert(key, toml_edit::value(value)),
        None => table.remove(key),
    };
    Ok(())
}

/// Splits a connection string into the string without its password, and the password.
fn without_password(url: &str) -> Result<(String, Option<String>), String> {
    let elsewhere =
        || "write the password as postgres://USER:PASSWORD@HOST/DATABASE, so that it can go to a file".to_owned();
    let has_password = |url: &str| install::password_of(url, &Environment::new()).is_some();
    if url.starts_with("sqlite:") {
        return Ok((url.to_owned(), None));
    }
    if !url.starts_with("postgres://") && !url.starts_with("postgresql://") {
        return if has_password(url) { Err(elsewhere()) } else { Ok((url.to_owned(), None)) };
    }
    let Some(password) = install::password_of(url, &Environment::new()) else { return Ok((url.to_owned(), None)) };
    // A password may contain "@". The "@" that ends it is the one before which the text equals the password that was read.
    let user = url.find("://").map_or(0, |at| at + 3);
    let colon = url.get(user..).and_then(|rest| rest.find(':')).map(|at| user + at).ok_or_else(elsewhere)?;
    let is_password = |at: &usize| {
        let raw = url.get(colon + 1..*at).unwrap_or_default();
        let decoded = percent_encoding::percent_decode_str(raw).decode_utf8();
        decoded.is_ok_and(|decoded| decoded == password) || raw == password
    };
    let end = url.match_indices('@').map(|(at, _)| at).find(is_password).ok_or_else(elsewhere)?;
    let bare = format!("{}{}", url.get(..colon).unwrap_or_default(), url.get(end..).unwrap_or_default());
    if has_password(&bare) { Err(elsewhere()) } else { Ok((bare, Some(password))) }
}

/// The clients of an answer such as "Claude Desktop, cursor".
fn clients(text: &str) -> Result<Vec<Client>, String> {
    let mut found = Vec::new();
    for part in text.split(',').map(str::trim).filter(|part| !part.is_empty()) {
        match install::client_named(part) {
            Some(client) => found.push(client),
            None => {
                for word in part.split_whitespace() {
                    found.push(install::client_named(word).ok_or_else(|| format!("{part} is none of the clients"))?);
                }
            }
        }
    }
    Ok(found)
}

/// Asks until the answer can be read. `None` if the answer is empty.
fn ask<T>(question: &str, read: impl Fn(&str) -> Result<T, String>) -> Option<T> {
    loop {
        match read(&answer(question)?) {
            Ok(value) => return Some(value),
            Err(problem) => complain(&format!("{problem}.")),
        }
    }
}

/// One line from the terminal. `None` if it is empty.
fn answer(question: &str) -> Option<String> {
    complain(&format!("{question}:"));
    let mut line = String::new();
    std::io::stdin().lock().read_line(&mut line).ok()?;
    Some(line.trim().to_owned()).filter(|line| !line.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_leaves_the_connection_string() {
        for (url, bare, password) in [
            ("postgres://a:p%40ss@h:5432/d?sslmode=require", "postgres://a@h:5432/d?sslmode=require", Some("p@ss")),
            ("postgres://a@h/d", "postgres://a@h/d", None),
            ("sqlite:///x.db", "sqlite:///x.db", None),
            ("postgres://a:rd9#p@ss/1@h:5432/d", "postgres://a@h:5432/d", Some("rd9#p@ss/1")),
            ("postgres://a:p%40:x@h/d", "postgres://a@h/d", Some("p@:x")),
        ] {
            assert_eq!(without_password(url).unwrap(), (bare.to_owned(), password.map(str::to_owned)));
        }
        assert!(clients("Claude Desktop, VS Code").is_ok_and(|found| found == [Client::ClaudeDesktop, Client::VsCode]));
        assert!(clients("cursor zed").is_ok_and(|found| found.len() == 2) && clients("Claude").is_err());
        for url in ["host=h dbname=d user=a password=p", "postgres://h/d?user=a&password=p"] {
            assert!(without_password(url).is_err(), "{url}");
        }
    }
}
