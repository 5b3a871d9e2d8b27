//! `tudb setup`: asks for database, model and clients, checks them, and writes the settings file.

use std::io::{BufRead, IsTerminal};
use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};

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
        let Some(path) = self.file.clone().or_else(|| default_file(env)) else {
            complain("The home directory is not known: set HOME, or name the settings file with --file.");
            return USAGE;
        };
        self.ask_for_missing();
        let (text, password) = match self.settings(&path) {
            Ok(settings) => settings,
            Err(problem) => {
                complain(&format!("config_error: {problem}"));
                return USAGE;
            }
        };
        match self.write_checked(&path, &text, password.as_deref(), env).await {
            Ok(true) => {}
            Ok(false) => return NO,
            Err(error) => {
                complain(&format!("{}: {error}.", path.display()));
                return NO;
            }
        }
        let mut code = DONE;
        for client in &self.clients {
            code = code.max(install::add(*client, &path, self.yes, env));
        }
        tell("Try it: tudb ask \"how many rows does each table have?\", or `tudb tables`.");
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
            let wanted = answer("What answers questions: builtin, bedrock or openai; empty for builtin");
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

    /// The text of the settings file, and the password that goes beside it.
    fn settings(&self, path: &Path) -> Result<(String, Option<String>), String> {
        let mut document = toml_edit::DocumentMut::new();
        let mut password = None;
        match self.model {
            Some(Engine::Builtin) => put(&mut document, &["model"], "engine", "builtin"),
            Some(Engine::Bedrock) => {
                put(&mut document, &["model"], "engine", "bedrock");
                if let Some(region) = &self.region {
                    put(&mut document, &["bedrock"], "region", region);
                }
            }
            Some(Engine::Openai) => {
                let (Some(address), Some(model)) = (&self.openai_base_url, &self.openai_model) else {
                    return Err("openai needs --openai-base-url and --openai-model".to_owned());
                };
                put(&mut document, &[], "openai_base_url", address);
                put(&mut document, &[], "openai_model", model);
                put(&mut document, &["model"], "engine", "openai");
            }
            None => {}
        }
        if let Some(url) = &self.url {
            let (bare, secret) = without_password(url)?;
            put(&mut document, &["sources", "main"], "url", &bare);
            if secret.is_some() {
                put(&mut document, &["sources", "main"], "password_file", &password_path(path).display().to_string());
            }
            password = secret;
        }
        Ok((document.to_string(), password))
    }

    /// Writes the settings under another name, checks them as `tudb doctor` does, and moves them to their place when the
    /// user agrees. Returns false if nothing was kept.
    async fn write_checked(
        &self,
        path: &Path,
        text: &str,
        password: Option<&str>,
        env: &Environment,
    ) -> std::io::Result<bool> {
        let old_password = std::fs::read_to_string(password_path(path)).ok();
        if let Some(password) = password {
            install::write_new(&password_path(path), &format!("{password}\n"))?;
        }
        let draft = path.with_extension("toml.draft");
        install::write_new(&draft, text)?;
        // A variable would take the place of what the file says.
        let env: Environment = env
            .iter()
            .filter(|(name, _)| !name.ends_with("DATABASE_URL"))
            .map(|(name, value)| (name.clone(), value.clone()))
            .collect();
        let code = match Config::load(Some(draft.clone()), &env) {
            Ok(config) => Doctor::default().run(config, &env).await,
            Err(error) => {
                complain(&format!("config_error: {error}"));
                USAGE
            }
        };
        let is_kept = code == DONE && confirmed(&format!("Write {}?", path.display()), self.yes)
            || code != DONE
                && !self.yes
                && confirmed("Something cannot be used. Write the settings all the same?", false);
        std::fs::remove_file(&draft)?;
        if !is_kept {
            complain("Nothing was written.");
            match old_password {
                _ if password.is_none() => {}
                Some(old) => install::write_new(&password_path(path), &old)?,
                None => std::fs::remove_file(password_path(path))?,
            }
            return Ok(false);
        }
        let old = std::fs::read_to_string(path).unwrap_or_default();
        let copy = install::write(path, &old, text)?;
        let copy = copy.map(|copy| format!(" The old file is {}.", copy.display())).unwrap_or_default();
        tell(&format!("Written: {}.{copy}", path.display()));
        Ok(true)
    }
}

/// Sets a key of a table of the document, and makes the table if it is missing.
fn put(document: &mut toml_edit::DocumentMut, tables: &[&str], key: &str, value: &str) {
    let mut table = document.as_table_mut();
    for name in tables {
        let mut made = toml_edit::Table::new();
        made.set_implicit(true);
        let Some(inner) = table.entry(name).or_insert(toml_edit::Item::Table(made)).as_table_mut() else { return };
        table = inner;
    }
    table.insert(key, toml_edit::value(value));
}

/// The settings file that TUDB reads when none is named.
fn default_file(env: &Environment) -> Option<PathBuf> {
    use etcetera::BaseStrategy;
    let place = etcetera::choose_base_strategy().ok().filter(|_| env.contains_key("HOME") || cfg!(windows))?;
    Some(place.config_dir().join("tudb").join("tudb.toml"))
}

fn password_path(settings: &Path) -> PathBuf {
    settings.with_file_name("password")
}

/// Splits a connection string into the string without its password, and the password.
fn without_password(url: &str) -> Result<(String, Option<String>), String> {
    if !url.starts_with("postgres://") && !url.starts_with("postgresql://") {
        return Ok((url.to_owned(), None));
    }
    let mut parsed = url::Url::parse(url).map_err(|error| format!("the connection string cannot be read: {error}"))?;
    let Some(encoded) = parsed.password() else { return Ok((url.to_owned(), None)) };
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
    }
}
