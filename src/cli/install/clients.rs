//! The clients that `tudb install` knows: where each keeps its configuration, and how an entry for a server looks there.
//!
//! Paths and formats are those of the clients' own documentation, read on 2026-11-29. None of these clients ran here.

use std::path::PathBuf;

use clap::ValueEnum;
use serde_json::{Map, Value, json};

use super::edit::Format;
use crate::environment::Environment;

/// A client.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(in crate::cli) enum Client {
    ClaudeDesktop,
    ClaudeCode,
    Cursor,
    #[value(name = "vscode")]
    VsCode,
    Codex,
    Gemini,
    Goose,
    #[value(name = "librechat")]
    LibreChat,
    Zed,
    Windsurf,
}

/// The operating system. It decides where clients keep their files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum System {
    Linux,
    Mac,
    Windows,
}

impl System {
    pub(super) fn here() -> Self {
        match std::env::consts::OS {
            "macos" => System::Mac,
            "windows" => System::Windows,
            _ => System::Linux,
        }
    }
}

/// How a client passes a variable of its own environment to the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Passing {
    /// As a value of `env`, in this spelling; `NAME` stands for the variable.
    Spelled(&'static str),
    /// By a list of names under this key.
    Listed(&'static str),
    /// Not at all.
    Never,
}

impl Client {
    /// The client's name for people.
    pub(super) fn title(self) -> &'static str {
        match self {
            Client::ClaudeDesktop => "Claude Desktop",
            Client::ClaudeCode => "Claude Code",
            Client::Cursor => "Cursor",
            Client::VsCode => "VS Code",
            Client::Codex => "Codex",
            Client::Gemini => "Gemini CLI",
            Client::Goose => "Goose",
            Client::LibreChat => "LibreChat",
            Client::Zed => "Zed",
            Client::Windsurf => "Windsurf",
        }
    }

    /// The configuration file. `None` when the variable that names the home directory is not set.
    pub(super) fn path(self, system: System, env: &Environment) -> Option<PathBuf> {
        let set = |name: &str| env.get(name).filter(|value| !value.is_empty()).map(PathBuf::from);
        let home = || if system == System::Windows { set("USERPROFILE") } else { set("HOME") };
        // The directory of applications' settings.
        let settings = |mac_is_unix: bool| match system {
            System::Windows => set("APPDATA"),
            System::Mac if !mac_is_unix => home().map(|home| home.join("Library/Application Support")),
            System::Mac => home().map(|home| home.join(".config")),
            System::Linux => set("XDG_CONFIG_HOME").or_else(|| home().map(|home| home.join(".config"))),
        };
        let path = match self {
            Client::ClaudeDesktop => settings(false)?.join("Claude").join("claude_desktop_config.json"),
            Client::ClaudeCode => set("CLAUDE_CONFIG_DIR").or_else(home)?.join(".claude.json"),
            Client::Cursor => home()?.join(".cursor").join("mcp.json"),
            Client::VsCode => settings(false)?.join("Code").join("User").join("mcp.json"),
            Client::Codex => set("CODEX_HOME").or_else(|| Some(home()?.join(".codex")))?.join("config.toml"),
            Client::Gemini => home()?.join(".gemini").join("settings.json"),
            Client::Goose if system == System::Windows => {
                settings(true)?.join("Block").join("goose").join("config").join("config.yaml")
            }
            Client::Goose => settings(true)?.join("goose").join("config.yaml"),
            // LibreChat reads the file from its own directory.
            Client::LibreChat => PathBuf::from("librechat.yaml"),
            Client::Zed if system == System::Windows => settings(true)?.join("Zed").join("settings.json"),
            Client::Zed => settings(true)?.join("zed").join("settings.json"),
            Client::Windsurf => home()?.join(".codeium").join("windsurf").join("mcp_config.json"),
        };
        Some(path)
    }

    pub(super) fn format(self) -> Format {
        match self {
            Client::Codex => Format::Toml,
            Client::Goose | Client::LibreChat => Format::Yaml,
            _ => Format::Json,
        }
    }

    /// The key under which the file lists servers.
    pub(super) fn section(self) -> &'static str {
        match self {
            Client::VsCode => "servers",
            Client::Codex => "mcp_servers",
            Client::Goose => "extensions",
            Client::Zed => "context_servers",
            _ => "mcpServers",
        }
    }

    pub(super) fn passing(self) -> Passing {
        match self {
            Client::ClaudeCode | Client::LibreChat => Passing::Spelled("${NAME}"),
            Client::Cursor | Client::VsCode | Client::Windsurf => Passing::Spelled("${env:NAME}"),
            Client::Gemini => Passing::Spelled("$NAME"),
            Client::Codex => Passing::Listed("env_vars"),
            Client::Goose => Passing::Listed("env_keys"),
            Client::ClaudeDesktop | Client::Zed => Passing::Never,
        }
    }

    /// What has to be done before the client sees the server.
    pub(super) fn next_step(self) -> &'static str {
        match self {
            Client::ClaudeCode | Client::Codex | Client::Gemini | Client::Goose => "Start a new session.",
            Client::Windsurf => "Refresh the list of servers.",
            Client::Zed => "Zed starts the server itself.",
            _ => "Restart it.",
        }
    }

    /// Builds the entry. `values` are variables with their values; `passed` are names of variables that the client passes on.
    pub(super) fn entry(
        self,
        name: &str,
        command: &str,
        arguments: &[String],
        values: &[(&str, String)],
        passed: &[&str],
    ) -> Value {
        let mut env: Map<String, Value> =
            values.iter().map(|(name, value)| ((*name).to_owned(), value.clone().into())).collect();
        let mut listed = None;
        match self.passing() {
            Passing::Spelled(spelling) => {
                env.extend(passed.iter().map(|name| ((*name).to_owned(), spelling.replace("NAME", name).into())));
            }
            Passing::Listed(key) if !passed.is_empty() => listed = Some((key, json!(passed))),
            Passing::Listed(_) | Passing::Never => {}
        }
        let mut entry = match self {
            Client::Goose => json!({
                "name": name, "type": "stdio", "enabled": true, "cmd": command, "args": arguments, "envs": env, "timeout": 300,
            }),
            Client::ClaudeCode | Client::VsCode | Client::LibreChat => {
                json!({"type": "stdio", "command": command, "args": arguments, "env": env})
            }
            _ => json!({"command": command, "args": arguments, "env": env}),
        };
        if let (Some((key, names)), Some(fields)) = (listed, entry.as_object_mut()) {
            fields.insert(key.to_owned(), names);
        }
        entry
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_client_has_a_file_on_every_system() {
        let env: Environment = [("HOME", "/h"), ("USERPROFILE", "U:"), ("APPDATA", "A:")]
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .into();
        let table = [
            (
                "claude-desktop",
                "/h/.config/Claude/claude_desktop_config.json",
                "/h/Library/Application Support/Claude/claude_desktop_config.json",
                "A:/Claude/claude_desktop_config.json",
            ),
            ("claude-code", "/h/.claude.json", "/h/.claude.json", "U:/.claude.json"),
            ("cursor", "/h/.cursor/mcp.json", "/h/.cursor/mcp.json", "U:/.cursor/mcp.json"),
            (
                "vscode",
                "/h/.config/Code/User/mcp.json",
                "/h/Library/Application Support/Code/User/mcp.json",
                "A:/Code/User/mcp.json",
            ),
            ("codex", "/h/.codex/config.toml", "/h/.codex/config.toml", "U:/.codex/config.toml"),
            ("gemini", "/h/.gemini/settings.json", "/h/.gemini/settings.json", "U:/.gemini/settings.json"),
            (
                "goose",
                "/h/.config/goose/config.yaml",
                "/h/.config/goose/config.yaml",
                "A:/Block/goose/config/config.yaml",
            ),
            ("librechat", "librechat.yaml", "librechat.yaml", "librechat.yaml"),
            ("zed", "/h/.config/zed/settings.json", "/h/.config/zed/settings.json", "A:/Zed/settings.json"),
            (
                "windsurf",
                "/h/.codeium/windsurf/mcp_config.json",
                "/h/.codeium/windsurf/mcp_config.json",
                "U:/.codeium/windsurf/mcp_config.json",
            ),
        ];
        assert_eq!(table.len(), Client::value_variants().len());
        for (name, linux, mac, windows) in table {
            let client = Client::from_str(name, false).unwrap();
            for (system, path) in [(System::Linux, linux), (System::Mac, mac), (System::Windows, windows)] {
                assert_eq!(client.path(system, &env), Some(PathBuf::from(path)), "{name} {system:?}");
            }
            let bare = client.path(System::Linux, &Environment::new());
            assert_eq!(bare.is_none(), client != Client::LibreChat, "{name}");
        }
    }

    #[test]
    fn a_variable_is_passed_in_the_clients_spelling() {
        let entry = |client: Client| client.entry("tudb", "/bin/tudb", &["serve".into()], &[], &["DB"]);
        assert_eq!(entry(Client::Cursor)["env"]["DB"], "${env:DB}");
        assert_eq!(entry(Client::Gemini)["env"]["DB"], "$DB");
        assert_eq!(entry(Client::ClaudeCode)["env"]["DB"], "${DB}");
        assert_eq!(entry(Client::Codex)["env_vars"], json!(["DB"]));
        assert_eq!(entry(Client::Goose)["env_keys"], json!(["DB"]));
        assert_eq!(entry(Client::ClaudeDesktop)["env"], json!({}));
    }
}
