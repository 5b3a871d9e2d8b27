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
#[derive(Args)]
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
        self.ask_for_missing();
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

    /// Asks for what no option names. An empty answer skips the step.
    fn ask_for_missing(&mut self) {
        if self.yes {
            return;
        }
        if self.url.is_none() {
            self.url = answer("Connection string, postgres://… or sqlite:///…; empty for the embedded sample");
        }
        if self.model.is_none() {
            let wanted = answer("What answers questions: builtin, bedrock or openai; empty to leave it as it is");
            self.model = wanted.and_then(|name| Engine::from_str(&name, true).map_err(|error| complain(&error)).ok());
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
            let wanted = answer(&format!("Clients to connect, of {}; empty for none", known.join(", ")));
            for name in wanted.unwrap_or_default().split([' ', ',']).filter(|name| !name.is_empty()) {
                match Client::from_str(name, true) {
                    Ok(client) => self.clients.push(client),
                    Err(error) => complain(&error),
                }
            }
        }
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
            put(&mut document, &["sources", "main"], "url", Some(&bare))?;
            let file = secret.is_some().then(|| password_file.display().to_string());
            put(&mut document, &["sources", "main"], "password_file", file.as_deref())?;
            password = secret;
        }
        Ok((document.to_string(), password))
    }

    /// Writes drafts of the two files, checks them as `tudb doctor` does, and writes the files when the user agrees. Returns
    /// false if nothing was kept.
    async fn write_checked(&self, path: &Path, env: &Environment) -> std::io::Result<bool> {
        let old = if path.exists() { std::fs::read_to_string(path)? } else { String::new() };
        let password_file = path.with_extension("password");
        let (draft, draft_password) = (path.with_extension("toml.draft"), path.with_extension("password.draft"));
        let invalid = |problem: String| std::io::Error::new(std::io::ErrorKind::InvalidInput, problem);
        let (text, password) = self.settings(&old, &password_file).map_err(invalid)?;
        let (text_of_draft, _) = self.settings(&old, &draft_password).map_err(invalid)?;
        let _drafts = Drafts([&draft, &draft_password]);
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

/// Files that are removed when the check is over.
struct Drafts<'a>([&'a PathBuf; 2]);

impl Drop for Drafts<'_> {
    fn drop(&mut self) {
        for path in self.0 {
            let _ = std::fs::remove_file(path);
        }
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
    let mut parsed = url::Url::parse(url).map_err(|error| format!("the connection string cannot be read: {error}"))?;
    let Some(encoded) = parsed.password() else {
        return if has_password(url) { Err(elsewhere()) } else { Ok((url.to_owned(), None)) };
    };
    let password = percent_encoding::percent_decode_str(encoded).decode_utf8();
    let password = password.map_err(|_| "the password is not UTF-8".to_owned())?.into_owned();
    parsed.set_password(None).map_err(|()| "the connection string has no host".to_owned())?;
    Ok((parsed.to_string(), Some(password)))
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
        ] {
            assert_eq!(without_password(url).unwrap(), (bare.to_owned(), password.map(str::to_owned)));
        }
        for url in ["host=h dbname=d user=a password=p", "postgres://h/d?user=a&password=p"] {
            assert!(without_password(url).is_err(), "{url}");
        }
    }
}
